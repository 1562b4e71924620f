//! The state of a deploy path: the link, the lock, the rest of interrupted runs, the releases and the store.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::json;

use crate::support::site::{RunResult, Site, names, text};
use crate::support::sshd::{HOST, run};
use crate::support::strace;
use crate::support::{tree, wait};

use super::{Target, WEB_USER, chmod, chown};

#[test]
fn a_directory_in_the_place_of_the_link_is_told() {
    let Some(target) = Target::bare() else { return };
    target.make(&target.site.target("current"));
    target.give(&target.site.target(""));
    let found = target.has(&[], &["current-not-a-link"]);
    assert!(found["fix"].as_str().unwrap().contains("once nothing uses it"), "{found}");
    fs::remove_dir(target.site.target("current")).unwrap();
    target.site.deploy(&[]);
    fs::remove_file(target.site.target("current")).unwrap();
    target.make(&target.site.target("current"));
    target.has(&[], &["current-not-a-link"]);
}

#[test]
fn a_link_that_leads_elsewhere_or_nowhere_is_told() {
    let Some(target) = Target::deployed() else { return };
    let first = target.site.live().unwrap();
    target.site.write("version", "2");
    target.site.deploy(&[]);
    let (link, live) = (target.site.target("current"), target.site.live().unwrap());
    fs::remove_file(&link).unwrap();
    symlink("/var/www/html", &link).unwrap();
    target.has(&[], &["current-leads-elsewhere"]);
    fs::remove_file(&link).unwrap();
    symlink(format!("releases/{live}"), &link).unwrap();
    target.give(&link);
    target.is_healthy(&[]);
    fs::remove_dir_all(target.site.release(&live)).unwrap();
    let found = target.has(&[], &["current-dangling"]);
    target.fix(&found);
    assert_eq!(target.site.live(), Some(first));
    // Its record is left, until the next cleanup.
    target.mends(&[], "release-damaged");
    fs::remove_file(&link).unwrap();
    let found = target.mends(&[], "current-missing");
    assert!(found["message"].as_str().unwrap().contains("was live last"), "{found}");
}

#[test]
fn the_temporary_link_of_a_switch_that_was_killed_is_removed() {
    let Some(target) = Target::deployed() else { return };
    let link = target.site.target(".current.cutover-0123456789abcdef0123456789abcdef");
    symlink("releases/1", &link).unwrap();
    target.give(&link);
    target.mends(&[], "link-left");
    // Names of another form may be anybody's, and so may a link of another user.
    for name in
        [".cutover-0123456789abcdef0123456789abcdef", ".current.cutover-0123", "current.cutover-0123456789abcdef"]
    {
        symlink("releases/1", target.site.target(name)).unwrap();
        target.give(&target.site.target(name));
    }
    symlink("releases/1", &link).unwrap();
    target.is_healthy(&[]);
}

#[test]
fn the_name_of_a_temporary_link_is_that_of_a_real_switch() {
    let site = Site::new();
    for version in ["one", "two"] {
        site.write("version", version);
        site.deploy(&[]);
    }
    let path = site.target("");
    let Some(ran) = strace::inject(&site, &["rollback"], "renameat,renameat2:signal=KILL", Some(&path)) else { return };
    assert_eq!(ran.code, None, "{}", ran.stderr);
    let left: Vec<String> = names(&path).into_iter().filter(|name| name.starts_with(".current.cutover-")).collect();
    assert_eq!(left.len(), 1, "{:?}", names(&path));
    let found = site.cutover(&["doctor"]).json["findings"].clone();
    let found = found.as_array().unwrap().iter().find(|found| found["id"] == "link-left").cloned();
    let found = found.expect("the link is not told");
    assert_eq!(text(&found["command"]), format!("rm {}", path.join(&left[0]).display()));
}

#[test]
fn a_link_outside_the_deploy_path_needs_a_directory_of_the_user() {
    let Some(mut target) = Target::bare() else { return };
    let directory = target.home("www");
    fs::create_dir(&directory).unwrap();
    let configure = |target: &mut Target, link: &str| {
        let (path, host, user) = (target.home("site"), HOST, &target.user);
        target.site.configure(&format!(
            "source = 'source'\n[shop]\nhost = '{host}'\nuser = '{user}'\ndeploy_path = '{}'\ncurrent_path = '{}'",
            path.display(),
            directory.join(link).display()
        ));
    };
    configure(&mut target, "live");
    target.site.reach_by_stage();
    target.mends(&["shop"], "current-not-writable");
    fs::remove_dir(&directory).unwrap();
    target.mends(&["shop"], "current-not-writable");
    target.site.deploy(&["shop"]);
    target.is_healthy(&["shop"]);
    configure(&mut target, "other");
    target.has(&["shop"], &["current-path-changed"]);
}

#[test]
fn a_lock_is_told_with_its_holder() {
    let Some(target) = Target::deployed() else { return };
    target.site.succeed(&["lock", "acquire", "-m", "sale"]);
    let found = target.mends(&[], "deploys-locked");
    assert!(found["message"].as_str().unwrap().contains("sale"), "{found}");
    let file = target.site.target(".cutover/lock");
    let holder = json!({ "who": "anna", "from": "laptop", "since": 1, "pid": 1, "verb": "deploy" }).to_string();
    let held = fs::OpenOptions::new().write(true).open(&file).unwrap();
    held.lock().unwrap();
    fs::write(&file, &holder).unwrap();
    let found = target.has(&[], &["another-run"]);
    assert!(found["message"].as_str().unwrap().contains("anna@laptop since 1970-01-01"), "{found}");
    drop(held);
    // Nobody holds it any more, and its text is left.
    target.mends(&[], "lock-left");
}

#[test]
fn a_hook_of_a_run_is_no_process_in_an_old_release() {
    let Some(mut target) = Target::deployed() else { return };
    let wait = "touch \"$CUTOVER_SHARED_PATH/begun\"; until test -e \"$CUTOVER_SHARED_PATH/go\"; do sleep 0.05; done";
    target.site.configure(&format!(
        "source = 'source'\n[[hooks]]\nname = 'wait'\nphase = 'before_switch'\nrun = '''{wait}'''\n"
    ));
    target.site.write("version", "2");
    let deploy = target.site.command(&["deploy"]).spawn().unwrap();
    wait::until("the hook waits", || target.site.target("shared/begun").exists().then_some(()));
    let found = target.has(&[], &["another-run"]);
    assert!(found["message"].as_str().unwrap().contains("deploy"), "{found}");
    target.site.write_shared("go", "");
    RunResult::wait(deploy).succeeded();
}

#[test]
fn what_interrupted_runs_left_is_removed_by_a_cleanup() {
    let Some(target) = Target::deployed() else { return };
    let run = target.site.target(".cutover/staging/01234567-0123456789abcdef");
    let object = target.site.objects()[0].clone();
    let name = object.strip_prefix(target.site.target(".cutover/objects")).unwrap();
    fs::create_dir_all(run.join("objects").join(name.parent().unwrap())).unwrap();
    fs::copy(&object, run.join("objects").join(name)).unwrap();
    target.give(&run);
    target.mends(&[], "staging-left");
    assert!(!run.exists());
}

#[test]
fn a_removed_release_with_a_directory_of_another_user_is_given_to_the_user() {
    let Some(target) = Target::deployed() else { return };
    let tree = target.site.target(".cutover/trash/20200101000000-0123456789abcdef0123456789abcdef");
    target.make(&tree.join("cache/pages"));
    chown(&target.user, &tree);
    fs::write(tree.join("cache/pages/1"), "").unwrap();
    chown(WEB_USER, &tree.join("cache"));
    target.mends(&[], "trash-stuck");
    target.site.succeed(&["cleanup"]);
    assert!(!tree.exists());
}

#[test]
fn a_directory_that_retention_cannot_remove_is_told_before() {
    let Some(mut target) = Target::bare() else { return };
    target.site.configure("source = 'source'\nwritable_dirs = ['cache']\nwritable_mode = '0777'");
    target.site.deploy(&[]);
    let made = target.site.current("cache/pages").canonicalize().unwrap_or(target.site.current("cache/pages"));
    fs::create_dir(&made).unwrap();
    fs::write(made.join("1"), "").unwrap();
    chown(WEB_USER, &made);
    target.has(&[], &["release-not-removable"]);
    chown(&target.user, &made);
    target.is_healthy(&[]);
}

#[test]
fn releases_that_are_foreign_or_damaged_are_told() {
    let Some(target) = Target::deployed() else { return };
    let first = target.site.live().unwrap();
    target.make(&target.site.target("releases/old"));
    target.has(&[], &["release-foreign"]);
    fs::rename(target.site.target("releases/old"), target.home("old")).unwrap();
    target.is_healthy(&[]);
    target.site.write("version", "2");
    target.site.deploy(&[]);
    fs::write(target.site.target(&format!(".cutover/releases/{first}/record")), "nonsense").unwrap();
    let found = target.has(&[], &["release-damaged"]);
    let fix = text(&found["fix"]);
    let path = fix.split('`').nth(1).unwrap();
    fs::remove_dir_all(path).unwrap();
    target.mends(&[], "release-damaged");
}

#[test]
fn an_edit_in_place_of_the_live_release_is_told_and_a_deploy_makes_it_anew() {
    let Some(mut target) = Target::bare() else { return };
    target.site.configure("source = 'source'\nkeep_releases = 1\ngrace = '0s'\nspare = false");
    target.site.deploy(&[]);
    let (file, live) = (target.site.current("index.php"), target.site.live().unwrap());
    chmod("644", &file);
    fs::write(&file, "<?php echo 'edited';").unwrap();
    let found = target.has(&[], &["release-edited"]);
    assert!(found["message"].as_str().unwrap().contains("`index.php` (content)"), "{found}");
    target.fix(&found);
    assert_ne!(target.site.live().as_ref(), Some(&live));
    // The earlier release keeps its edit for as long as it stays.
    let found = target.has(&[], &["release-edited"]);
    assert!(found["command"].is_null() && found["message"].as_str().unwrap().contains(&live), "{found}");
}

#[test]
fn an_object_that_was_changed_unseen_is_found_and_sent_again() {
    let Some(mut target) = Target::bare() else { return };
    target.site.configure("source = 'source'\nkeep_releases = 1\ngrace = '0s'\nspare = false");
    target.site.deploy(&[]);
    let object = target.site.object_of("index.php");
    let (mode, modified) = {
        let found = fs::metadata(&object).unwrap();
        (found.permissions(), found.modified().unwrap())
    };
    tree::set_mode(&object, 0o644);
    let mut content = fs::read(&object).unwrap();
    content[0] ^= 1;
    fs::write(&object, content).unwrap();
    fs::File::options().write(true).open(&object).unwrap().set_modified(modified).unwrap();
    fs::set_permissions(&object, mode).unwrap();
    let found = target.has(&["--full"], &["object-damaged"]);
    assert!(found["message"].as_str().unwrap().contains("/index.php`"), "{found}");
    target.fix(&found);
    assert!(target.site.current("index.php").exists());
    target.site.deploy(&["--force"]);
    assert_eq!(fs::read_to_string(target.site.current("index.php")).unwrap(), "<?php echo 1;");
    assert_eq!(names(object.parent().unwrap()), [object.file_name().unwrap().to_str().unwrap()], "nothing is left");
    assert!(
        target.examine(&["--full"]).json["findings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|found| found["id"] != "object-damaged")
    );
}

#[test]
fn a_worker_in_an_old_release_is_told_and_ended() {
    let Some(mut target) = Target::bare() else { return };
    target.site.configure("source = 'source'\ngrace = '0s'");
    target.site.deploy(&[]);
    let old = target.site.current("lib").canonicalize().unwrap();
    let mut worker =
        Command::new("sudo").args(["-u", &target.user, "sleep", "1000"]).current_dir(&old).spawn().unwrap();
    target.is_healthy(&[]);
    target.site.write("version", "2");
    target.site.deploy(&[]);
    let found = target.has(&[], &["process-in-old-release"]);
    let message = text(&found["message"]);
    assert!(message.contains("`sleep` ("), "{message}");
    target.fix(&found);
    worker.wait().unwrap();
    target.is_healthy(&[]);
}

#[test]
fn objects_of_another_user_are_told() {
    let Some(target) = Target::deployed() else { return };
    let object = target.site.object_of("index.php");
    chown("root", &object);
    let found = target.examine(&["--full"]).json["findings"].clone();
    let ids: Vec<String> = found.as_array().unwrap().iter().map(|found| text(&found["id"])).collect();
    // The file of the release is the same inode.
    assert_eq!(ids, ["release-edited", "object-other-owner"]);
    run(Command::new("chown").arg(&target.user).arg(&object));
    target.is_healthy(&["--full"]);
}
