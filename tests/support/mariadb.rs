//! A real MariaDB on a socket in a directory, with an empty database `site`. Dropping it ends it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::sshd::run;
use super::wait;

/// A database server. Its user `root` has no password.
pub(crate) struct MariaDb {
    process: Child,
    pub(crate) socket: PathBuf,
}

impl MariaDb {
    /// Starts a server in a new directory.
    pub(crate) fn start(directory: &Path) -> MariaDb {
        fs::create_dir(directory).unwrap();
        let data = format!("--datadir={}", directory.join("data").display());
        let small = ["--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M"];
        // Two servers that start at a time would share the names of their temporary tables.
        fs::create_dir(directory.join("tmp")).unwrap();
        let mut install = Command::new("mariadb-install-db");
        install.env("TMPDIR", directory.join("tmp"));
        install.args(["--no-defaults", "--user=root", "--skip-test-db", "--auth-root-authentication-method=normal"]);
        run(install.arg(&data).args(small));
        let socket = directory.join("socket");
        let mut server = Command::new("/usr/sbin/mariadbd");
        server.args(["--no-defaults", "--user=root", "--skip-networking", &data]).args(small);
        server.env("TMPDIR", directory.join("tmp"));
        server.arg(format!("--socket={}", socket.display())).stdout(Stdio::null()).stderr(Stdio::null());
        let process = server.spawn().unwrap();
        let mut ask = Command::new("mariadb");
        ask.args(["--no-defaults", "-uroot", "-e", "CREATE DATABASE site"]);
        ask.arg(format!("--socket={}", socket.display())).stderr(Stdio::null());
        wait::until("MariaDB answers", || ask.status().unwrap().success().then_some(()));
        MariaDb { process, socket }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
