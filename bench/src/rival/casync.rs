//! casync: chunks of the tree's serialization into a store on the server, over its own protocol through ssh, and an
//! extraction there.
//!
//! Times are left out of the archive (`--with` names all that is in it): they would make every chunk a new one. On the server
//! the release before is the seed, and what did not change is a hardlink to it. Chunks keep casync's default size.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::failure::{Context, Result};
use crate::lab::{Lab, Line};
use crate::record::Sample;
use crate::rival::{Releases, first_line, is_deploy, keep, repository, shell, take_back, word};
use crate::scenario::Scenario;
use crate::tool::{Place, Tool};
use crate::tree::Tree;

/// casync.
#[derive(Debug, Clone, Copy)]
pub(super) struct Casync;

impl Tool for Casync {
    fn name(&self) -> &'static str {
        "casync"
    }

    fn title(&self) -> String {
        "casync".to_owned()
    }

    fn version(&self) -> Option<String> {
        first_line("casync", &["--version"])
    }

    fn joins(&self, scenario: Scenario) -> bool {
        is_deploy(scenario)
    }

    fn set_up(&self, lab: &Lab, place: &Place) -> Result<()> {
        Releases::create(lab, place)?;
        lab.make_directory(&repository(&place.server))
    }

    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample> {
        let before = Releases::read(lab, place)?.newest();
        let seed = before.map(|release| format!("--seed={} ", word(&release))).unwrap_or_default();
        let release = word(&Releases::make_way(lab, place)?);
        let there = repository(&place.server);
        let (store, index) = (there.join("store.castr"), there.join("tree.caidx"));
        let extract =
            format!("casync extract --hardlink=yes {seed}--store={} {} {release}", word(&store), word(&index));
        let script = format!(
            "CASYNC_SSH_PATH={} casync make --with=permissions --with=symlinks --store={} {} {} > /dev/null; {}",
            word(&remote_shell(lab, place, line)?),
            lab.remote(&store),
            lab.remote(&index),
            word(&tree.path),
            lab.ssh(line).arg(extract),
        );
        let (_, sample) = lab.measure(&shell(&script), line)?;
        keep(lab, place, line)?;
        Ok(sample)
    }

    fn release(&self, lab: &Lab, place: &Place) -> Result<PathBuf> {
        Releases::newest_of(lab, place)
    }

    fn undo(&self, lab: &Lab, place: &Place) -> Result<bool> {
        take_back(lab, place)
    }
}

/// Writes the program that starts SSH: casync takes a path and no options.
fn remote_shell(lab: &Lab, place: &Place, line: Line) -> Result<PathBuf> {
    place.ensure_client()?;
    let path = place.client.join("ssh");
    let text = format!("#!/bin/sh\nexec {} \"$@\"\n", lab.remote_shell(line));
    fs::write(&path, text).context(|| format!("Could not write `{}`", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .context(|| format!("Could not make `{}` executable", path.display()))?;
    Ok(path)
}
