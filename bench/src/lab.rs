//! Where runs are made: the server, the relay before it, and the directories below `--work`.
//!
//! ```text
//! work/
//! ├── trees/     the default trees, kept from run to run
//! ├── ssh/       keys and configuration of this run's sshd
//! ├── home/      the clients' home and working directory
//! ├── server/    what is deployed to: a filesystem of its own where this is root, fresh for each scenario at least
//! ├── image      that filesystem
//! └── state/     the clients' state directories; emptied after each scenario
//! ```

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Result};
use crate::image::Image;
use crate::process::{Finished, Invocation, Running, quoted};
use crate::procfs::{self, ServerPeaks};
use crate::record::Sample;
use crate::relay::Relay;
use crate::settings::Settings;
use crate::sshd::{self, Sshd, Way};
use crate::tool::Place;
use crate::tree::Trees;
use crate::usage;

/// How many copies of the first tree the server holds at once at most: what each round leaves, and what else a scenario
/// keeps.
const COPIES_PER_REPEAT: u64 = 2;
const COPIES_BESIDE: u64 = 8;

/// Which way to the server, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// The shortest: for what brings about a state and is not measured.
    Direct,
    /// As a user's: for seconds.
    Timed,
    /// As a user's, with bytes counted and memory watched.
    Counted,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Line::Direct => "direct",
            Line::Timed => "timed",
            Line::Counted => "counted",
        })
    }
}

/// What happens beside a run.
#[derive(Debug, Clone)]
pub(crate) enum Beside {
    /// Nothing.
    Nothing,
    /// Memory of the server's processes is polled.
    WatchMemory,
    /// The used bytes of the filesystem that holds this path are polled.
    WatchDisk(PathBuf),
    /// The client is killed once it has sent so much through the relay.
    KillAfter(u64),
}

/// What was learnt beside a run.
#[derive(Debug, Clone, Copy, Default)]
struct Observed {
    peaks: Option<ServerPeaks>,
    most_used_bytes: Option<u64>,
}

/// The server and the directories.
#[derive(Debug)]
pub(crate) struct Lab {
    settings: Settings,
    sshd: Sshd,
    relay: Relay,
    image: Mutex<Option<Image>>,
}

impl Lab {
    /// Empties the directories and starts the server.
    pub(crate) fn open(settings: Settings) -> Result<Lab> {
        let sshd = Sshd::start(&settings.work.join("ssh"))?;
        let relay = Relay::start(sshd.port())?;
        sshd.write_client_configs(relay.port())?;
        Image::unmount_left(&settings.work.join("server"));
        let lab = Lab { settings, sshd, relay, image: Mutex::new(None) };
        lab.clear()?;
        Ok(lab)
    }

    /// Returns the three versions.
    pub(crate) fn trees(&self) -> &Trees {
        &self.settings.trees
    }

    /// Returns what was asked for.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns how many timed runs each contender makes.
    pub(crate) fn repeats(&self) -> u32 {
        self.settings.repeats
    }

    /// Returns the client's SSH configuration for a line; none where the user's own is meant.
    ///
    /// All lines lead to the same host name: what a tool remembers of a server is kept under it.
    #[expect(clippy::unnecessary_wraps, reason = "a host of the user's own has none")]
    pub(crate) fn ssh_config(&self, line: Line) -> Option<PathBuf> {
        Some(self.sshd.client_config(if line == Line::Counted { Way::Counted } else { Way::Direct }))
    }

    /// Returns the server's name as SSH knows it.
    pub(crate) fn host(&self) -> &str {
        sshd::HOST
    }

    /// Returns a path on the server as `rsync`, `scp` and `git` write it.
    pub(crate) fn remote(&self, path: &Path) -> String {
        format!("{}:{}", self.host(), path.display())
    }

    /// Returns the command that starts SSH, for `-e`, `GIT_SSH_COMMAND` and the like; no word of it needs quotes.
    pub(crate) fn remote_shell(&self, line: Line) -> String {
        self.ssh_config(line).map_or_else(|| "ssh".to_owned(), |config| format!("ssh -F {}", config.display()))
    }

    /// Returns the start of a line that runs something on the server over SSH.
    pub(crate) fn ssh(&self, line: Line) -> Invocation {
        let shell = self.remote_shell(line);
        let mut words = shell.split(' ');
        Invocation::new(words.next().unwrap_or_default()).args(words).arg(self.host())
    }

    /// Runs a script of `sh` on the server, unmeasured, and returns what it printed.
    pub(crate) fn on_server(&self, script: &str) -> Result<String> {
        Invocation::new("sh").args(["-c", script]).text()
    }

    /// Makes a directory on the server, with those above it.
    pub(crate) fn make_directory(&self, path: &Path) -> Result<()> {
        self.on_server(&format!("mkdir -p {}", quoted(&path.to_string_lossy()))).map(drop)
    }

    /// Moves a directory on the server out of the way, if it stands.
    pub(crate) fn set_aside(&self, path: &Path) -> Result<()> {
        set_aside(path)
    }

    /// Returns what a directory on the server takes, once all is written out.
    pub(crate) fn disk_bytes(&self, path: &Path) -> Result<u64> {
        // Blocks are allocated when they are written out, not before.
        let said = self.on_server(&format!("sync; du -s -B1 {}", quoted(&path.to_string_lossy())))?;
        let bytes = said.split_whitespace().next().and_then(|word| word.parse().ok());
        bytes.ok_or_else(|| Failure::new("`du` printed no number"))
    }

    /// Names the directories of a tool.
    pub(crate) fn place(&self, name: &str) -> Place {
        Place { server: self.server(name), client: self.state(name) }
    }

    /// Returns a path on the server.
    pub(crate) fn server(&self, name: &str) -> PathBuf {
        self.settings.work.join("server").join(name)
    }

    /// Returns a client's state directory.
    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.settings.work.join("state").join(name)
    }

    /// Says what goes on; stdout is for the table.
    #[expect(clippy::print_stderr, reason = "a run takes many minutes and should be seen to go on")]
    pub(crate) fn say(&self, text: &str) {
        eprintln!("{text}");
    }

    /// Empties what scenarios leave behind.
    pub(crate) fn clear(&self) -> Result<()> {
        for name in ["state", "home"] {
            self.empty(name)?;
        }
        self.renew_server()
    }

    /// Gives the server an empty filesystem; where this is not root, an empty directory.
    pub(crate) fn renew_server(&self) -> Result<()> {
        let mut image = self.image.lock().expect("nothing panics while it is held");
        if let Some(image) = image.take() {
            image.remove()?;
        }
        self.empty("server")?;
        if rustix::process::getuid().is_root() {
            let copies = COPIES_PER_REPEAT * (u64::from(self.repeats()) + 1) + COPIES_BESIDE;
            let bytes = copies * usage::du_bytes(&self.trees().a.path)?;
            let work = &self.settings.work;
            *image = Some(Image::mount(work.join("image"), work.join("server"), bytes)?);
        }
        Ok(())
    }

    /// Writes the server's filesystem out and returns how long that took.
    pub(crate) fn sync_server(&self) -> Result<Option<f64>> {
        let path = self.server("");
        let directory = File::open(&path).context(|| format!("Could not open `{}`", path.display()))?;
        let start = Instant::now();
        rustix::fs::syncfs(&directory).context(|| format!("Could not sync `{}`", path.display()))?;
        Ok(Some(start.elapsed().as_secs_f64()))
    }

    fn empty(&self, name: &str) -> Result<()> {
        let directory = self.settings.work.join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory).context(|| format!("Could not remove `{}`", directory.display()))?;
        }
        fs::create_dir_all(&directory).context(|| format!("Could not create `{}`", directory.display()))
    }

    /// Tells whether nobody else writes to the server's filesystem.
    pub(crate) fn has_own_filesystem(&self) -> bool {
        self.image.lock().expect("nothing panics while it is held").is_some()
    }

    /// Runs a client to success and measures it, with what belongs to the line beside it.
    pub(crate) fn measure(&self, invocation: &Invocation, line: Line) -> Result<(String, Sample)> {
        let beside = match line {
            Line::Direct | Line::Timed => Beside::Nothing,
            Line::Counted => Beside::WatchMemory,
        };
        self.measure_beside(invocation, line, &beside)
    }

    /// Runs a client and measures it, with the given companion; returns what it printed.
    pub(crate) fn measure_beside(
        &self,
        invocation: &Invocation,
        line: Line,
        beside: &Beside,
    ) -> Result<(String, Sample)> {
        self.sshd.wait_until_idle()?;
        self.relay.reset();
        let server_cpu_before = procfs::children_cpu_seconds(self.sshd.listener())?;
        let home = self.settings.work.join("home");
        let (finished, observed) = invocation.run_beside(&home, |running| self.observe(running, beside))?;
        let server_lingered_seconds = self.sshd.wait_until_idle()?;
        let server_cpu = procfs::children_cpu_seconds(self.sshd.listener())? - server_cpu_before;
        let wire = self.relay.settle()?;
        let is_killed = matches!(beside, Beside::KillAfter(_)) && !finished.status.success();
        let finished = if is_killed { finished } else { finished.succeeded(invocation)? };
        let observed = observed?;
        let sample = Sample {
            command: self.shown(invocation),
            seconds: finished.seconds,
            syncfs_seconds: None,
            server_lingered_seconds: Some(server_lingered_seconds),
            client_cpu_seconds: finished.cpu_seconds,
            server_cpu_seconds: Some(server_cpu),
            client_peak_bytes: finished.peak_bytes,
            server_peaks: observed.peaks,
            wire: (line == Line::Counted).then_some(wire),
            payload: None,
            most_used_bytes: observed.most_used_bytes,
            report: None,
        };
        let Finished { stdout, .. } = finished;
        Ok((stdout, sample))
    }

    fn observe(&self, running: &Running<'_>, beside: &Beside) -> Result<Observed> {
        let mut observed = Observed::default();
        match beside {
            Beside::Nothing => {}
            Beside::WatchMemory => observed.peaks = Some(procfs::watch_server(running, self.sshd.listener())?),
            Beside::WatchDisk(path) => observed.most_used_bytes = Some(usage::watch_used(running, path)?),
            Beside::KillAfter(sent_bytes) => self.kill_after(running, *sent_bytes)?,
        }
        Ok(observed)
    }

    fn kill_after(&self, running: &Running<'_>, sent_bytes: u64) -> Result<()> {
        while !running.is_done() {
            if self.relay.sent_bytes() >= sent_bytes {
                return running.kill();
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Prints a line as it is recorded: runnable, and without this machine's directories.
    fn shown(&self, invocation: &Invocation) -> String {
        let trees = self.trees();
        let names = [
            (&trees.a.path, "$A"),
            (&trees.b.path, "$B"),
            (&trees.c.path, "$C"),
            (&self.settings.work, "$WORK"),
            (&self.settings.cutover, "cutover"),
        ];
        let line = invocation.to_string();
        names.iter().fold(line, |line, (path, name)| line.replace(&*path.to_string_lossy(), name))
    }
}

/// Moves a directory out of the way, if it stands. It goes with its filesystem: what is made soon after a deletion may be
/// made slower, by as much as chance will have it.
pub(crate) fn set_aside(directory: &Path) -> Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    if !directory.exists() {
        return Ok(());
    }
    let aside = directory.with_file_name(format!(".aside-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    fs::rename(directory, aside).context(|| format!("Could not move `{}` aside", directory.display()))
}
