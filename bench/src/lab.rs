//! Where runs are made: the server, what carries the bytes to it, and the directories below `--work`.
//!
//! ```text
//! work/
//! ├── trees/     the default trees, kept from run to run
//! ├── ssh/       keys and configuration of this run's sshd
//! ├── home/      the clients' home and working directory
//! ├── server/    what is deployed to: a filesystem of its own where this is root, fresh for each scenario at least
//! ├── image      that filesystem
//! ├── made/      trees that scenarios make; kept
//! ├── settling.toml   a config with which releases are given up sooner
//! └── state/     the clients' state directories; emptied after each scenario
//! ```

use std::fmt;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::carrier::{Carrier, is_carried};
use crate::cutover::Site;
use crate::failure::{Context, Failure, Result};
use crate::image::Image;
use crate::link::{self, Link};
use crate::process::{Invocation, Running, Surroundings, quoted};
use crate::procfs::{self, ServerPeaks};
use crate::record::{LineKind, LineRecord, Logins, Outcome, Sample};
use crate::relay::Relay;
use crate::remote::Remote;
use crate::settings::Settings;
use crate::sshd::{self, Sshd, Way};
use crate::tool::{self, Place};
use crate::tree::Trees;
use crate::usage;

/// How many copies of the first tree the server holds at once at most: what each round leaves, what else a scenario keeps,
/// and what each tool keeps.
const COPIES_PER_REPEAT: u64 = 2;
const COPIES_BESIDE: u64 = 8;
const COPIES_PER_TOOL: u64 = 3;

/// The least size of the server's filesystem, for small trees.
const LEAST_IMAGE: u64 = 2 << 30;

/// What is reserved may consist of files of this size.
const SMALL_FILE: u64 = 8192;

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
    /// The client is killed once it has sent so much.
    KillAfter(u64),
    /// The server lets nobody further than the login, so the client fails.
    Refuse,
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
    server: Server,
    image: Mutex<Option<Image>>,
    /// What the server's filesystem must hold beyond copies of the first tree.
    reserved_bytes: AtomicU64,
    logins: OnceLock<Logins>,
}

/// Whose the server is.
#[derive(Debug)]
enum Server {
    /// The bench's.
    Own {
        sshd: Sshd,
        carrier: Carrier,
        /// Where the other does not lead to the port that refuses sessions.
        refusing: Option<Carrier>,
        without_link: Option<String>,
    },
    /// The user's.
    Theirs(Remote),
}

impl Lab {
    /// Empties the directories and starts the server, or goes to the user's.
    pub(crate) fn open(settings: Settings) -> Result<Lab> {
        let server = match &settings.target {
            Some(target) => Server::Theirs(Remote::open(target)?),
            None => {
                Image::unmount_left(&settings.work.join("server"));
                Server::start(&settings)?
            }
        };
        let lab = Lab {
            settings,
            server,
            image: Mutex::new(None),
            reserved_bytes: AtomicU64::new(0),
            logins: OnceLock::new(),
        };
        lab.clear()?;
        if let Server::Own { without_link: Some(why), .. } = &lab.server {
            lab.say(&format!("There is no link, so a relay stands in for it: {why}"));
        }
        Ok(lab)
    }

    /// Returns the line as it is recorded.
    pub(crate) fn line(&self) -> LineRecord {
        let shape = self.settings.shape;
        let (kind, without_link) = match &self.server {
            Server::Theirs(_) => (LineKind::Target, None),
            Server::Own { carrier: Carrier::Link(_), .. } => (LineKind::Link, None),
            Server::Own { without_link, .. } if shape.is_some() => (LineKind::Relay, without_link.clone()),
            Server::Own { .. } => (LineKind::Loopback, None),
        };
        LineRecord { kind, shape, queue_bytes: shape.and_then(|shape| shape.queue_bytes()), without_link }
    }

    /// Tells whether the server is the bench's, on this machine.
    pub(crate) fn is_own_server(&self) -> bool {
        matches!(self.server, Server::Own { .. })
    }

    /// Tells why something cannot be measured on a server of the user's, unless it can.
    pub(crate) fn needs_own_server(&self, why: &str) -> Option<Outcome> {
        (!self.is_own_server()).then(|| Outcome::skipped(&format!("on a server of yours {why}")))
    }

    /// Returns the versions.
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

    /// Returns the client's SSH configuration for a line; none where it is the user's own.
    ///
    /// All lines lead to the same host name: what a tool remembers of a server is kept under it.
    pub(crate) fn ssh_config(&self, line: Line) -> Option<PathBuf> {
        let Server::Own { sshd, .. } = &self.server else { return None };
        let way = if is_carried(line, self.settings.shape) { Way::Counted } else { Way::Direct };
        Some(sshd.client_config(way))
    }

    /// Returns the server's name as SSH knows it.
    pub(crate) fn host(&self) -> &str {
        match &self.server {
            Server::Own { .. } => sshd::HOST,
            Server::Theirs(remote) => remote.host(),
        }
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
        match &self.server {
            Server::Own { .. } => Invocation::new("sh").args(["-c", script]).text(),
            Server::Theirs(remote) => remote.run(script),
        }
    }

    /// Makes a directory on the server, with those above it.
    pub(crate) fn make_directory(&self, path: &Path) -> Result<()> {
        self.on_server(&format!("mkdir -p {}", quoted(&path.to_string_lossy()))).map(drop)
    }

    /// Moves a directory on the server out of the way, if it stands.
    pub(crate) fn set_aside(&self, path: &Path) -> Result<()> {
        if self.is_own_server() {
            return set_aside(path);
        }
        let (path, aside) = (quoted(&path.to_string_lossy()), quoted(&next_aside(path).to_string_lossy()));
        self.on_server(&format!("if [ -e {path} ]; then mv {path} {aside}; fi")).map(drop)
    }

    /// Removes what was moved aside, on both sides. Only between runs, and only where the filesystem is the bench's own
    /// or nobody knows what it is: one that has no journal keeps off what was just deleted for minutes.
    pub(crate) fn remove_aside(&self) -> Result<()> {
        remove_hidden(&self.settings.work.join("state"))?;
        if self.is_own_server() && !self.has_own_filesystem() {
            return Ok(());
        }
        let directory = self.server("");
        self.on_server(&format!("rm -rf {}/.aside-*", quoted(&directory.to_string_lossy()))).map(drop)
    }

    /// Returns what a directory on the server takes, once all is written out.
    pub(crate) fn disk_bytes(&self, path: &Path) -> Result<u64> {
        // Blocks are allocated when they are written out, not before.
        let path = quoted(&path.to_string_lossy());
        let said = self.on_server(&format!("sync -f {path} || sync; du -s -B1 {path}"))?;
        let bytes = said.split_whitespace().next().and_then(|word| word.parse().ok());
        bytes.ok_or_else(|| Failure::new("`du` printed no number"))
    }

    /// Reads the content of a release on the server, or of where a symlink to one leads.
    pub(crate) fn read_release(&self, path: &Path) -> Result<()> {
        self.on_server(&reading(&path.join("."))).map(drop)
    }

    /// Names the directories of a tool.
    pub(crate) fn place(&self, name: &str) -> Place {
        Place { server: self.server(name), client: self.state(name) }
    }

    /// Returns a path on the server.
    pub(crate) fn server(&self, name: &str) -> PathBuf {
        match &self.server {
            Server::Own { .. } => self.settings.work.join("server").join(name),
            Server::Theirs(remote) => remote.directory().join(name),
        }
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
        self.reserved_bytes.store(0, Ordering::Relaxed);
        for name in ["state", "home"] {
            self.empty(name)?;
        }
        self.renew_server()
    }

    /// Makes the server's filesystem so much greater, until the scenario's end.
    pub(crate) fn reserve(&self, bytes: u64) -> Result<()> {
        self.reserved_bytes.store(bytes, Ordering::Relaxed);
        self.renew_server()
    }

    /// Gives the server an empty filesystem; where this is not root, an empty directory.
    pub(crate) fn renew_server(&self) -> Result<()> {
        if let Server::Theirs(remote) = &self.server {
            return remote.empty();
        }
        let mut image = self.image.lock().expect("nothing panics while it is held");
        if let Some(image) = image.take() {
            image.remove()?;
        }
        self.empty("server")?;
        if rustix::process::getuid().is_root() {
            let copies = COPIES_PER_REPEAT * (u64::from(self.repeats()) + 1) + COPIES_BESIDE;
            let copies = copies + COPIES_PER_TOOL * tool::all(&self.settings.variants).len() as u64;
            let reserved_bytes = self.reserved_bytes.load(Ordering::Relaxed);
            let tree = &self.trees().a;
            let bytes = copies * usage::du_bytes(&tree.path)? + reserved_bytes;
            let bytes = bytes.max(LEAST_IMAGE);
            let files = copies * (tree.files + tree.directories + tree.symlinks) + reserved_bytes / SMALL_FILE;
            let work = &self.settings.work;
            *image = Some(Image::mount(work.join("image"), work.join("server"), bytes, files)?);
        }
        Ok(())
    }

    /// Writes the server's filesystem out and returns how long that took.
    pub(crate) fn sync_server(&self) -> Result<Option<f64>> {
        if !self.is_own_server() {
            return Ok(None);
        }
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

    /// Measures a session that does nothing.
    pub(crate) fn measure_login(&self) -> Result<Sample> {
        self.measure(&self.ssh(Line::Counted).arg("true"), Line::Counted).map(|(_, sample)| sample)
    }

    /// Measures what logging in costs each of the two SSH clients, up to where it asks for a session. On a server of the
    /// user's nothing is counted.
    pub(crate) fn measure_logins(&self) -> Result<Logins> {
        let Server::Own { sshd, .. } = &self.server else { return Ok(Logins::default()) };
        let config = sshd.client_config(Way::Refusing);
        let refused = |invocation: &Invocation| -> Result<Sample> {
            let (_, sample) = self.measure_beside(invocation, Line::Counted, &Beside::Refuse)?;
            Ok(sample)
        };
        let ssh = Invocation::new("ssh").arg("-F").arg(&config).args([self.host(), "true"]);
        let logins = Logins {
            openssh: refused(&ssh)?,
            cutover: refused(&Site::new(self, "nowhere").status_line(self, &config))?,
            session: self.measure_login()?,
        };
        Ok(self.logins.get_or_init(|| logins).clone())
    }

    /// Returns what was measured of it, if it was.
    pub(crate) fn logins(&self) -> Option<&Logins> {
        self.logins.get()
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
        match &self.server {
            Server::Own { sshd, carrier, refusing, .. } => {
                let refusing = refusing.as_ref().filter(|_| matches!(beside, Beside::Refuse));
                self.measure_both((sshd, refusing.unwrap_or(carrier)), invocation, line, beside)
            }
            Server::Theirs(_) => self.measure_client(invocation, line),
        }
    }

    /// Measures both sides.
    fn measure_both(
        &self,
        (sshd, carrier): (&Sshd, &Carrier),
        invocation: &Invocation,
        line: Line,
        beside: &Beside,
    ) -> Result<(String, Sample)> {
        sshd.wait_until_idle()?;
        carrier.counters().reset();
        let server_cpu_before = procfs::children_cpu_seconds(sshd.listener())?;
        let home = self.settings.work.join("home");
        let surroundings = Surroundings { home: &home, namespace: carrier.client(line), is_users: false };
        let (finished, observed) =
            invocation.run_beside(surroundings, |running| observe(running, beside, (sshd, carrier)))?;
        let server_lingered_seconds = sshd.wait_until_idle()?;
        let server_cpu = procfs::children_cpu_seconds(sshd.listener())? - server_cpu_before;
        let wire = carrier.settle()?;
        let finished = match beside {
            Beside::Refuse if finished.status.success() => {
                return Err(Failure::new(format!("`{invocation}` was not refused")));
            }
            Beside::Refuse | Beside::KillAfter(_) if !finished.status.success() => finished,
            _ => finished.succeeded(invocation)?,
        };
        let observed = observed?;
        let sample = Sample {
            server_lingered_seconds: Some(server_lingered_seconds),
            server_cpu_seconds: Some(server_cpu),
            server_peaks: observed.peaks,
            wire: is_carried(line, self.settings.shape).then_some(wire),
            most_used_bytes: observed.most_used_bytes,
            ..Sample::of_client(self.without_names(&invocation.to_string()), line, &finished)
        };
        Ok((finished.stdout, sample))
    }

    /// Measures what can be seen from here.
    fn measure_client(&self, invocation: &Invocation, line: Line) -> Result<(String, Sample)> {
        let home = self.settings.work.join("home");
        let surroundings = Surroundings { home: &home, namespace: None, is_users: true };
        let (finished, ()) = invocation.run_beside(surroundings, |_| ())?;
        let finished = finished.succeeded(invocation)?;
        let sample = Sample::of_client(self.without_names(&invocation.to_string()), line, &finished);
        Ok((finished.stdout, sample))
    }

    /// Returns a line or a report as it is recorded: without the names of this machine's directories or of a host. A line is
    /// still runnable.
    pub(crate) fn without_names(&self, text: &str) -> String {
        let mut names: Vec<(String, &str)> = Vec::new();
        for (tree, name) in self.trees().all().iter().zip(["$A", "$B", "$C"]) {
            names.push((tree.path.to_string_lossy().into_owned(), name));
        }
        names.push((self.settings.work.to_string_lossy().into_owned(), "$WORK"));
        if let Server::Theirs(remote) = &self.server {
            names.push((format!("{}:{}", remote.host(), remote.directory().display()), "$TARGET"));
            names.push((remote.directory().to_string_lossy().into_owned(), "$DIRECTORY"));
            names.push((remote.host().to_owned(), "$HOST"));
        }
        names.push((self.settings.cutover.to_string_lossy().into_owned(), "cutover"));
        names.iter().fold(text.to_owned(), |text, (own, name)| text.replace(own, name))
    }
}

impl Server {
    /// Starts a server of the bench's own behind a link where one is asked for, else behind the relay.
    fn start(settings: &Settings) -> Result<Server> {
        let directory = settings.work.join("ssh");
        let (link, without_link) = match settings.shape.map(Link::open) {
            None => (None, None),
            Some(Ok(link)) => (Some(link), None),
            Some(Err(failure)) => (None, Some(failure.to_string())),
        };
        let sshd = Sshd::start(&directory, link.as_ref())?;
        let (carrier, refusing) = match link {
            Some(link) => {
                let at = |port| SocketAddrV4::new(link::SERVER, port);
                sshd.write_client_configs(at(sshd.port()), at(sshd.refusing_port()))?;
                (Carrier::Link(link), None)
            }
            None => {
                let start = |port| Relay::start(port, settings.shape.unwrap_or_default());
                let (relay, refusing) = (start(sshd.port())?, start(sshd.refusing_port())?);
                let at = |relay: &Relay| SocketAddrV4::new(Ipv4Addr::LOCALHOST, relay.port());
                sshd.write_client_configs(at(&relay), at(&refusing))?;
                (Carrier::Relay(relay), Some(Carrier::Relay(refusing)))
            }
        };
        Ok(Server::Own { sshd, carrier, refusing, without_link })
    }
}

fn observe(running: &Running<'_>, beside: &Beside, (sshd, carrier): (&Sshd, &Carrier)) -> Result<Observed> {
    let mut observed = Observed::default();
    match beside {
        Beside::Nothing | Beside::Refuse => {}
        Beside::WatchMemory => observed.peaks = Some(procfs::watch_server(running, sshd.listener())?),
        Beside::WatchDisk(path) => observed.most_used_bytes = Some(usage::watch_used(running, path)?),
        Beside::KillAfter(sent_bytes) => kill_after(running, carrier, *sent_bytes)?,
    }
    Ok(observed)
}

fn kill_after(running: &Running<'_>, carrier: &Carrier, sent_bytes: u64) -> Result<()> {
    while !running.is_done() {
        if carrier.counters().sent_bytes() >= sent_bytes {
            return running.kill();
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Moves a directory here out of the way, if it stands. It goes with its filesystem: what is made soon after a deletion
/// may be made slower, by as much as chance will have it.
pub(crate) fn set_aside(directory: &Path) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    fs::rename(directory, next_aside(directory)).context(|| format!("Could not move `{}` aside", directory.display()))
}

/// Reads all files of a directory here, if it stands.
pub(crate) fn read_files(directory: &Path) -> Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    Invocation::new("sh").args(["-c", &reading(directory)]).output().map(drop)
}

/// The script that reads all files of a directory.
fn reading(directory: &Path) -> String {
    format!("find {} -type f -exec cat {{}} + > /dev/null", quoted(&directory.to_string_lossy()))
}

/// Removes what [`set_aside`] has moved within a directory.
fn remove_hidden(directory: &Path) -> Result<()> {
    let script = format!("rm -rf {}/.aside-*", quoted(&directory.to_string_lossy()));
    Invocation::new("sh").args(["-c", &script]).output().map(drop)
}

/// Names a place beside a directory that nothing took yet.
fn next_aside(directory: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    directory.with_file_name(format!(".aside-{}", NUMBER.fetch_add(1, Ordering::Relaxed)))
}
