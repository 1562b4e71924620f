//! Changes of others to the deploy path stay, and Cutover still removes its own files.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::git::git;
use crate::support::mount::{Mount, unmount_below};
use crate::support::site::{RunResult, Site, names};
use crate::support::sshd::{is_root, run};
use crate::support::strace;
use crate::support::tree::{self, Tree, assert_same};

/// A user who owns nothing but what a test gives it.
const NOBODY: u32 = 65534;

/// Names that look like ours, and are not of exactly our form.
fn names_like_ours() -> Vec<String> {
    let token = "0123456789abcdef0123456789abcdef";
    let names = ["backup.sql", "cutover-notes", ".current.cutover-old", "20260101000000", "my-record", "-record"];
    let mut names: Vec<String> = names.map(str::to_owned).to_vec();
    names.extend([format!("{token}-mine"), format!("mine-{token}"), format!(".current.cutover-{token}-2")]);
    names
}

#[test]
fn names_that_only_look_like_ours_are_not_removed() {
    let mut site = Site::new();
    site.configure("keep_releases = 1\ngrace = '0s'\nspare = false\n");
    site.write("version", "0");
    site.deploy(&[]);
    let places = ["", ".cutover", ".cutover/staging", ".cutover/trash", ".cutover/objects", ".cutover/bin"];
    let mut theirs = Vec::new();
    for place in places {
        for name in names_like_ours() {
            let path = site.target(place).join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("mine"), "mine").unwrap();
            theirs.push(path);
        }
    }
    // One of exactly our form is ours where it is a link, and no other thing.
    let token = "fedcba9876543210fedcba9876543210";
    let file = site.target(&format!(".current.cutover-{token}"));
    fs::write(&file, "mine").unwrap();
    let link = site.target(".current.cutover-00000000000000000000000000000000");
    symlink("releases/1", &link).unwrap();
    for version in 1..4 {
        site.write("version", format!("{version}"));
        site.deploy(&[]);
    }
    site.succeed(&["cleanup"]);
    site.succeed(&["rollback"]).as_object().unwrap();
    for path in theirs {
        assert_eq!(fs::read_to_string(path.join("mine")).unwrap(), "mine", "{}", path.display());
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "mine");
    assert!(!link.is_symlink());
}

/// Makes a site that somebody else than root works with.
fn site_of_nobody() -> Site {
    let site = Site::new();
    tree::set_mode(site.path(""), 0o755);
    for name in ["", "target", "state", "home", "cache"] {
        fs::create_dir_all(site.path(name)).unwrap();
        std::os::unix::fs::chown(site.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    site
}

fn as_nobody(site: &Site, words: &[&str]) -> RunResult {
    let mut command = site.command(words);
    RunResult::of(&command.uid(NOBODY).gid(NOBODY).output().unwrap())
}

#[test]
fn releases_that_their_owner_made_read_only_go_when_they_are_due() {
    if !is_root() {
        return;
    }
    for spare in [true, false] {
        let mut site = site_of_nobody();
        site.configure(&format!("keep_releases = 2\ngrace = '0s'\nspare = {spare}\n"));
        for version in 0..6 {
            site.write("version", format!("{version}"));
            site.write("deep/er/file", "same");
            let report = as_nobody(&site, &["deploy"]).succeeded();
            // The modes of the live release were changed, and the deploy names that.
            assert_eq!(report["warnings"].as_array().unwrap().len(), usize::from(version > 0), "{report}");
            assert_eq!(report["edited"].is_object(), version > 0, "{report}");
            assert_same(&site.path("source"), &site.current(""));
            assert!(site.release_names().len() <= 2, "{spare} {version}");
            run(Command::new("chmod").args(["-R", "a-w"]).arg(site.release(&site.live().unwrap())));
        }
        as_nobody(&site, &["cleanup"]).succeeded();
        assert_eq!(names(&site.target(".cutover/trash")), [""; 0]);
    }
}

#[test]
fn what_a_build_made_read_only_goes_before_the_next_one_and_what_is_kept_stays() {
    if !is_root() {
        return;
    }
    let mut site = site_of_nobody();
    let source = site.path("source");
    git(&source, &["init", "-q"]);
    fs::write(site.path("home/.gitconfig"), "[safe]\n\tdirectory = *\n").unwrap();
    site.configure(
        "ref = 'main'\nbuild_keep = ['/kept']\n[[hooks]]\nname = 'make'\nphase = 'build'\n\
         run = 'mkdir -p kept closed/deep && echo x >> kept/x && date > closed/deep/x && chmod -R a-w closed web'\n",
    );
    for version in 0..3 {
        site.write("web/version", version.to_string());
        git(&source, &["add", "-A"]);
        git(&source, &["commit", "-q", "-m", "x"]);
        let report = as_nobody(&site, &["deploy"]).succeeded();
        assert_eq!(report["warnings"], serde_json::json!([]));
        assert_eq!(fs::read_to_string(site.current("web/version")).unwrap(), version.to_string());
        assert_eq!(fs::read_to_string(site.current("kept/x")).unwrap(), "x\n".repeat(version + 1));
    }
}

#[test]
fn a_deploy_path_that_passes_its_group_on_gives_it_to_all_that_is_made() {
    const GROUP: u32 = 33;
    if !is_root() {
        return;
    }
    for is_late in [false, true] {
        let mut site = Site::new();
        site.configure("keep_releases = 2\ngrace = '0s'\nshared_dirs = ['storage/logs']\ncopy_paths = ['config']\n");
        let path = site.target("");
        let pass_on = || {
            std::os::unix::fs::chown(&path, None, Some(GROUP)).unwrap();
            tree::set_mode(&path, 0o2755);
        };
        site.write("app/deep/file", "same");
        site.write("config", "a copy");
        symlink("app", site.source("link")).unwrap();
        fs::create_dir(&path).unwrap();
        if is_late {
            // What was made before gets the group too.
            site.write("version", "before");
            site.deploy(&[]);
        }
        pass_on();
        for version in 0..5 {
            site.write("version", format!("{version}"));
            site.write(&format!("new/{version}/file"), "new");
            let report = site.deploy(&[]);
            assert!(version < 3 || !report["reused"].is_null(), "{report}");
            let others =
                run(Command::new("find").arg(site.current("").canonicalize().unwrap()).args(["!", "-group", "33"]));
            assert_eq!(others, "", "{is_late} {version}");
        }
        let made = ["releases", "shared/storage/logs", ".cutover/objects", ".cutover/staging"];
        for made in made.into_iter().filter(|_| !is_late) {
            let stat = fs::metadata(site.target(made)).unwrap();
            use std::os::unix::fs::MetadataExt;
            assert_eq!((stat.gid(), stat.mode() & 0o2000), (GROUP, 0o2000), "{made}");
        }
    }
}

/// What a kernel without `openat2` says, and what a filter of system calls does.
const WITHOUT_OPENAT2: [&str; 2] = ["openat2:error=ENOSYS", "openat2:error=EPERM"];

#[test]
fn what_is_mounted_in_a_release_is_whole_also_without_openat2() {
    if !is_root() {
        return;
    }
    for (injection, spare) in WITHOUT_OPENAT2.into_iter().flat_map(|injection| [(injection, true), (injection, false)])
    {
        let mut site = Site::new();
        site.configure(&format!("keep_releases = 1\ngrace = '0s'\nspare = {spare}\n"));
        let data = site.path("data");
        fs::create_dir_all(data.join("2024")).unwrap();
        fs::write(data.join("2024/photo"), "photo").unwrap();
        let before = Tree::read(&data);
        site.write("uploads/page", "page");
        site.write("version", "0");
        let Some(ran) = strace::inject(&site, &["deploy"], injection, None) else { return };
        ran.succeeded();
        let Some(mounted) = Mount::bind(&data, &site.current("uploads").canonicalize().unwrap()) else { return };
        // It moves with the release.
        std::mem::forget(mounted);
        for version in 1..6 {
            site.write("version", format!("{version}"));
            strace::inject(&site, &["deploy"], injection, None).unwrap().succeeded();
            assert_same(&site.path("source"), &site.current(""));
            Tree::read(&data).assert_equals(&before);
        }
        strace::inject(&site, &["cleanup"], injection, None).unwrap();
        unmount_below(&site.path(""));
        Tree::read(&data).assert_equals(&before);
    }
}

#[test]
fn a_release_in_a_lower_layer_of_an_overlay_is_removed_where_it_is() {
    if !is_root() {
        return;
    }
    for spare in [true, false] {
        let mut site = Site::new();
        site.configure(&format!("keep_releases = 2\ngrace = '0s'\nspare = {spare}\n"));
        site.move_to(&site.path("lower/site"));
        fs::create_dir(site.path("lower")).unwrap();
        for version in ["one", "two"] {
            site.write("version", version);
            site.write("deep/er/file", "same");
            site.deploy(&[]);
        }
        let Some(_mounted) = Mount::overlay(&site.path("merged"), &site.path("lower")) else { return };
        site.move_to(&site.path("merged/site"));
        for version in ["three", "four", "five", "six"] {
            site.write("version", version);
            let report = site.deploy(&[]);
            assert_eq!(report["warnings"].as_array().unwrap().len(), 0, "{report}");
            assert_same(&site.path("source"), &site.current(""));
        }
        assert_eq!(site.release_names().len(), 2);
        site.succeed(&["cleanup"]);
        assert_eq!(names(&site.target(".cutover/trash")), [""; 0]);
    }
}

/// Deletes a directory of a release that others may write, while another user exchanges names in it.
#[test]
fn a_release_of_any_depth_is_removed() {
    let site = Site::in_memory();
    site.write("cache/file", "file");
    site.deploy(&[]);
    let nest = r#"umask 0; my $d = shift; chdir $d or die; for (1..20000) { mkdir "d", 0777 and chdir "d" or die }"#;
    let Ok(made) = Command::new("perl").args(["-e", nest]).arg(site.current("cache").canonicalize().unwrap()).status()
    else {
        return;
    };
    assert!(made.success());
    for version in 0..5 {
        site.write("version", format!("{version}"));
        site.deploy(&["--grace", "0s"]);
    }
    site.succeed(&["cleanup", "--grace", "0s"]);
    assert_eq!(site.release_names().len(), 3);
}

fn paths(below: &Path) -> Vec<PathBuf> {
    fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// A release that is removed where it is, and whose agent was killed on the way, goes at the next run. One of that name that
/// somebody has put there since stays.
#[test]
fn what_is_left_of_a_removal_in_place_goes_and_nothing_else() {
    let mut site = Site::new();
    site.configure("keep_releases = 2\ngrace = '0s'\nspare = false\n");
    for version in ["one", "two"] {
        site.write("version", version);
        site.deploy(&[]);
    }
    let id = site.release_names()[0].clone();
    for is_marked in [true, false] {
        let record = site.target(&format!(".cutover/releases/{id}"));
        let owed = site.target(&format!(".cutover/trash/{id}-{}-record", "a".repeat(32)));
        if record.exists() {
            fs::rename(&record, &owed).unwrap();
            fs::write(owed.join("in-place"), "").unwrap();
        } else {
            fs::create_dir(site.release(&id)).unwrap();
            fs::write(site.release(&id).join("mine"), "mine").unwrap();
        }
        site.write("version", format!("{is_marked}"));
        site.deploy(&[]);
        assert_eq!(site.release(&id).exists(), !is_marked);
        assert!(paths(&site.target(".cutover/trash")).is_empty());
    }
}

/// Another user has put a directory of his own into a release that others may write to. The run that reuses it is killed, and
/// what it leaves cannot be removed by the user that deploys.
#[test]
fn what_a_killed_run_left_and_this_user_cannot_remove_stops_no_deploy() {
    if !is_root() {
        return;
    }
    let mut site = site_of_nobody();
    site.configure("keep_releases = 2\ngrace = '0s'\n");
    site.write("version", "one");
    as_nobody(&site, &["deploy"]).succeeded();
    let left = site.target(".cutover/staging/0123abcd-0123456789abcdef/tree/cache/mine");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("x"), "x").unwrap();
    tree::set_mode(&left, 0o700);
    for above in left.ancestors().skip(1).take(3) {
        std::os::unix::fs::chown(above, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    for version in ["two", "three", "four"] {
        site.write("version", version);
        let report = as_nobody(&site, &["deploy"]).succeeded();
        assert!(report["warnings"].to_string().contains("tree/cache/mine"), "{report}");
        assert_same(&site.path("source"), &site.current(""));
    }
}

#[test]
fn a_release_that_is_a_layer_of_an_overlay_is_not_reused() {
    if !is_root() {
        return;
    }
    let mut site = Site::in_memory();
    site.configure("keep_releases = 1\ngrace = '0s'\n");
    site.write("app/code", "one");
    site.deploy(&[]);
    let Some(_mounted) = Mount::overlay(&site.path("merged"), &site.release(&site.live().unwrap())) else { return };
    for version in ["two", "three", "four", "five"] {
        site.write("app/code", version);
        site.deploy(&[]);
        // It may find nothing, and never another version.
        let found = fs::read_to_string(site.path("merged/app/code"));
        assert!(found.as_ref().is_ok_and(|found| found == "one") || found.is_err(), "{version}: {found:?}");
    }
}
