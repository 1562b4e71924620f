//! borg: an archive over ssh into a repository on the server, and an extraction there.
//!
//! A backup is no deploy tool, but people ask: it finds chunks that the repository has, wherever they stand. Without
//! encryption and with zstd, which is better than its default (lz4) on every line that is slower than the disk.

use std::path::PathBuf;

use crate::failure::Result;
use crate::lab::{Lab, Line};
use crate::record::Sample;
use crate::rival::{Releases, first_line, is_deploy, keep, repository, shell, take_back, word};
use crate::scenario::Scenario;
use crate::tool::{Place, Tool};
use crate::tree::Tree;

/// Questions that borg would ask of a terminal. A repository that was brought back from a copy is no other one.
const ANSWERS: &str = "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes BORG_RELOCATED_REPO_ACCESS_IS_OK=yes";

/// borg.
#[derive(Debug, Clone, Copy)]
pub(super) struct Borg;

impl Borg {
    /// The client's side of a line.
    fn environment(lab: &Lab, place: &Place, line: Line) -> String {
        format!("{ANSWERS} BORG_BASE_DIR={} BORG_RSH='{}'", word(&place.client), lab.remote_shell(line))
    }

    fn url(lab: &Lab, place: &Place) -> String {
        format!("ssh://{}{}", lab.host(), store(place).display())
    }
}

/// What borg itself calls the repository. Beside it lies what borg remembers there, which must not be newer.
fn store(place: &Place) -> PathBuf {
    repository(&place.server).join("store")
}

impl Tool for Borg {
    fn name(&self) -> &'static str {
        "borg"
    }

    fn title(&self) -> String {
        "borg".to_owned()
    }

    fn version(&self) -> Option<String> {
        first_line("borg", &["--version"])
    }

    fn joins(&self, scenario: Scenario) -> bool {
        is_deploy(scenario)
    }

    fn set_up(&self, lab: &Lab, place: &Place) -> Result<()> {
        Releases::create(lab, place)?;
        lab.make_directory(&repository(&place.server))?;
        let environment = Borg::environment(lab, place, Line::Direct);
        shell(&format!("{environment} borg init -e none {}", Borg::url(lab, place))).output().map(drop)
    }

    fn deploy(&self, lab: &Lab, tree: &Tree, place: &Place, line: Line) -> Result<Sample> {
        place.ensure_client()?;
        let release = Releases::make_way(lab, place)?;
        let archive = release.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (release, there) = (word(&release), word(&store(place)));
        let base = word(&repository(&place.server).join("base"));
        let extract = format!(
            "mkdir {release} && cd {release} && {ANSWERS} BORG_BASE_DIR={base} borg extract {there}::{archive}"
        );
        let script = format!(
            "cd {}; {} borg create --compression zstd,3 {}::{archive} .; {}",
            word(&tree.path),
            Borg::environment(lab, place, line),
            Borg::url(lab, place),
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
