//! Deploy paths that belong to another site, to another run, or have a live release: nothing that is served is forgotten.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::site::{Site, text};
use crate::support::sqlite::sql;
use crate::support::sshd::run;
use crate::support::tree;

use super::interrupted::half;
use super::{adopt, deploy_path, standing, strings, to_deploy_path, undo};

/// Copies the directory of a site to another name beside it.
fn copy_of(site: &Site, name: &str) -> std::path::PathBuf {
    let copy = site.path(name);
    run(Command::new("cp").arg("-a").arg(site.path("target")).arg(&copy));
    copy
}

/// Asserts that a deploy to the adopted deploy path shows in the site.
#[track_caller]
fn assert_deploys(site: &mut Site, target: &Path, version: u32) {
    to_deploy_path(site);
    let page = format!("<?php echo {version};");
    site.write("public/index.php", &page);
    site.deploy(&[]);
    assert_eq!(fs::read_to_string(target.join("public/index.php")).unwrap(), page);
    site.move_to(target);
}

#[test]
fn a_deploy_path_of_another_site_is_refused_and_its_site_is_deployed_to_as_before() {
    let mut site = standing();
    let target = site.path("target");
    let other = copy_of(&site, "other");
    adopt(&site, &["--yes"]).succeeded();
    let place = deploy_path(&site);
    site.move_to(&other);
    let flags = ["--deploy-path", place.to_str().unwrap()];
    let survey = adopt(&site, &[&flags[..], &["--dry-run"]].concat());
    survey.failed(1, &[]);
    assert_eq!(text(&survey.json["obstacles"][0]["id"]), "other-adoption");
    adopt(&site, &[&flags[..], &["--yes"]].concat()).failed(1, &["[other-adoption]"]);
    site.move_to(&target);
    assert_deploys(&mut site, &target, 2);
    // One that is live through its own `current` is refused too.
    let own = Site::new();
    own.write("file", "1");
    own.deploy(&[]);
    let live = own.path("target");
    let flags = ["--deploy-path", live.to_str().unwrap(), "--yes"];
    site.move_to(&other);
    adopt(&site, &flags).failed(1, &["[other-adoption]", "has a live release"]);
    assert!(own.current("file").exists());
    // A removed original leads nowhere, and its site is served still.
    site.move_to(&target);
    to_deploy_path(&mut site);
    site.succeed(&["cleanup", "--original", "--yes"]);
    site.move_to(&other);
    adopt(&site, &["--deploy-path", place.to_str().unwrap(), "--yes"]).failed(1, &["[other-adoption]"]);
    site.move_to(&target);
    assert_deploys(&mut site, &target, 3);
}

#[test]
fn of_two_runs_at_once_one_adopts_and_the_other_is_refused() {
    for _ in 0..4 {
        let mut site = standing();
        let target = site.path("target");
        let ran = std::thread::scope(|scope| {
            let runs = [(), ()].map(|()| scope.spawn(|| adopt(&site, &["--yes", "--lock-wait"])));
            runs.map(|run| run.join().unwrap())
        });
        let done = ran.iter().filter(|ran| ran.code == Some(0)).count();
        let errors: Vec<&str> = ran.iter().map(|ran| ran.stderr.as_str()).collect();
        assert_eq!(done, 1, "{errors:?}");
        let refused = ran.iter().find(|ran| ran.code != Some(0)).unwrap();
        refused.failed(1, &["[site-is-adopted]"]);
        assert_deploys(&mut site, &target, 2);
        undo(&mut site);
        assert_eq!(fs::read_to_string(site.target("public/index.php")).unwrap(), "<?php echo 1;");
    }
}

#[test]
fn another_directory_in_the_place_of_the_link_is_not_taken_for_the_one_that_was_adopted() {
    let mut site = standing();
    let target = site.path("target");
    adopt(&site, &["--yes"]).succeeded();
    fs::remove_file(&target).unwrap();
    tree::write(&target.join("public/index.php"), "of the other tool");
    let other = ["[cannot-undo]", "Another directory stands at", ".cutover/original", "mv "];
    site.cutover(&["adopt", "--undo", "--yes"]).failed(1, &other);
    adopt(&site, &["--yes"]).failed(1, &["earlier adoption", "--undo", "rm -rf"]);
    assert_eq!(fs::read_to_string(target.join("public/index.php")).unwrap(), "of the other tool");
    fs::rename(&target, site.path("aside")).unwrap();
    let report = undo(&mut site);
    assert_eq!(strings(&report["shared"]), [".env", "public/uploads", "storage"]);
    assert_eq!(fs::read_to_string(target.join("public/index.php")).unwrap(), "<?php echo 1;");
    assert_eq!(fs::read_to_string(target.join(".env")).unwrap(), "KEY=1");
}

#[test]
fn a_run_that_goes_on_with_another_deploy_path_is_refused_and_so_is_a_deploy_into_half_an_adoption() {
    let mut site = standing();
    let first = site.path("first");
    if !half(&site, &["--deploy-path", first.to_str().unwrap()]) {
        return;
    }
    adopt(&site, &["--yes"]).failed(1, &["[other-adoption]", "first", "--deploy-path"]);
    let target = site.path("target");
    site.move_to(&first);
    site.cutover(&["deploy"]).failed(1, &["[adoption-unfinished]", "cutover adopt"]);
    let status = site.succeed(&["status"]);
    assert_eq!((text(&status["link"]), &status["rollback"]), ("adoption_unfinished".to_owned(), &Value::Null));
    assert!(status["warnings"].to_string().contains("is not finished"), "{status}");
    site.move_to(&target);
    adopt(&site, &["--yes", "--deploy-path", first.to_str().unwrap()]).succeeded();
    assert_eq!(fs::read_to_string(target.join(".env")).unwrap(), "KEY=1");
}

#[test]
fn the_look_names_the_keys_that_the_stage_needs_and_those_that_are_replaced() {
    let mut site = standing();
    let (target, place) = (site.path("target"), deploy_path(&site));
    let source = site.path("source").display().to_string();
    site.configure(&format!("source = '{source}'\n[shop]\ndeploy_path = '{}'", target.display()));
    site.reach_by_stage();
    let lines = [
        format!("  deploy_path = \"{}\"  # replaces the line `deploy_path` that is there\n", place.display()),
        format!("  current_path = \"{}\"\n", target.display()),
    ]
    .concat();
    let shown = site.shows(&["adopt", "shop", "--dry-run"]);
    assert!(shown.contains(&format!("For cutover.toml:\n{lines}  shared_dirs = ")), "{shown}");
    let shown = site.shows(&["adopt", "shop", "--yes"]);
    assert!(shown.contains(&format!("For the stage in cutover.toml:\n{lines}")), "{shown}");
    site.cutover(&["deploy", "shop"]).failed(1, &["[deploy-path-not-empty]", "says what to write in the config"]);
    site.cutover(&["adopt", "shop", "--yes"]).failed(1, &["[site-is-adopted]", "`current_path = "]);
}

#[test]
fn a_path_that_shared_has_already_is_found_before_anything_moves() {
    let mut site = standing();
    adopt(&site, &["--yes"]).succeeded();
    tree::write(&deploy_path(&site).join("shared/zdata/a"), "of an administrator");
    let report = undo(&mut site);
    assert!(report["warnings"].to_string().contains("shared/zdata` was added since"), "{report}");
    tree::write(&site.target("zdata/a"), "of the site");
    sql(&site.target("app.sqlite3"), "CREATE TABLE t (a)");
    let beside = deploy_path(&site).join("shared/app.sqlite3-wal");
    fs::write(&beside, "precious").unwrap();
    adopt(&site, &["--yes"]).failed(1, &["[cannot-share]", "shared/app.sqlite3-wal"]);
    assert_eq!(fs::read_to_string(&beside).unwrap(), "precious");
    fs::remove_file(&beside).unwrap();
    let ran = adopt(&site, &["--share", "zdata", "--yes"]);
    ran.failed(1, &["[cannot-share]", "shared/zdata"]);
    assert!(fs::read_link(site.target(".env")).is_err());
    let kept = adopt(&site, &["--keep", "zdata", "--dry-run"]);
    assert_eq!(text(&kept.json["obstacles"][0]["id"]), "cannot-share");
    fs::rename(deploy_path(&site).join("shared/zdata"), site.path("aside")).unwrap();
    adopt(&site, &["--keep", "zdata", "--yes"]).succeeded();
    assert!(!deploy_path(&site).join("shared/zdata").exists());
}
