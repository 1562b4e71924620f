//! The laboratory: the server, the directories below `--work`, and the measurement of one run.
//!
//! ```text
//! work/
//! ├── trees/     the default trees, kept from run to run
//! ├── ssh/       keys and configuration of this run's sshd
//! ├── home/      the clients' home and working directory
//! ├── server/    the target of all deploys: a filesystem of its own where this is root, fresh for each scenario at least
//! ├── image      that filesystem
//! ├── made/      trees that scenarios make; kept
//! ├── settling.toml   a config with which releases are given up sooner
//! └── state/     the clients' state directories; emptied after each scenario
//! ```

use std::path::{Path, PathBuf};

use crate::aside::{empty, remove_aside};
use crate::failure::{Failure, Result};
use crate::invocation::Invocation;
use crate::lab::disk::Disk;
use crate::lab::server::{Server, Session};
use crate::line::way::Line;
use crate::place::{Place, slug};
use crate::record::sample::Sample;
use crate::settings::Settings;
use crate::source::tree::Trees;

/// How many copies of the first tree the server holds at once at most: those of each round, those that a scenario keeps
/// beside them, and those that each contender keeps.
const COPIES_PER_REPEAT: u64 = 2;
const COPIES_BESIDE: u64 = 8;
const COPIES_PER_CONTENDER: u64 = 3;

/// Contenders beside the variants.
const CONTENDERS: u64 = 5;

/// The server and the directories.
#[derive(Debug)]
pub(crate) struct Lab {
    settings: Settings,
    server: Server,
    disk: Disk,
}

impl Lab {
    /// Empties the directories and starts the server.
    pub(crate) fn open(settings: Settings) -> Result<Lab> {
        let work = &settings.place.work;
        let disk = Disk::at(work);
        let server = Server::start(work, settings.shape)?;
        let lab = Lab { settings, server, disk };
        lab.clear()?;
        Ok(lab)
    }

    /// Returns the settings.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the versions.
    pub(crate) fn trees(&self) -> &Trees {
        &self.settings.trees
    }

    /// Returns the directory of everything.
    pub(crate) fn work(&self) -> &Path {
        &self.settings.place.work
    }

    /// Returns a path on the server.
    pub(crate) fn server(&self, name: &str) -> PathBuf {
        self.disk.path().join(name)
    }

    /// Returns a client's state directory.
    fn state(&self, name: &str) -> PathBuf {
        self.work().join("state").join(name)
    }

    /// Names the directories of a tool, after some words.
    pub(crate) fn place(&self, words: &str) -> Place {
        let name = slug(words);
        Place { server: self.server(&name), client: self.state(&name) }
    }

    /// Returns the client's SSH configuration for a line. All lines lead to the same host name, since tools keep
    /// their memory of a server under it.
    pub(crate) fn ssh_config(&self, line: Line) -> PathBuf {
        self.server.ssh_config(line)
    }

    /// Returns the client's SSH configuration for a server that refuses sessions.
    pub(crate) fn refusing_ssh_config(&self) -> PathBuf {
        self.server.refusing_ssh_config()
    }

    /// Returns a path on the server as `rsync` and `cutover` write it.
    pub(crate) fn remote(&self, path: &Path) -> String {
        format!("{}:{}", self.server.host(), path.display())
    }

    /// Returns the start of a line that runs something on the server over SSH, with a configuration.
    pub(crate) fn ssh(&self, config: &Path) -> Invocation {
        Invocation::new("ssh").arg("-F").arg(config).arg(self.server.host())
    }

    /// Reports progress; stdout is for the table.
    #[expect(clippy::print_stderr, reason = "a run takes many minutes and should be seen to go on")]
    pub(crate) fn say(&self, text: &str) {
        eprintln!("{text}");
    }

    /// Removes the traces of a scenario.
    pub(crate) fn clear(&self) -> Result<()> {
        for name in ["state", "home"] {
            empty(&self.work().join(name))?;
        }
        self.disk.reserve(0);
        self.renew_server()
    }

    /// Makes the server's filesystem so much greater, until the scenario's end.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<()> {
        self.disk.reserve(bytes);
        self.renew_server()
    }

    /// Gives the server an empty filesystem; where this is not root, an empty directory.
    pub(crate) fn renew_server(&self) -> Result<()> {
        let contenders = CONTENDERS + self.settings.variants.len() as u64;
        let rounds = u64::from(self.settings.effort.repeats) + 1;
        let copies = COPIES_PER_REPEAT * rounds + COPIES_BESIDE + COPIES_PER_CONTENDER * contenders;
        self.disk.renew(&self.trees().a, copies)
    }

    /// Removes the directories that were moved aside, on both sides. On the server only where the filesystem is the bench's
    /// own: one without a journal keeps off inodes that were just deleted for minutes.
    pub(crate) fn remove_aside(&self) -> Result<()> {
        remove_aside(&self.work().join("state"))?;
        if self.disk.is_own() { remove_aside(self.disk.path()) } else { Ok(()) }
    }

    /// Writes the server's filesystem out and returns how long that took.
    pub(crate) fn sync_server(&self) -> Result<f64> {
        self.disk.sync()
    }

    /// Runs a client to success and measures it; returns its stdout.
    pub(crate) fn measure(&self, invocation: &Invocation, line: Line) -> Result<(String, Sample)> {
        let session = if line == Line::Counted { Session::Watched } else { Session::Alone };
        let (finished, sample) = self.server.measure(invocation, line, session)?;
        let finished = finished.succeeded(invocation)?;
        Ok((finished.stdout, self.named(invocation, sample)))
    }

    /// Runs a client that the server lets no further than the login, and measures it.
    pub(crate) fn measure_refused(&self, invocation: &Invocation) -> Result<Sample> {
        let (finished, sample) = self.server.measure(invocation, Line::Counted, Session::Refused)?;
        if finished.status.success() {
            return Err(Failure::new(format!("`{invocation}` was not refused")));
        }
        Ok(self.named(invocation, sample))
    }

    fn named(&self, invocation: &Invocation, sample: Sample) -> Sample {
        Sample { command: self.without_names(&invocation.to_string()), ..sample }
    }

    /// Returns a line as it is recorded: without the names of this machine's directories. It is still runnable.
    fn without_names(&self, text: &str) -> String {
        let mut names: Vec<(String, &str)> = Vec::new();
        for (tree, name) in self.trees().all().iter().zip(["$A", "$B", "$C"]) {
            names.push((tree.path.to_string_lossy().into_owned(), name));
        }
        names.push((self.work().to_string_lossy().into_owned(), "$WORK"));
        names.push((self.settings.place.cutover.to_string_lossy().into_owned(), "cutover"));
        names.iter().fold(text.to_owned(), |text, (own, name)| text.replace(own, name))
    }
}
