//! Directories that the user cannot use, or that others could change.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::immutable::Immutable;
use crate::support::mount::Mount;
use crate::support::sshd::run;

use super::{Target, WEB_USER, chmod, chown};

#[test]
fn a_deploy_path_that_the_user_cannot_make_is_made_by_the_fix() {
    let Some(mut target) = Target::bare() else { return };
    let above = target.home("srv");
    fs::create_dir(&above).unwrap();
    target.site.move_on_server(&target.user.clone(), &above.join("shop"));
    target.mends(&[], "deploy-path-not-creatable");
}

#[test]
fn a_directory_above_that_the_user_may_not_enter_is_opened_for_it_alone() {
    let Some(mut target) = Target::bare() else { return };
    let above = target.home("srv");
    target.make(&above.join("shop"));
    chown("root", &above);
    target.give(&above.join("shop"));
    chmod("700", &above);
    target.site.move_on_server(&target.user.clone(), &above.join("shop"));
    target.mends(&[], "path-not-enterable");
}

#[test]
fn an_empty_deploy_path_of_root_or_of_another_user_is_given_to_the_user() {
    let Some(mut target) = Target::bare() else { return };
    for (owner, id) in [("root", "path-not-writable"), (WEB_USER, "other-owner")] {
        let path = target.home(owner);
        fs::create_dir(&path).unwrap();
        chown(owner, &path);
        target.site.move_on_server(&target.user.clone(), &path);
        target.mends(&[], id);
    }
}

#[test]
fn a_part_that_its_owner_may_not_write_to_is_opened() {
    let Some(target) = Target::deployed() else { return };
    chmod("555", &target.site.target("releases"));
    let found = target.mends(&[], "path-not-writable");
    assert!(found["message"].as_str().unwrap().contains("/site/releases`"), "{found}");
    // One of root, as after a deploy by root, is given to the user.
    run(Command::new("chown").arg("root").arg(target.site.target("releases")));
    target.mends(&[], "path-not-writable");
}

#[test]
fn others_who_may_write_lose_that_right() {
    let Some(mut target) = Target::deployed() else { return };
    chmod("o+w", &target.site.target(""));
    target.mends(&[], "others-may-write");
    run(Command::new("chgrp").arg(WEB_USER).arg(target.site.target("releases")));
    chmod("g+w", &target.site.target("releases"));
    target.mends(&[], "others-may-write");
    // An access list counts as well.
    run(Command::new("setfacl").args(["-m", "u:www-data:rwx"]).arg(target.site.target("")));
    target.mends(&[], "others-may-write");
    // Above, root takes it away; and before the first deploy, with no agent there.
    let above = target.home("srv");
    target.make(&above.join("shop"));
    chown("root", &above);
    target.give(&above.join("shop"));
    chmod("777", &above);
    target.site.move_on_server(&target.user.clone(), &above.join("shop"));
    let found = target.mends(&[], "others-may-write");
    assert!(found["command"].as_str().unwrap().starts_with("sudo chmod go-w "), "{found}");
}

#[test]
fn a_directory_of_others_is_told_and_left_as_it_is() {
    let Some(target) = Target::bare() else { return };
    target.make(&target.site.target("html"));
    target.give(&target.site.target(""));
    target.has(&[], &["deploy-path-not-empty"]);
    fs::rename(target.site.target("html"), target.home("html")).unwrap();
    target.is_healthy(&[]);
}

#[test]
fn an_immutable_directory_is_made_mutable_by_the_fix() {
    let Some(target) = Target::deployed() else { return };
    let _immutable = Immutable::make(&target.site.target("releases"));
    target.mends(&[], "immutable");
}

#[test]
fn a_filesystem_that_is_read_only_is_told_with_the_place_where_it_is_mounted() {
    let Some(mut target) = Target::bare() else { return };
    let mounted = target.home("disk");
    let Some(_mount) = Mount::ext4(&mounted, "32M", &[]) else { return };
    target.give(&mounted);
    target.site.move_on_server(&target.user.clone(), &mounted.join("shop"));
    target.keep_agent_elsewhere("");
    target.site.deploy(&[]);
    run(Command::new("mount").args(["-o", "remount,ro"]).arg(&mounted));
    let found = target.examine(&[]).json;
    let ids: Vec<&str> =
        found["findings"].as_array().unwrap().iter().map(|found| found["id"].as_str().unwrap()).collect();
    assert!(ids.iter().all(|id| *id == "read-only") && !ids.is_empty(), "{ids:?}");
    target.fix(&found["findings"][0]);
    target.is_healthy(&[]);
}

#[test]
fn a_deploy_path_that_runs_no_programs_needs_an_agent_path() {
    let Some(mut target) = Target::bare() else { return };
    let mounted = target.home("noexec");
    let Some(_mount) = Mount::noexec(&mounted) else { return };
    chmod("755", &mounted);
    target.give(&mounted);
    target.site.move_on_server(&target.user.clone(), &mounted.join("shop"));
    let found = target.has(&[], &["agent-noexec"]);
    assert_eq!(found["command"], format!("sudo install -d -o {} /var/lib/cutover", target.user));
    let agent = target.home("agent");
    target.site.configure(&format!("source = 'source'\nagent_path = '{}'", agent.display()));
    target.is_healthy(&[]);
    target.site.deploy(&[]);
    target.is_healthy(&[]);
    chown("root", &agent);
    // The agent in it belongs to nobody who may run it; it is lent then.
    target.has(&[], &["agent-path-not-writable"]);
}

#[test]
fn parts_that_are_missing_or_damaged_are_made_anew() {
    let Some(target) = Target::deployed() else { return };
    fs::remove_dir(target.site.target(".cutover/staging")).unwrap();
    target.mends(&[], "parts-missing");
    fs::write(target.site.target(".cutover/store"), "nonsense").unwrap();
    target.mends(&[], "store-damaged");
}

#[test]
fn a_group_that_the_user_cannot_give_is_refused_as_by_a_deploy() {
    let Some(mut target) = Target::bare() else { return };
    let groups = [("www-data", "is not in the group `www-data`"), ("no-such-group", "has no group `no-such-group`")];
    for (group, words) in groups {
        target.site.configure(&format!("source = 'source'\nwritable_dirs = ['cache']\nwritable_group = '{group}'"));
        let found = target.has(&[], &["refused"]);
        assert!(found["message"].as_str().unwrap().contains(words), "{found}");
        target.site.refused(&["deploy"], 1, &[words]);
    }
}

#[test]
fn a_part_that_is_a_symlink_is_refused_as_by_a_deploy() {
    let Some(target) = Target::deployed() else { return };
    fs::rename(target.site.target("releases"), target.home("elsewhere")).unwrap();
    symlink(target.home("elsewhere"), target.site.target("releases")).unwrap();
    target.has(&[], &["refused"]);
}
