//! The source of a deploy: a commit of a repository, a checkout with changes, a checkout without its ignored files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::git::{command, git};
use crate::support::program;
use crate::support::site::{RunResult, Site, names, text};
use crate::support::sshd::run;
use crate::support::tree::{Entry, Tree};
use crate::support::wait::until;

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
fn the_second_checkout_writes_only_what_differs() {
    let site = checkout();
    site.deploy(&["--ref", "v1"]);
    let inode = |path: &str| crate::support::tree::stat(&worktree(&site).join("tree").join(path)).inode;
    let before = (inode("index.php"), inode("web/app.js"));
    let report = site.deploy(&["--ref", "main"]);
    assert_ne!(inode("index.php"), before.0);
    assert_eq!(inode("web/app.js"), before.1);
    // `index.php` and `REVISION`; `new/file`; `old`.
    assert_eq!(
        (&report["files_changed"], &report["files_new"], &report["files_removed"]),
        (&2.into(), &1.into(), &1.into())
    );
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
            eprintln!("skipped: this git has no `{format}`");
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
fn what_somebody_did_to_the_worktree_is_mended_and_never_deployed() {
    let site = checkout();
    let source = site.path("source");
    site.write("web/run", "#!/bin/sh");
    fs::set_permissions(site.source("web/run"), PermissionsExt::from_mode(0o755)).unwrap();
    commit(&site);
    let tree = || worktree(&site).join("tree");
    check_ref(&site, &source, "main", &[]);
    type Edit = fn(&Path);
    let edits: &[(&str, Edit)] = &[
        ("an edit", |tree| fs::write(tree.join("index.php"), "bad").unwrap()),
        ("an edit with the size and mtime of before", |tree| {
            let mtime = fs::metadata(tree.join("index.php")).unwrap().modified().unwrap();
            fs::write(tree.join("index.php"), "TWO").unwrap();
            let file = fs::File::options().write(true).open(tree.join("index.php")).unwrap();
            file.set_times(fs::FileTimes::new().set_modified(mtime)).unwrap();
        }),
        ("an execute bit", |tree| {
            fs::set_permissions(tree.join("index.php"), PermissionsExt::from_mode(0o755)).unwrap();
        }),
        ("the mode of a file", |tree| {
            fs::set_permissions(tree.join("index.php"), PermissionsExt::from_mode(0o600)).unwrap();
        }),
        ("the mode of a program", |tree| {
            fs::set_permissions(tree.join("web/run"), PermissionsExt::from_mode(0o4700)).unwrap();
        }),
        ("the mode of a directory", |tree| {
            fs::set_permissions(tree.join("web"), PermissionsExt::from_mode(0o700)).unwrap();
        }),
        ("the mode of all files", |tree| fs::set_permissions(tree, PermissionsExt::from_mode(0o777)).unwrap()),
        ("a file that is gone", |tree| fs::remove_file(tree.join("web/app.js")).unwrap()),
        ("a directory that is gone", |tree| fs::remove_dir_all(tree.join("web")).unwrap()),
        ("an untracked file", |tree| fs::write(tree.join("web/shell.php"), "bad").unwrap()),
        ("an ignored file", |tree| fs::write(tree.join("x.log"), "bad").unwrap()),
        ("another repository", |tree| {
            fs::create_dir(tree.join("other")).unwrap();
            git(&tree.join("other"), &["init", "-q"]);
        }),
        ("a directory in the place of a file", |tree| {
            fs::remove_file(tree.join("index.php")).unwrap();
            fs::create_dir(tree.join("index.php")).unwrap();
            fs::write(tree.join("index.php/x"), "bad").unwrap();
        }),
        ("a symlink in the place of a directory", |tree| {
            drop(fs::remove_dir_all(tree.join("../web")));
            fs::rename(tree.join("web"), tree.join("../web")).unwrap();
            fs::write(tree.join("../web/app.js"), "bad").unwrap();
            symlink("../web", tree.join("web")).unwrap();
        }),
        ("a closed directory", |tree| {
            fs::create_dir(tree.join("closed")).unwrap();
            fs::write(tree.join("closed/x"), "bad").unwrap();
            fs::set_permissions(tree.join("closed"), PermissionsExt::from_mode(0o500)).unwrap();
        }),
        ("a lock of a killed git", |tree| fs::write(tree.join("../git/index.lock"), "").unwrap()),
        ("an index that was cut off", |tree| fs::write(tree.join("../git/index"), "DIRC").unwrap()),
        ("an index that is gone", |tree| fs::remove_file(tree.join("../git/index")).unwrap()),
        ("a HEAD that is empty", |tree| fs::write(tree.join("../git/HEAD"), "").unwrap()),
        ("a repository that is gone", |tree| fs::remove_dir_all(tree.join("../git")).unwrap()),
        ("another `.git`", |tree| {
            fs::remove_file(tree.join(".git")).unwrap();
            git(tree, &["init", "-q"]);
        }),
        ("a worktree that is gone", |tree| fs::remove_dir_all(tree.join("..")).unwrap()),
        ("files that are gone", |tree| fs::remove_dir_all(tree).unwrap()),
        ("a file in the place of the files", |tree| {
            fs::remove_dir_all(tree).unwrap();
            fs::write(tree, "").unwrap();
        }),
        ("files assumed to be unchanged", |tree| {
            fs::write(tree.join("index.php"), "bad").unwrap();
            git(tree, &["update-index", "--assume-unchanged", "index.php"]);
        }),
        ("files to be skipped", |tree| {
            git(tree, &["update-index", "--skip-worktree", "index.php"]);
            fs::write(tree.join("index.php"), "bad").unwrap();
        }),
        ("commits", |tree| {
            fs::write(tree.join("index.php"), "bad").unwrap();
            git(tree, &["commit", "-q", "-a", "-m", "bad"]);
        }),
    ];
    for (what, edit) in edits {
        eprintln!("{what}");
        edit(&tree());
        check_ref(&site, &source, "main", &[]);
        edit(&tree());
        check_ref(&site, &source, "v1", &[]);
        check_ref(&site, &source, "main", &[]);
    }
}

#[test]
fn a_strict_umask_does_not_change_the_release() {
    let site = checkout();
    let strict = site.path("strict");
    let script = format!("#!/bin/sh\numask 077\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_cutover"));
    fs::write(&strict, script).unwrap();
    fs::set_permissions(&strict, PermissionsExt::from_mode(0o755)).unwrap();
    let deploy = site.command_of(&strict, &["deploy", "--ref", "main"]).spawn().unwrap();
    assert_eq!(RunResult::wait(deploy).code, Some(0));
    check_modes(&site, &site.path("source"), "main");
}

#[test]
fn a_repository_that_moved_gets_another_worktree_and_the_old_one_goes() {
    let site = checkout();
    check_ref(&site, &site.path("source"), "v1", &[]);
    let before = worktree(&site);
    fs::rename(site.path("source"), site.path("moved")).unwrap();
    fs::create_dir(site.path("source")).unwrap();
    let moved = site.path("moved");
    check_ref(&site, &moved, "main", &["--source", moved.to_str().unwrap()]);
    assert_ne!(worktree(&site), before);
}

#[test]
fn two_deploys_of_a_repository_wait_for_each_other() {
    let site = checkout();
    site.deploy(&["--ref", "v1"]);
    let lock = names(&site.path("state/worktrees")).into_iter().find(|name| name.ends_with(".lock")).unwrap();
    let mut holder = Command::new("flock")
        .arg(site.path("state/worktrees").join(lock))
        .args(["sh", "-c", "echo locked; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.as_mut().unwrap()), &mut line).unwrap();
    assert_eq!(line, "locked\n");
    let log = site.path("log");
    let mut command = site.command(&["deploy", "--ref", "main"]);
    let waiting = command.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    until("the second deploy says that it waits", || {
        fs::read_to_string(&log).unwrap().contains("Another deploy uses the worktree").then_some(())
    });
    assert_eq!(fs::read_to_string(site.current("index.php")).unwrap(), "one");
    drop(holder.stdin.take());
    holder.wait().unwrap();
    assert_eq!(RunResult::wait(waiting).code, Some(0));
    assert_eq!(fs::read_to_string(site.current("index.php")).unwrap(), "two");
}

#[test]
fn a_deploy_that_was_killed_leaves_the_lock_to_its_git() {
    let site = checkout();
    site.write(".gitattributes", "slow filter=slow\n");
    site.write("slow", "slow");
    commit(&site);
    let (began, go) = (site.path("began"), site.path("go"));
    let filter = site.path("filter");
    let script = format!(
        "#!/bin/sh\necho > '{}'\nwhile ! [ -e '{}' ]; do /bin/sleep 0.01; done\ncat\n",
        began.display(),
        go.display()
    );
    program::write(&filter, &script);
    let config = format!("[filter \"slow\"]\n\tsmudge = {}\n\trequired = true\n", filter.display());
    fs::write(site.path("home/.gitconfig"), config).unwrap();
    let mut killed = site.command(&["deploy", "--ref", "main"]).spawn().unwrap();
    until("git checks out", || began.exists().then_some(()));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let log = site.path("log");
    let mut next = site.command(&["deploy", "--ref", "main"]);
    let next = next.stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    until("the next deploy says that it waits", || {
        fs::read_to_string(&log).unwrap().contains("Another deploy uses the worktree").then_some(())
    });
    fs::write(&go, "").unwrap();
    assert_eq!(RunResult::wait(next).code, Some(0));
    assert_eq!(fs::read_to_string(site.current("slow")).unwrap(), "slow");
}

#[test]
fn submodules_are_at_the_commits_that_the_commit_names() {
    let site = checkout();
    let source = site.path("source");
    let (library, inner) = (site.path("library"), site.path("inner"));
    let add = |into: &Path, from: &Path, path: &str| {
        let words = ["-c", "protocol.file.allow=always", "submodule", "add", "-q", from.to_str().unwrap(), path];
        git(into, &words);
        git(into, &["commit", "-q", "-m", "x"]);
    };
    for (place, content) in [(&inner, "inner"), (&library, "library")] {
        fs::create_dir(place).unwrap();
        git(place, &["init", "-q"]);
        fs::write(place.join("file"), content).unwrap();
        git(place, &["add", "-A"]);
        git(place, &["commit", "-q", "-m", "x"]);
    }
    add(&library, &inner, "deep/inner");
    add(&source, &library, "lib");
    let allow = ["-c", "protocol.file.allow=always"];
    git(&source, &[&allow[..], &["submodule", "update", "-q", "--init", "--recursive"]].concat());
    git(&source, &["tag", "with-one"]);
    // Another commit of the submodule, then none of it.
    fs::write(source.join("lib/file"), "library 2").unwrap();
    git(&source.join("lib"), &["commit", "-q", "-a", "-m", "x"]);
    git(&source, &["commit", "-q", "-a", "-m", "x"]);
    git(&source, &["tag", "with-two"]);
    git(&source, &["rm", "-q", "-f", "lib"]);
    git(&source, &["commit", "-q", "-m", "x"]);
    let read = |path: &str| fs::read_to_string(site.current(path)).ok();
    for (name, expected) in [("with-one", "library"), ("with-two", "library 2"), ("with-one", "library")] {
        site.deploy(&["--ref", name]);
        assert_eq!(read("lib/file").as_deref(), Some(expected), "{name}");
        assert_eq!(read("lib/deep/inner/file").as_deref(), Some("inner"), "{name}");
        // An edit there is mended too.
        fs::write(worktree(&site).join("tree/lib/file"), "bad").unwrap();
        fs::write(worktree(&site).join("tree/lib/deep/inner/untracked"), "bad").unwrap();
        site.deploy(&["--ref", name, "--force"]);
        assert_eq!(read("lib/file").as_deref(), Some(expected), "{name}");
        assert_eq!(read("lib/deep/inner/untracked"), None, "{name}");
    }
    site.deploy(&["--ref", "main"]);
    assert_eq!(read("lib/file"), None);
    // A clone without the submodule does not have its commit.
    let clone = site.path("clone");
    git(&source, &["clone", "-q", source.to_str().unwrap(), clone.to_str().unwrap()]);
    site.refused(
        &["deploy", "--ref", "with-one", "--source", clone.to_str().unwrap()],
        1,
        &["The submodule `lib` is not here at commit ", "submodule update --init --recursive`"],
    );
    git(&clone, &["config", "submodule.lib.update", "none"]);
    site.deploy(&["--ref", "with-one", "--source", clone.to_str().unwrap()]);
    assert!(names(&site.current("lib")).is_empty());
}

#[test]
fn files_of_git_lfs_are_deployed_and_never_their_pointers() {
    let site = checkout();
    let source = site.path("source");
    let lfs = |words: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(&source).env("HOME", site.path("home")).env("GIT_CONFIG_NOSYSTEM", "1").args(words);
        run(&mut command);
    };
    lfs(&["lfs", "install", "--local"]);
    lfs(&["lfs", "track", "*.bin"]);
    fs::write(source.join("large.bin"), "large content").unwrap();
    lfs(&["add", "-A"]);
    lfs(&["-c", "user.name=t", "-c", "user.email=t@x", "commit", "-q", "-m", "x"]);
    assert!(git(&source, &["cat-file", "-p", "HEAD:large.bin"]).starts_with("version https://git-lfs"));
    site.deploy(&["--ref", "main"]);
    assert_eq!(fs::read_to_string(site.current("large.bin")).unwrap(), "large content");
    lfs(&["lfs", "uninstall", "--local"]);
    site.forget();
    // The system may have Git LFS for all users.
    let refused = site.command(&["deploy", "--ref", "main"]).env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
    RunResult::of(&refused).failed(1, &["`large.bin` needs git's filter `lfs`", "git lfs install"]);
}

#[test]
fn pointers_of_git_lfs_do_not_stay_and_nothing_skips_the_content() {
    let site = checkout();
    let source = site.path("source");
    let command = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        command.current_dir(&source).env("HOME", site.path("home")).env("GIT_CONFIG_NOSYSTEM", "1").args(words);
        command
    };
    let lfs = |words: &[&str]| run(&mut command("git", &[&["lfs"], words].concat()));
    lfs(&["install", "--local"]);
    lfs(&["track", "*.bin"]);
    fs::write(source.join("large.bin"), "large content").unwrap();
    run(&mut command("git", &["add", "-A"]));
    run(&mut command("git", &["-c", "user.name=t", "-c", "user.email=t@x", "commit", "-q", "-m", "x"]));
    lfs(&["uninstall", "--local"]);
    let deploy = |variable: &str| {
        let mut command = site.command(&["deploy", "--ref", "main"]);
        RunResult::of(&command.env("GIT_CONFIG_NOSYSTEM", "1").env(variable, "1").output().unwrap())
    };
    let check = |what: &str, variable: &str| {
        deploy(variable).succeeded();
        assert_eq!(fs::read_to_string(site.current("large.bin")).unwrap(), "large content", "{what}");
    };
    // The checkout that is refused has written the pointer already.
    deploy("X").failed(1, &["`large.bin` needs git's filter `lfs`", "git lfs install"]);
    lfs(&["install"]);
    check("after what the hint says", "X");
    site.forget();
    check("with a variable", "GIT_LFS_SKIP_SMUDGE");
    for words in [&["install", "--skip-smudge"][..], &["install", "--local", "--force", "--skip-smudge"]] {
        site.forget();
        lfs(words);
        check(&words.join(" "), "X");
    }
    // What Git LFS does not find is an error, and no pointer.
    for name in names(&source.join(".git")).iter().filter(|name| *name == "lfs") {
        fs::remove_dir_all(source.join(".git").join(name)).unwrap();
    }
    site.forget();
    deploy("GIT_LFS_SKIP_DOWNLOAD_ERRORS").failed(1, &["large.bin"]);
}

#[test]
fn files_are_written_again_if_only_the_rules_for_their_content_change() {
    let site = checkout();
    let source = site.path("source");
    let content = "one\ntwo\n";
    for path in ["a.txt", "web/a.txt", "web/gone.txt"] {
        site.write(path, content);
    }
    commit(&site);
    let inode = || crate::support::tree::stat(&worktree(&site).join("tree/index.php")).inode;
    let check = |what: &str, path: &str, expected: &str| {
        site.deploy(&["--ref", "main"]);
        assert_eq!(fs::read_to_string(site.current(path)).unwrap(), expected, "{what}");
    };
    check("none", "a.txt", content);
    site.write("web/.gitattributes", "*.txt text eol=crlf\n");
    fs::remove_file(site.source("web/gone.txt")).unwrap();
    commit(&site);
    check("attributes of the commit", "web/a.txt", "one\r\ntwo\r\n");
    check("attributes of the commit", "a.txt", content);
    assert!(!site.current("web/gone.txt").exists());
    fs::write(source.join(".git/info/attributes"), "a.txt text eol=crlf\n").unwrap();
    check("attributes of the repository", "a.txt", "one\r\ntwo\r\n");
    let before = inode();
    site.write("new/file", "another");
    commit(&site);
    check("no other attributes", "new/file", "another");
    assert_eq!(inode(), before);
    fs::remove_file(source.join(".git/info/attributes")).unwrap();
    check("attributes that are gone", "a.txt", content);
    git(&source, &["config", "core.eol", "crlf"]);
    site.write(".gitattributes", "a.txt text\n");
    commit(&site);
    check("the configuration of the repository", "a.txt", "one\r\ntwo\r\n");
    git(&source, &["config", "core.eol", "lf"]);
    check("the configuration of the repository", "a.txt", content);
    fs::write(site.path("home/.gitconfig"), "[filter \"up\"]\n\tsmudge = tr a-z A-Z\n").unwrap();
    site.write(".gitattributes", "a.txt filter=up\n");
    commit(&site);
    check("a filter of the user", "a.txt", "ONE\nTWO\n");
    fs::write(site.path("home/.gitconfig"), "[filter \"up\"]\n\tsmudge = tr n-z N-Z\n").unwrap();
    check("another filter of the user", "a.txt", "ONe\nTWO\n");
}

#[test]
fn no_program_that_a_repository_names_is_run() {
    let site = checkout();
    let source = site.path("source");
    let spy = site.path("spy");
    program::write(&spy, &format!("#!/bin/sh\ntouch '{}'\ncat\n", site.path("ran").display()));
    let spy = spy.to_str().unwrap();
    site.write(".gitattributes", "index.php filter=spy diff=spy\n");
    commit(&site);
    for hook in ["post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc"] {
        symlink(spy, site.source(&format!(".git/hooks/{hook}"))).unwrap();
    }
    for key in ["core.fsmonitor", "core.sshCommand", "core.pager", "alias.reset", "alias.status", "diff.spy.textconv"] {
        git(&source, &["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "config", key, spy]);
    }
    site.deploy(&["--ref", "main"]);
    site.deploy(&[]);
    for key in ["filter.spy.clean", "filter.spy.smudge", "filter.spy.process"] {
        git(&source, &["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "config", key, spy]);
    }
    // Git would compare it with its filter.
    site.write("index.php", "six");
    drop(fs::remove_file(site.path("ran")));
    site.deploy(&[]);
    site.refused(
        &["deploy", "--ref", "main"],
        1,
        &[
            "`index.php` needs git's filter `spy`, which your configuration of git does not have",
            "git config --global filter.spy.smudge",
        ],
    );
    assert!(!site.path("ran").exists());
    // The user's own configuration may name it.
    fs::write(site.path("home/.gitconfig"), "[filter \"spy\"]\n\tsmudge = sed s/two/three/\n").unwrap();
    for key in ["clean", "smudge", "process"] {
        git(
            &source,
            &[
                "-c",
                "core.fsmonitor=false",
                "-c",
                "core.hooksPath=/dev/null",
                "config",
                "--unset",
                &format!("filter.spy.{key}"),
            ],
        );
    }
    site.forget();
    git(&source, &["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "tag", "now", "HEAD"]);
    drop(fs::remove_file(site.path("ran")));
    site.deploy(&["--ref", "now"]);
    assert_eq!(fs::read_to_string(site.current("index.php")).unwrap(), "three");
    assert!(!site.path("ran").exists());
}

#[test]
fn what_a_build_leaves_goes_before_the_next_one_but_for_what_is_kept() {
    let mut site = checkout();
    site.configure("build_keep = ['node_modules', '/web/cache/']\nexclude = ['node_modules', '/web/cache/']\n");
    site.deploy(&["--ref", "v1"]);
    let tree = worktree(&site).join("tree");
    for path in [
        "node_modules/a/b",
        "web/node_modules/a",
        "new/node_modules/a",
        "web/cache/x",
        "cache/x",
        "vendor/x",
        "built.js",
    ] {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    site.deploy(&["--ref", "main"]);
    for path in ["node_modules/a/b", "web/node_modules/a", "new/node_modules/a", "web/cache/x"] {
        assert!(tree.join(path).exists(), "{path}");
    }
    for path in ["cache", "vendor", "built.js"] {
        assert!(!tree.join(path).exists(), "{path}");
    }
    assert_eq!(files(&site), [".gitignore", "REVISION", "index.php", "new/file", "web/app.js"]);
    // Without a commit nothing is ever removed.
    site.write("vendor/mine", "x");
    site.deploy(&[]);
    assert!(site.source("vendor/mine").exists());
}

#[test]
fn a_build_runs_in_the_commit() {
    let mut site = checkout();
    let config = "source = 'source/dist'\n[[hooks]]\nname = 'bundle'\nphase = 'build'\n\
                  run = 'mkdir dist && cp index.php dist/ && git rev-parse HEAD > dist/commit'\n";
    // The config is that of the checkout: the build runs in its directory.
    fs::write(site.source("cutover.toml"), config.replace("source/dist", "dist")).unwrap();
    site.configure("");
    let config = site.source("cutover.toml").to_str().unwrap().to_owned();
    let dist = site.source("dist").to_str().unwrap().to_owned();
    let target = site.target("").to_str().unwrap().to_owned();
    let words = ["deploy", "--ref", "v1", "--config", &config, "--source", &dist, "--json", "--target", &target];
    let ran = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .args(words)
        .args(["--state-dir", site.path("state").to_str().unwrap()])
        .env("HOME", site.path("home"))
        .output()
        .unwrap();
    RunResult::of(&ran).succeeded();
    assert_eq!(fs::read_to_string(site.current("index.php")).unwrap(), "one");
    let commit = git(&site.path("source"), &["rev-parse", "v1"]);
    assert_eq!(fs::read_to_string(site.current("commit")).unwrap().trim(), commit);
    assert_eq!(revision(&site), commit);
    assert!(!site.source("dist").exists());
}

#[test]
fn a_checkout_with_changes_is_dirty_and_one_without_is_not() {
    let mut site = checkout();
    site.configure("exclude = ['/notes/']\n");
    let source = site.path("source");
    let commit = git(&source, &["rev-parse", "HEAD"]);
    let check = |what: &str, expected: bool| {
        let report = site.deploy(&["--force"]);
        assert_eq!(report["dirty"], expected, "{what}");
        assert_eq!(text(&report["commit"]), commit, "{what}");
        let releases = site.succeed(&["releases"]);
        let last = releases["releases"].as_array().unwrap().last().unwrap().clone();
        assert_eq!((text(&last["commit"]), &last["dirty"]), (commit.clone(), &expected.into()), "{what}");
        let mark = if expected { "-dirty" } else { "" };
        assert_eq!(revision(&site), format!("{commit}{mark}"), "{what}");
        // With and without a last scan.
        assert_eq!(site.deploy(&[])["dirty"], expected, "{what}");
        assert_eq!(site.deploy(&["--paranoid"])["dirty"], expected, "{what}");
    };
    type Change = fn(&Path);
    let restore = || {
        git(&source, &["reset", "-q", "--hard"]);
        git(&source, &["clean", "-q", "-ffdx"]);
    };
    let changes: &[(&str, bool, Change)] = &[
        ("nothing", false, |_| {}),
        ("an edit", true, |source| fs::write(source.join("index.php"), "3").unwrap()),
        ("an edit of the same size", true, |source| fs::write(source.join("index.php"), "owt").unwrap()),
        ("a mode", true, |source| {
            fs::set_permissions(source.join("index.php"), PermissionsExt::from_mode(0o755)).unwrap();
        }),
        ("a touched file", false, |source| fs::write(source.join("index.php"), "two").unwrap()),
        ("a staged edit", true, |source| {
            fs::write(source.join("index.php"), "3").unwrap();
            git(source, &["add", "-A"]);
        }),
        ("a missing file", true, |source| fs::remove_file(source.join("web/app.js")).unwrap()),
        ("an untracked file", true, |source| fs::write(source.join("web/untracked"), "").unwrap()),
        ("an ignored file", false, |source| fs::write(source.join("web/x.log"), "").unwrap()),
        ("a file that is left out", false, |source| {
            fs::create_dir(source.join("notes")).unwrap();
            fs::write(source.join("notes/a"), "").unwrap();
        }),
        ("a config of our own", false, |source| fs::write(source.join("cutover.toml"), "").unwrap()),
    ];
    for (what, expected, change) in changes {
        change(&source);
        // Ignored files that are deployed are warned of, which is no matter here.
        check(what, *expected);
        restore();
        check("what was restored", false);
    }
}

#[test]
fn a_change_in_a_submodule_is_a_change() {
    let site = checkout();
    let library = checkout();
    let (source, url) = (site.path("source"), library.path("source"));
    let words = ["-c", "protocol.file.allow=always", "submodule", "add", "-q", url.to_str().unwrap(), "lib"];
    git(&source, &words);
    git(&source, &["commit", "-q", "-m", "x"]);
    let is_dirty = || site.deploy(&[])["dirty"].clone();
    assert_eq!(is_dirty(), false);
    site.write("lib/index.php", "changed");
    assert_eq!(is_dirty(), true);
    git(&source.join("lib"), &["commit", "-q", "-a", "-m", "x"]);
    assert_eq!(is_dirty(), true);
    git(&source, &["commit", "-q", "-a", "-m", "x"]);
    assert_eq!(is_dirty(), false);
    site.write("lib/x.log", "ignored there");
    assert_eq!(is_dirty(), false);
    site.write("lib/untracked", "");
    assert_eq!(is_dirty(), true);
}

#[test]
fn where_git_cannot_say_whether_there_are_changes_that_is_told() {
    let site = checkout();
    fs::create_dir(site.path("bin")).unwrap();
    program::write(&site.path("bin/git"), "#!/bin/sh\nexit 1\n");
    let report = site.deploy(&[]);
    assert_eq!(report["dirty"], serde_json::Value::Null);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("Whether the source has changes since its commit is unknown: `git` gave no reason"));
    assert!(!revision(&site).contains("dirty"));
}

#[test]
fn ignored_files_are_left_out_on_request_and_tracked_ones_stay() {
    let mut site = checkout();
    site.configure("gitignore = true\n");
    let source = site.path("source");
    let check = |expected: &[&str]| {
        site.deploy(&["--force"]);
        let mut expected: Vec<String> = expected.iter().map(|&path| path.to_owned()).collect();
        expected.extend([".gitignore", "REVISION", "index.php", "new/file", "web/app.js"].map(str::to_owned));
        expected.sort();
        assert_eq!(files(&site), expected);
        site.deploy(&["--force", "--paranoid"]);
        assert_eq!(files(&site), expected);
    };
    for path in ["x.log", "web/x.log", "vendor/a/b", "vendor/tracked", "web/vendor/a", "untracked"] {
        site.write(path, "x");
    }
    check(&["untracked", "web/vendor/a"]);
    git(&source, &["add", "-f", "vendor/tracked", "web/x.log"]);
    check(&["untracked", "web/vendor/a", "vendor/tracked", "web/x.log"]);
    git(&source, &["rm", "-q", "--cached", "web/x.log"]);
    check(&["untracked", "web/vendor/a", "vendor/tracked"]);
    // An ignore file that changes in place.
    site.write("web/.gitignore", "vendor\n.gitignore\n");
    check(&["untracked", "vendor/tracked"]);
    site.write("web/.gitignore", "!*.log\n.gitignore\n");
    check(&["untracked", "web/vendor/a", "vendor/tracked", "web/x.log"]);
    fs::remove_file(site.source("web/.gitignore")).unwrap();
    fs::write(site.source(".git/info/exclude"), "untracked\n").unwrap();
    check(&["web/vendor/a", "vendor/tracked"]);
    // The patterns of the user go before.
    site.write(".deployignore", "!vendor\n/web/vendor\n");
    check(&["vendor/tracked", "vendor/a/b"]);
    fs::remove_file(site.source(".deployignore")).unwrap();
    site.configure("");
    site.deploy(&[]);
    assert_eq!(fs::read_to_string(site.current("x.log")).unwrap(), "x");
}

#[test]
fn ignored_files_of_a_directory_in_a_checkout_and_of_submodules_are_left_out() {
    let mut site = checkout();
    site.configure("gitignore = true\n");
    let library = checkout();
    let (source, url) = (site.path("source"), library.path("source"));
    let words = ["-c", "protocol.file.allow=always", "submodule", "add", "-q", url.to_str().unwrap(), "web/lib"];
    git(&source, &words);
    site.write("web/lib/.gitignore", "*.tmp\n");
    for path in ["web/x.log", "web/lib/x.log", "web/lib/x.tmp", "web/lib/vendor/a"] {
        site.write(path, "x");
    }
    let web = site.source("web").to_str().unwrap().to_owned();
    site.deploy(&["--source", &web]);
    let expected =
        ["app.js", "lib/.gitignore", "lib/index.php", "lib/new/file", "lib/vendor/a", "lib/web/app.js", "lib/x.log"];
    assert_eq!(files(&site), expected);
    // A source that git ignores as a whole was chosen all the same.
    site.write("vendor/dist/a", "x");
    let dist = site.source("vendor/dist").to_str().unwrap().to_owned();
    site.deploy(&["--source", &dist]);
    assert_eq!(files(&site), ["a"]);
    // Without a repository, the patterns count, and nothing is tracked.
    fs::remove_dir_all(site.source(".git")).unwrap();
    fs::remove_dir_all(site.source("web/lib")).unwrap();
    fs::remove_file(site.source(".gitmodules")).unwrap();
    site.deploy(&[]);
    assert_eq!(files(&site), [".gitignore", "index.php", "new/file", "web/app.js"]);
    git(&source, &["init", "-q"]);
    fs::create_dir(site.path("bin")).unwrap();
    program::write(&site.path("bin/git"), "#!/bin/sh\nexit 1\n");
    site.refused(&["deploy"], 1, &["Could not find out which files git tracks", "leave out `gitignore`"]);
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
