//! Points `current` at a release.
//!
//! The link is made beside its place under another name, and renamed over it: a reader sees the old release or the
//! new one, never neither. Everything behind the link is durable before. After a power cut, a durable link to lost
//! files would be worse than the old release.
//!
//! Before the rename, the record says where a rollback would go, and that the release is on trial; after it, when the
//! release went live. A step back also marks the release that it leaves as bad. A crash in between is mended by the next
//! run, see `mend`. If the record cannot be written after the rename, the switch is done, and that is a warning.

use crate::disk::Kind;
use crate::error::{Error, SiteError};
use crate::release::{Bad, BootSpan, Provenance, Record, ReleaseId, Trial};

use super::current::CurrentLink;
use super::layout::Layout;
use super::lock::Lock;
use super::log::{self, SwitchLine};
use super::marks;
use super::records::{self, Releases};
use super::reserve::{self, unless_full};
use super::rollback;
use crate::agent::clock::now;
use crate::agent::token::{RANDOM_NAME_DIGITS, is_random, random_name};
use crate::agent::uptime::Uptime;

/// Stands between the name of the link and the token, in its name before the rename.
pub(crate) const TEMPORARY: &str = ".cutover-";

/// The result of a switch.
#[derive(Debug)]
pub(crate) struct SwitchOutcome {
    /// The release that was live before.
    pub(crate) previous: Option<ReleaseId>,
    /// Warnings about a record or a log line that could not be written.
    pub(crate) warnings: Vec<String>,
}

/// The direction of a switch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    /// A deploy, a switch or a return: a rollback leads back to the release that is live now.
    Forward,
    /// A rollback, for this reason: the release that is live now becomes bad, and the next rollback goes one further
    /// back.
    Back {
        /// The reason. If the release is marked bad already, its first reason stays.
        reason: &'a str,
    },
}

/// A switch to make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Switch<'a> {
    /// The release to make live. If it is marked bad, the mark goes.
    pub(crate) id: &'a ReleaseId,
    /// The direction.
    pub(crate) step: Step<'a>,
    /// The verb, for the log.
    pub(crate) verb: &'a str,
    /// The person who switches.
    pub(crate) provenance: &'a Provenance,
    /// The trial of the release once it is live. None: the switch is all.
    pub(crate) trial: Option<&'a Trial>,
}

/// Makes a release live. Changes nothing if it is live already.
pub(crate) fn switch(
    layout: &Layout,
    lock: &Lock,
    releases: &mut Releases,
    switch: Switch<'_>,
) -> Result<SwitchOutcome, Error> {
    let Switch { id, step, verb, provenance, trial } = switch;
    let live = layout.current.live()?;
    if live.as_ref() == Some(id) {
        return Ok(SwitchOutcome { previous: live, warnings: Vec::new() });
    }
    lock.begin_switch(&layout.private)?;
    if let Step::Forward = step {
        // A step back leads to a release that works. It would not help to leave the live one in its place.
        lock.check_interrupt()?;
    }
    check_tree(layout, id)?;
    if matches!(step, Step::Forward) {
        for changed in rollback::step_forward(releases, id, live.as_ref()) {
            let record = releases.find_mut(&changed)?;
            let write = || records::replace(lock, layout, record);
            match (changed == *id, record.was_live()) {
                // It would have no way back at all.
                (true, false) => write(),
                // It has a way back, if an older one. But its record tells `mend` that this was no step back.
                (true, true) => unless_full(reserve::write_critical(&layout.private, write)),
                (false, _) => unless_full(write()),
            }?;
        }
    }
    let record = releases.find_mut(id)?;
    note_trial(lock, layout, record, trial)?;
    let commit = record.provenance.commit.clone();
    point(layout, id)?;
    let at = now();
    let line = SwitchLine {
        at,
        verb,
        who: &provenance.who,
        from: &provenance.from,
        release: id,
        previous: live.as_ref(),
        commit: commit.as_deref(),
    };
    // The release is live, even if the following writes fail.
    let left = live.as_ref().map(|id| Left { id, bad: step.bad(at, switch) });
    let noted = note(lock, layout, releases, id, left, at).err().map(|error| {
        let reason = error.with_cause();
        format!("Release {id} is live, but its record could not be written: {reason}. Check the server's disk: the next deploy, switch or cleanup writes the record")
    });
    let logged = log::append(&layout.private, &line).err().map(|error| {
        let reason = error.with_cause();
        format!("Release {id} is live, but the switch could not be logged: {reason}. Check the server's disk")
    });
    Ok(SwitchOutcome { previous: live, warnings: noted.into_iter().chain(logged).collect() })
}

/// Notes the trial of a release. One that is left from a switch that did not happen goes.
fn note_trial(lock: &Lock, layout: &Layout, record: &mut Record, trial: Option<&Trial>) -> Result<(), Error> {
    if record.trial.as_ref() == trial {
        return Ok(());
    }
    record.trial = trial.cloned();
    let written = records::replace(lock, layout, record);
    // A rollback must work on a full disk. Nothing leads back from it, and its record is written again afterwards.
    if trial.is_some_and(|trial| trial.back_to.is_some()) { written } else { unless_full(written) }
}

impl Step<'_> {
    /// Returns the mark of the release that the switch leaves.
    fn bad(self, at: u64, switch: Switch<'_>) -> Option<Bad> {
        match self {
            Step::Forward => None,
            Step::Back { reason } => {
                Some(Bad { left_for: Some(switch.id.clone()), ..marks::bad(reason, at, switch.provenance) })
            }
        }
    }
}

/// The release that a switch leaves.
struct Left<'a> {
    id: &'a ReleaseId,
    /// Its mark, after a step back.
    bad: Option<Bad>,
}

/// Writes into the records that a release went live. If that fails, the next run mends it from the link.
fn note(
    lock: &Lock,
    layout: &Layout,
    releases: &mut Releases,
    id: &ReleaseId,
    left: Option<Left<'_>>,
    at: u64,
) -> Result<(), Error> {
    let turn = releases.next_turn();
    let record = releases.find_mut(id)?;
    record.go_live(at, turn);
    record.span = BootSpan::open(record.span.as_ref(), Uptime::now());
    records::replace(lock, layout, record)?;
    if let Some(Left { id, bad }) = left
        && let Ok(record) = releases.find_mut(id)
    {
        record.retired = Some(at);
        record.span = BootSpan::close(record.span.as_ref(), Uptime::now());
        if let Some(bad) = bad {
            record.leave(bad);
        }
        records::replace(lock, layout, record)?;
    }
    Ok(())
}

fn check_tree(layout: &Layout, id: &ReleaseId) -> Result<(), Error> {
    layout.releases.open_dir(id.as_str().as_bytes()).map(drop)
}

fn point(layout: &Layout, id: &ReleaseId) -> Result<(), Error> {
    let current = &layout.current;
    for name in leftovers(current)? {
        current.dir.remove_file(&name)?;
    }
    let temporary = temporary_name(&current.name)?;
    reserve::write_critical(&layout.private, || current.dir.symlink(&current.target(id), &temporary))?;
    let renamed = current.dir.rename(&temporary, &current.dir, &current.name);
    if renamed.is_err() {
        current.dir.remove_file(&temporary)?;
    }
    renamed?;
    current.dir.sync()?;
    match current.live()? {
        Some(live) if live == *id => Ok(()),
        _ => Err(SiteError::CurrentForeign {
            path: current.path().display().to_string(),
            target: "something that was put there at the same moment".into(),
        }
        .into()),
    }
}

/// Returns a name for a link until it is renamed.
pub(crate) fn temporary_name(link: &[u8]) -> Result<Vec<u8>, Error> {
    Ok([&temporary_prefix(link)[..], random_name()?.as_bytes()].concat())
}

/// Returns the beginning of the names that a link has before its rename. A token follows.
fn temporary_prefix(link: &[u8]) -> Vec<u8> {
    [b".", link, TEMPORARY.as_bytes()].concat()
}

/// Returns the names of the links that killed runs left before the rename. With `current_path` the directory may belong to
/// anybody, so only a symlink of this user with a name of exactly our form is taken.
pub(crate) fn leftovers(current: &CurrentLink) -> Result<Vec<Vec<u8>>, Error> {
    let prefix = temporary_prefix(&current.name);
    let is_ours =
        |name: &[u8]| name.strip_prefix(&prefix[..]).is_some_and(|token| is_random(token, RANDOM_NAME_DIGITS));
    let user = rustix::process::geteuid().as_raw();
    let mut left = Vec::new();
    for name in current.dir.names()?.into_iter().filter(|name| is_ours(name)) {
        if current.dir.stat(&name)?.is_some_and(|stat| stat.kind == Kind::Symlink && stat.uid == user) {
            left.push(name);
        }
    }
    Ok(left)
}
