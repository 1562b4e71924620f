//! The default trees: three consecutive versions of Linux 6.1 as Debian packages them.
//!
//! ```text
//! trees/
//! ├── linux-source-6.1_VERSION_all.deb    as fetched
//! └── VERSION/                            unpacked; renamed into place, so that half a tree is never measured
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::aside::{empty, remove};
use crate::failure::{Context, Failure, Result};
use crate::invocation::Invocation;

const PACKAGE: &str = "linux-source-6.1";

/// Returns the directories of the three latest upstream versions, oldest first; fetches and unpacks those that are missing.
pub(crate) fn three_versions(work: &Path) -> Result<[PathBuf; 3]> {
    let directory = work.join("trees");
    fs::create_dir_all(&directory).context(|| format!("Could not create `{}`", directory.display()))?;
    let listed = Invocation::new("apt-cache").args(["madison", PACKAGE]).text()?;
    let versions = latest_upstream_versions(&listed);
    let trees: Vec<PathBuf> = versions.iter().map(|version| ensure_tree(&directory, version)).collect::<Result<_>>()?;
    trees.try_into().map_err(|_| {
        Failure::new(format!(
            "`apt-cache madison {PACKAGE}` does not list three versions; run `apt-get update`, or name trees with \
             `--tree-a`, `--tree-b` and `--tree-c`"
        ))
    })
}

/// Returns the last three upstream versions, oldest first, each at its latest Debian revision. The list's order is the
/// package manager's own, newest first.
fn latest_upstream_versions(madison: &str) -> Vec<String> {
    let mut versions: Vec<&str> = Vec::new();
    for line in madison.lines() {
        let Some(version) = line.split('|').nth(1).map(str::trim) else {
            continue;
        };
        if !versions.iter().any(|known| upstream(known) == upstream(version)) {
            versions.push(version);
        }
    }
    versions.into_iter().take(3).rev().map(str::to_owned).collect()
}

fn upstream(version: &str) -> &str {
    version.rsplit_once('-').map_or(version, |(upstream, _)| upstream)
}

fn ensure_tree(directory: &Path, version: &str) -> Result<PathBuf> {
    let tree = directory.join(version);
    if tree.is_dir() {
        return Ok(tree);
    }
    let package = directory.join(format!("{PACKAGE}_{version}_all.deb"));
    if !package.is_file() {
        fetch(directory, version)?;
    }
    let unpacking = empty(&directory.join("unpacking"))?;
    Invocation::new("dpkg-deb").arg("-x").args([&package, &unpacking]).output()?;
    let archive = unpacking.join(format!("usr/src/{PACKAGE}.tar.xz"));
    Invocation::new("tar").arg("-xf").args([&archive]).arg("-C").args([&unpacking]).output()?;
    let unpacked = unpacking.join(PACKAGE);
    fs::rename(&unpacked, &tree).context(|| format!("Could not rename `{}`", unpacked.display()))?;
    remove(&unpacking)?;
    Ok(tree)
}

/// `apt-get download` writes to the working directory.
fn fetch(directory: &Path, version: &str) -> Result<()> {
    let status = Command::new("apt-get")
        .args(["-q", "download", &format!("{PACKAGE}={version}")])
        .current_dir(directory)
        .stdout(std::io::stderr())
        .status()
        .context(|| "Could not run `apt-get`")?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`apt-get download {PACKAGE}={version}` failed: {status}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_revision_of_each_upstream_version_is_taken() {
        let listed = " linux-source-6.1 | 6.1.9-2 | http://a b/main amd64 Packages\n\
                      linux-source-6.1 | 6.1.9-1 | http://a b/main amd64 Packages\n\
                      linux-source-6.1 | 6.1.8-1 | http://a b/main amd64 Packages\n\
                      linux-source-6.1 | 6.1.4-3 | http://a b/main amd64 Packages\n\
                      linux-source-6.1 | 6.1.2-1 | http://a b/main amd64 Packages\n";
        assert_eq!(latest_upstream_versions(listed), ["6.1.4-3", "6.1.8-1", "6.1.9-2"]);
    }
}
