//! The log of a run on the machine of the person who runs it: a file in the state directory, for this user alone.
//!
//! ```text
//! logs/
//! └── deploy-web1-srv-shop-1a2b3c4d/      a target, and a part of its hash
//!     ├── 20261130093015.123-deploy.jsonl
//!     └── 20261130101500.007-rollback.jsonl
//! ```
//! The newest logs of a target stay; older ones are removed when the next one begins. Nothing is synced, because a run
//! must not wait for its log: a power cut may lose lines.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::command::Mask;
use crate::disk::{self, Dir, TextFile};
use crate::error::Error;
use crate::hash::Hash;
use crate::release::ReleaseId;
use crate::target::Destination;
use crate::units::Bytes;

/// The directory of logs in the state directory.
const LOGS: &str = "logs";

/// The end of a log's name.
const SUFFIX: &str = ".jsonl";

/// The logs of a target that stay, with the one that begins: a month of deploys on each working day. With a build of
/// 1 MiB of output in each, they take 20 MiB.
pub const RUN_LOGS_KEPT: usize = 20;

/// The longest part of a directory's name that people read.
const TITLE_BYTES_MAX: usize = 60;

/// The length of a log, in bytes: more than the output that a hundred hooks may pass on. A server that says more must
/// not fill this disk.
const LOG_BYTES_MAX: u64 = 256 << 20;

/// The log of a run.
#[derive(Debug)]
pub struct RunLog {
    file: TextFile,
    /// The bytes that may be added.
    room: AtomicU64,
    path: PathBuf,
}

impl RunLog {
    /// Creates the log of a verb at a target, and removes logs that are too old. Secrets are in no name.
    pub fn create(state_dir: &Path, target: &Destination, verb: &str, mask: &Mask) -> Result<RunLog, Error> {
        let path = state_dir.join(LOGS).join(directory_name(target, mask));
        disk::create_private_path(&path)?;
        let dir = Dir::open(&path)?;
        remove_old(&dir)?;
        let mut time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        loop {
            let name = file_name(time, verb);
            if let Some(file) = dir.create_text(name.as_bytes())? {
                return Ok(RunLog { file, room: AtomicU64::new(LOG_BYTES_MAX), path: path.join(name) });
            }
            // Another run began in the same millisecond.
            time += Duration::from_millis(1);
        }
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds lines, if there is room.
    pub fn add(&self, lines: &str) -> io::Result<()> {
        let fit = |room: u64| room.checked_sub(lines.len() as u64);
        if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fit).is_err() {
            return Err(io::Error::other(format!("it may have {}", Bytes(LOG_BYTES_MAX))));
        }
        self.file.add(lines)
    }
}

/// Removes the oldest logs, so that there is room for one more.
fn remove_old(dir: &Dir) -> Result<(), Error> {
    // Names begin with their times, and are sorted.
    let mut names = dir.names()?;
    names.retain(|name| name.ends_with(SUFFIX.as_bytes()));
    let surplus = (names.len() + 1).saturating_sub(RUN_LOGS_KEPT);
    names.iter().take(surplus).try_for_each(|name| dir.remove_file(name).map(drop))
}

fn file_name(time: Duration, verb: &str) -> String {
    format!("{}.{:03}-{}{SUFFIX}", ReleaseId::at(time.as_secs()), time.subsec_millis(), verb.replace(' ', "-"))
}

/// Returns the name of a target's directory. The hash tells targets apart whose other characters are the same.
fn directory_name(target: &Destination, mask: &Mask) -> String {
    let target = target.to_string();
    let shown = mask.mask(target.clone());
    let parts = shown.split(|character: char| !character.is_ascii_alphanumeric() && character != '.');
    let title = parts.filter(|part| !part.trim_matches('.').is_empty()).collect::<Vec<_>>().join("-");
    let title = title[title.len().saturating_sub(TITLE_BYTES_MAX)..].trim_start_matches(['-', '.']);
    format!("{title}-{}", &Hash::of(target.as_bytes()).to_string()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(log: &RunLog) -> Vec<String> {
        let entries = std::fs::read_dir(log.path().parent().unwrap()).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_newest_logs_of_a_target_stay() {
        let place = tempfile::tempdir().unwrap();
        let create = |target: &str| {
            RunLog::create(place.path(), &Destination::Local(target.into()), "hooks run", &Mask::default()).unwrap()
        };
        let other = create("/srv/other");
        let first = create("/srv/shop");
        first.add("one\n").unwrap();
        first.add("two\n").unwrap();
        assert_eq!(std::fs::read_to_string(first.path()).unwrap(), "one\ntwo\n");
        std::fs::write(first.path().with_file_name("note"), "").unwrap();
        let last = (1..RUN_LOGS_KEPT).fold(create("/srv/shop"), |_, _| create("/srv/shop"));
        let kept = names(&last);
        assert_eq!(kept.len(), RUN_LOGS_KEPT + 1, "{kept:?}");
        assert!(!first.path().exists() && kept.contains(&"note".to_owned()), "{kept:?}");
        assert_eq!(last.path().file_name().unwrap().to_str().unwrap(), kept[RUN_LOGS_KEPT - 1]);
        assert_eq!(names(&other).len(), 1);
    }

    #[test]
    fn a_log_has_an_end() {
        let place = tempfile::tempdir().unwrap();
        let log = RunLog::create(place.path(), &Destination::Local("/srv".into()), "deploy", &Mask::default()).unwrap();
        log.room.store(8, Ordering::Relaxed);
        log.add("12345\n").unwrap();
        log.add("67890\n").unwrap_err();
        log.add("6\n").unwrap();
        assert_eq!(std::fs::read_to_string(log.path()).unwrap(), "12345\n6\n");
    }

    #[test]
    fn a_directory_has_a_name_for_people() {
        let mask = Mask::new(&["s3cret".into()]);
        let check = |target: &str, title: &str| {
            let name = directory_name(&Destination::Local(target.into()), &mask);
            assert_eq!(name[..name.len() - 9], *title);
        };
        check("/srv/shop", "srv-shop");
        check("/srv/./../.ä", "srv");
        check("/.www//shop_2", "www-shop-2");
        check("/", "");
        check("/srv/s3cret/shop", "srv-shop");
        check(&format!("/{}/shop", "x".repeat(100)), &format!("{}-shop", "x".repeat(55)));
        let hash = |target: &str| directory_name(&Destination::Local(target.into()), &mask);
        assert_ne!(hash("/srv/a-b"), hash("/srv/a_b"));
        assert_eq!(
            file_name(Duration::from_millis(1_234_567_890_007), "hooks run"),
            "20090213233130.007-hooks-run.jsonl"
        );
    }
}
