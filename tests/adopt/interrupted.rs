//! Adoptions that stopped half-way, and what changed on the server until the next run.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use crate::support::site::{Site, text};
use crate::support::tree;

use super::{adopt, deploy_path, killed, standing, to_deploy_path, undo};

/// Adopts a site, and kills that when the first path has moved into `shared/`. Returns whether processes may be traced.
pub(super) fn half(site: &Site, flags: &[&str]) -> bool {
    for at in 1..50 {
        if killed(site, flags, "renameat2", at).is_none() {
            return false;
        }
        let moved = fs::read_link(site.target(".env")).is_ok();
        if moved && fs::symlink_metadata(site.path("target")).unwrap().is_dir() {
            return true;
        }
    }
    panic!("no rename left half an adoption");
}

#[test]
fn a_path_that_is_gone_at_the_next_run_is_not_shared_and_the_run_ends() {
    let mut site = standing();
    let socket = UnixListener::bind(site.target("z.sock")).unwrap();
    tree::write(&site.target("tmp/pids/app.pid"), "1");
    if !half(&site, &["--share", "tmp/pids/app.pid"]) {
        return;
    }
    drop(socket);
    fs::remove_file(site.target("z.sock")).unwrap();
    fs::remove_dir_all(site.target("tmp")).unwrap();
    let survey = adopt(&site, &["--dry-run"]).succeeded();
    let files = survey["paths"].as_array().unwrap().iter().filter(|found| found["directory"] == false);
    assert_eq!(files.map(|found| text(&found["path"])).collect::<Vec<_>>(), [".env", "www"]);
    let report = adopt(&site, &["--yes"]).succeeded();
    assert_eq!(super::strings(&report["shared"]), [".env", "public/uploads", "storage"]);
    undo(&mut site);
    assert_eq!(fs::read_to_string(site.target(".env")).unwrap(), "KEY=1");
}

#[test]
fn undoing_half_an_adoption_does_not_need_what_is_gone_since() {
    let mut site = standing();
    tree::write(&site.target("tmp/pids/app.pid"), "1");
    if !half(&site, &["--share", "tmp/pids/app.pid"]) {
        return;
    }
    fs::remove_dir_all(site.target("tmp")).unwrap();
    undo(&mut site);
    assert_eq!(fs::read_to_string(site.target(".env")).unwrap(), "KEY=1");
    assert!(fs::symlink_metadata(site.target(".env")).unwrap().is_file());
}

#[test]
fn a_path_that_was_removed_from_shared_is_named_when_the_others_come_back() {
    let mut site = standing();
    tree::write(&site.target("conf/x/local.php"), "1");
    tree::write(&site.target("tmp/app.pid"), "1");
    adopt(&site, &["--yes", "--share", "conf/x/local.php", "--share", "tmp/app.pid"]).succeeded();
    let shared = deploy_path(&site).join("shared");
    fs::remove_file(shared.join(".env")).unwrap();
    fs::remove_dir_all(shared.join("conf")).unwrap();
    let dry = site.path("target");
    site.move_to(&dry);
    let plan = site.succeed(&["adopt", "--undo", "--dry-run"]);
    assert_eq!(plan["dry_run"], true);
    assert!(fs::read_link(site.path("target")).is_ok());
    let report = undo(&mut site);
    assert_eq!(super::strings(&report["shared"]), ["public/uploads", "storage", "tmp/app.pid"]);
    let warnings = report["warnings"].to_string();
    for path in [".env", "conf/x/local.php"] {
        assert!(warnings.contains(&format!("`{path}` is not in `shared/` any more")), "{warnings}");
        assert!(fs::symlink_metadata(site.target(path)).is_err(), "{path}");
    }
    assert_eq!(fs::read_to_string(site.target("tmp/app.pid")).unwrap(), "1");
}

#[test]
fn a_program_that_remembers_the_place_in_shared_finds_its_files_after_undoing_and_the_site_is_adopted_again() {
    let mut site = standing();
    adopt(&site, &["--yes"]).succeeded();
    let shared = deploy_path(&site).join("shared");
    let release = fs::read_link(site.path("target")).unwrap();
    undo(&mut site);
    for (path, content) in
        [(".env", "KEY=1"), ("public/uploads/2026/a.jpg", "a picture"), ("storage/logs/app.log", "a line")]
    {
        assert_eq!(fs::read_to_string(shared.join(path)).unwrap(), content, "{path}");
        assert_eq!(fs::read_to_string(release.join(path)).unwrap(), content, "{path}");
    }
    fs::write(shared.join("public/uploads/late.jpg"), "late").unwrap();
    assert_eq!(fs::read_to_string(site.target("public/uploads/late.jpg")).unwrap(), "late");
    let again = adopt(&site, &["--yes"]).succeeded();
    assert_eq!(super::strings(&again["shared"]), [".env", "public/uploads", "storage"]);
    assert!(fs::symlink_metadata(shared.join(".env")).unwrap().is_file());
    undo(&mut site);
    assert_eq!(fs::read_to_string(site.target("public/uploads/late.jpg")).unwrap(), "late");
}

#[test]
fn files_of_half_a_linked_adoption_are_no_objects_after_it_was_undone() {
    let mut site = standing();
    let before = super::stats(&site.path("target"));
    if !half(&site, &["--link"]) {
        return;
    }
    undo(&mut site);
    assert_eq!(super::stats(&site.path("target")), before);
    adopt(&site, &["--yes"]).succeeded();
    let original = deploy_path(&site).join(".cutover/original");
    for path in ["lib/shop.php", "public/index.php"] {
        assert_ne!(tree::stat(&site.target(path)).inode, tree::stat(&original.join(path)).inode, "{path}");
    }
}

#[test]
fn what_works_in_shared_only_stays_there_when_an_adoption_is_undone() {
    let mut site = standing();
    adopt(&site, &["--yes"]).succeeded();
    let uploads = deploy_path(&site).join("shared/public/uploads");
    fs::rename(&uploads, site.path("disk")).unwrap();
    symlink("../../../disk", &uploads).unwrap();
    let target = site.path("target");
    site.move_to(&target);
    let plan = site.succeed(&["adopt", "--undo", "--dry-run"]);
    assert_eq!(super::strings(&plan["shared"]), [".env", "storage"]);
    assert!(plan["warnings"].to_string().contains("public/uploads` stays in `shared/`"), "{plan}");
    undo(&mut site);
    assert_eq!(fs::read_to_string(site.target("public/uploads/2026/a.jpg")).unwrap(), "a picture");
}

#[test]
fn a_site_that_was_not_named_is_not_given_back() {
    let mut site = standing();
    adopt(&site, &["--yes"]).succeeded();
    let (other, path) = (site.path("other"), deploy_path(&site));
    fs::create_dir(&other).unwrap();
    site.move_to(&other);
    let words = ["adopt", "--undo", "--yes", "--deploy-path", path.to_str().unwrap()];
    site.cutover(&words).failed(1, &["[not-adopted]"]);
    assert!(fs::read_link(site.path("target")).is_ok());
}

#[test]
fn nothing_is_undone_where_nothing_was_adopted() {
    let site = standing();
    site.cutover(&["adopt", "--undo", "--yes"]).failed(1, &["[not-adopted]", "Name the site as when you adopted it"]);
    assert_eq!(text(&site.cutover(&["adopt", "--undo", "--dry-run"]).json["error"]["id"]), "not-adopted");
}

#[test]
fn half_an_adoption_is_told_by_doctor_and_by_verbs_that_need_the_link() {
    let mut site = standing();
    if !half(&site, &[]) {
        return;
    }
    let target = site.path("target");
    to_deploy_path(&mut site);
    let current = format!("current_path={}", target.display());
    for verb in [&["deploy"][..], &["rollback", "--yes"], &["cleanup"]] {
        site.cutover(&[verb, &["--set", &current]].concat()).failed(1, &["[adoption-unfinished]", "cutover adopt"]);
    }
    let report = site.cutover(&["doctor", "--set", &current]);
    let found = report.json["findings"].as_array().unwrap();
    assert!(found.iter().any(|found| found["id"] == "adoption-unfinished"), "{found:?}");
    assert!(!found.iter().any(|found| found["id"] == "current-not-a-link"), "{found:?}");
    site.move_to(&target);
    adopt(&site, &["--yes"]).succeeded();
    to_deploy_path(&mut site);
    let found = site.cutover(&["doctor"]).json["findings"].clone();
    assert!(!found.to_string().contains("adoption-unfinished"), "{found}");
}

#[test]
fn links_of_an_undone_adoption_go_where_the_path_is_not_shared_again() {
    let mut site = standing();
    adopt(&site, &["--yes"]).succeeded();
    undo(&mut site);
    fs::remove_dir_all(site.target("storage")).unwrap();
    let again = adopt(&site, &["--keep", "public/uploads", "--yes"]).succeeded();
    assert_eq!(super::strings(&again["shared"]), [".env"]);
    let shared = deploy_path(&site).join("shared");
    assert_eq!(crate::support::site::names(&shared), [".env"]);
    assert_eq!(fs::read_to_string(site.target("public/uploads/2026/a.jpg")).unwrap(), "a picture");
    let report = undo(&mut site);
    assert_eq!(report["warnings"], serde_json::json!([]));
    assert_eq!(fs::read_to_string(site.target("public/uploads/2026/a.jpg")).unwrap(), "a picture");
}
