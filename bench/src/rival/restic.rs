//! restic: a snapshot over SFTP into a repository on the server, and a restore there.
//!
//! Like borg, without a program on the server until the restore; and always encrypted, which cannot be turned off. It
//! compresses as its default has it, which is zstd.

use std::path::PathBuf;

use crate::failure::Result;
use crate::lab::{Lab, Line};
use crate::record::Sample;
use crate::rival::{Releases, first_line, is_deploy, keep, repository, shell, take_back, word};
use crate::scenario::Scenario;
use crate::tool::{Place, Tool};
use crate::tree::Tree;

/// Any will do: what is measured is no secret.
const PASSWORD: &str = "RESTIC_PASSWORD=bench";

/// restic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Restic;

impl Restic {
    /// The start of a line on the client.
    fn client(lab: &Lab, place: &Place, line: Line) -> String {
        format!(
            "{PASSWORD} restic -q --cache-dir {} -o sftp.command='{} {} -s sftp' -r sftp:{}",
            word(&place.client.join("cache")),
            lab.remote_shell(line),
            lab.host(),
            lab.remote(&repository(&place.server)),
        )
    }
}

impl Tool for Restic {
    fn name(&self) -> &'static str {
        "restic"
    }

    fn title(&self) -> String {
        "restic".to_owned()
    }

    fn version(&self) -> Option<String> {
        first_line("restic", &["version"])
    }

    fn joins(&self, scenario: Scenario) -> bool {
        is_deploy(scenario)
    }

    fn set_up(&self, lab: &Lab, place: &Place) -> Result<()> {
        Releases::create(lab, place)?;
        let client = Restic::client(lab, place, Line::Direct);
        shell(&format!("{client} init --repository-version 2")).output().map(drop)
    }

    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample> {
        place.ensure_client()?;
        let release = word(&Releases::make_way(lab, place)?);
        let there = word(&repository(&place.server));
        // Into a directory that stands, since one that restic makes can be read by nobody else.
        let restore =
            format!("mkdir {release} && {PASSWORD} restic -q --no-cache -r {there} restore latest --target {release}");
        // From within the tree, so that paths in the snapshot begin there.
        let script = format!(
            "cd {}; {} backup --host bench .; {}",
            word(&tree.path),
            Restic::client(lab, place, line),
            lab.ssh(line).arg(restore),
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
