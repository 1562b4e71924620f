//! Two trees of real npm packages that differ by one dependency's version.
//!
//! The packages are named by exact versions and want no others, so that npm resolves nothing by itself. They are fetched
//! when they are first needed, and kept.

use std::path::Path;
use std::process::Command;

use crate::failure::{Context, Failure, Result};
use crate::source::made;
use crate::source::tree::Tree;

/// The packages of both.
const PACKAGES: &str = "core-js@3.36.0 lodash@4.17.21 moment@2.30.1 ramda@0.29.1 rxjs@7.8.1 three@0.161.0 tslib@2.6.2 \
                        typescript@5.3.3";

/// The package that is upgraded: some thousand small files, of which most change.
const UPGRADED: [&str; 2] = ["date-fns@3.3.1", "date-fns@3.6.0"];

/// Returns the tree before and after the upgrade; fails where npm or its registry cannot be had.
pub(crate) fn modules(work: &Path) -> Result<[Tree; 2]> {
    let [before, after] = [made::path(work, "modules-before")?, made::path(work, "modules-after")?];
    made::ensure(&before, |making| install(making, UPGRADED[0]))?;
    made::ensure(&after, |making| install(making, UPGRADED[1]))?;
    Ok([Tree::open(&before)?, Tree::open(&after)?])
}

fn install(directory: &Path, upgraded: &str) -> Result<()> {
    let npm = Command::new("npm")
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--save-exact"])
        .args(PACKAGES.split(' '))
        .arg(upgraded)
        .current_dir(directory)
        .output()
        .context(|| "Could not run `npm`")?;
    if npm.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&npm.stderr);
    Err(Failure::new(format!("`npm install` failed: {}\n{}", npm.status, said.trim())))
}
