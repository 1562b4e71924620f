//! A real `sshd` on a free loopback port, with keys, users and configuration of its own. Dropping it ends the server.
//!
//! ```text
//! <temporary directory>/
//! ├── server/   host key, sshd_config, authorized_keys, homes of the users made for the test
//! └── client/   HOME of the command under test: identity, ssh_config, known_hosts
//! ```
//!
//! Users with other login shells are made with `useradd` and removed again, so these tests need root.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, geteuid};
use tempfile::TempDir;

use super::{process, wait};

/// The name of the server in the client's `ssh_config`.
pub(crate) const HOST: &str = "shop";

/// A running server.
pub(crate) struct Sshd {
    directory: TempDir,
    process: Child,
    port: u16,
    users: Vec<String>,
    log: Arc<Mutex<String>>,
}

/// Returns whether the tests run as root. If not, prints that the test is skipped.
pub(crate) fn is_root() -> bool {
    let root = geteuid().is_root();
    if !root {
        skipped("it makes users and needs root");
    }
    root
}

/// Prints that the test is skipped. Its thread has its name.
pub(crate) fn skipped(reason: &str) {
    eprintln!("{}: skipped, {reason}", std::thread::current().name().unwrap_or("a test"));
}

impl Sshd {
    /// Starts a server that accepts the client's identity, and that the client knows.
    pub(crate) fn start() -> Sshd {
        Sshd::start_with("")
    }

    /// Works like [`Sshd::start`], with more configuration, which goes before that of every test.
    pub(crate) fn start_with(more: &str) -> Sshd {
        let directory = tempfile::tempdir().unwrap();
        // Users of the server must reach their homes in it.
        super::tree::set_mode(directory.path(), 0o755);
        for part in ["server", "client/.ssh"] {
            fs::create_dir_all(directory.path().join(part)).unwrap();
        }
        keygen(&directory.path().join("server/host_key"));
        keygen(&directory.path().join("client/.ssh/id_ed25519"));
        let public = directory.path().join("client/.ssh/id_ed25519.pub");
        fs::copy(public, directory.path().join("server/authorized_keys")).unwrap();
        // Another test may use the port between its choice and its use; then `sshd` ends at once.
        let (process, port, log) = (0..10).find_map(|_| listen(directory.path(), more)).expect("sshd listens");
        let sshd = Sshd { directory, process, port, users: Vec::new(), log };
        sshd.know(&sshd.host_key());
        sshd.configure("");
        sshd
    }

    /// Makes a user of the server with a login shell and a home of its own.
    pub(crate) fn add_user(&mut self, shell: &str) -> String {
        static USERS: AtomicU32 = AtomicU32::new(0);
        // Process ids are reused, and a killed test leaves its users behind: the clock tells them apart.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let name = format!("cutover-{now:x}-{}", USERS.fetch_add(1, Ordering::Relaxed));
        let home = self.directory.path().join("server").join(&name);
        // `*` is a password that nothing matches. A locked account could not log in with a key either.
        run(Command::new("useradd")
            .args(["-m", "-k", "/dev/null", "-p", "*", "-s", shell, "-d"])
            .arg(&home)
            .arg(&name));
        self.users.push(name.clone());
        name
    }

    /// Gives a user a password.
    pub(crate) fn set_password(&self, user: &str, password: &str) {
        let mut change = Command::new("chpasswd").stdin(Stdio::piped()).spawn().unwrap();
        writeln!(change.stdin.take().unwrap(), "{user}:{password}").unwrap();
        assert!(change.wait().unwrap().success());
    }

    /// Returns the home of a user on the server.
    pub(crate) fn home(&self, user: &str) -> PathBuf {
        self.directory.path().join("server").join(user)
    }

    /// Returns a path in the client's home.
    pub(crate) fn client(&self, path: &str) -> PathBuf {
        self.directory.path().join("client").join(path)
    }

    /// Returns the port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Writes the client's `ssh_config`: [`HOST`], and `more` before everything.
    pub(crate) fn configure(&self, more: &str) {
        let config = format!(
            "{more}\nHost {HOST}\n HostName 127.0.0.1\n Port {}\n IdentityFile {}\n UserKnownHostsFile {}\n \
             GlobalKnownHostsFile none\n IdentityAgent none\n",
            self.port,
            self.client(".ssh/id_ed25519").display(),
            self.client(".ssh/known_hosts").display(),
        );
        fs::write(self.client(".ssh/config"), config).unwrap();
    }

    /// Makes a public key, a line of a `.pub` file, the only key that the client knows for this server.
    pub(crate) fn know(&self, key: &str) {
        let line = format!("[127.0.0.1]:{} {key}", self.port);
        fs::write(self.client(".ssh/known_hosts"), line).unwrap();
    }

    /// Writes a second `ssh_config`, which reaches the server through another port.
    pub(crate) fn through(&self, port: u16) -> PathBuf {
        let config = fs::read_to_string(self.client(".ssh/config")).unwrap();
        let config = config.replace(&format!("Port {}", self.port), &format!("Port {port}\n HostKeyAlias relayed"));
        let known = self.client(".ssh/known_hosts");
        let lines = fs::read_to_string(&known).unwrap();
        fs::write(known, format!("{lines}\nrelayed {}", self.host_key())).unwrap();
        let path = self.client(&format!(".ssh/through-{port}"));
        fs::write(&path, config).unwrap();
        path
    }

    /// Returns the server's public key.
    pub(crate) fn host_key(&self) -> String {
        fs::read_to_string(self.directory.path().join("server/host_key.pub")).unwrap()
    }

    /// Runs `cutover` with the client's home and configuration, and returns its outcome.
    pub(crate) fn cutover(&self, arguments: &[&str]) -> Outcome {
        self.cutover_with(arguments, |_| {})
    }

    /// Works like [`Sshd::cutover`]. `change` may change the command.
    pub(crate) fn cutover_with(&self, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Outcome {
        let mut command = self.command(arguments);
        change(&mut command);
        let outcome = Outcome::of(&command.output().unwrap());
        if outcome.status == 255 {
            eprintln!("{}", self.log.lock().unwrap());
        }
        outcome
    }

    /// Makes the command, to be started by the caller.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.args(arguments).arg("-F").arg(self.client(".ssh/config")).stdin(Stdio::null());
        command.env("HOME", self.client("")).env("USER", "nobody").env_remove("SSH_AUTH_SOCK");
        command
    }

    /// Runs `cutover setup` for a path, which puts an agent there.
    pub(crate) fn setup(&self, user: &str, path: &str) -> Outcome {
        self.cutover(&["setup", "--target", &format!("{user}@{HOST}:{path}")])
    }

    /// Waits until the server has ended all connections.
    #[track_caller]
    pub(crate) fn wait_for_hangup(&self) {
        let server = Pid::from_child(&self.process);
        wait::until("the server hangs up", || process::children_of(server).is_empty().then_some(()));
    }

    /// Runs a dry run for a path.
    pub(crate) fn dry_run(&self, user: &str, path: &str) -> Outcome {
        let source = self.client("source");
        fs::create_dir_all(&source).unwrap();
        let target = format!("{user}@{HOST}:{path}");
        self.cutover(&["deploy", "--dry-run", "--source", source.to_str().unwrap(), "--target", &target])
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        for user in &self.users {
            remove_user(user);
        }
    }
}

/// Removes a user and its home.
fn remove_user(user: &str) {
    let mut said = String::new();
    // Another test may hold the lock of the user databases.
    for _ in 0..10 {
        // Without force, a session that is still ending prevents the removal of its user.
        match Command::new("userdel").args(["-f", "-r", user]).output() {
            Ok(output) if output.status.success() => return,
            Ok(output) => said = String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => said = error.to_string(),
        }
        // Exit status 12, "can't remove home directory", comes after the user is gone.
        if !fs::read_to_string("/etc/passwd").unwrap_or_default().contains(&format!("{user}:")) {
            return;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    eprintln!("the user {user} is left behind: {said}");
}

/// The outcome of a command.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit status, or -1 if the command was killed.
    pub(crate) status: i32,
    /// The whole stderr.
    pub(crate) stderr: String,
}

impl Outcome {
    fn of(output: &Output) -> Outcome {
        Outcome {
            status: output.status.code().unwrap_or(-1),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts that the command succeeded.
    #[track_caller]
    pub(crate) fn succeeds(&self) {
        assert_eq!(self.status, 0, "{}", self.stderr);
    }

    /// Asserts that the command failed with a status, and printed these words.
    #[track_caller]
    pub(crate) fn fails(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, status, "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in: {}", self.stderr);
        }
    }
}

fn listen(directory: &Path, more: &str) -> Option<(Child, u16, Arc<Mutex<String>>)> {
    let port = super::free_port();
    let server = directory.join("server");
    // The first value of a keyword counts, and a `Match` goes to the end.
    let (first, last) = more.split_at(more.find("Match ").unwrap_or(more.len()));
    let config = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {0}/host_key\n{first}\nAuthorizedKeysFile {0}/authorized_keys\nPidFile none\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 100\n{last}\n",
        server.display()
    );
    let file = server.join("sshd_config");
    fs::write(&file, config).unwrap();
    fs::create_dir_all("/run/sshd").ok();
    let mut process = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(process.stderr.take().unwrap());
    let log = Arc::new(Mutex::new(String::new()));
    let mut line = String::new();
    while stderr.read_line(&mut line).unwrap() > 0 {
        if line.contains("Server listening") {
            let kept = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in stderr.lines().map_while(Result::ok) {
                    let mut kept = kept.lock().unwrap();
                    kept.push_str(&line);
                    kept.push('\n');
                }
            });
            return Some((process, port, log));
        }
        line.clear();
    }
    process.wait().unwrap();
    None
}

/// Makes a pair of keys without a passphrase.
pub(crate) fn keygen(path: &Path) {
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path));
}

/// Runs a command that must succeed, and returns its output.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
