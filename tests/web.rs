//! Web servers: the configuration that `cutover web` prints, in the real nginx, Apache and Caddy with the real PHP.

mod check;
mod opcache;
mod switches;

use std::fs;
use std::process::Command;

use crate::support::pages::Pages;
use crate::support::php::Php;
use crate::support::site::Site;
use crate::support::sshd::{is_root, run};
use crate::support::tree;
use crate::support::visitor::ask;
use crate::support::web_server::{WebServer, WebServerKind};

const GUIDE: &str = include_str!("../docs/guides/web-servers.md");

/// Makes the command as a person writes it, with the config of a site.
fn plain(site: &Site, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command.args(words).arg("--config").arg(site.path("cutover.toml"));
    command.env_clear().env("HOME", site.path("home")).current_dir(site.path(""));
    command
}

/// Returns what a person sees.
fn printed(site: &Site, words: &[&str]) -> String {
    let output = plain(site, words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_guide_shows_what_the_program_prints() {
    let mut site = Site::new();
    site.configure("[production]\nhost = 'web1.example.com'\nuser = 'deploy'\ndeploy_path = '/srv/shop'\n");
    let mut count = 0;
    for part in GUIDE.split("<!-- web: ").skip(1) {
        let (words, rest) = part.split_once(" -->").unwrap();
        let block = rest.split("```").nth(1).unwrap();
        let (_, shown) = block.split_once('\n').unwrap();
        let words: Vec<&str> = ["web"].into_iter().chain(words.split(' ')).collect();
        assert_eq!(printed(&site, &words), shown, "{words:?}");
        count += 1;
    }
    assert!(count >= 6, "{count}");
}

/// Writes the source of a version, with a file that no visitor may see.
fn write(site: &Site, version: u32) {
    site.write("public/index.php", format!("<?php echo '{version} ', $_SERVER['REQUEST_URI'];"));
    site.write("public/static.txt", format!("static {version}"));
    site.write("public/.hidden/file.txt", "hidden");
    site.write("public/.hidden/page.php", "<?php echo 'hidden';");
    site.write("public/.well-known/security.txt", "known");
    site.write("public/.well-known/.env", "hidden");
    site.write("public/.well-known/sub/.secret/key", "hidden");
    site.write("public/.well-known/sub/known.txt", "known below");
    site.write("public/other/index.php", "<?php echo 'other';");
    for name in SOURCES {
        site.write(&format!("public/{name}"), "<?php echo 'source';");
    }
    site.write("public/index.html", format!("page {version}"));
}

/// Files of PHP that no web server runs.
const SOURCES: [&str; 7] = ["x.PHP", "x.Php", "x.phtml", "x.PHTML", "x.phar", "x.php7", "other/x.php8"];

/// Checks that dot files and the source of PHP are hidden, and nothing below `.well-known` that has another name.
fn check_hidden(kind: WebServerKind, server: &WebServer) {
    let answer = |path: &str| ask(server.port, path).unwrap();
    assert_eq!(answer("/.well-known/security.txt"), "200 known", "{kind:?}");
    assert_eq!(answer("/.well-known/sub/known.txt"), "200 known below", "{kind:?}");
    let hidden = [
        "/.well-known/.env",
        "/.well-known/sub/.secret/key",
        "/.well-known/%2eenv",
        "/.hidden/file.txt",
        "/.well-known",
    ];
    for path in hidden {
        assert!(answer(path).starts_with("404 "), "{kind:?} {path}: {}", answer(path));
    }
    for path in SOURCES {
        assert!(answer(&format!("/{path}")).starts_with("404 "), "{kind:?} {path}: {}", answer(&format!("/{path}")));
        for path in [format!("/{path}/"), format!("/{path}/a"), format!("/{}", path.replace(".p", ".%70"))] {
            assert!(!answer(&path).contains("echo"), "{kind:?} {path}: {}", answer(&path));
        }
    }
}

#[test]
fn what_is_printed_for_php_serves_pages_and_files_and_hides_dotfiles() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    write(&site, 1);
    site.deploy(&[]);
    let php = Php::start_as(&site, "www-data", "");
    for kind in WebServerKind::ALL {
        let server = WebServer::of_php(kind, &site, &php);
        let check = |path: &str, expected: &str| {
            let answer = ask(server.port, path).unwrap();
            assert!(answer.starts_with(expected), "{kind:?} {path}: {answer}");
        };
        check("/", "200 1 /");
        check("/index.php?a=b", "200 1 /index.php?a=b");
        check("/goods/tea?size=2", "200 1 /goods/tea?size=2");
        check("/static.txt", "200 static 1");
        check("/other/", "200 other");
        check("/.hidden/page.php", "404 ");
        check_hidden(kind, &server);
    }
}

#[test]
fn what_is_printed_for_files_serves_files_alone() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    write(&site, 1);
    site.deploy(&[]);
    for kind in [WebServerKind::Nginx, WebServerKind::ApacheFpm, WebServerKind::Caddy] {
        let server = WebServer::start(kind, &site, &site.prints(&["web", kind.word(), "--root", "public"]));
        assert_eq!(ask(server.port, "/").unwrap(), "200 page 1", "{kind:?}");
        assert_eq!(ask(server.port, "/static.txt").unwrap(), "200 static 1", "{kind:?}");
        assert!(ask(server.port, "/goods/tea").unwrap().starts_with("404 "), "{kind:?}");
        assert!(ask(server.port, "/index.php").unwrap().starts_with("404 "), "{kind:?}: source of PHP");
        check_hidden(kind, &server);
    }
}

#[test]
fn what_is_printed_for_an_application_asks_it_for_all_but_files() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    write(&site, 1);
    site.write("application/health.php", "<?php echo 'from the application';");
    site.deploy(&[]);
    let application = Pages::start(&site.current("application"));
    for kind in [WebServerKind::Nginx, WebServerKind::ApacheFpm, WebServerKind::Caddy] {
        let words = ["web", kind.word(), "--root", "public", "--proxy", &application.address()];
        let server = WebServer::start(kind, &site, &site.prints(&words));
        assert_eq!(ask(server.port, "/static.txt").unwrap(), "200 static 1", "{kind:?}");
        assert_eq!(ask(server.port, "/health").unwrap(), "200 from the application", "{kind:?}");
        assert!(ask(server.port, "/.hidden/file.txt").unwrap().starts_with("404 "), "{kind:?}");
    }
}

#[test]
fn in_apache_an_htaccess_file_sends_pages_to_the_front_controller_and_files_come_from_a_link_elsewhere() {
    if !is_root() {
        return;
    }
    let mut site = Site::new();
    let link = site.path("www/live");
    fs::create_dir(site.path("www")).unwrap();
    site.configure(&format!("current_path = '{}'\n", link.display()));
    write(&site, 1);
    let rules = "RewriteEngine On\nRewriteCond %{REQUEST_FILENAME} !-d\nRewriteCond %{REQUEST_FILENAME} !-f\n\
                 RewriteRule ^ front.php [L]\n<Files static.txt>\nHeader set X-Of-Htaccess yes\n</Files>\n";
    site.write("public/.htaccess", rules);
    site.write("public/front.php", "<?php echo $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['REQUEST_URI'];");
    site.deploy(&[]);
    let php = Php::start_as(&site, "www-data", "");
    for kind in [WebServerKind::ApacheFpm, WebServerKind::ApacheModule] {
        let server = WebServer::of_php(kind, &site, &php);
        assert_eq!(ask(server.port, "/goods/tea?size=2").unwrap(), "200 /front.php /goods/tea?size=2", "{kind:?}");
        assert_eq!(ask(server.port, "/static.txt").unwrap(), "200 static 1", "{kind:?}");
        let head = run(Command::new("curl").args(["-sI", &format!("http://127.0.0.1:{}/static.txt", server.port)]));
        assert!(head.contains("X-Of-Htaccess: yes"), "{kind:?}: {head}");
        assert!(ask(server.port, "/.htaccess").unwrap().starts_with("404 "), "{kind:?}");
    }
}

#[test]
fn in_apache_only_the_link_and_the_releases_are_opened() {
    if !is_root() {
        return;
    }
    for is_elsewhere in [false, true] {
        let mut site = Site::new();
        if is_elsewhere {
            fs::create_dir_all(site.path("www/neighbour")).unwrap();
            site.configure(&format!("current_path = '{}'\n", site.path("www/live").display()));
        }
        write(&site, 1);
        fs::create_dir_all(site.target("shared/public/uploads")).unwrap();
        fs::write(site.target("shared/public/uploads/upload.txt"), "uploaded").unwrap();
        site.deploy(&[]);
        let closed = [site.path("www/neighbour"), site.target("shared"), site.target(".cutover")];
        let closed: Vec<_> = closed.iter().filter(|path| path.exists()).collect();
        let mut aliases = String::new();
        for (number, path) in closed.iter().enumerate() {
            tree::set_mode(path, 0o755);
            fs::write(path.join("file.txt"), "closed").unwrap();
            aliases += &format!("Alias /closed/{number} {}\n", path.display());
        }
        let printed = site.prints(&["web", "apache", "--root", "public"]);
        let config = printed.replace("DocumentRoot ", &format!("{aliases}DocumentRoot "));
        let server = WebServer::start(WebServerKind::ApacheFpm, &site, &config);
        assert_eq!(ask(server.port, "/").unwrap(), "200 page 1");
        assert_eq!(ask(server.port, "/static.txt").unwrap(), "200 static 1");
        assert_eq!(ask(server.port, "/uploads/upload.txt").unwrap(), "200 uploaded");
        for (number, path) in closed.iter().enumerate() {
            let answer = ask(server.port, &format!("/closed/{number}/file.txt")).unwrap();
            assert!(answer.starts_with("403 "), "{}: {answer}", path.display());
        }
        assert_eq!(closed.len(), if is_elsewhere { 3 } else { 2 });
    }
}

#[test]
fn the_link_and_the_directory_above_it_are_those_of_the_config() {
    let mut site = Site::new();
    let at = site.target("").display().to_string().trim_end_matches('/').to_owned();
    assert!(site.prints(&["web", "nginx"]).contains(&format!("root {at}/current;")));
    site.configure("[production]\ndeploy_path = '/srv/shop'\ncurrent_path = '/var/www/shop'\n");
    let elsewhere = printed(&site, &["web", "apache", "--root", "public"]);
    assert!(elsewhere.contains("DocumentRoot /var/www/shop/public"), "{elsewhere}");
    for directory in ["/var/www/shop", "/srv/shop/releases"] {
        assert!(elsewhere.contains(&format!("<Directory {directory}>")), "{elsewhere}");
    }
    site.configure("[production]\nhost = 'web1'\ndeploy_path = 'shop'\n");
    let output = plain(&site, &["web", "nginx"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("The deploy path `shop` begins in the login directory"), "{stderr}");
    assert!(!site.path("state").exists(), "it asks no server and needs no state");
}
