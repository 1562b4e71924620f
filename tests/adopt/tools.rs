//! Deploy paths of other tools, taken over where they are.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{adopt, stats, strings};
use crate::support::capistrano;
use crate::support::site::{Site, names, text};
use crate::support::tree;

/// Makes the deploy path of a tool: releases with a file each, one that they share, and a link into `shared/`.
fn tool(names: &[&str], live: &str) -> Site {
    let site = Site::new();
    for name in names {
        tree::write(&site.release(name).join("app/version"), name);
        tree::write(&site.release(name).join("app/same"), "the same in all");
        tree::write(&site.release(name).join("REVISION"), "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567\n");
        symlink(site.target("shared/log"), site.release(name).join("log")).unwrap();
    }
    tree::write(&site.target("shared/log/app.log"), "a line");
    symlink(site.release(live), site.target("current")).unwrap();
    site.write("app/version", "new");
    site.write("app/same", "the same in all");
    site
}

#[track_caller]
fn taken_over(site: &Site, tool: &str) -> serde_json::Value {
    let (before, link) = (stats(&site.target("releases")), fs::read_link(site.target("current")).unwrap());
    let report = adopt(site, &["--yes"]).succeeded();
    assert_eq!(report["tool"], tool);
    assert_eq!(stats(&site.target("releases")), before);
    assert_eq!(fs::read_link(site.target("current")).unwrap(), link);
    report
}

#[test]
fn a_deploy_path_of_the_real_capistrano_is_taken_over_and_works_with_it_again_afterwards() {
    let site = Site::new();
    tree::write(&site.target("shared/.env"), "KEY=1");
    // Without SSH.
    let local = "append :linked_dirs, 'log'\nset :sshkit_backend, SSHKit::Backend::Local\n";
    capistrano::configure(&site, "'localhost', roles: %w{app}", &site.path("source"), local);
    let cap = |version: &str| {
        site.write("app/version", version);
        capistrano::commit(&site);
        capistrano::deploy(&site);
    };
    cap("1");
    cap("2");
    tree::write(&site.target("shared/public/uploads/a.jpg"), "a picture");
    let report = taken_over(&site, "Capistrano");
    assert_eq!(strings(&report["releases"]).len(), 2);
    let releases = site.succeed(&["releases"]);
    let live = &releases["releases"][1];
    assert_eq!(
        (text(&live["state"]), text(&live["who"]), text(&live["branch"])),
        ("live".to_owned(), "anna@capistrano".to_owned(), "main".to_owned())
    );
    site.write("app/version", "3");
    site.deploy(&[]);
    assert_eq!(version(&site), "3");
    assert_eq!(fs::read_to_string(site.current(".env")).unwrap(), "KEY=1");
    assert_eq!(fs::read_to_string(site.current("public/uploads/a.jpg")).unwrap(), "a picture");
    site.succeed(&["rollback", "--yes"]);
    assert_eq!(version(&site), "2");
    site.succeed(&["adopt", "--undo", "--yes"]);
    cap("4");
    assert_eq!(version(&site), "4");
}

fn states(site: &Site) -> Vec<(String, String)> {
    let releases = site.succeed(&["releases"]);
    let releases = releases["releases"].as_array().unwrap().clone();
    releases.iter().map(|release| (text(&release["id"]), text(&release["state"]))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, state)| ((*id).to_owned(), (*state).to_owned())).collect()
}

fn version(site: &Site) -> String {
    fs::read_to_string(site.current("app/version")).unwrap()
}

#[test]
fn the_releases_of_capistrano_are_targets_of_rollbacks_and_stay_until_they_are_unpinned() {
    let (old, live, newer) = ("20260101120000", "20260102120000", "20260103120000");
    let mut site = tool(&[old, live, newer], live);
    tree::write(
        &site.target("revisions.log"),
        format!("Branch main (at 0a1b2c3d4e5f60718293a4b5c6d7e8f901234567) deployed as release {live} by anna\n"),
    );
    let report = taken_over(&site, "Capistrano");
    assert_eq!(strings(&report["releases"]), [old, live, newer]);
    assert_eq!(states(&site), pairs(&[(old, "earlier"), (live, "live"), (newer, "bad")]));
    let releases = site.succeed(&["releases"]);
    assert_eq!(releases["releases"][1]["who"], "anna@capistrano");
    assert_eq!(releases["releases"][1]["branch"], "main");
    // Content that the releases share is stored once.
    assert_eq!(site.objects().len(), 5);

    let deployed = site.deploy(&[]);
    let new = text(&deployed["release"]);
    assert_eq!(deployed["objects_new"], 1);
    assert_eq!(version(&site), "new");
    assert_eq!(fs::read_to_string(site.current("log/app.log")).unwrap(), "a line");
    site.succeed(&["rollback", "--yes"]);
    assert_eq!(version(&site), live);
    site.succeed(&["rollback", "--yes"]);
    assert_eq!(version(&site), old);
    site.succeed(&["rollback", "--forward", "--yes"]);
    site.succeed(&["rollback", "--forward", "--yes"]);
    assert_eq!(version(&site), "new");

    site.succeed(&["cleanup", "--grace", "0s"]);
    assert_eq!(names(&site.target("releases")), [old, live, newer, &new]);
    site.configure("keep_releases = 1\ngrace = '0s'\n");
    site.succeed(&["unpin", old]);
    site.write("app/version", "newest");
    site.deploy(&[]);
    assert!(!site.release(old).exists() && site.release(live).exists());
}

#[test]
fn a_release_of_a_tool_that_was_edited_since_is_no_target() {
    let (old, live) = ("20260101120000", "20260102120000");
    let site = tool(&[old, live], live);
    tree::write(&site.target("revisions.log"), "");
    taken_over(&site, "Capistrano");
    tree::write(&site.release(old).join("app/same"), "THE same in all");
    site.refused(&["rollback", "--yes"], 4, &["was changed on the server", "app/same"]);
    tree::write(&site.release(old).join("app/same"), "the same in all");
    site.succeed(&["rollback", "--yes"]);
    assert_eq!(version(&site), old);
}

#[test]
fn the_releases_of_deployer_are_in_the_order_of_their_numbers() {
    let site = tool(&["9", "10", "11"], "10");
    tree::write(
        &site.target(".dep/releases_log"),
        "{\"created_at\":\"2026-03-25T14:00:00+0000\",\"release_name\":\"10\",\"user\":\"ben\",\"target\":\"main\"}\n",
    );
    tree::write(&site.release("9").join("BAD_RELEASE"), "");
    tree::write(&site.target(".dep/deploy.lock"), "ci");
    adopt(&site, &["--yes"]).failed(1, &["Deployer is at work", "deploy.lock"]);
    fs::remove_file(site.target(".dep/deploy.lock")).unwrap();
    taken_over(&site, "Deployer");
    assert_eq!(states(&site), pairs(&[("9", "bad"), ("10", "live"), ("11", "bad")]));
    site.deploy(&[]);
    assert_eq!(version(&site), "new");
    site.succeed(&["rollback", "--yes"]);
    assert_eq!(version(&site), "10");
}

#[test]
fn a_deploy_path_of_deployhq_is_given_back_with_its_link() {
    let (old, live) = ("20260101120000", "20260102120000");
    let site = tool(&[old, live], live);
    fs::create_dir(site.target("cache")).unwrap();
    let before = stats(&site.target("releases"));
    let link = fs::read_link(site.target("current")).unwrap();
    taken_over(&site, "DeployHQ");
    site.deploy(&["--release", "20270101000000"]);
    let undone = site.succeed(&["adopt", "--undo", "--yes"]);
    assert_eq!(undone["left"], "20270101000000");
    assert_eq!(fs::read_link(site.target("current")).unwrap(), link);
    let mut after = stats(&site.target("releases"));
    after.retain(|path, _| !path.starts_with("20270101000000"));
    assert_eq!(after, before);
    // It can be taken over again, and goes back though `current` is gone.
    taken_over(&site, "DeployHQ");
    fs::remove_file(site.target("current")).unwrap();
    site.succeed(&["adopt", "--undo", "--yes"]);
    assert_eq!(fs::read_link(site.target("current")).unwrap(), link);
}

#[test]
fn a_link_that_leads_elsewhere_is_not_taken_over() {
    let site = tool(&["20260101120000"], "20260101120000");
    fs::remove_file(site.target("current")).unwrap();
    symlink(Path::new("/etc"), site.target("current")).unwrap();
    adopt(&site, &["--yes"]).failed(1, &["leads to no directory in `releases/`", "\nHint: "]);
}
