//! A live PHP site behind nginx and PHP-FPM is adopted, deployed to, rolled back, and given back, while visitors ask for
//! its pages and upload files.
//!
//! No request fails, none is answered by a mix of two versions, and the document root is there at every moment.

use std::fs;
use std::path::Path;

use crate::adopt;
use crate::support::load::{Load, expect};
use crate::support::nginx::Nginx;
use crate::support::php::Php;
use crate::support::site::{Site, text};
use crate::support::tree;

/// The pages of the versions.
pub(super) const PAGES: [&str; 2] = ["200 page 1-1", "200 page 2-2"];
/// Their static files.
pub(super) const STYLES: [&str; 2] = ["200 /* 1 */\n", "200 /* 2 */\n"];

/// Writes a version of the shop into a directory: a page with a second file, and a static file.
pub(super) fn write(root: &Path, version: u32) {
    // As a standard deployment does.
    let put = |path: &str, content: String| tree::write(&root.join(path), content);
    put("lib/version.php", format!("<?php return {version};\n"));
    put(
        "public/index.php",
        format!("<?php $other = require __DIR__ . '/../lib/version.php'; echo \"page {version}-$other\";\n"),
    );
    put(
        "public/upload.php",
        "<?php $name = basename($_GET['name']);\nif (file_put_contents(__DIR__ . '/uploads/' . $name, $name) === false) \
         http_response_code(500);\necho 'kept ', file_get_contents(__DIR__ . '/uploads/' . $name);\n"
            .to_owned(),
    );
    put("public/style.css", format!("/* {version} */\n"));
}

/// Starts visitors of a shop, who upload files too.
pub(super) fn visit(port: u16, root: &Path) -> Load {
    let mut load = Load::default();
    for _ in 0..2 {
        load.ask(port, "/", &PAGES);
        load.ask(port, "/style.css", &STYLES);
    }
    load.keep(move |number| expect(port, &format!("/upload.php?name={number}.txt"), &format!("200 kept {number}.txt")));
    load.watch(root.join("public"));
    load
}

/// Asserts that uploads are in a directory.
#[track_caller]
pub(super) fn assert_uploaded(directory: &Path, count: u64) {
    for number in 0..count {
        let file = directory.join(format!("{number}.txt"));
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("{number}.txt"));
    }
}

#[test]
fn a_live_php_site_is_adopted_deployed_to_rolled_back_and_given_back_and_no_request_fails() {
    let mut site = Site::new();
    let root = site.path("target");
    write(&site.path("source"), 1);
    write(&root, 1);
    fs::create_dir(root.join("public/uploads")).unwrap();
    fs::write(root.join(".env"), "KEY=1").unwrap();
    let php = Php::start(&site);
    let nginx = Nginx::start(&site.path("nginx"), |port| {
        php.server_block(&site, port).replace("/target/current/public", "/target/public")
    });
    let load = visit(nginx.port, &root);
    let adopted = adopt::adopt(&site, &["--yes"]).succeeded();
    let shared: Vec<String> = adopted["shared"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(shared, [".env", "public/uploads"]);
    let deploy_path = adopt::deploy_path(&site);
    site.move_to(&deploy_path);
    write(&site.path("source"), 2);
    site.deploy(&[]);
    assert_eq!(nginx.get("/", None).2, "page 2-2");
    site.succeed(&["rollback", "--yes"]);
    assert_eq!(nginx.get("/", None).2, "page 1-1");
    site.succeed(&["adopt", "--undo", "--yes"]);
    assert_eq!(nginx.get("/", None).2, "page 1-1");
    assert!(fs::symlink_metadata(&root).unwrap().is_dir());
    let kept = load.end("PHP, adopted", 200, 20);
    assert_uploaded(&root.join("public/uploads"), kept);
}
