//! The tools that Cutover is compared with, beside rsync: each in the mode that serves it best for a deploy.
//!
//! A deploy of any of them ends with a complete directory of its own on the server, a release, whose content is the
//! tree; what a tool keeps beside that is its own affair and counts as its disk. Why each mode is what it is stands in its
//! file, and for people in `docs/benchmarks.md`.
//!
//! ```text
//! place.server/
//! ├── releases/1, 2 …     the highest number is the newest
//! └── repo                what the tool keeps, if anything
//! place.server-kept       what `repo` was when the base stood; beside the place, so that it is not the tool's disk
//! ```

mod borg;
mod capistrano;
mod casync;
mod git;
mod history;
mod ostree;
mod restic;
mod tar;

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Result};
use crate::lab::{Lab, Line};
use crate::process::{Invocation, quoted};
use crate::scenario::Scenario;
use crate::tool::{Place, Tool};

/// Returns the rivals in the order of the tables.
pub(crate) fn all() -> Vec<Box<dyn Tool>> {
    vec![
        Box::new(tar::Tar::PLAIN),
        Box::new(tar::Tar::ZSTD),
        Box::new(git::Git),
        Box::new(capistrano::Capistrano),
        Box::new(ostree::Ostree::Objects),
        Box::new(ostree::Ostree::Delta),
        Box::new(casync::Casync),
        Box::new(borg::Borg),
        Box::new(restic::Restic),
    ]
}

/// Tells whether every tool can take part in a scenario: all in which trees are deployed and nothing else is done.
fn is_deploy(scenario: Scenario) -> bool {
    let is_whole =
        matches!(scenario, Scenario::First | Scenario::Unchanged | Scenario::Incompressible | Scenario::Disk);
    is_whole || scenario.is_update()
}

/// Returns the first line that a program prints, if it is installed.
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let text = Invocation::new(program).args(arguments).text().ok()?;
    text.lines().next().map(str::to_owned)
}

/// A line of a shell that ends at the first command that fails.
fn shell(script: &str) -> Invocation {
    Invocation::new("sh").args(["-ec", script])
}

/// A path as a word of a shell.
fn word(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

/// Where a tool keeps what it keeps, on the server and on the client alike.
fn repository(below: &Path) -> PathBuf {
    below.join("repo")
}

/// The numbered releases of a place.
#[derive(Debug)]
struct Releases {
    directory: PathBuf,
    newest: u32,
}

impl Releases {
    /// Makes the directory for them.
    fn create(lab: &Lab, place: &Place) -> Result<()> {
        lab.make_directory(&place.server.join("releases"))
    }

    /// Looks which there are.
    fn read(lab: &Lab, place: &Place) -> Result<Releases> {
        let directory = place.server.join("releases");
        let newest = lab.on_server(&format!("ls {} | sort -n | tail -n 1", word(&directory)))?;
        Ok(Releases { newest: newest.parse().unwrap_or(0), directory })
    }

    /// Names the one that a deploy makes, and leaves two of the others, so that there are three then. Not timed.
    fn make_way(lab: &Lab, place: &Place) -> Result<PathBuf> {
        let releases = Releases::read(lab, place)?;
        let directory = word(&releases.directory);
        lab.on_server(&format!("cd {directory} && ls | sort -n | head -n -2 | xargs -r rm -rf"))?;
        Ok(releases.path(releases.newest + 1))
    }

    /// Returns the newest, if there is one.
    fn newest(&self) -> Option<PathBuf> {
        (self.newest > 0).then(|| self.path(self.newest))
    }

    /// Returns the newest of a place.
    fn newest_of(lab: &Lab, place: &Place) -> Result<PathBuf> {
        let releases = Releases::read(lab, place)?;
        Ok(releases.path(releases.newest))
    }

    fn path(&self, number: u32) -> PathBuf {
        self.directory.join(number.to_string())
    }
}

/// Keeps what a tool holds once the base stands, so that a run can be taken back and repeated. Copies are of files, never
/// links: repositories are written in place.
fn keep(lab: &Lab, place: &Place, line: Line) -> Result<()> {
    if line != Line::Direct {
        return Ok(());
    }
    let (repository, copied) = (word(&repository(&place.server)), word(&kept(&place.server)));
    lab.on_server(&format!("rm -rf {copied}; if [ -e {repository} ]; then cp -a {repository} {copied}; fi"))?;
    copy(&place.client, &kept(&place.client))
}

/// Takes the last deploy back: removes its release, and brings back what was kept.
fn take_back(lab: &Lab, place: &Place) -> Result<bool> {
    let newest = word(&Releases::newest_of(lab, place)?);
    let (repository, copied) = (word(&repository(&place.server)), word(&kept(&place.server)));
    lab.on_server(&format!(
        "rm -rf {newest}; if [ -e {copied} ]; then rm -rf {repository}; cp -a {copied} {repository}; fi"
    ))?;
    copy(&kept(&place.client), &place.client)?;
    Ok(true)
}

/// Returns where the copy of something lies: beside it.
fn kept(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    path.with_file_name(format!("{name}-kept"))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to).context(|| format!("Could not remove `{}`", to.display()))?;
    }
    if from.exists() {
        Invocation::new("cp").arg("-a").args([from, to]).output()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn titles_are_distinct_and_fit_into_a_table() {
        let titles: Vec<String> = crate::tool::all(&[]).iter().map(|tool| tool.title()).collect();
        let distinct: BTreeSet<&String> = titles.iter().collect();
        assert_eq!(titles.len(), distinct.len(), "{titles:?}");
        for title in &titles {
            // The first ends a cell of Markdown, the second a job's name.
            assert!(!title.contains('|') && !title.contains(": "), "{title}");
        }
    }

    #[test]
    fn a_copy_lies_beside_what_it_is_of() {
        assert_eq!(kept(Path::new("/w/server/next-borg")), Path::new("/w/server/next-borg-kept"));
    }
}
