//! A real PHP-FPM on a socket in a site's directory. Dropping it ends it.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::site::Site;
use super::wait;
use super::web_server::WebServerKind;

/// PHP behind a web server.
pub(crate) struct Php {
    process: Child,
    socket: PathBuf,
    /// The file with the number of its main process.
    pub(crate) pid: PathBuf,
}

impl Php {
    /// Starts it with stock settings, as root, who may write what a test wants.
    pub(crate) fn start(site: &Site) -> Php {
        Php::start_as(site, "root", "")
    }

    /// Starts it as a user, with further lines for its pool.
    pub(crate) fn start_as(site: &Site, user: &str, pool: &str) -> Php {
        let is_php = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"php-fpm"));
        let programs = fs::read_dir("/usr/sbin").unwrap().map(|entry| entry.unwrap().path());
        let program = programs.filter(is_php).max().expect("PHP-FPM is installed");
        let (socket, pid) = (site.path("php.sock"), site.path("php.pid"));
        // A reload lets the workers end their requests only with `process_control_timeout`.
        let config = format!(
            "[global]\nerror_log = {0}/php.log\npid = {0}/php.pid\nprocess_control_timeout = 20s\n[www]\n\
             listen = {0}/php.sock\nlisten.mode = 0666\npm = static\npm.max_children = 2\nuser = {user}\n\
             group = {user}\n{pool}\n",
            site.path("").display()
        );
        fs::write(site.path("php.conf"), config).unwrap();
        let mut command = Command::new(program);
        command.args(["-R", "-F", "-y"]).arg(site.path("php.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        wait::until("PHP listens", || UnixStream::connect(&socket).ok());
        Php { process, socket, pid }
    }

    /// Returns the path of its socket.
    pub(crate) fn socket(&self) -> &str {
        self.socket.to_str().unwrap()
    }

    /// Returns the configuration that `cutover web` prints for a site.
    pub(crate) fn printed(&self, kind: WebServerKind, site: &Site) -> String {
        let php = if kind == WebServerKind::ApacheModule { "module" } else { self.socket() };
        site.prints(&["web", kind.word(), "--root", "public", "--php", php])
    }

    /// Returns the server block that is printed for nginx, with a port of its own.
    pub(crate) fn server_block(&self, site: &Site, port: u16) -> String {
        let block = self.printed(WebServerKind::Nginx, site);
        let replaced = [
            ("listen 80;", format!("listen 127.0.0.1:{port};")),
            ("include fastcgi_params;", "include /etc/nginx/fastcgi_params;".to_owned()),
        ];
        replaced.iter().fold(block, |block, (printed, own)| {
            assert!(block.contains(printed), "{printed}");
            block.replace(printed, own)
        })
    }
}

impl Drop for Php {
    fn drop(&mut self) {
        // Its workers end with it.
        Command::new("kill").arg(self.process.id().to_string()).status().ok();
        self.process.wait().ok();
    }
}
