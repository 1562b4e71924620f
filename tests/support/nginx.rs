//! A real nginx on a free loopback port. Dropping it ends the server.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::site::Site;
use super::visitor::exchange;
use super::wait;

/// A web server.
pub(crate) struct Nginx {
    process: Child,
    pub(crate) port: u16,
    /// Its log of errors, which a test that fails prints.
    errors: PathBuf,
}

impl Nginx {
    /// Starts a server of `current`.
    pub(crate) fn serving(site: &Site) -> Nginx {
        let root = site.target("current");
        let server = |port| format!("server {{ listen 127.0.0.1:{port}; root {}; }}", root.display());
        Nginx::start(&site.path("nginx"), server)
    }

    /// Starts a server in a new directory, with the server blocks that are made of the port.
    pub(crate) fn start(directory: &Path, servers: impl Fn(u16) -> String) -> Nginx {
        let port = super::free_port();
        fs::create_dir(directory).unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {}/{name};\n", directory.display()))
            .concat();
        let config = format!(
            "daemon off;\nmaster_process off;\npid {0}/pid;\nerror_log {0}/errors;\nevents {{}}\nhttp {{\naccess_log off;\n\
             {temporary}{1}\n}}\n",
            directory.display(),
            servers(port),
        );
        fs::write(directory.join("config"), config).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-p").arg(directory).arg("-c").arg(directory.join("config")).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        wait::until("nginx listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        Nginx { process, port, errors: directory.join("errors") }
    }

    /// Asks for a path, perhaps naming the ETag that is known, and returns status, ETag and body.
    pub(crate) fn get(&self, path: &str, known: Option<&str>) -> (u16, String, String) {
        let known = known.map_or_else(String::new, |etag| format!("If-None-Match: {etag}\r\n"));
        let (head, body) = exchange(self.port, &format!("GET {path} HTTP/1.0\r\n{known}\r\n")).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let etag = head.lines().find_map(|line| line.strip_prefix("ETag: ")).unwrap_or_default();
        (status, etag.to_owned(), body)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking() {
            eprintln!("nginx: {}", fs::read_to_string(&self.errors).unwrap_or_default());
        }
    }
}
