//! Points `current` at a release.
//!
//! The link is made beside its place under another name, and renamed over it: a reader sees the old release or the
//! new one, never neither. Everything behind the link is durable before. After a power cut, a durable link to lost
//! files would be worse than the old release.
//!
//! Before the rename, the record says where a rollback would go; after it, when the release went live. A crash in
//! between is mended by the next run, see `mend`. If the record cannot be written after the rename, the switch is
//! done, and that is a warning.

use crate::disk::{Dir, Kind};
use crate::error::{Error, ReleaseError, SiteError};
use crate::release::{BootSpan, Provenance, Record, ReleaseId};

use super::layout::Layout;
use super::lock::Lock;
use super::log::{self, SwitchLine};
use super::records::{self, Releases};
use super::reserve::{self, unless_full};
use crate::agent::clock::now;
use crate::agent::token::{RANDOM_NAME_DIGITS, is_random, random_name};
use crate::agent::uptime::Uptime;

const TEMPORARY: &str = ".cutover-";

/// The result of a switch.
#[derive(Debug)]
pub(crate) struct SwitchOutcome {
    /// The release that was live before.
    pub(crate) previous: Option<ReleaseId>,
    /// Warnings about a record or a log line that could not be written.
    pub(crate) warnings: Vec<String>,
}

/// Makes a release live. Changes nothing if it is live already.
pub(crate) fn switch(
    layout: &Layout,
    lock: &Lock,
    releases: &mut Releases,
    id: &ReleaseId,
    verb: &str,
    provenance: &Provenance,
) -> Result<SwitchOutcome, Error> {
    let live = layout.current.live()?;
    if live.as_ref() == Some(id) {
        return Ok(SwitchOutcome { previous: live, warnings: Vec::new() });
    }
    lock.check(&layout.private)?;
    check_tree(layout, id)?;
    let before = live.as_ref().and_then(|live| releases.find(live)).map(|record| record.sequence);
    let record = find_mut(releases, id)?;
    // After a step forward, a rollback leads back here. After a step back, it leads where it led before.
    if before.is_some_and(|before| before < record.sequence) {
        record.previous.clone_from(&live);
        unless_full(records::replace(lock, layout, record))?;
    }
    point(layout, id)?;
    let at = now();
    let commit = find_mut(releases, id)?.provenance.commit.clone();
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
    let noted = note(lock, layout, releases, id, live.as_ref(), at).err().map(|error| {
        let reason = error.with_cause();
        format!("Release {id} is live, but its record could not be written: {reason}. Check the server's disk: the next deploy, switch or cleanup writes the record")
    });
    let logged = log::append(&layout.private, &line).err().map(|error| {
        let reason = error.with_cause();
        format!("Release {id} is live, but the switch could not be logged: {reason}. Check the server's disk")
    });
    Ok(SwitchOutcome { previous: live, warnings: noted.into_iter().chain(logged).collect() })
}

/// Writes into the records that a release went live. If that fails, the next run mends it from the link.
fn note(
    lock: &Lock,
    layout: &Layout,
    releases: &mut Releases,
    id: &ReleaseId,
    live: Option<&ReleaseId>,
    at: u64,
) -> Result<(), Error> {
    let turn = releases.next_turn();
    let record = find_mut(releases, id)?;
    record.go_live(at, turn);
    record.span = BootSpan::open(record.span.as_ref(), Uptime::now());
    records::replace(lock, layout, record)?;
    if let Some(record) = live.and_then(|live| find_mut(releases, live).ok()) {
        record.retired = Some(at);
        record.span = BootSpan::close(record.span.as_ref(), Uptime::now());
        records::replace(lock, layout, record)?;
    }
    Ok(())
}

fn find_mut<'a>(releases: &'a mut Releases, id: &ReleaseId) -> Result<&'a mut Record, Error> {
    releases
        .records
        .iter_mut()
        .find(|record| record.id == *id)
        .ok_or_else(|| Error::from(ReleaseError::Unknown(id.clone())))
}

fn check_tree(layout: &Layout, id: &ReleaseId) -> Result<(), Error> {
    layout.releases.open_dir(id.as_str().as_bytes()).map(drop)
}

fn point(layout: &Layout, id: &ReleaseId) -> Result<(), Error> {
    let current = &layout.current;
    let prefix = [b".", current.name.as_slice(), TEMPORARY.as_bytes()].concat();
    remove_leftovers(&current.dir, &prefix)?;
    let temporary = [prefix.as_slice(), random_name()?.as_bytes()].concat();
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

/// Removes the links that a killed run left before it renamed them. With `current_path` the directory may belong to
/// anybody, so only a symlink of this user with a name of exactly our form is removed.
fn remove_leftovers(dir: &Dir, prefix: &[u8]) -> Result<(), Error> {
    let is_ours = |name: &[u8]| name.strip_prefix(prefix).is_some_and(|token| is_random(token, RANDOM_NAME_DIGITS));
    let user = rustix::process::geteuid().as_raw();
    for name in dir.names()?.into_iter().filter(|name| is_ours(name)) {
        if dir.stat(&name)?.is_some_and(|stat| stat.kind == Kind::Symlink && stat.uid == user) {
            dir.remove_file(&name)?;
        }
    }
    Ok(())
}
