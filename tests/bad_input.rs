//! Bad input: each case has its own message with a next step and its exit code, `current` is unchanged, and the last
//! line says which release is live.
//!
//! Misspelt keys and shared paths that lead outside are in `usage.rs`; host keys, logins and servers without a shell
//! in `ssh.rs`.

mod damaged;

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::support::mount::Mount;
use crate::support::program;
use crate::support::real_tree::noise;
use crate::support::site::{RunResult, Site, names};
use crate::support::sshd::{is_root, run};
use crate::support::tree::{self, Entry, Tree, assert_same};

/// How many directories may lie within each other.
const LEVELS_MAX: usize = 256;

/// A user who owns nothing.
const NOBODY: u32 = 65534;

/// A site with a live release and a source that differs from it.
fn live_site() -> Site {
    let site = Site::new();
    site.write("file", "content");
    site.deploy_and_compare(&[]);
    site.write("file", "edited");
    site
}

/// Checks that a deploy is refused and that nothing in the deploy path has changed by it.
#[track_caller]
fn check(site: &Site, words: &[&str]) -> RunResult {
    let before = site.target("").exists().then(|| Tree::read(&site.target("")));
    let ran = site.refused(&["deploy"], 1, words);
    if let Some(before) = before {
        without_lock_and_staging(&Tree::read(&site.target(""))).assert_equals(&without_lock_and_staging(&before));
    }
    ran
}

/// Leaves out what each taking of the lock writes, what was received, and what a run tells of itself.
fn without_lock_and_staging(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    let is_of_lock = |path: &[u8]| [&b".cutover/lock"[..], b".cutover/fence"].contains(&path);
    tree.entries.retain(|path, _| !is_of_lock(path) && !path.starts_with(b".cutover/staging/"));
    tree.entries.retain(|path, _| !path.starts_with(b".cutover/journals"));
    tree
}

#[test]
fn a_deploy_path_that_is_not_ours_is_refused() {
    let site = Site::new();
    site.write("file", "content");
    fs::create_dir(site.target("")).unwrap();
    fs::write(site.target("index.html"), "mine").unwrap();
    check(&site, &["is not empty and was not made by Cutover: it holds `index.html`", "choose a deploy path"]);
    site.refused(&["switch", "1"], 1, &["was not made by Cutover"]);
    for verb in ["setup", "cleanup", "releases", "status"] {
        site.cutover(&[verb]).failed(1, &["was not made by Cutover", "Hint: "]);
    }
    Tree::read(&site.target("")).entries.keys().for_each(|path| assert_eq!(path, b"index.html"));
}

#[test]
fn a_deploy_path_that_is_a_file_is_refused() {
    let site = Site::new();
    site.write("file", "content");
    fs::write(site.path("target"), "mine").unwrap();
    let ran = site.cutover(&["deploy"]);
    ran.failed(1, &["target` is not a directory", "Hint: Move"]);
    assert_eq!(fs::read_to_string(site.path("target")).unwrap(), "mine");
}

#[test]
fn a_current_that_is_a_directory_is_refused() {
    let site = Site::new();
    site.write("file", "content");
    fs::create_dir_all(site.target("current")).unwrap();
    fs::write(site.target("current/index.html"), "served").unwrap();
    check(&site, &["current` is not a symlink, so it cannot be switched", "leave it, deploy to another path"]);

    let site = live_site();
    fs::remove_file(site.target("current")).unwrap();
    fs::create_dir(site.target("current")).unwrap();
    check(&site, &["current` is not a symlink, so it cannot be switched", "leave it, deploy to another path"]);
    site.refused(&["switch", &site.release_names()[0]], 1, &["is not a symlink"]);
    site.refused(&["rollback"], 1, &["is not a symlink"]);
}

#[test]
fn a_current_that_leads_elsewhere_is_refused() {
    let site = live_site();
    fs::remove_file(site.target("current")).unwrap();
    symlink("../elsewhere", site.target("current")).unwrap();
    let ran = site.cutover(&["deploy"]);
    ran.failed(1, &["current` leads to `../elsewhere`, which is no release", "leave it, deploy to another path"]);
    assert_eq!(fs::read_link(site.target("current")).unwrap(), PathBuf::from("../elsewhere"));
}

#[test]
fn a_current_that_was_made_by_hand_leads_to_a_release_however_it_is_spelled() {
    let site = live_site();
    let live = site.live().unwrap();
    for target in [site.release(&live), Path::new("./releases").join(&live), Path::new("releases/.").join(&live)] {
        fs::remove_file(site.target("current")).unwrap();
        symlink(&target, site.target("current")).unwrap();
        assert_eq!(site.succeed(&["status"])["live"]["id"], json!(live), "{}", target.display());
    }
    assert_eq!(site.deploy(&[])["state"], "live");
}

#[test]
fn where_the_link_is_gone_or_leads_nowhere_a_rollback_finds_what_was_live_last() {
    let site = live_site();
    let first = site.live().unwrap();
    let second = site.deploy_and_compare(&[]);
    fs::remove_file(site.target("current")).unwrap();
    let status = site.succeed(&["status"]);
    assert_eq!((&status["live"], &status["rollback"]), (&json!(null), &json!(second)));
    site.succeed(&["rollback"]);
    assert_eq!(site.live(), Some(second.clone()));
    fs::remove_dir_all(site.release(&second)).unwrap();
    let status = site.succeed(&["status"]);
    assert_eq!((&status["broken"], &status["rollback"]), (&json!(second), &json!(first)));
    site.succeed(&["rollback"]);
    assert_eq!(site.live(), Some(first));
}

#[test]
fn a_source_that_is_missing_or_no_directory_is_refused() {
    let site = live_site();
    for (source, words) in [("nowhere", "There is no source directory"), ("source/file", "is not a directory")] {
        let ran = site.refused(&["deploy", "--source", source], 1, &[words, source, "--source DIR"]);
        let last = ran.stderr.trim_end().lines().last().unwrap().to_owned();
        assert_eq!(last, "Nothing was switched.", "{source}");
    }
}

#[test]
fn a_source_and_a_target_within_each_other_are_refused() {
    let mut site = live_site();
    let release = site.target("current").canonicalize().unwrap();
    for source in [site.target(""), release] {
        let words = ["deploy", "--source", source.to_str().unwrap()];
        site.refused(&words, 1, &["lie within each other", "Deploy to a path outside the source"]);
    }
    site.move_to(&site.source("public"));
    site.refused(&["deploy"], 1, &["lie within each other"]);
    assert!(!site.target("").exists());
    fs::create_dir(site.target("")).unwrap();
    site.refused(&["deploy"], 1, &["lie within each other"]);
    site.write(".deployignore", "/public\n");
    site.deploy(&[]);
    assert!(!site.current("public").exists());
}

#[test]
fn sockets_fifos_and_devices_are_refused_by_name() {
    let site = live_site();
    fs::create_dir(site.source("deep")).unwrap();
    let path = site.source("deep/special");
    drop(UnixListener::bind(&path).unwrap());
    check(&site, &["`deep/special` is a socket, which cannot be deployed", "`/deep/special` in `.deployignore`"]);
    fs::remove_file(&path).unwrap();
    run(Command::new("mkfifo").arg(&path));
    check(&site, &["`deep/special` is a fifo, which cannot be deployed", "`/deep/special` in `.deployignore`"]);
    if is_root() {
        fs::remove_file(&path).unwrap();
        let made = Command::new("mknod").arg(&path).args(["c", "1", "3"]).status().unwrap();
        if made.success() {
            check(&site, &["`deep/special` is a device, which cannot be deployed"]);
        }
    }
    site.write(".deployignore", "/deep/special\n");
    site.deploy(&[]);
}

#[test]
fn directories_that_lie_too_deep_are_refused_by_name_and_what_is_taken_is_deployed() {
    let site = live_site();
    let deepest = vec!["d"; LEVELS_MAX].join("/");
    for level in 1..=LEVELS_MAX {
        site.write(&format!("{}/file", &deepest[..level * 2 - 1]), format!("level {level}"));
    }
    // With no more descriptors than most servers give.
    let mut limited = Command::new("prlimit");
    let deploy = site.command(&["deploy"]);
    limited.arg("--nofile=1024").arg(deploy.get_program()).args(deploy.get_args()).env_clear();
    limited.envs(deploy.get_envs().filter_map(|(name, value)| Some((name, value?))));
    RunResult::of(&limited.output().unwrap()).succeeded();
    assert_same(&site.path("source"), &site.current(""));
    fs::create_dir(site.source(&deepest).join("d")).unwrap();
    check(&site, &["d/d` is nested more than 256 directories deep", "`.deployignore`"]);
    // What was taken can be removed again.
    let deep = site.live().unwrap();
    site.write(".deployignore", "/d\n");
    for _ in 0..4 {
        site.deploy(&["--force", "--grace", "0s"]);
    }
    assert!(!site.release_names().contains(&deep));
    assert_eq!(site.objects().len(), 1);
}

/// Makes a site that a user who owns nothing can work with.
fn site_for_nobody() -> (Site, PathBuf) {
    let site = Site::new();
    for path in ["", "source", "home"] {
        tree::set_mode(site.path(path), 0o755);
    }
    for path in ["source", "home"] {
        chown(site.path(path), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    fs::create_dir(site.path("state")).unwrap();
    chown(site.path("state"), Some(NOBODY), Some(NOBODY)).unwrap();
    // Others may not be let into the directory that the program was built in.
    let program = site.path("cutover");
    program::copy(Path::new(env!("CARGO_BIN_EXE_cutover")), &program);
    (site, program)
}

fn as_nobody(site: &Site, program: &Path, words: &[&str]) -> RunResult {
    let mut command = site.command_of(program, words);
    RunResult::of(&command.uid(NOBODY).gid(NOBODY).output().unwrap())
}

#[test]
fn a_file_that_cannot_be_read_is_named_before_anything_is_switched() {
    if !is_root() {
        return;
    }
    let (site, program) = site_for_nobody();
    fs::create_dir(site.target("")).unwrap();
    chown(site.target(""), Some(NOBODY), Some(NOBODY)).unwrap();
    site.write("file", "content");
    as_nobody(&site, &program, &["deploy"]).succeeded();
    let live = site.live();
    site.write("deep/secret", "secret");
    tree::set_mode(site.source("deep/secret"), 0o600);
    let ran = as_nobody(&site, &program, &["deploy"]);
    ran.failed(1, &["Could not read `deep/secret`", "Permission denied", "Hint: Make it readable"]);
    tree::set_mode(site.source("deep"), 0o700);
    let ran = as_nobody(&site, &program, &["deploy"]);
    ran.failed(1, &["Could not read `deep`", "Permission denied", "Hint: Make it readable"]);
    assert_eq!(site.live(), live);
}

#[test]
fn a_deploy_path_without_permission_is_refused() {
    if !is_root() {
        return;
    }
    let (site, program) = site_for_nobody();
    site.write("file", "content");
    let ran = as_nobody(&site, &program, &["deploy"]);
    ran.failed(1, &["target`", "Permission denied", "Hint: The user that runs this must own the directory"]);
    assert!(!site.target("").exists());
    fs::create_dir(site.target("")).unwrap();
    let ran = as_nobody(&site, &program, &["deploy"]);
    ran.failed(1, &[".cutover`", "Permission denied", "Hint: The user that runs this must own the directory"]);
    assert_eq!(Tree::read(&site.target("")).entries.len(), 0);
}

#[test]
fn a_deploy_path_of_another_user_is_refused_with_the_way_out() {
    if !is_root() {
        return;
    }
    let (site, program) = site_for_nobody();
    site.write("file", "content");
    site.deploy(&[]);
    let live = site.live();
    site.write("file", "edited");
    let ran = as_nobody(&site, &program, &["deploy"]);
    ran.failed(1, &["/.cutover` belongs to `root`", "Hint: Log in as `root`, or choose a path below directories"]);
    assert_eq!(site.live(), live);
    // Root is another user too: files of its own would be left in a path that the owner cannot remove.
    run(Command::new("chown").args(["-R", "65534:65534"]).arg(site.target("")));
    let ran = site.cutover(&["deploy"]);
    ran.failed(1, &["/target` belongs to `nobody`", "Hint: Log in as `nobody`, or choose a path below directories"]);
    as_nobody(&site, &program, &["deploy"]).succeeded();
}

#[test]
fn where_space_is_lacking_nothing_is_switched_and_the_need_is_told() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    let Some(_mounted) = Mount::tmpfs(&site.target(""), "size=6m") else { return };
    site.write("file", "content");
    site.deploy_and_compare(&[]);
    site.write("large", noise(1, 8 << 20));
    check(&site, &["free", "Free some on the server and deploy again"]);
    fs::remove_file(site.source("large")).unwrap();
    site.write("small", "small");
    site.deploy_and_compare(&[]);
}

#[test]
fn the_room_for_private_and_further_copies_is_needed_too() {
    if !is_root() {
        return;
    }
    let mut site = Site::new();
    let Some(_mounted) = Mount::tmpfs(&site.target(""), "size=16m") else { return };
    site.configure("copy_paths = ['/data']\n");
    site.write("one", noise(1, 5 << 20));
    site.write("other", noise(2, 5 << 20));
    site.deploy_and_compare(&[]);
    site.write("data", noise(3, 4 << 20));
    check(&site, &["Not enough space on the server: ", "Free some on the server and deploy again"]);
    fs::remove_file(site.source("data")).unwrap();
    // Swapped, each gets a further copy with another mtime.
    site.write("one", noise(2, 5 << 20));
    site.write("other", noise(1, 5 << 20));
    check(&site, &["Not enough space on the server: ", "Free some on the server and deploy again"]);
    site.write("one", "small");
    site.write("other", noise(2, 5 << 20));
    site.deploy_and_compare(&[]);
}

#[test]
fn where_inodes_are_lacking_nothing_is_switched_and_the_need_is_told() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    let Some(_mounted) = Mount::ext4(&site.target(""), "32M", &["-N", "500"]) else { return };
    site.write("file", "content");
    site.deploy_and_compare(&[]);
    for file in 0..600 {
        site.write(&format!("many/{file}"), format!("file {file}"));
    }
    check(&site, &["inodes", "Free some on the server and deploy again"]);
    fs::remove_dir_all(site.source("many")).unwrap();
    site.write("small", "small");
    site.deploy_and_compare(&[]);
}

#[test]
fn a_symlink_in_the_deploy_path_that_leads_elsewhere_is_refused() {
    for name in ["releases", ".cutover", "shared", ".cutover/objects", ".cutover/staging", ".cutover/releases"] {
        let site = live_site();
        let elsewhere = site.path("elsewhere");
        fs::rename(site.target(name), &elsewhere).unwrap();
        symlink(&elsewhere, site.target(name)).unwrap();
        let before = Tree::read(&elsewhere);
        let ran = site.cutover(&["deploy"]);
        ran.failed(1, &[&format!("{name}`"), "Hint: Replace `", "by a real directory"]);
        Tree::read(&elsewhere).assert_equals(&before);
    }
}

#[test]
fn a_symlink_in_shared_that_leads_elsewhere_is_refused() {
    let mut site = live_site();
    site.configure("shared_dirs = ['uploads/pictures']\n");
    let elsewhere = site.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, site.target("shared/uploads")).unwrap();
    site.refused(&["deploy"], 1, &["shared/uploads/pictures` does not exist", "Make it on the server, `mkdir -p"]);
    assert_eq!(Tree::read(&elsewhere).entries.len(), 0);
    fs::create_dir(elsewhere.join("pictures")).unwrap();
    site.write("uploads/pictures/of-the-release", "hidden");
    site.deploy(&[]);
    assert_eq!(fs::read_link(site.current("uploads/pictures")).unwrap(), Path::new("../../../shared/uploads/pictures"));
    // Nothing is written there, and what is there is seen.
    assert_eq!(Tree::read(&elsewhere).entries.len(), 1);
    fs::write(elsewhere.join("pictures/of-the-release"), "").unwrap();
    site.write("version", "two");
    site.deploy(&[]);
    assert_eq!(fs::read_to_string(site.current("uploads/pictures/of-the-release")).unwrap(), "");
}

#[test]
fn a_shared_directory_that_is_a_symlink_to_a_disk_elsewhere_is_linked() {
    let mut site = live_site();
    site.configure("shared_dirs = ['storage']\nshared_files = ['config/env']\n");
    for name in ["disk", "secrets"] {
        fs::create_dir(site.path(name)).unwrap();
    }
    fs::write(site.path("secrets/env"), "secret").unwrap();
    symlink(site.path("disk"), site.target("shared/storage")).unwrap();
    symlink(site.path("secrets"), site.target("shared/config")).unwrap();
    // What the filesystem has in its root is nobody's.
    fs::create_dir(site.target("shared/lost+found")).unwrap();
    site.write("storage/.keep", "");
    site.deploy(&[]);
    fs::write(site.current("storage/upload"), "upload").unwrap();
    assert_eq!(names(&site.path("disk")), ["upload"]);
    assert_eq!(fs::read_to_string(site.current("config/env")).unwrap(), "secret");
    assert!(!site.current("lost+found").is_symlink());
    fs::remove_dir_all(site.path("disk")).unwrap();
    site.write("version", "two");
    site.refused(&["deploy"], 1, &["shared/storage` is a symlink to `", "Check whether its disk is mounted"]);
}

#[test]
fn a_deploy_path_that_is_a_symlink_to_nothing_is_named() {
    let mut site = live_site();
    let (real, link) = (site.path("real"), site.path("link"));
    symlink(&real, &link).unwrap();
    for target in [link.clone(), link.join("below")] {
        site.move_to(&target);
        for verb in ["deploy", "status"] {
            site.cutover(&[verb]).failed(1, &["link` is a symlink to `", "which does not exist", "Hint: "]);
        }
        assert!(!real.exists());
    }
    fs::create_dir(&real).unwrap();
    site.deploy(&[]);
}

#[test]
fn a_part_of_the_deploy_path_that_is_mounted_is_refused_before_the_upload() {
    for part in ["releases", ".cutover", ".cutover/objects", ".cutover/staging", ".cutover/releases", ".cutover/trash"]
    {
        let site = live_site();
        site.write("large", noise(1, 4 << 20));
        let Some(mounted) = Mount::tmpfs_on(&site.target(part)) else { return };
        let ran = site.cutover(&["deploy"]);
        ran.failed(1, &[&format!("{part}` is another filesystem or mount"), "Hint: Unmount it, or mount the whole"]);
        drop(mounted);
        // Of the same filesystem it is a mount all the same.
        let Some(mounted) = Mount::onto_itself(&site.target(part)) else { return };
        site.cutover(&["deploy"]).failed(1, &[&format!("{part}` is another filesystem or mount")]);
        drop(mounted);
        site.deploy_and_compare(&[]);
    }
}

#[test]
fn a_deploy_path_that_lost_its_empty_directories_serves_every_verb() {
    for verb in ["status", "releases", "rollback", "cleanup"] {
        let site = live_site();
        for version in ["two", "three"] {
            site.write("version", version);
            site.deploy(&[]);
        }
        let before = site.live();
        run(Command::new("find").arg(site.target("")).args(["-depth", "-type", "d", "-empty", "-delete"]));
        assert!(!site.target("shared").exists() && !site.target(".cutover/trash").exists());
        site.succeed(&[verb]);
        assert_eq!(site.live() == before, verb != "rollback", "{verb}");
        site.write("version", "four");
        site.deploy_and_compare(&[]);
    }
}

#[test]
fn what_a_release_and_shared_both_have_is_refused_before_the_upload() {
    let shared = |config: &str, shared: &str, source: &str, words: &[&str]| {
        let mut site = live_site();
        site.configure(config);
        site.write_shared(shared, "shared");
        site.write(source, "of the release");
        site.write("large", noise(1, 4 << 20));
        site.refused(&["deploy"], 1, words);
        let staged: Vec<_> = Tree::read(&site.target(".cutover/staging"))
            .entries
            .into_iter()
            .filter(|(_, entry)| matches!(entry, Entry::File(..)))
            .collect();
        assert_eq!(staged.len(), 0);
    };
    shared(
        "shared_files = ['.env']\n",
        ".env",
        ".env",
        &["`.env` is a file in the source", "a line `/.env` in `.deployignore`"],
    );
    shared("", "config/app.php", "config/app.php", &["`config/app.php` is both", "Remove `config/app.php`"]);
    shared("", "config", "config/app.php", &["`config` is both"]);
}

#[test]
fn a_shared_file_that_is_missing_is_named() {
    let mut site = live_site();
    site.configure("shared_files = ['.env']\n");
    check(&site, &["shared/.env`", "Put it at"]);
}

#[test]
fn a_switch_whose_record_or_log_cannot_be_written_is_told_and_mended() {
    let site = live_site();
    let first = site.live().unwrap();
    site.deploy(&[]);
    // Directories in the way of what is written after the switch.
    let in_the_way = [format!(".cutover/releases/{first}/.record.new"), ".cutover/log".to_owned()];
    fs::rename(site.target(".cutover/log"), site.path("log")).unwrap();
    for path in &in_the_way {
        fs::create_dir(site.target(path)).unwrap();
    }
    let ran = site.cutover(&["rollback"]);
    ran.failed(0, &["is live, but its record could not be written: ", "but the switch could not be logged: "]);
    assert_eq!(ran.json["warnings"].as_array().unwrap().len(), 2);
    assert_eq!(site.live(), Some(first));
    for path in &in_the_way {
        fs::remove_dir(site.target(path)).unwrap();
    }
    site.succeed(&["cleanup"]);
    let releases = site.succeed(&["releases"]);
    let record = |at: usize| {
        let id = releases["releases"][at]["id"].as_str().unwrap();
        fs::read_to_string(site.target(&format!(".cutover/releases/{id}/record"))).unwrap()
    };
    let record = |at| serde_json::from_str::<serde_json::Value>(&record(at)).unwrap();
    assert_eq!(record(0)["went_live"].as_array().unwrap().len(), 2);
    assert!(record(0)["retired"].is_null() && record(1)["retired"].is_u64());

    // A deploy tells it too.
    fs::create_dir(site.target(".cutover/log")).unwrap();
    let warnings = site.deploy(&[])["warnings"].to_string();
    assert!(warnings.contains("but the switch could not be logged"), "{warnings}");
}

#[test]
fn what_a_deploy_warns_of_is_said_once_and_stands_in_the_object() {
    let site = live_site();
    site.deploy(&[]);
    for id in site.release_names() {
        let manifest = site.target(&format!(".cutover/releases/{id}/manifest"));
        fs::write(&manifest, "damage").unwrap();
    }
    site.write("file", "edited again");
    let ran = site.cutover(&["deploy"]);
    let said: Vec<&str> = ran.stderr.lines().filter_map(|line| line.strip_prefix("Warning: ")).collect();
    let kept: Vec<&str> = ran.json["warnings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(said.len() >= 2, "{said:?}");
    assert_eq!(said, kept);
    let once: std::collections::BTreeSet<&str> = said.iter().copied().collect();
    assert_eq!(once.len(), said.len(), "{said:?}");
}

#[test]
fn a_deploy_path_within_another_one_is_refused() {
    let mut site = live_site();
    let outer = site.target("");
    for inner in ["releases/x", "shared/site", "shared/deep/site"] {
        site.move_to(&outer.join(inner));
        site.cutover(&["deploy"]).failed(1, &["lies within the deploy path", "Choose a deploy path beside it"]);
    }
}

#[test]
fn a_link_that_leads_elsewhere_keeps_nothing_from_being_told() {
    let site = live_site();
    site.deploy(&[]);
    let live = site.live().unwrap();
    let page = site.path("maintenance");
    fs::create_dir(&page).unwrap();
    fs::remove_file(site.target("current")).unwrap();
    symlink(&page, site.target("current")).unwrap();
    for verb in ["status", "releases"] {
        let report = site.succeed(&[verb]);
        assert!(report["warnings"].to_string().contains("which is no release of this deploy path"), "{report}");
        assert!(report.to_string().contains(&live), "{report}");
    }
    // What is live is never claimed of a release that is gone.
    fs::remove_file(site.target("current")).unwrap();
    symlink(format!("releases/{live}"), site.target("current")).unwrap();
    fs::remove_dir_all(site.release(&live)).unwrap();
    let ran = site.cutover(&["switch", "9"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(!ran.stderr.contains("The site still serves"), "{}", ran.stderr);
}

#[test]
fn a_source_without_a_file_is_warned_of() {
    let site = live_site();
    fs::remove_dir_all(site.path("source")).unwrap();
    fs::create_dir(site.path("source")).unwrap();
    let report = site.deploy(&[]);
    assert!(report["warnings"].to_string().contains("the release is empty"), "{report}");
}
