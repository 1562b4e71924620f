//! The worktree of `ref`: what git writes there, what is mended, and who may use it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::git::git;
use crate::support::program;
use crate::support::site::{RunResult, names};
use crate::support::tree;
use crate::support::wait::until;

use super::{check_modes, check_ref, checkout, commit, files, revision, worktree};

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
fn what_somebody_did_to_the_worktree_is_mended_and_never_deployed() {
    let site = checkout();
    let source = site.path("source");
    site.write("web/run", "#!/bin/sh");
    tree::set_mode(site.source("web/run"), 0o755);
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
            tree::set_mode(tree.join("index.php"), 0o755);
        }),
        ("the mode of a file", |tree| {
            tree::set_mode(tree.join("index.php"), 0o600);
        }),
        ("the mode of a program", |tree| {
            tree::set_mode(tree.join("web/run"), 0o4700);
        }),
        ("the mode of a directory", |tree| {
            tree::set_mode(tree.join("web"), 0o700);
        }),
        ("the mode of all files", |tree| tree::set_mode(tree, 0o777)),
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
            tree::set_mode(tree.join("closed"), 0o500);
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
    tree::set_mode(&strict, 0o755);
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
