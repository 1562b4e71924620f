//! Tries what the filesystem can do, in a directory that is removed again. If nothing was deployed yet, `.cutover/staging`
//! is made for that and removed again.

use std::path::Path;

use rustix::io::Errno;

use crate::agent::staging::{clear_trials, create_trial};
use crate::disk::{Dir, try_lock};
use crate::error::Error;
use crate::link::Link;
use crate::path::shown_path;
use crate::report::Finding;

use super::deploy_path::Content;
use super::look::Look;
use super::place::{Ours, Place};

const PRIVATE_MODE: u32 = 0o700;
const PRIVATE: &[u8] = b".cutover";
const STAGING: &[u8] = b"staging";

/// The parts that must be on one filesystem and one mount.
const PARTS: [&str; 5] = ["releases", ".cutover/objects", ".cutover/releases", ".cutover/staging", ".cutover/trash"];

pub(super) fn look(place: &Place<'_>, content: Content, ours: Option<&Ours>) -> Result<Look, Error> {
    let mut look = Look::default();
    find_other_mounts(place, &mut look);
    match (content, ours) {
        (_, Some(ours)) => {
            // A rest that cannot be removed stays for the next cleanup.
            clear_trials(&ours.layout.staging).ok();
            try_in(place, &ours.layout.staging, &mut look);
        }
        (Content::Empty, None) => try_in_new(place, &mut look)?,
        // A part is missing.
        _ => look.facts.push("not tried, as a directory of the deploy path is missing".into()),
    }
    Ok(look)
}

/// Finds the parts that are on another filesystem or mount.
fn find_other_mounts(place: &Place<'_>, look: &mut Look) {
    let Ok(root) = Dir::open(place.path) else { return };
    for part in PARTS.map(|part| place.path.join(part)) {
        let Ok(dir) = Dir::open(&part) else { continue };
        let device = |dir: &Dir| dir.own_stat().ok().map(|stat| stat.device);
        if dir.mount() != root.mount() || device(&dir) != device(&root) {
            let (path, deploy_path) = (shown_path(&part), shown_path(place.path));
            look.find(Finding::OtherMount { path, deploy_path });
        }
    }
}

/// Makes staging for the trial, and removes what it made.
fn try_in_new(place: &Place<'_>, look: &mut Look) -> Result<(), Error> {
    let root = Dir::open(place.path)?;
    let made = root.ensure_dir(PRIVATE, PRIVATE_MODE).and_then(|(private, is_new)| {
        let (staging, is_new_too) = private.ensure_dir(STAGING, PRIVATE_MODE)?;
        Ok((private, is_new, staging, is_new_too))
    });
    let (private, is_new, staging, is_new_too) = match made {
        Ok(made) => made,
        Err(error) => {
            look.findings.extend(refused(place, place.path, &error));
            return Ok(());
        }
    };
    clear_trials(&staging)?;
    try_in(place, &staging, look);
    if is_new_too {
        private.remove_empty_dir(STAGING)?;
    }
    if is_new {
        root.remove_empty_dir(PRIVATE)?;
    }
    Ok(())
}

/// Tries everything in a directory of staging.
fn try_in(place: &Place<'_>, staging: &Dir, look: &mut Look) {
    let (name, trial) = match create_trial(staging) {
        Ok(made) => made,
        Err(error) => return look.findings.extend(refused(place, staging.path(), &error)),
    };
    let abilities = Abilities::find(&trial);
    drop(trial);
    let removed = staging.remove_tree(&name);
    match abilities {
        Ok(abilities) => abilities.tell(place, staging.path(), look),
        Err(error) => look.findings.extend(refused(place, staging.path(), &error)),
    }
    if let Err(error) = removed {
        look.facts.push(error.with_cause());
    }
}

/// Returns the finding for a trial that was refused. A directory in which the user may not write has one already.
fn refused(place: &Place<'_>, path: &Path, error: &Error) -> Option<Finding> {
    let errno = match error {
        Error::Io { source, .. } => source.raw_os_error().map(Errno::from_raw_os_error),
        _ => None,
    };
    let (path, user) = (shown_path(path), place.user.clone());
    match errno {
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => None,
        Some(Errno::NOSPC) => Some(Finding::DiskFull { path }),
        Some(Errno::DQUOT) => Some(Finding::QuotaReached { path, user }),
        _ => Some(Finding::TrialFailed { path, user, reason: error.with_cause() }),
    }
}

/// The abilities of a filesystem.
struct Abilities {
    hardlinks: Result<(), String>,
    symlinks: Result<(), String>,
    reflinks: bool,
    exchange: bool,
    openat2: bool,
    locks: bool,
    whole_seconds: bool,
}

impl Abilities {
    fn find(trial: &Dir) -> Result<Abilities, Error> {
        drop(trial.create_file_of(b"file", &[0; 4096])?);
        drop(trial.create_file_of(b"other", b"x")?);
        let reflinks = trial.shares_blocks()?;
        Ok(Abilities {
            hardlinks: trial.link(b"file", trial, b"link").map_err(|errno| errno.to_string()),
            symlinks: trial.symlink(b"file", b"symlink").map_err(|error| error.with_cause()),
            reflinks,
            exchange: trial.exchange(b"file", trial, b"other").unwrap_or(false),
            openat2: trial.knows_openat2(),
            locks: trial.open_file(b"file")?.is_some_and(|file| try_lock(file).is_ok()),
            // It changes the mtime of a directory, and that of the trial shows its age.
            whole_seconds: trial.create_dir(b"times", PRIVATE_MODE)?.keeps_whole_seconds()?,
        })
    }

    fn tell(self, place: &Place<'_>, path: &Path, look: &mut Look) {
        let path = shown_path(path);
        let mut have = |has: bool, name: &str| {
            let not = if has { "" } else { "no " };
            look.facts.push(format!("{not}{name}"));
        };
        have(self.hardlinks.is_ok(), "hardlinks");
        have(self.reflinks, "reflinks");
        have(self.symlinks.is_ok(), "symlinks");
        have(self.exchange, "exchange of names");
        have(self.openat2, "openat2");
        have(self.locks, "locks");
        if self.whole_seconds {
            look.facts.push("times in whole seconds".into());
        }
        if let Err(reason) = self.hardlinks {
            look.find(Finding::NoHardlinks { path: path.clone(), reason });
        }
        if let Err(reason) = self.symlinks {
            look.find(Finding::NoSymlinks { path: path.clone(), reason });
        }
        if !self.reflinks && place.hello.policy.link == Link::Reflink {
            look.find(Finding::NoReflinks { path });
        }
    }
}
