//! A blog that was copied to its server, and has lived there: a plugin of the server, uploads of the web server's user, a cache
//! and a log. It is adopted with what `cutover init` writes, under load: visitors read it, and one uploads by XML-RPC.

use std::fs;
use std::process::Command;

use crate::adopt;
use crate::support::load::{Load, copy};
use crate::support::mariadb::MariaDb;
use crate::support::nginx::Nginx;
use crate::support::php::Php;
use crate::support::site::Site;
use crate::support::sshd::{is_root, run};
use crate::support::tree;
use crate::support::visitor::{ask, post, wait_for};

use super::files;
use super::wordpress::{administer, settings, take_wordpress, write};

/// The pages of the versions.
const PAGES: [&str; 2] = ["200 Tea: code 1, gallery 1, shop 1", "200 Tea: code 2, gallery 1, shop 1"];

/// Uploads a file as an editor's program does.
fn upload(port: u16, number: u64) -> Result<(), String> {
    let member = |name: &str, value: &str| format!("<member><name>{name}</name><value>{value}</value></member>");
    let string = |text: &str| format!("<string>{text}</string>");
    let file = [
        member("name", &string(&format!("{number}.txt"))),
        member("type", &string("text/plain")),
        member("bits", "<base64>dXBsb2Fk</base64>"),
    ];
    let words =
        ["<int>1</int>".to_owned(), string("admin"), string("secret"), format!("<struct>{}</struct>", file.concat())];
    let words = words.map(|word| format!("<param><value>{word}</value></param>")).concat();
    let body = format!("<methodCall><methodName>wp.uploadFile</methodName><params>{words}</params></methodCall>");
    match post(port, "/xmlrpc.php", &body) {
        Ok(answer) if answer.starts_with("200 ") && answer.contains(&format!("/{number}.txt<")) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Makes the site, its source, and the config of `cutover init`. Returns the servers.
fn open(site: &mut Site) -> (MariaDb, Php, Nginx) {
    // The web server's user must reach the site.
    tree::set_mode(site.path(""), 0o755);
    take_wordpress(&site.path("source"));
    write(site, 1);
    let root = site.path("target");
    copy(&site.path("source"), &root);
    site.configure_as_init_does();
    let database = MariaDb::start(&site.path("mariadb"));
    let php = Php::start_as(site, "www-data", "");
    let nginx = Nginx::start(&site.path("nginx"), |port| {
        let host = "fastcgi_param HTTP_HOST $http_host;\n fastcgi_param DOCUMENT_ROOT";
        let server = php.server_block(site, port);
        server.replace("/target/current/public;", "/target;").replace("fastcgi_param DOCUMENT_ROOT", host)
    });
    tree::write(&root.join("wp-config.php"), settings(&database, nginx.port));
    administer(&root, &["setup"]);
    let gallery = files().join("wordpress/plugins/gallery");
    administer(&root, &["install", gallery.to_str().unwrap(), "gallery/gallery.php"]);
    for (path, content) in [
        ("wp-content/cache/page/index.html", "a page"),
        ("wp-content/debug.log", "a line\n"),
        ("wp-content/backups/site.sql", "a backup"),
        ("wp-content/uploads/2020/01/old.txt", "old"),
    ] {
        tree::write(&root.join(path), content);
    }
    for path in ["wp-content/uploads", "wp-content/cache", "wp-content/debug.log"] {
        run(Command::new("chown").args(["-R", "www-data:www-data"]).arg(root.join(path)));
    }
    (database, php, nginx)
}

#[test]
fn a_blog_that_lived_on_its_server_is_adopted_and_loses_no_plugin_and_no_upload() {
    if !is_root() {
        return;
    }
    let mut site = Site::new();
    let (_database, _php, nginx) = open(&mut site);
    let (port, root) = (nginx.port, site.path("target"));
    assert_eq!(ask(port, "/").unwrap(), PAGES[0]);
    let survey = adopt::adopt(&site, &["--dry-run"]).succeeded();
    let expected = [
        "declared wp-config.php",
        "backups wp-content/backups",
        "cache wp-content/cache",
        "logs wp-content/debug.log",
        "carried wp-content/plugins/gallery",
        "declared wp-content/upgrade",
        "declared wp-content/uploads",
    ];
    assert_eq!(adopt::proposal(&survey), expected);

    let mut load = Load::default();
    load.ask(port, "/", &PAGES);
    load.keep(move |number| upload(port, number));
    load.watch(root.join("wp-content/uploads/2020/01/old.txt"));
    adopt::adopt(&site, &["--yes"]).succeeded();
    let deploy_path = adopt::deploy_path(&site);
    site.move_to(&deploy_path);
    assert_eq!(ask(port, "/").unwrap(), PAGES[0]);
    write(&site, 2);
    let deployed = site.deploy(&[]);
    assert_eq!(deployed["carried"], serde_json::json!(["wp-content/plugins/gallery/gallery.php"]));
    wait_for(port, PAGES[1]);
    site.succeed(&["rollback", "--yes"]);
    wait_for(port, PAGES[0]);
    site.succeed(&["rollback", "--forward", "--yes"]);
    wait_for(port, PAGES[1]);
    site.succeed(&["adopt", "--undo", "--yes"]);
    wait_for(port, PAGES[0]);
    let kept = load.end("WordPress, adopted", 20, 5);
    assert!(fs::symlink_metadata(&root).unwrap().is_dir());
    let files = run(Command::new("find").arg(root.join("wp-content/uploads")).args(["-name", "[0-9]*.txt"]));
    assert_eq!(files.lines().count() as u64, kept, "{files}");
    assert_eq!(fs::read_to_string(root.join("wp-content/debug.log")).unwrap(), "a line\n");
}
