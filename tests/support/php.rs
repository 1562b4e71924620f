//! A real PHP-FPM on a socket in a site's directory. Dropping it ends it.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::site::Site;
use super::wait;

/// PHP behind a web server.
pub(crate) struct Php {
    process: Child,
    socket: PathBuf,
    /// The file with the number of its main process.
    pub(crate) pid: PathBuf,
}

impl Php {
    /// Starts it with stock settings.
    pub(crate) fn start(site: &Site) -> Php {
        let is_php = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"php-fpm"));
        let programs = fs::read_dir("/usr/sbin").unwrap().map(|entry| entry.unwrap().path());
        let program = programs.filter(is_php).max().expect("PHP-FPM is installed");
        let (socket, pid) = (site.path("php.sock"), site.path("php.pid"));
        // A reload lets the workers end their requests only with `process_control_timeout`.
        let config = format!(
            "[global]\nerror_log = {0}/php.log\npid = {0}/php.pid\nprocess_control_timeout = 20s\n[www]\n\
             listen = {0}/php.sock\npm = static\npm.max_children = 2\nuser = root\ngroup = root\n",
            site.path("").display()
        );
        fs::write(site.path("php.conf"), config).unwrap();
        let mut command = Command::new(program);
        command.args(["-R", "-F", "-y"]).arg(site.path("php.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        wait::until("PHP listens", || UnixStream::connect(&socket).ok());
        Php { process, socket, pid }
    }

    /// Returns the server block of the README, for a site on this machine.
    pub(crate) fn server_of_the_readme(&self, site: &Site, port: u16) -> String {
        let readme = include_str!("../../README.md");
        let block = readme.split("```nginx\n").nth(1).unwrap().split("```").next().unwrap();
        let target = site.target("");
        let replaced = [
            ("/srv/shop", target.to_str().unwrap().trim_end_matches('/').to_owned()),
            ("/run/php/php-fpm.sock", self.socket.to_str().unwrap().to_owned()),
            ("server_name shop.example.com", format!("listen 127.0.0.1:{port}")),
            ("include fastcgi_params", "include /etc/nginx/fastcgi_params".to_owned()),
        ];
        replaced.iter().fold(block.to_owned(), |block, (of_the_readme, own)| {
            assert!(block.contains(of_the_readme), "{of_the_readme}");
            block.replace(of_the_readme, own)
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
