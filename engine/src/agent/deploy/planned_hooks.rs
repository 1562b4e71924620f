//! The hooks of the server that a deploy would run, for a dry run. Those for failures are not among them.

use std::borrow::Cow;

use crate::error::Error;
use crate::hook::HookPhase;
use crate::manifest::Manifest;

use crate::agent::run::{Scene, is_touched};
use crate::agent::site::layout::Layout;
use crate::agent::site::records::{Releases, read_manifest};

use super::task::Task;

/// The phases in which hooks run before the switch is asked for, and those around it.
const ALWAYS: [HookPhase; 2] = [HookPhase::BeforeUpload, HookPhase::AfterUpload];
const AROUND_THE_SWITCH: [HookPhase; 3] = [HookPhase::BeforeSwitch, HookPhase::AfterSwitch, HookPhase::AfterDeploy];

/// Returns the names of the hooks, in the order in which they would run. `site` has the layout and the releases, if the
/// deploy path exists.
pub(super) fn planned_hooks(task: Task<'_>, site: Option<(&Layout, &Releases)>) -> Result<Vec<String>, Error> {
    let procedure = &task.order.hello.procedure;
    let scene = Scene::before(task.decision.live.clone());
    let around: &[HookPhase] = if task.order.begin.no_switch { &[] } else { &AROUND_THE_SWITCH };
    let phases = ALWAYS.iter().chain(around);
    let called = phases.flat_map(|&phase| procedure.hooks_of(phase)).filter(|hook| scene.calls(hook));
    let mut old = None;
    let mut names = Vec::new();
    for hook in called {
        if !hook.if_changed.is_empty() {
            let old = old.get_or_insert_with(|| live_manifest(task, site));
            if !is_touched(hook, old.as_deref(), Some(&task.tree.manifest))? {
                continue;
            }
        }
        names.push(hook.name.clone());
    }
    Ok(names)
}

/// Returns the manifest of the live release, if it can be read.
pub(super) fn live_manifest<'a>(task: Task<'a>, site: Option<(&Layout, &Releases)>) -> Option<Cow<'a, Manifest>> {
    let live = task.decision.live.as_ref()?;
    if let Some(base) = task.base.filter(|base| base.name.release == *live) {
        return Some(Cow::Borrowed(&base.stored.manifest));
    }
    let (layout, releases) = site?;
    let record = releases.find(live)?;
    read_manifest(layout, &record.id, &record.root).ok().map(|stored| Cow::Owned(stored.manifest))
}
