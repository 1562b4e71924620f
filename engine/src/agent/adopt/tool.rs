//! The deploy path of another tool: Capistrano, Deployer or DeployHQ.
//!
//! All three have `releases/`, `shared/` and a link `current` to one of the releases. They differ in what lies beside:
//!
//! | tool | sign | releases | log |
//! |---|---|---|---|
//! | Capistrano | `revisions.log`, `repo/` | `YYYYMMDDHHMMSS` | `revisions.log`: `Branch main (at 0a1b2c3) deployed as release 20260325140000 by anna` |
//! | Deployer | `.dep/` | `1`, `2`, … | `.dep/releases_log`: a line of JSON a release |
//! | DeployHQ | neither | `YYYYMMDDHHMMSS` | none |
//!
//! Each release may have a file `REVISION` with its commit. Deployer marks a bad release with a file `BAD_RELEASE`.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;
use crate::agent::site::records::Releases;
use crate::agent::site::switch::temporary_name;
use crate::agent::trash;
use crate::disk::{Dir, Kind};
use crate::error::{AdoptError, Error};
use crate::path::{Shown, shown_path};
use crate::release::{Record, ReleaseId};
use crate::report::UndoReport;

use super::adoption::{AdoptedTool, Adoption, Subject};
use super::standing::is_directory;

/// The most bytes of a log of another tool that are read.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// The most bytes of a `REVISION` that are read.
const REVISION_BYTES_MAX: u64 = 256;
/// The longest commit, in characters.
const COMMIT_MAX: usize = 64;

/// A deploy path of another tool.
#[derive(Debug)]
pub(super) struct Tool {
    /// Its name.
    pub(super) name: &'static str,
    /// The deploy path.
    pub(super) root: PathBuf,
    /// The target of `current`.
    pub(super) current: Vec<u8>,
    /// The releases, in order.
    pub(super) releases: Vec<ForeignRelease>,
    /// The live release.
    pub(super) live: ReleaseId,
    /// The file that shows that the tool is at work.
    pub(super) lock: Option<PathBuf>,
}

/// A release of another tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForeignRelease {
    /// Its name.
    pub(super) id: ReleaseId,
    /// The time at which it was made, in Unix seconds.
    pub(super) made: u64,
    /// Its commit.
    pub(super) commit: Option<String>,
    /// Its branch.
    pub(super) branch: Option<String>,
    /// The person who deployed it.
    pub(super) who: Option<String>,
    /// Whether the tool marked it as bad.
    pub(super) is_bad: bool,
}

impl Tool {
    /// Finds the deploy path of a tool in a directory. None: it is none.
    pub(super) fn find(root: &Dir, path: &Path) -> Result<Option<Tool>, Error> {
        let Some(current) = root.read_link(b"current")? else { return Ok(None) };
        if !is_directory(root, b"releases")? || is_directory(root, b".cutover")? && is_ours(path)? {
            return Ok(None);
        }
        let has = |name: &[u8]| root.stat(name).map(|stat| stat.is_some());
        let name = match (has(b".dep")?, has(b"revisions.log")? || has(b"repo")?) {
            (true, _) => "Deployer",
            (_, true) => "Capistrano",
            (false, false) => "DeployHQ",
        };
        let releases_dir = root.open_dir(b"releases")?;
        let live = live_of(root, &releases_dir)
            .ok_or_else(|| Error::from(AdoptError::CurrentElsewhere(shown_path(&root.path_of(b"current")))))?;
        let releases = releases(root, &releases_dir)?;
        let lock = root.stat(b".dep")?.map(|_| root.path_of(b".dep").join("deploy.lock"));
        let lock = lock.filter(|lock| lock.exists());
        Ok(Some(Tool { name, root: path.to_owned(), current, releases, live, lock }))
    }

    /// Returns the names of the releases.
    pub(super) fn ids(&self) -> Vec<ReleaseId> {
        self.releases.iter().map(|release| release.id.clone()).collect()
    }

    /// Refuses while the tool is at work.
    pub(super) fn check_idle(&self) -> Result<(), Error> {
        match &self.lock {
            None => Ok(()),
            Some(lock) => Err(AdoptError::ToolAtWork { tool: self.name.to_owned(), lock: shown_path(lock) }.into()),
        }
    }
}

/// Returns whether Cutover knows the releases of a path. It does not if a take-over was begun and not finished, or undone.
fn is_ours(path: &Path) -> Result<bool, Error> {
    let Ok(Some(layout)) = Layout::open(path, &Default::default()) else { return Ok(false) };
    let releases = Releases::read(&layout)?;
    let is_begun = matches!(
        Adoption::read(&layout)?.map(|adoption| adoption.subject),
        Some(Subject::Tool(adopted)) if !adopted.is_complete
    );
    Ok(!is_begun && layout.current.live()?.is_some_and(|live| releases.find(&live).is_some()))
}

/// Returns the release that `current` leads to.
fn live_of(root: &Dir, releases: &Dir) -> Option<ReleaseId> {
    let real = std::fs::canonicalize(root.path_of(b"current")).ok()?;
    let holder = std::fs::canonicalize(releases.path()).ok()?;
    let id = real.strip_prefix(&holder).ok()?.to_str()?.parse().ok()?;
    Some(id)
}

/// Lists the releases, the oldest first. Names that no release of Cutover may have are left out.
fn releases(root: &Dir, dir: &Dir) -> Result<Vec<ForeignRelease>, Error> {
    let log = DeployLog::read(root);
    let mut releases = Vec::new();
    for name in dir.names()? {
        let Some(id) = std::str::from_utf8(&name).ok().and_then(|name| name.parse::<ReleaseId>().ok()) else {
            continue;
        };
        let Some(stat) = dir.stat(&name)?.filter(|stat| stat.kind == Kind::Directory) else { continue };
        let Ok(held) = dir.open_dir(&name) else { continue };
        let noted = log.0.get(id.as_str()).cloned().unwrap_or_default();
        releases.push(ForeignRelease {
            made: id.time().unwrap_or(stat.mtime.max(0) as u64),
            commit: revision(&held).or(noted.commit),
            branch: noted.branch,
            who: noted.who,
            is_bad: held.stat(b"BAD_RELEASE")?.is_some(),
            id,
        });
    }
    // `9` comes before `10`.
    releases.sort_by_key(|release| (release.id.as_str().len(), release.id.clone()));
    Ok(releases)
}

/// Reads the end of a file.
fn end_of(dir: &Dir, name: &[u8], most: u64) -> Option<Vec<u8>> {
    let mut file = dir.open_file(name).ok()??;
    let size = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(most))).ok()?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Reads the commit of a release from its file `REVISION`.
fn revision(release: &Dir) -> Option<String> {
    let bytes = end_of(release, b"REVISION", REVISION_BYTES_MAX)?;
    commit_of(std::str::from_utf8(&bytes).ok()?)
}

fn commit_of(text: &str) -> Option<String> {
    let commit = text.split_whitespace().next()?;
    let is_commit = (7..=COMMIT_MAX).contains(&commit.len()) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then(|| commit.to_ascii_lowercase())
}

/// What a log says of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Noted {
    commit: Option<String>,
    branch: Option<String>,
    who: Option<String>,
}

/// The log of a tool, by release.
struct DeployLog(BTreeMap<String, Noted>);

impl DeployLog {
    fn read(root: &Dir) -> DeployLog {
        let read = |dir: &Dir, name: &[u8]| {
            String::from_utf8_lossy(&end_of(dir, name, LOG_BYTES_MAX).unwrap_or_default()).into_owned()
        };
        let of_deployer = root.open_dir(b".dep").map(|dep| read(&dep, b"releases_log")).unwrap_or_default();
        let lines = of_deployer.lines().filter_map(from_deployer);
        let of_capistrano = read(root, b"revisions.log");
        DeployLog(lines.chain(of_capistrano.lines().filter_map(from_capistrano)).collect())
    }
}

/// Reads a line of Capistrano's `revisions.log`.
fn from_capistrano(line: &str) -> Option<(String, Noted)> {
    let rest = line.strip_prefix("Branch ")?;
    let (branch, rest) = rest.split_once(" (at ")?;
    let (commit, rest) = rest.split_once(") deployed as release ")?;
    let (release, who) = rest.split_once(" by ").map_or((rest, None), |(release, who)| (release, Some(who)));
    let noted = Noted {
        commit: commit_of(commit),
        branch: Some(printable(branch)).filter(|branch| !branch.is_empty()),
        who: who.map(printable).filter(|who| !who.is_empty()),
    };
    Some((release.trim().to_owned(), noted))
}

/// Reads a line of Deployer's `releases_log`.
fn from_deployer(line: &str) -> Option<(String, Noted)> {
    #[derive(Deserialize)]
    struct Line {
        release_name: serde_json::Value,
        user: Option<String>,
        target: Option<String>,
        revision: Option<String>,
    }
    let line: Line = serde_json::from_str(line).ok()?;
    let name = match line.release_name {
        serde_json::Value::String(name) => name,
        serde_json::Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let noted = Noted {
        commit: line.revision.as_deref().and_then(commit_of),
        branch: line.target.filter(|target| target != "HEAD").map(|target| printable(&target)),
        who: line.user.map(|user| printable(&user)),
    };
    Some((name, noted))
}

fn printable(text: &str) -> String {
    Shown(text.trim().as_bytes()).to_string().chars().take(200).collect()
}

/// Gives the deploy path back to its tool: `current` leads to the release that was live, and the records of all releases go.
/// The directories stay as they are. Those of Cutover's releases are releases of the tool from now on, so that another take-over
/// takes them too.
pub(super) fn undo(lock: &Lock, layout: &Layout, adopted: &AdoptedTool) -> Result<UndoReport, Error> {
    let report = undone(layout, adopted)?;
    // It may be gone, or lead to the same release as Cutover writes it.
    if layout.root.read_link(b"current")?.as_ref() != Some(&adopted.current) {
        if !is_directory(&layout.releases, adopted.live.as_str().as_bytes())? {
            let path = layout.releases.path_of(adopted.live.as_str().as_bytes());
            return Err(AdoptError::CannotUndo(shown_path(&path)).into());
        }
        let beside = temporary_name(b"current")?;
        layout.root.symlink(&adopted.current, &beside)?;
        layout.root.rename(&beside, &layout.root, b"current")?;
        layout.root.sync()?;
    }
    for name in layout.records.names()? {
        trash::discard_record(lock, layout, &layout.records, &name)?;
    }
    Adoption::remove(lock, layout)?;
    Ok(report)
}

/// Says what undoing does.
pub(super) fn undone(layout: &Layout, adopted: &AdoptedTool) -> Result<UndoReport, Error> {
    let root = shown_path(layout.root.path());
    let is_own = |record: &&Record| !adopted.releases.contains(&record.id);
    let remaining = Releases::read(layout)?.records.iter().filter(is_own).map(|record| record.id.clone()).collect();
    Ok(UndoReport {
        site: root.clone(),
        deploy_path: root,
        dry_run: false,
        tool: Some(adopted.tool.clone()),
        left: layout.current.live()?.filter(|live| *live != adopted.live),
        shared: Vec::new(),
        remaining,
        warnings: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_of_other_tools_are_read() {
        /// The release, its commit, its branch, and who deployed it.
        type Line<'a> = (&'a str, Option<&'a str>, Option<&'a str>, Option<&'a str>);
        let check = |line: &str, expected: Option<Line<'_>>| {
            let read = from_capistrano(line).or_else(|| from_deployer(line));
            let read = read.as_ref().map(|(release, noted)| {
                (release.as_str(), noted.commit.as_deref(), noted.branch.as_deref(), noted.who.as_deref())
            });
            assert_eq!(read, expected, "{line}");
        };
        check(
            "Branch main (at 0a1b2c3d) deployed as release 20260325140000 by anna",
            Some(("20260325140000", Some("0a1b2c3d"), Some("main"), Some("anna"))),
        );
        check(
            r#"{"created_at":"2026-03-25T14:00:00+0000","release_name":"12","user":"ben","target":"HEAD"}"#,
            Some(("12", None, None, Some("ben"))),
        );
        // A run without a name of its user.
        check(
            "Branch main (at 0a1b2c3d) deployed as release 20260325140000 by ",
            Some(("20260325140000", Some("0a1b2c3d"), Some("main"), None)),
        );
        check("ben rolled back to release 20260325140000", None);
        check("{}", None);
    }
}
