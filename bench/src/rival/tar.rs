//! tar through ssh: the whole tree, each time. What everybody has, and the fastest way to an empty server.
//!
//! Two modes: as it is, which suits a fast line, and through `zstd -T0` at its default level, which uses all processors
//! and suits every other line. Nothing that stands is of use to either.

use std::path::PathBuf;

use crate::failure::Result;
use crate::lab::{Lab, Line};
use crate::record::Sample;
use crate::rival::{Releases, first_line, is_deploy, shell, take_back, word};
use crate::scenario::Scenario;
use crate::tool::{Place, Tool};
use crate::tree::Tree;

/// tar, compressed or not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tar {
    pack: &'static str,
    unpack: &'static str,
}

impl Tar {
    /// As it is.
    pub(super) const PLAIN: Tar = Tar { pack: "", unpack: "" };
    /// Compressed on the way.
    pub(super) const ZSTD: Tar = Tar { pack: "zstd -q -T0 | ", unpack: "zstd -q -d | " };
}

impl Tool for Tar {
    fn name(&self) -> &'static str {
        "tar"
    }

    fn title(&self) -> String {
        if self.pack.is_empty() { "tar over ssh".to_owned() } else { "tar over ssh, zstd -T0".to_owned() }
    }

    fn version(&self) -> Option<String> {
        let tar = first_line("tar", &["--version"])?;
        if self.pack.is_empty() {
            return Some(tar);
        }
        Some(format!("{tar}, {}", first_line("zstd", &["--version"])?.trim_matches('*').trim()))
    }

    fn joins(&self, scenario: Scenario) -> bool {
        is_deploy(scenario)
    }

    fn set_up(&self, lab: &Lab, place: &Place) -> Result<()> {
        Releases::create(lab, place)
    }

    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample> {
        let release = word(&Releases::make_way(lab, place)?);
        let there = lab.ssh(line).arg(format!("mkdir {release} && {}tar -xpf - -C {release}", self.unpack));
        let script = format!("tar -cf - -C {} . | {}{there}", word(&tree.path), self.pack);
        lab.measure(&shell(&script), line).map(|(_, sample)| sample)
    }

    fn release(&self, lab: &Lab, place: &Place) -> Result<PathBuf> {
        Releases::newest_of(lab, place)
    }

    fn undo(&self, lab: &Lab, place: &Place) -> Result<bool> {
        take_back(lab, place)
    }
}
