//! Makes a release: the agent's part of a deploy, from the lock to the answer.
//!
//! First the agent and the client agree on a base, a tree against it, and a name. Then four steps follow, and each
//! needs the result of the one before:
//!
//! 1. fill: links and receives content, until the release is complete in staging;
//! 2. publish: makes it durable, then gives objects, record and tree their names, durably;
//! 3. switch: points `current` at it;
//! 4. tidy: removes expired releases, and keeps the stamps of the new one.
//!
//! The order makes a deploy safe. A crash leaves staging that the next run uses, or objects and records that nothing
//! names yet: `current` changes last. After the switch nothing fails any more, and nothing waits for the
//! client. Only if the link itself cannot be synced, nothing is removed, and the next run completes the record.

mod additions;
mod base;
mod decision;
mod done;
mod dry_run;
mod fill;
mod finish;
mod lacks;
mod look;
mod order;
mod outcome;
mod phases;
mod plan;
mod planned_hooks;
mod preview;
mod promise;
mod publish;
mod ready;
mod rebuild;
mod reception;
mod second;
mod spare;
mod task;
mod tree;
mod unchanged;
mod unfit;

use crate::agent::adopt::check_finished;
use std::time::Duration;

use crate::error::{Error, SiteError};
use crate::event::Phase;
use crate::hook::HookPhase;
use crate::manifest::diff::Counts;
use crate::release::ReleaseId;
use crate::wire::message::DeployDone;

use super::clock::now;
use super::compare::after_hooks;
use super::conversation::Conversation;
use super::go_live::{go_live, run_on_failure};
use super::reporter::Reporter;
use super::run::{Act, GoLive, Scene, end_overdue_trial, relay};
use super::site::Site;
use super::site::layout::Layout;
use super::site::lock::Lock;
use super::site::reserve;
use super::site::switch::SwitchOutcome;
use super::space::with_remedy;
use super::staging::Staging;
use super::store::Store;

use self::base::Base;
use self::decision::Decision;
use self::done::{done, note_edits};
use self::dry_run::dry_run;
use self::fill::{StagedRelease, fill};
use self::finish::tidy;
use self::outcome::DeployOutcome;
use self::phases::Phases;
use self::plan::Plan;
use self::ready::{Ready, holding};
use self::spare::SpareChoice;
use self::task::Task;
use self::unchanged::{Unchanged, unchanged};

pub(crate) use self::look::Look;
pub(crate) use self::order::Order;
pub(crate) use self::publish::{Publication, PublishedRelease, publish, publish_objects};
pub(crate) use self::rebuild::rebuild;
pub(crate) use self::second::choose_for as choose_second;
pub(crate) use self::unfit::make_further_copies;

/// Runs a deploy. `look` is the comparison of the live release that began before the hello. `lock` takes the lock of an
/// open deploy path, and reads again what may have changed before.
pub(crate) fn deploy(
    conversation: &Conversation,
    order: &Order<'_>,
    look: Option<Look>,
    lock: impl Fn(&mut Layout) -> Result<Lock, Error>,
) -> Result<DeployDone, Error> {
    if order.begin.dry_run {
        return dry_run(conversation, order, look);
    }
    let (mut layout, _) = Layout::set_up(order.path, order.policy(), conversation)?;
    let lock = lock(&mut layout)?;
    check_finished(&layout)?;
    reserve::ensure(&lock, &layout.private)?;
    let mut site = Site::hold(lock, layout)?;
    end_overdue_trial(conversation, order.hello, &mut site)?;
    let done = deploy_held(conversation, order, &mut site, look);
    done.inspect_err(|error| run_on_failure(conversation, order.hello, &site, error))
}

/// Runs a deploy under the lock.
fn deploy_held(
    conversation: &Conversation,
    order: &Order<'_>,
    site: &mut Site,
    look: Option<Look>,
) -> Result<DeployDone, Error> {
    let live = site.layout.current.live()?;
    let edited = match unchanged(order, &site.layout, &site.releases, live.as_ref(), look)? {
        Unchanged::Yes(done) => return Ok(*done),
        Unchanged::No(edited) => edited,
    };
    let base = Base::choose(conversation, order, &site.layout, &site.releases, live.as_ref())?;
    let held = holding(&site.layout, &site.releases);
    let (base, stores_nothing) = (base.as_ref(), site.layout.stores_nothing()?);
    Ready { holding: held.clone(), base, live: live.as_ref().into(), stores_nothing }.send(conversation, order)?;
    let tree = tree::receive(conversation, order, Some(&site.layout), base)?;
    let decision = Decision::make(order, &site.layout, &site.releases, live, base, &tree.manifest)?;
    let task = Task { order, tree: &tree, base, decision: &decision };
    run_hooks(conversation, site, task, HookPhase::BeforeUpload)?;
    let mut done = make(conversation, site, task)?;
    note_edits(&mut done, edited);
    let holds = holding(&site.layout, &site.releases);
    done.holding = (holds != held.after(done.release.as_ref(), &done.removed)).then_some(holds);
    Ok(done)
}

/// Makes the release and tidies up. If space is short, removes the spare and tries once more.
fn make(conversation: &Conversation, site: &mut Site, task: Task<'_>) -> Result<DeployDone, Error> {
    let mut choice = SpareChoice::make(conversation, site, task)?;
    let built = match build(conversation, site, task, &choice) {
        // At this point nothing was asked of the client yet.
        Err(Error::Site(SiteError::NoSpace { .. }) | Error::Site(SiteError::NoInodes { .. })) if choice.has_spare => {
            choice = choice.make_room(conversation, site, task.order.policy())?;
            build(conversation, site, task, &choice)
        }
        outcome => outcome,
    };
    let policy = task.order.policy();
    let outcome = built.map_err(|error| with_remedy(error, &mut site.layout, policy, conversation))?;
    let cleanup = tidy(conversation, site, task, &outcome);
    Ok(done(task, choice, outcome, cleanup))
}

/// Makes the release in a new staging. If that fails, the received content stays for the next run.
fn build(
    conversation: &Conversation,
    site: &mut Site,
    task: Task<'_>,
    choice: &SpareChoice,
) -> Result<DeployOutcome, Error> {
    let store = Store::new(site.layout.objects.duplicate()?);
    let classification = task.classify(&site.layout, &site.releases, &store)?;
    let staging = Staging::create(&site.lock, &site.layout)?;
    let plan = Plan { task, classification: &classification, choice, store: &store, staging: &staging };
    let outcome = run_steps(conversation, site, &plan);
    // Close its directories before others are opened.
    drop(store);
    if outcome.is_err() {
        // The next run clears what cannot be removed now. The first error is the one that matters.
        drop(staging.abandon(&site.lock, &site.layout));
    }
    outcome
}

/// Runs the steps up to the switch, until one fails.
fn run_steps(conversation: &Conversation, site: &mut Site, plan: &Plan<'_>) -> Result<DeployOutcome, Error> {
    let mut phases = Phases::new(conversation);
    let mut staged = phases.time(Phase::Assemble, || fill(conversation, site, plan))?;
    let published = publish_release(&mut phases, site, plan, &staged)?;
    // Nobody needs the list of new files any more, and other manifests need its memory.
    staged.arrived = Vec::new();
    run_hooks(conversation, site, plan.task, HookPhase::AfterUpload)?;
    compare_after_hooks(conversation, site, plan.task)?;
    let switched = switch_to(&mut phases, conversation, site, plan.task)?;
    let counts = final_counts(site, plan.task, &staged);
    Ok(DeployOutcome {
        staged,
        published,
        switched,
        counts,
        restored_objects: plan.store.restored_objects(),
        seconds: phases.finish(),
    })
}

/// Compares the release with its manifest if hooks ran in it. The runner does that after the hooks before the switch.
fn compare_after_hooks(reporter: &dyn Reporter, site: &Site, task: Task<'_>) -> Result<(), Error> {
    if task.order.hello.procedure.hooks_of(HookPhase::AfterUpload).next().is_none() {
        return Ok(());
    }
    let effects = after_hooks(site, &task.decision.id, task.order.policy().hook_edits)?;
    effects.warnings.into_iter().for_each(|warning| reporter.warn(warning));
    Ok(())
}

/// Returns the differences from the release that was live. A promised hash was unknown before: only if the tree is
/// described against that release, its entry is known to differ.
fn final_counts(site: &Site, task: Task<'_>, staged: &StagedRelease) -> Counts {
    let Decision { counts, live, .. } = task.decision;
    let is_base = |live: &ReleaseId| task.base.is_some_and(|base| base.name.release == *live);
    if task.tree.promised.is_empty() || live.as_ref().is_none_or(is_base) {
        return *counts;
    }
    decision::count(&site.layout, &site.releases, live.as_ref(), task.base, staged.manifest(task))
}

fn publish_release(
    phases: &mut Phases<'_>,
    site: &mut Site,
    plan: &Plan<'_>,
    staged: &StagedRelease,
) -> Result<PublishedRelease, Error> {
    let Plan { task, store, staging, .. } = *plan;
    let decision = task.decision;
    let manifest = staged.manifest(task);
    let record = decision.record(task.order, manifest, staged.arrived_bytes());
    if decision.has_whole_seconds {
        wait_for_end_of(decision.second);
    }
    let (layout, assembled, arrived) = (&site.layout, &staged.assembled, &staged.arrived);
    let publication = Publication { layout, store, staging, manifest, assembled, arrived, record: &record };
    let published = phases.time(Phase::Sync, || publish(&site.lock, &publication))?;
    site.releases.records.push(record);
    Ok(published)
}

/// Makes the release live, unless the client asked for a ready one.
fn switch_to(
    phases: &mut Phases<'_>,
    conversation: &Conversation,
    site: &mut Site,
    task: Task<'_>,
) -> Result<Option<SwitchOutcome>, Error> {
    if task.order.begin.no_switch {
        return Ok(None);
    }
    let order = GoLive { release: task.decision.id.clone(), back: None, is_rollback: false };
    let went_live = go_live(conversation, task.order.hello, site, order)?;
    phases.extend(went_live.seconds);
    Ok(Some(went_live.switched))
}

/// Runs the hooks of a phase between the lock and the switch.
fn run_hooks(conversation: &Conversation, site: &Site, task: Task<'_>, phase: HookPhase) -> Result<(), Error> {
    let Task { order, decision, .. } = task;
    if order.hello.procedure.hooks_of(phase).next().is_none() {
        return Ok(());
    }
    let has_release = phase != HookPhase::BeforeUpload;
    let scene = Scene {
        release: has_release.then(|| decision.id.clone()),
        previous: decision.live.clone(),
        is_rollback: false,
    };
    relay(conversation, &site.lock, order.hello, Act::Hooks { phase, scene }).map(drop)
}

/// Waits for the end of a second. That takes a moment if two releases come within one second. If the clock was ahead
/// when an earlier release was made, the wait would be long, and is left out.
pub(crate) fn wait_for_end_of(second: u32) {
    const WAIT_MAX: u64 = 3;
    const A_WHILE: Duration = Duration::from_millis(20);
    let second = u64::from(second);
    while now() <= second && second - now() <= WAIT_MAX {
        std::thread::sleep(A_WHILE);
    }
}
