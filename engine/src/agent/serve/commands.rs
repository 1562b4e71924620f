//! `hooks run` and `exec`: run a command of the user in the live release.
//!
//! A hook runs as in a deploy: under the lock, in a runner. A command of `exec` runs without the lock, and ends with its
//! client.

use std::path::Path;

use crate::command::{Invocation, Mask};
use crate::error::{Error, SiteError};
use crate::event::HookEvent;
use crate::hook::Command;
use crate::news::News;
use crate::release::ReleaseId;
use crate::report::HookRunReport;
use crate::wire::message::Reply;

use super::Service;
use crate::agent::run::{Act, Scene, relay};
use crate::agent::site::layout::Layout;
use crate::agent::site::records::Releases;

/// The name of a command in its news.
const EXEC: &str = "exec";

impl Service<'_> {
    /// Runs a hook by its name.
    pub(super) fn run_hook(&self, path: &Path, name: &str) -> Result<Reply, Error> {
        let site = self.hold(path)?;
        let (scene, release) = scene_of_live(&site.layout, &site.releases)?;
        relay(self.conversation, &site.lock, self.hello, Act::Hook { name: name.to_owned(), scene })?;
        Ok(Reply::RanHook(HookRunReport { hook: name.to_owned(), release, warnings: Vec::new() }))
    }

    /// Runs a command, and passes its output on.
    pub(super) fn exec(&self, path: &Path, command: &Command) -> Result<Reply, Error> {
        let layout = self.open(path)?;
        let (scene, _) = scene_of_live(&layout, &Releases::read(&layout)?)?;
        let variables = scene.variables(self.hello, &layout)?;
        let mask = Mask::new(&self.hello.procedure.secrets);
        let take = |text| {
            self.conversation.pass_on(News::Hook(HookEvent::Line { name: EXEC.to_owned(), text }));
        };
        let invocation =
            Invocation { command, directory: &scene.directory(&layout), variables: &variables, mask: &mask };
        let end = invocation.run(take, || self.conversation.check_client().is_err())?;
        Ok(Reply::Exec(end))
    }
}

/// Returns the scene of a command by hand, and the live release. The previous one is the goal of a rollback.
fn scene_of_live(layout: &Layout, releases: &Releases) -> Result<(Scene, ReleaseId), Error> {
    let live = layout.current.live()?;
    let Some(live) = live else {
        return Err(SiteError::NotSetUp(layout.root.path().display().to_string()).into());
    };
    let previous = releases.rollback_from(Some(&live)).map(|record| record.id.clone());
    Ok((Scene { release: Some(live.clone()), previous, is_rollback: false }, live))
}
