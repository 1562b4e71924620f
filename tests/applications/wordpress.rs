//! WordPress behind nginx, PHP-FPM and MariaDB, whose plugins are installed, updated and edited on the server.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::slice;

use serde_json::{Value, json};

use crate::support::mariadb::MariaDb;
use crate::support::nginx::Nginx;
use crate::support::php::Php;
use crate::support::site::{RunResult, Site};
use crate::support::sshd::run;
use crate::support::visitor::{Visitor, ask};
use crate::support::wait;

use super::files;

/// The shared paths of every configuration: what WordPress writes beside its plugins.
const SHARED: &str = "shared_files = ['wp-config.php']\nshared_dirs = ['wp-content/uploads', 'wp-content/upgrade']\n";

/// A blog, its servers and its visitor.
struct Blog {
    visitor: Visitor,
    nginx: Nginx,
    _php: Php,
    _database: MariaDb,
    site: Site,
}

impl Blog {
    /// Starts the servers, deploys WordPress with a theme and a plugin as release 1, and sets it up.
    fn open(config: &str) -> Blog {
        let mut site = Site::new();
        take_wordpress(&site.path("source"));
        let database = MariaDb::start(&site.path("mariadb"));
        let php = Php::start(&site);
        let nginx = Nginx::start(&site.path("nginx"), |port| {
            // Debian's parameters name the host without its port, to which WordPress would redirect.
            let host = "fastcgi_param HTTP_HOST $http_host;\n fastcgi_param DOCUMENT_ROOT";
            let server = php.server_block(&site, port);
            server.replace("/current/public;", "/current;").replace("fastcgi_param DOCUMENT_ROOT", host)
        });
        site.configure(&format!("{SHARED}{config}"));
        site.write_shared("wp-config.php", settings(&database, nginx.port));
        write(&site, 1);
        site.deploy(&["--release", "1"]);
        on_server(&site, &["setup"]);
        let visitor = Visitor::of(nginx.port);
        let blog = Blog { visitor, nginx, _php: php, _database: database, site };
        blog.shows("code 1, shop 1");
        blog.visitor.saw();
        blog
    }

    /// Deploys a version as the release of that number.
    fn deploy(&self, version: u32) -> RunResult {
        write(&self.site, version);
        self.site.cutover(&["deploy", "--release", &version.to_string()])
    }

    /// Waits until the page has these parts: PHP looks at a file again after two seconds.
    #[track_caller]
    fn shows(&self, parts: &str) {
        let expected = format!("200 Tea: {parts}");
        wait::until(parts, || (ask(self.nginx.port, "/").unwrap() == expected).then_some(()));
        self.visitor.saw();
    }

    /// Updates a plugin with WordPress' updater, to a version.
    fn update(&self, plugin: &str, version: u32) {
        let new = self.site.path("new").join(plugin);
        fs::create_dir_all(&new).unwrap();
        let file = format!("{plugin}/{plugin}.php");
        fs::write(new.join(format!("{plugin}.php")), plugin_of(plugin, version)).unwrap();
        on_server(&self.site, &["update", new.to_str().unwrap(), &file]);
    }

    /// Returns the differences of all releases: in each group the releases and the paths.
    fn differences(&self) -> Vec<(Value, Value)> {
        let ran = self.site.cutover(&["status", "--check"]);
        ran.failed(4, &["not what was deployed"]);
        let groups = ran.json["comparison"]["differences"].as_array().unwrap();
        groups.iter().map(|group| (group["releases"].clone(), group["paths"].clone())).collect()
    }

    /// Asserts that the last deploy or rollback showed the old page, then the new one, and nothing else.
    #[track_caller]
    fn turned(&self, old: &str, new: &str) {
        assert_eq!(self.visitor.saw(), [old, new].map(|parts| format!("200 Tea: {parts}")));
    }
}

/// Copies WordPress into a directory, with a theme and a plugin.
pub(super) fn take_wordpress(to: &Path) {
    // Debian has links to files of other packages in it.
    run(Command::new("cp").args(["-RL", "/usr/share/wordpress/."]).arg(to));
    fs::remove_file(to.join("wp-config.php")).unwrap();
    for own in ["themes", "plugins"] {
        run(Command::new("cp").arg("-R").arg(files().join("wordpress").join(own)).arg(to.join("wp-content")));
    }
    fs::remove_dir_all(to.join("wp-content/plugins/gallery")).unwrap();
}

/// Returns the code of a plugin.
fn plugin_of(name: &str, version: u32) -> String {
    let code = fs::read_to_string(files().join(format!("wordpress/plugins/{name}/{name}.php"))).unwrap();
    code.replace(&format!("{name} 1"), &format!("{name} {version}"))
}

/// Writes the source of a version.
pub(super) fn write(site: &Site, version: u32) {
    let theme = fs::read_to_string(files().join("wordpress/themes/plain/index.php")).unwrap();
    site.write("wp-content/themes/plain/index.php", theme.replace("VERSION", &version.to_string()));
}

/// Does something that an administrator does in the browser.
fn on_server(site: &Site, words: &[&str]) {
    administer(&site.target("current"), words);
}

/// Does that in a directory of WordPress.
pub(super) fn administer(directory: &Path, words: &[&str]) {
    run(Command::new("php").arg(files().join("wordpress/server.php")).arg(directory).args(words));
}

/// Returns `wp-config.php`.
pub(super) fn settings(database: &MariaDb, port: u16) -> String {
    let defines = [
        ("DB_NAME", "site"),
        ("DB_USER", "root"),
        ("DB_PASSWORD", ""),
        ("DB_HOST", &format!("localhost:{}", database.socket.display())),
        ("DB_CHARSET", "utf8mb4"),
        ("DB_COLLATE", ""),
        ("WP_HOME", &format!("http://127.0.0.1:{port}")),
        ("WP_SITEURL", &format!("http://127.0.0.1:{port}")),
        ("WP_DEFAULT_THEME", "plain"),
        ("FS_METHOD", "direct"),
        ("DISABLE_WP_CRON", "1"),
        ("WP_HTTP_BLOCK_EXTERNAL", "1"),
    ]
    .map(|(name, value)| format!("define('{name}', '{value}');\n"))
    .concat();
    format!("<?php\n{defines}$table_prefix = 'wp_';\nrequire_once ABSPATH . 'wp-settings.php';\n")
}

#[test]
fn a_plugin_of_the_server_is_carried_over_and_an_edited_one_stops_a_rollback() {
    let blog = Blog::open("carry_over = ['/wp-content/plugins/']\n");
    blog.deploy(2).succeeded();
    blog.turned("code 1, shop 1", "code 2, shop 1");

    // A plugin that only the server has, and a picture.
    let gallery = files().join("wordpress/plugins/gallery");
    on_server(&blog.site, &["install", gallery.to_str().unwrap(), "gallery/gallery.php"]);
    on_server(&blog.site, &["upload", "tea.txt", "a picture of tea"]);
    blog.shows("code 2, gallery 1, shop 1");
    let carried = json!(["wp-content/plugins/gallery/gallery.php"]);
    assert_eq!(blog.deploy(3).succeeded()["carried"], carried);
    blog.turned("code 2, gallery 1, shop 1", "code 3, gallery 1, shop 1");
    blog.update("gallery", 2);
    blog.shows("code 3, gallery 2, shop 1");
    assert_eq!(blog.deploy(4).succeeded()["carried"], carried);
    blog.turned("code 3, gallery 2, shop 1", "code 4, gallery 2, shop 1");
    let uploads = run(Command::new("find").arg(blog.site.target("shared/wp-content/uploads")).args(["-type", "f"]));
    assert_eq!(uploads.lines().count(), 1, "{uploads}");
    let picture = uploads.trim().rsplit_once("/shared/").unwrap().1;
    assert_eq!(ask(blog.nginx.port, &format!("/{picture}")).unwrap(), "200 a picture of tea");
    // The plugin that was carried over belongs to the server. The release on which it was installed differs.
    let installed = (json!(["2"]), json!([{ "path": "wp-content/plugins/gallery", "kind": "added" }]));
    assert_eq!(blog.differences(), slice::from_ref(&installed));

    // A plugin of the source that is edited in place changes in all releases.
    on_server(&blog.site, &["edit", "shop/shop.php", &plugin_of("shop", 9)]);
    blog.shows("code 4, gallery 2, shop 9");
    let edit = |kind: &str| json!([{ "path": "wp-content/plugins/shop/shop.php", "kind": kind }]);
    let edited = (json!(["1", "2", "3", "4"]), edit("content"));
    assert_eq!(blog.differences(), [edited.clone(), installed.clone()]);
    let named = "`wp-content/plugins/shop/shop.php` (content) (the same in 4)";
    blog.site.refused(&["rollback"], 4, &["Release 3 is not what was deployed", named, "--force"]);
    assert_eq!(blog.visitor.saw(), ["200 Tea: code 4, gallery 2, shop 9"]);

    // A new release has the content of the source. The earlier ones keep the edit.
    let report = blog.deploy(5).succeeded();
    assert_eq!((&report["edited"]["releases"], &report["edited"]["paths"]), (&json!(["4"]), &edit("content")));
    let warned = "The stored content of 1 file was changed or removed on the server";
    assert!(report["warnings"].to_string().contains(warned), "{}", report["warnings"]);
    blog.turned("code 4, gallery 2, shop 9", "code 5, gallery 2, shop 1");
    blog.site.refused(&["rollback"], 4, &["Release 4 is not what was deployed"]);
    blog.site.succeed(&["rollback", "--force"]);
    blog.turned("code 5, gallery 2, shop 1", "code 4, gallery 2, shop 9");
    blog.site.succeed(&["rollback", "--forward"]);
    blog.turned("code 4, gallery 2, shop 9", "code 5, gallery 2, shop 1");

    // WordPress' updater puts new files in the place of those of the plugin.
    blog.update("shop", 2);
    blog.shows("code 5, gallery 2, shop 2");
    assert_eq!(blog.differences(), [edited, installed, (json!(["5"]), edit("replaced"))]);
    let report = blog.site.deploy(&["--release", "6"]);
    assert_eq!((&report["edited"]["releases"], &report["edited"]["paths"]), (&json!(["5"]), &edit("replaced")));
    blog.turned("code 5, gallery 2, shop 2", "code 5, gallery 2, shop 1");
    let named = "`wp-content/plugins/shop/shop.php` (replaced)";
    blog.site.refused(&["rollback"], 4, &["Release 5 is not what was deployed", named]);
    assert_eq!(blog.visitor.saw(), ["200 Tea: code 5, gallery 2, shop 1"]);
}

#[test]
fn plugins_that_are_private_copies_are_edited_in_one_release_and_a_rollback_finds_the_earlier_ones() {
    let blog = Blog::open("copy_paths = ['/wp-content/plugins/']\n");
    blog.deploy(2).succeeded();
    on_server(&blog.site, &["edit", "shop/shop.php", &plugin_of("shop", 9)]);
    blog.shows("code 2, shop 9");
    blog.site.succeed(&["status", "--check"]);
    blog.site.succeed(&["rollback"]);
    blog.turned("code 2, shop 9", "code 1, shop 1");
    blog.site.succeed(&["rollback", "--forward"]);
    blog.turned("code 1, shop 1", "code 2, shop 9");
}
