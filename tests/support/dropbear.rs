//! A real `dropbear` on a free loopback port, for a user of a [`Sshd`]. Dropping it ends the server.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::sshd::{Sshd, run};
use super::wait;

/// A running server.
pub(crate) struct Dropbear {
    process: Child,
    /// Its port.
    pub(crate) port: u16,
    /// An `ssh_config` for this server.
    pub(crate) config: PathBuf,
}

impl Dropbear {
    /// Starts a server that accepts the client's identity as a user, and that the client knows.
    pub(crate) fn start(sshd: &Sshd, user: &str) -> Dropbear {
        authorize(sshd, user);
        let key = sshd.client("dropbear_key");
        let printed = run(Command::new("dropbearkey").args(["-t", "ed25519", "-f"]).arg(&key));
        let public = printed.lines().find(|line| line.starts_with("ssh-ed25519 ")).unwrap();
        // Another test may use the port between its choice and its use; then the server ends at once.
        let (process, port) = (0..10).find_map(|_| listen(&key)).expect("dropbear listens");
        let config = sshd.through(port);
        let known = sshd.client(".ssh/known_hosts");
        let lines = fs::read_to_string(&known).unwrap();
        fs::write(known, format!("{lines}\nrelayed {public}\n")).unwrap();
        Dropbear { process, port, config }
    }
}

impl Drop for Dropbear {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn authorize(sshd: &Sshd, user: &str) {
    let directory = sshd.home(user).join(".ssh");
    fs::create_dir(&directory).unwrap();
    fs::copy(sshd.client(".ssh/id_ed25519.pub"), directory.join("authorized_keys")).unwrap();
    super::tree::set_mode(&directory, 0o700);
    run(Command::new("chown").arg("-R").arg(user).arg(&directory));
}

fn listen(key: &Path) -> Option<(Child, u16)> {
    let port = super::free_port();
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new("/usr/sbin/dropbear");
    // The server removes its PID file of that name at its end.
    let number = key.with_extension("pid");
    command.args(["-F", "-E", "-p", &address, "-P"]).arg(number).arg("-r").arg(key);
    let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_up = wait::until("dropbear listens or ends", || {
        let has_ended = process.try_wait().unwrap().is_some();
        if has_ended { Some(false) } else { TcpStream::connect(&address).ok().map(|_| true) }
    });
    is_up.then_some((process, port))
}
