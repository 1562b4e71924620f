//! A real `sshd` on the loopback, with keys of its own, for as long as the bench runs.
//!
//! ```text
//! ssh/
//! ├── host_key, user_key      made for this run
//! ├── authorized_keys         the user key
//! ├── sshd_config, sshd.log
//! ├── home/                   the sessions' home, empty
//! ├── known_hosts             the host key, at both addresses
//! ├── direct                  the client's configuration
//! ├── counted                 the same through the relay or the link, under the same name
//! └── refusing                the same to a second port, where a login succeeds and no session is opened
//! ```
//! Only keywords that every SSH client knows are used, so that no tool takes another path than it would elsewhere.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Result};
use crate::invocation::Invocation;
use crate::line::link::{self, Link};
use crate::procfs;

/// Debian's and Fedora's place; `sshd` wants to be called by its full path.
const PROGRAMS: [&str; 2] = ["/usr/sbin/sshd", "/usr/bin/sshd"];

/// Without it an `sshd` that runs as root refuses to start; a system without a running `sshd` lacks it.
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

/// How long `sshd` may take to listen, and sessions to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server's name in the client's configuration.
pub(crate) const HOST: &str = "server";

/// A way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Straight.
    Direct,
    /// Where bytes are counted.
    Counted,
    /// The same, to where no session is opened after the login.
    Refusing,
}

/// A listening `sshd`.
#[derive(Debug)]
pub(crate) struct Sshd {
    child: Child,
    port: u16,
    refusing_port: u16,
    directory: PathBuf,
}

impl Sshd {
    /// Makes keys and configuration in `directory`, starts `sshd` and waits until it listens.
    ///
    /// On a link it listens both there and on the loopback of its namespace.
    pub(crate) fn start(directory: &Path, link: Option<&Link>) -> Result<Sshd> {
        recreate(directory)?;
        recreate(&directory.join("home"))?;
        for key in ["host_key", "user_key"] {
            let keygen = Invocation::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]);
            keygen.args([directory.join(key)]).output()?;
        }
        let user_key = read(&directory.join("user_key.pub"))?;
        write(&directory.join("authorized_keys"), &user_key)?;
        let [port, refusing_port] = free_ports()?;
        let config = directory.join("sshd_config");
        write(&config, &server_config(directory, [port, refusing_port], link.is_some()))?;
        let log = directory.join("sshd.log");
        let mut sshd = match link {
            Some(link) => {
                let child = link.server().run(|| spawn(&config, &log))??;
                Sshd { child, port, refusing_port, directory: directory.to_path_buf() }
            }
            None => Sshd { child: spawn(&config, &log)?, port, refusing_port, directory: directory.to_path_buf() },
        };
        match link {
            Some(link) => link.server().run(|| sshd.wait_until_listening())??,
            None => sshd.wait_until_listening()?,
        }
        Ok(sshd)
    }

    /// Writes the client's side of the configuration: the server itself, and the same where bytes are counted, with and
    /// without sessions.
    pub(crate) fn write_client_configs(&self, counted: SocketAddrV4, refusing: SocketAddrV4) -> Result<()> {
        let host_key = read(&self.directory.join("host_key.pub"))?;
        let direct = SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port);
        let ways = [(Way::Direct, direct), (Way::Counted, counted), (Way::Refusing, refusing)];
        let known =
            |(_, address): (Way, SocketAddrV4)| format!("[{}]:{} {}\n", address.ip(), address.port(), host_key.trim());
        write(&self.directory.join("known_hosts"), &ways.map(known).concat())?;
        let user = Invocation::new("id").args(["-un"]).text()?;
        for (way, address) in ways {
            let config = format!(
                "Host {HOST}\n  HostName {ip}\n  Port {port}\n  User {user}\n  IdentityFile {dir}/user_key\n  \
                 UserKnownHostsFile {dir}/known_hosts\n  StrictHostKeyChecking yes\n",
                ip = address.ip(),
                port = address.port(),
                dir = self.directory.display(),
            );
            write(&self.client_config(way), &config)?;
        }
        Ok(())
    }

    /// Returns the path of the client's configuration.
    pub(crate) fn client_config(&self, way: Way) -> PathBuf {
        self.directory.join(match way {
            Way::Direct => "direct",
            Way::Counted => "counted",
            Way::Refusing => "refusing",
        })
    }

    /// Returns the port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the port where no session is opened after the login.
    pub(crate) fn refusing_port(&self) -> u16 {
        self.refusing_port
    }

    /// Returns the process that listens; sessions are its children.
    pub(crate) fn listener(&self) -> u32 {
        self.child.id()
    }

    /// Waits until no session is left.
    pub(crate) fn wait_until_idle(&self) -> Result<()> {
        let start = Instant::now();
        while !procfs::children(self.listener())?.is_empty() {
            if start.elapsed() > PATIENCE {
                return Err(Failure::new("A session went on for a minute after its client had ended"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = self.child.try_wait().context(|| "Could not ask for the state of sshd")?;
            if ended.is_some() || start.elapsed() > PATIENCE {
                let log = fs::read_to_string(self.directory.join("sshd.log")).unwrap_or_default();
                return Err(Failure::new(format!("sshd does not listen; it said:\n{log}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        // It holds nothing that an orderly end would save; only the listener is ours to end, by its own handle.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Returns the path of `sshd`.
pub(crate) fn program() -> Result<&'static Path> {
    let found = PROGRAMS.iter().map(Path::new).find(|path| path.exists());
    found.ok_or_else(|| Failure::new("There is no sshd; install `openssh-server` (it need not be enabled)"))
}

fn spawn(config: &Path, log: &Path) -> Result<Child> {
    if rustix::process::getuid().is_root() && !Path::new(PRIVILEGE_SEPARATION).exists() {
        fs::DirBuilder::new()
            .mode(0o755)
            .create(PRIVILEGE_SEPARATION)
            .context(|| format!("Could not create `{PRIVILEGE_SEPARATION}`"))?;
    }
    let log = File::create(log).context(|| format!("Could not create `{}`", log.display()))?;
    Command::new(program()?)
        .args(["-D", "-e", "-f"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context(|| "Could not start sshd")
}

fn server_config(directory: &Path, [port, refusing_port]: [u16; 2], is_linked: bool) -> String {
    let link = if is_linked { format!("ListenAddress {}\n", link::SERVER) } else { String::new() };
    let dir = directory.display();
    // A home of its own: bash reads `~/.bashrc` in sessions too, and people's settings can take longer than a
    // login. Authentication rests on the fresh key alone, so `StrictModes` (owner and mode of the directories above) may be
    // off; the checkout may lie in a directory that others can write.
    format!(
        "Port {port}\nPort {refusing_port}\nListenAddress 127.0.0.1\n{link}HostKey {dir}/host_key\nAuthorizedKeysFile {dir}/authorized_keys\n\
         PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nMaxStartups 100\nMaxSessions 100\nSubsystem sftp internal-sftp\nSetEnv HOME={dir}/home\n\
         Match LocalPort {refusing_port}\n  MaxSessions 0\n"
    )
}

/// Another process could take a port before `sshd` does; then `sshd` does not start and says so.
fn free_ports() -> Result<[u16; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context(|| "Could not find a free port");
    // Both at once, so that they differ.
    let listeners = [listen()?, listen()?];
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    let [one, other] = [&listeners[0], &listeners[1]].map(port);
    Ok([one.context(|| "Could not find a free port")?, other.context(|| "Could not find a free port")?])
}

fn recreate(directory: &Path) -> Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).context(|| format!("Could not remove `{}`", directory.display()))?;
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .context(|| format!("Could not create `{}`", directory.display()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).context(|| format!("Could not read `{}`", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(|| format!("Could not write `{}`", path.display()))
}
