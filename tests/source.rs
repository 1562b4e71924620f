//! The source of a deploy: a commit of a repository, a checkout with changes, a checkout without its ignored files.

mod changes;
mod filters;
mod worktree;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::git::{command, git};
use crate::support::program;
use crate::support::site::{RunResult, Site, names, text};
use crate::support::tree::{Entry, Tree};

/// A checkout with two commits, `v1` and the branch `main`.
fn checkout() -> Site {
    let site = Site::new();
    git(&site.path("source"), &["init", "-q"]);
    site.write("index.php", "one");
    site.write("web/app.js", "one");
    site.write("old", "old");
    site.write(".gitignore", "*.log\n/vendor/\n");
    commit(&site);
    git(&site.path("source"), &["tag", "v1"]);
    site.write("index.php", "two");
    fs::remove_file(site.source("old")).unwrap();
    site.write("new/file", "new");
    commit(&site);
    site
}

/// Commits all files of the source. Returns the commit.
fn commit(site: &Site) -> String {
    let source = site.path("source");
    git(&source, &["add", "-A"]);
    git(&source, &["commit", "-q", "--allow-empty", "-m", "x"]);
    git(&source, &["rev-parse", "HEAD"])
}

fn revision(site: &Site) -> String {
    fs::read_to_string(site.current("REVISION")).unwrap().trim_end().to_owned()
}

/// Deploys a commit. Asserts that the release has exactly its files, and no changes.
#[track_caller]
fn check_ref(site: &Site, repository: &Path, name: &str, flags: &[&str]) {
    let report = site.deploy(&[&["--ref", name, "--force"], flags].concat());
    let commit = git(repository, &["rev-parse", &format!("{name}^{{commit}}")]);
    assert_eq!((text(&report["commit"]), &report["dirty"]), (commit.clone(), &serde_json::Value::Bool(false)));
    assert_eq!(report["warnings"], serde_json::json!([]));
    assert_eq!(revision(site), commit);
    let mut files = files(site);
    assert!(files.contains(&"REVISION".to_owned()));
    files.retain(|path| path != "REVISION");
    let listed = git(repository, &["ls-tree", "-r", "--name-only", &commit]);
    let mut listed: Vec<&str> = listed.lines().collect();
    listed.sort_unstable();
    assert_eq!(files, listed);
    for path in files {
        let expected = git(repository, &["cat-file", "-p", &format!("{commit}:{path}")]);
        assert_eq!(fs::read_to_string(site.current(&path)).unwrap().trim(), expected, "{path}");
    }
    check_modes(site, repository, &commit);
}

/// Asserts that the release has the modes of a checkout of a commit, without those of writing.
#[track_caller]
fn check_modes(site: &Site, repository: &Path, commit: &str) {
    let listed = git(repository, &["ls-tree", "-r", "--format=%(objectmode) %(path)", commit]);
    let modes: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
    let release = Tree::read(&site.target("current"));
    assert_eq!(release.root_mode, 0o555);
    for (path, entry) in release.entries {
        let path = String::from_utf8(path).unwrap();
        let is_program = modes.contains(&("100755", path.as_str()));
        match entry {
            Entry::File(mode, _) => assert_eq!(mode, if is_program { 0o555 } else { 0o444 }, "{path}"),
            Entry::Directory(mode) => assert_eq!(mode, 0o555, "{path}"),
            _ => {}
        }
    }
}

/// Returns the paths of the files in the live release.
fn files(site: &Site) -> Vec<String> {
    let release = Tree::read(&site.target("current"));
    let files = release.entries.into_iter().filter(|(_, entry)| matches!(entry, Entry::File(..)));
    let mut files: Vec<String> = files.map(|(path, _)| String::from_utf8(path).unwrap()).collect();
    files.sort();
    files
}

/// Returns the directory of the only worktree.
fn worktree(site: &Site) -> PathBuf {
    let found = names(&site.path("state/worktrees")).into_iter().filter(|name| !name.ends_with(".lock"));
    let found: Vec<String> = found.collect();
    assert_eq!(found.len(), 1, "{found:?}");
    site.path("state/worktrees").join(&found[0])
}

#[test]
fn a_commit_is_deployed_by_any_name_and_never_the_working_directory() {
    let site = checkout();
    let source = site.path("source");
    site.write("index.php", "changed");
    site.write("untracked", "x");
    site.write("x.log", "x");
    let before = names(&site.source(".git"));
    let short = git(&source, &["rev-parse", "--short", "v1"]);
    git(&source, &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    git(&source, &["-c", "tag.gpgSign=false", "tag", "-a", "-m", "x", "v2"]);
    for name in ["v1", "main", &short, "HEAD~1", "v2", "v1", "origin/main"] {
        check_ref(&site, &source, name, &[]);
    }
    // Nothing is left in the user's repository.
    assert_eq!(names(&site.source(".git")), before);
    assert_eq!(git(&source, &["worktree", "list"]).lines().count(), 1);
    assert_eq!(fs::read_to_string(site.source("index.php")).unwrap(), "changed");
}

#[test]
fn without_a_revision_file_a_commit_that_changes_no_file_makes_no_release() {
    let mut site = checkout();
    site.deploy(&[]);
    assert!(site.current("REVISION").exists());
    site.configure("revision_file = false\n");
    let report = site.deploy(&[]);
    assert_eq!((text(&report["state"]).as_str(), &report["files_removed"]), ("live", &1.into()));
    assert!(!site.current("REVISION").exists());
    let commit = commit(&site);
    for flags in [&[][..], &["--ref", "main"], &["--ref", "HEAD~1"]] {
        assert_eq!(site.deploy(flags)["state"], "unchanged", "{flags:?}");
    }
    // The record has the commit and its changes.
    let report = site.deploy(&["--force"]);
    assert_eq!((text(&report["commit"]), &report["dirty"]), (commit, &serde_json::Value::Bool(false)));
    site.write("index.php", "changed");
    assert_eq!(site.deploy(&[])["dirty"], true);
    assert_eq!(site.succeed(&["status"])["live"]["dirty"], true);
    site.configure("");
    site.deploy(&[]);
    assert!(revision(&site).ends_with("-dirty"));
    // A file of the source is no file of Cutover.
    site.configure("revision_file = false\n");
    site.write("REVISION", "mine");
    site.deploy(&[]);
    assert_eq!(revision(&site), "mine");
}

#[test]
fn the_branch_of_a_release_is_noted_with_its_commit() {
    let mut site = checkout();
    let source = site.path("source");
    git(&source, &["branch", "-M", "cart"]);
    site.configure(
        "[[hooks]]\nname = 'build'\nphase = 'build'\nrun = 'printf %s $CUTOVER_BRANCH >\"$CUTOVER_SOURCE_PATH/branch\"'\n\
         [[hooks]]\nname = 'note'\nphase = 'before_switch'\nrun = 'printf %s $CUTOVER_BRANCH >noted'\n",
    );
    let ci = [("GITHUB_ACTIONS", "true"), ("GITHUB_REF_NAME", "of-ci")];
    let check = |flags: &[&str], variables: &[(&str, &str)], expected: Option<&str>| {
        let mut command = site.command(&[&["deploy", "--force"], flags].concat());
        let report = RunResult::of(&command.envs(variables.iter().copied()).output().unwrap()).succeeded();
        assert_eq!(report["branch"].as_str(), expected, "{flags:?}");
        assert_eq!(site.succeed(&["status"])["live"]["branch"].as_str(), expected, "{flags:?}");
        for file in ["branch", "noted"] {
            let found = fs::read_to_string(site.current(file)).unwrap();
            assert_eq!(found, expected.unwrap_or_default(), "{file} {flags:?}");
        }
    };
    check(&[], &[], Some("cart"));
    check(&[], &ci, Some("cart"));
    check(&["--ref", "v1"], &ci, Some("v1"));
    check(&["--ref", "refs/heads/cart"], &[], Some("cart"));
    check(&["--ref", "HEAD"], &[], Some("cart"));
    let commit = git(&source, &["rev-parse", "HEAD"]);
    check(&["--ref", &commit[..9]], &[], None);
    git(&source, &["checkout", "-q", "--detach"]);
    check(&[], &[], None);
    check(&[], &ci, Some("of-ci"));
}

#[test]
fn the_key_names_a_commit_and_the_flag_another() {
    let mut site = checkout();
    site.write("index.php", "changed");
    site.configure("ref = 'v1'\n");
    site.deploy(&[]);
    assert_eq!(fs::read_to_string(site.current("index.php")).unwrap(), "one");
    site.deploy(&["--ref", "main"]);
    assert_eq!(fs::read_to_string(site.current("index.php")).unwrap(), "two");
    for (config, expected) in [
        ("ref = ''", "`ref` must be the name of a branch, a tag or a commit, and is empty"),
        ("ref = '-x'", "begins with `-`"),
        ("ref = 1", "`ref` must be a string"),
        ("build_keep = 'a'", "`build_keep` must be a list of strings"),
        ("gitignore = 'yes'", "`gitignore` must be `true` or `false`"),
    ] {
        site.configure(config);
        site.cutover(&["deploy"]).failed(2, &[expected, "line 1"]);
    }
}

#[test]
fn a_source_below_the_top_is_the_same_directory_of_the_commit() {
    let site = checkout();
    git(&site.path("source"), &["rm", "-r", "-q", "web"]);
    symlink("/etc", site.source("out")).unwrap();
    symlink("new", site.source("in")).unwrap();
    commit(&site);
    let of = |path: &str| site.source(path).to_str().unwrap().to_owned();
    // It need not exist in the working directory.
    site.deploy(&["--ref", "v1", "--source", &of("web")]);
    assert_eq!(files(&site), ["REVISION", "app.js"]);
    assert_eq!(revision(&site), git(&site.path("source"), &["rev-parse", "v1"]));
    site.deploy(&["--ref", "main", "--source", &of("in")]);
    assert_eq!(files(&site), ["REVISION", "file"]);
    for path in ["web", "index.php", "nothing/below"] {
        let expected = format!("There is no directory `{path}` in commit ");
        site.refused(&["deploy", "--ref", "main", "--source", &of(path)], 1, &[&expected]);
    }
    // A symlink of the commit that leads out of it.
    fs::remove_file(site.source("out")).unwrap();
    let expected = ["There is no directory `out` in commit "];
    site.refused(&["deploy", "--ref", "main", "--source", &of("out")], 1, &expected);
}

#[test]
fn every_form_of_a_repository_has_commits_to_deploy() {
    let site = checkout();
    let source = site.path("source");
    let url = format!("file://{}", source.display());
    let origin = site.path("origin");
    git(&source, &["config", "uploadpack.allowFilter", "true"]);
    let forms: [(&str, &[&str]); 4] = [
        ("bare", &["clone", "-q", "--bare", &url]),
        ("shallow", &["clone", "-q", "--depth", "1", &url]),
        ("partial", &["clone", "-q", "--filter=blob:none", "--no-checkout", &url]),
        ("linked", &["worktree", "add", "-q", "--detach"]),
    ];
    for (form, words) in forms {
        let place = site.path(form);
        git(&source, &[words, &[place.to_str().unwrap()]].concat());
        check_ref(&site, &place, "HEAD", &["--source", place.to_str().unwrap()]);
        site.forget();
    }
    for format in ["--object-format=sha256", "--ref-format=reftable"] {
        drop(fs::remove_dir_all(&origin));
        let made = command(site.path("").as_path(), &["init", "-q", format, "origin"]).output().unwrap();
        // That of the test may be another git than that of the system.
        let is_known =
            || Command::new("/usr/bin/git").args(["-C", "origin", "status"]).current_dir(site.path("")).output();
        if !made.status.success() || !is_known().unwrap().status.success() {
            crate::support::sshd::skipped(&format!("in part: this git has no `{format}`"));
            continue;
        }
        fs::write(origin.join("file"), format).unwrap();
        git(&origin, &["add", "-A"]);
        git(&origin, &["commit", "-q", "-m", "x"]);
        check_ref(&site, &origin, "main", &["--source", origin.to_str().unwrap()]);
    }
}

#[test]
fn a_missing_commit_is_told_with_the_nearest_name_or_how_to_fetch_it() {
    let site = checkout();
    let source = site.path("source");
    git(&source, &["update-ref", "refs/remotes/origin/feature", "HEAD"]);
    let check = |name: &str, expected: &[&str]| {
        let missing = format!("There is no commit `{name}` in the repository `{}`", source.display());
        site.refused(&["deploy", "--ref", name], 1, &[&[missing.as_str()], expected].concat());
    };
    let fetch = format!("git -C {} fetch --tags`", source.display());
    check("feature", &["Did you mean `origin/feature`?", &fetch]);
    check("mian", &["Did you mean `main`?"]);
    check("release-7", &["Fetch it with", &fetch]);
    check(&"0".repeat(40), &["Fetch it with"]);
    check("HEAD:index.php", &["Fetch it with"]);
    check("^main", &[]);
    let shallow = site.path("shallow");
    let url = format!("file://{}", source.display());
    git(&source, &["clone", "-q", "--depth", "1", &url, shallow.to_str().unwrap()]);
    site.refused(&["deploy", "--ref", "v1", "--source", shallow.to_str().unwrap()], 1, &["fetch --tags --unshallow`"]);
    let plain = site.path("home");
    let ran = site.refused(
        &["deploy", "--ref", "v1", "--source", plain.to_str().unwrap()],
        1,
        &["There is no git repository at", "not a git repository", "leave out `--ref`"],
    );
    assert!(!ran.stderr.contains("Connected"));
    fs::create_dir(site.path("bin")).unwrap();
    program::write(&site.path("bin/git"), "#!/bin/sh\nexit 1\n");
    site.refused(&["deploy", "--ref", "v1"], 1, &["`git` gave no reason"]);
}

#[test]
fn hooks_see_the_commit_of_the_release_in_which_they_run() {
    let mut site = checkout();
    let [one, two] = ["v1", "main"].map(|name| git(&site.path("source"), &["rev-parse", name]));
    let source = site.path("source");
    let run = "echo $CUTOVER_RELEASE $CUTOVER_REVISION >> \"$CUTOVER_SHARED_PATH/seen\"";
    let hook = |phase: &str| format!("[[hooks]]\nname = '{phase}'\nphase = '{phase}'\nrun = '{run}'\n");
    site.configure(&format!("{}{}", hook("before_switch"), hook("after_rollback")));
    site.deploy(&["--ref", "v1", "--release", "1", "--source", source.to_str().unwrap()]);
    site.deploy(&["--ref", "main", "--release", "2", "--source", source.to_str().unwrap()]);
    site.succeed(&["rollback"]);
    let seen = fs::read_to_string(site.target("shared/seen")).unwrap();
    assert_eq!(seen.lines().last().unwrap(), format!("1 {one}"));
    assert_eq!(seen.lines().nth(1).unwrap(), format!("2 {two}"));
    let output = site.command(&["exec"]).args(["--", "printenv", "CUTOVER_REVISION"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(&one), "{output:?}");
}
