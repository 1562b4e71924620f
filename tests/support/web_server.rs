//! The real web servers, each with what `cutover web` prints, on a free loopback port. Dropping one ends it.
//!
//! They run as they do on a server: their workers are `www-data`, with stock settings of PHP.

use std::fs::{self};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::php::Php;
use super::site::Site;
use super::wait;

/// A web server and the way in which it runs PHP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WebServerKind {
    /// nginx with PHP-FPM.
    Nginx,
    /// Apache with PHP-FPM.
    ApacheFpm,
    /// Apache with PHP as its module.
    ApacheModule,
    /// Caddy with PHP-FPM.
    Caddy,
}

impl WebServerKind {
    /// All of them.
    pub(crate) const ALL: [WebServerKind; 4] =
        [WebServerKind::Nginx, WebServerKind::ApacheFpm, WebServerKind::ApacheModule, WebServerKind::Caddy];

    /// Returns the word of `cutover web`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            WebServerKind::Nginx => "nginx",
            WebServerKind::ApacheFpm | WebServerKind::ApacheModule => "apache",
            WebServerKind::Caddy => "caddy",
        }
    }
}

/// A web server that runs.
pub(crate) struct WebServer {
    process: Child,
    pub(crate) port: u16,
}

impl WebServer {
    /// Starts a web server with what `cutover web` prints for a site with PHP.
    pub(crate) fn of_php(kind: WebServerKind, site: &Site, php: &Php) -> WebServer {
        WebServer::start(kind, site, &php.printed(kind, site))
    }

    /// Starts a web server with a configuration for port 80.
    pub(crate) fn start(kind: WebServerKind, site: &Site, config: &str) -> WebServer {
        // Other users must come to the site, as on a server.
        super::tree::set_mode(site.path(""), 0o755);
        let port = super::free_port();
        let directory = site.path(&format!("web-{port}"));
        fs::create_dir(&directory).unwrap();
        let mut command = match kind {
            WebServerKind::Nginx => {
                nginx(&directory, &replaced(config, "listen 80;", &format!("listen 127.0.0.1:{port};")))
            }
            WebServerKind::ApacheFpm => {
                apache(&directory, port, "event", &replaced(config, "*:80>", &format!("127.0.0.1:{port}>")))
            }
            WebServerKind::ApacheModule => {
                apache(&directory, port, "prefork", &replaced(config, "*:80>", &format!("127.0.0.1:{port}>")))
            }
            WebServerKind::Caddy => caddy(&directory, &replaced(config, ":80 {", &format!("http://:{port} {{"))),
        };
        let log = fs::File::create(directory.join("log")).unwrap();
        // At its end, Apache signals its whole group.
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut process = command.spawn().unwrap();
        wait::until("the web server listens", || {
            if let Some(status) = process.try_wait().unwrap() {
                panic!("{kind:?}: {status}: {}", fs::read_to_string(directory.join("log")).unwrap());
            }
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        WebServer { process, port }
    }
}

#[track_caller]
fn replaced(config: &str, printed: &str, own: &str) -> String {
    assert!(config.contains(printed), "{printed} is not in {config}");
    config.replace(printed, own)
}

fn nginx(directory: &Path, config: &str) -> Command {
    let at = directory.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {at}/{name};\n"))
        .concat();
    let config = format!(
        "daemon off;\nuser www-data;\nworker_processes 2;\npid {at}/pid;\nerror_log {at}/errors;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}{config}\n}}\n"
    );
    fs::write(directory.join("config"), config).unwrap();
    fs::copy("/etc/nginx/fastcgi_params", directory.join("fastcgi_params")).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(directory.join("config")).arg("-e").arg(directory.join("errors"));
    command
}

fn apache(directory: &Path, port: u16, model: &str, config: &str) -> Command {
    const MODULES: [&str; 11] = [
        "authz_core",
        "dir",
        "mime",
        "alias",
        "setenvif",
        "rewrite",
        "headers",
        "proxy",
        "proxy_http",
        "proxy_fcgi",
        "unixd",
    ];
    /// As closed as a distribution makes it, or more: the site must open all that it needs.
    const CLOSED: &str = "<Directory />\nOptions None\nAllowOverride None\nRequire all denied\n</Directory>\n";
    let at = directory.display();
    // Some are built in.
    let file = |name: &str| format!("/usr/lib/apache2/modules/mod_{name}.so");
    let known = MODULES.iter().filter(|name| Path::new(&file(name)).exists());
    let mut modules: String = known.map(|name| format!("LoadModule {name}_module {}\n", file(name))).collect();
    modules += &format!("LoadModule mpm_{model}_module {}\n", file(&format!("mpm_{model}")));
    if model == "prefork" {
        modules += &format!("LoadModule php_module {}\n", php_module());
    }
    let config = format!(
        "ServerRoot {at}\nPidFile {at}/pid\nErrorLog {at}/errors\nMutex file:{at}\nUser www-data\nGroup www-data\n\
         ServerName localhost\nTypesConfig /etc/mime.types\n{modules}Listen 127.0.0.1:{port}\n{CLOSED}{config}"
    );
    fs::write(directory.join("config"), config).unwrap();
    let mut command = Command::new("/usr/sbin/apache2");
    command.arg("-DFOREGROUND").arg("-f").arg(directory.join("config"));
    command
}

fn php_module() -> String {
    let names = fs::read_dir("/usr/lib/apache2/modules").unwrap().map(|entry| entry.unwrap().path());
    let module = names.filter(|path| path.to_str().unwrap().contains("/libphp")).max().expect("mod_php is installed");
    module.to_str().unwrap().to_owned()
}

fn caddy(directory: &Path, config: &str) -> Command {
    fs::write(directory.join("config"), format!("{{\n\tadmin off\n}}\n{config}")).unwrap();
    let mut command = Command::new("/usr/bin/caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(directory.join("config")).env("HOME", directory);
    command
}

impl Drop for WebServer {
    fn drop(&mut self) {
        // Its workers end with it.
        Command::new("kill").arg(self.process.id().to_string()).status().ok();
        self.process.wait().ok();
    }
}
