//! Files that only the server has, which `carry_over` keeps from the first release on.

use std::fs;

use crate::support::site::Site;
use crate::support::tree;

use super::{adopt, deploy_path, to_deploy_path};

/// A site with a plugin and many translations that were installed on the server.
fn standing() -> Site {
    let mut site = Site::new();
    for path in ["index.php", "wp/plugins/index.php", "wp/languages/a.php", "wp/plugins/old/old.php"] {
        site.write_both(path, "<?php");
    }
    for number in 0..450 {
        tree::write(&site.target(&format!("wp/languages/{number}.mo")), "words");
    }
    tree::write(&site.target("wp/plugins/zextra/p.php"), "<?php");
    tree::write(&site.target("wp/plugins/zextra/data/counter"), "1");
    site.configure("carry_over = ['wp/plugins/**', 'wp/languages/**']\n");
    site
}

#[test]
fn all_files_of_the_server_are_carried_on_though_the_old_directory_was_removed() {
    let mut site = standing();
    let target = site.path("target");
    adopt(&site, &["--yes"]).succeeded();
    to_deploy_path(&mut site);
    site.succeed(&["cleanup", "--original", "--yes"]);
    // The source removes a plugin: it does not come back.
    fs::remove_dir_all(site.source("wp/plugins/old")).unwrap();
    site.write("index.php", "<?php echo 2;");
    site.deploy(&[]);
    assert_eq!(fs::read_to_string(target.join("index.php")).unwrap(), "<?php echo 2;");
    assert_eq!(fs::read_dir(target.join("wp/languages")).unwrap().count(), 451);
    assert!(target.join("wp/plugins/zextra/p.php").exists());
    assert!(!target.join("wp/plugins/old").exists());
}

#[test]
fn a_shared_path_in_a_plugin_of_the_server_does_not_replace_the_plugin() {
    let mut site = standing();
    let target = site.path("target");
    adopt(&site, &["--yes", "--share", "wp/plugins/zextra/data"]).succeeded();
    to_deploy_path(&mut site);
    site.write("index.php", "<?php echo 2;");
    site.deploy(&[]);
    assert!(target.join("wp/plugins/zextra/p.php").exists());
    let counter = target.join("wp/plugins/zextra/data/counter");
    assert_eq!(fs::canonicalize(counter).unwrap(), deploy_path(&site).join("shared/wp/plugins/zextra/data/counter"));
}

#[test]
fn a_directory_that_became_shared_is_linked_as_a_whole_though_the_source_has_a_placeholder_there() {
    let mut site = Site::new();
    for path in ["index.php", "public/uploads/.gitkeep", "storage/logs/.gitignore"] {
        site.write_both(path, "");
    }
    tree::write(&site.target("public/uploads/a.jpg"), "a picture");
    tree::write(&site.target("storage/logs/app.log"), "a line");
    let target = site.path("target");
    adopt(&site, &["--yes"]).succeeded();
    to_deploy_path(&mut site);
    for version in ["2", "3"] {
        site.write("index.php", version);
        site.deploy(&[]);
        tree::write(&target.join(format!("public/uploads/{version}.jpg")), version);
        assert!(fs::read_link(target.join("public/uploads")).is_ok());
    }
    assert_eq!(fs::read_to_string(target.join("public/uploads/2.jpg")).unwrap(), "2");
    assert_eq!(fs::read_to_string(target.join("storage/logs/app.log")).unwrap(), "a line");
}
