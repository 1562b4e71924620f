//! Hooks on this machine: which of them a deploy skips, and that one build runs at a time in a directory.

use std::fs;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::support::git::git;
use crate::support::process::wait_for_end;
use crate::support::site::{RunResult, Site};
use crate::support::wait::until;

/// Configures build hooks: name, command and further keys. They run in the source.
fn configure(site: &mut Site, top: &str, hooks: &[(&str, &str, &str)]) {
    let table = |&(name, run, more): &(&str, &str, &str)| {
        format!("[[hooks]]\nname = '{name}'\nphase = 'build'\nrun = '''cd \"$CUTOVER_SOURCE_PATH\"; {run}'''\n{more}\n")
    };
    site.configure(&format!("{top}\n{}", hooks.iter().map(table).collect::<String>()));
}

/// Makes the source a repository, and commits all its files.
fn commit(site: &Site) {
    let source = site.path("source");
    git(&source, &["init", "-q"]);
    git(&source, &["add", "-A"]);
    git(&source, &["commit", "-q", "--allow-empty", "-m", "x"]);
}

fn read(site: &Site, path: &str) -> String {
    fs::read_to_string(site.current(path)).unwrap().trim().to_owned()
}

/// Starts a deploy whose stderr goes into a file.
fn start(site: &Site, words: &[&str], log: &str) -> Child {
    let mut command = site.command(&[&["deploy"], words].concat());
    command.stdout(Stdio::null()).stderr(fs::File::create(site.path(log)).unwrap()).spawn().unwrap()
}

/// Waits until a deploy has written these words into its file.
#[track_caller]
fn wait_for(site: &Site, log: &str, words: &str) {
    until(words, || fs::read_to_string(site.path(log)).unwrap().contains(words).then_some(()));
}

#[test]
fn a_build_of_a_deploy_that_was_killed_is_ended_before_the_next_one_begins() {
    for top in ["", "ref = 'main'"] {
        let mut site = Site::new();
        let began = site.path("began");
        // It survives SIGTERM for a while, and writes then.
        let run = format!(
            "V=$(cat version); if [ $V = 1 ]; then trap 'echo late >out.js; exit' TERM; echo $$ >'{0}.new'; \
             mv '{0}.new' '{0}'; while :; do sleep 0.1; done; fi; echo built from $V >out.js",
            began.display()
        );
        configure(&mut site, top, &[("make", &run, "")]);
        site.write("version", "1");
        commit(&site);
        let mut killed = start(&site, &[], "log");
        let pid = until("the build runs", || fs::read_to_string(&began).ok()?.trim().parse().ok());
        killed.kill().unwrap();
        killed.wait().unwrap();
        test_kill_process(Pid::from_raw(pid).unwrap()).unwrap();
        site.write("version", "2");
        commit(&site);
        let report = site.deploy(&[]);
        let warnings = report["warnings"].to_string();
        let expected = format!("The hook `make` of a deploy that was killed still ran (process {pid}): it was ended");
        assert!(warnings.contains(&expected), "{warnings}");
        wait_for_end(Pid::from_raw(pid).unwrap());
        assert_eq!((read(&site, "version").as_str(), read(&site, "out.js").as_str()), ("2", "built from 2"), "{top}");
        // It is told once, and a hook that has ended is not one.
        assert!(!site.deploy(&["--force"])["warnings"].to_string().contains("killed"));
    }
}

#[test]
fn two_builds_in_one_directory_wait_for_each_other_and_ctrl_c_ends_the_wait() {
    let mut site = Site::new();
    let (began, go) = (site.path("began"), site.path("go"));
    let run = format!(
        "echo $FOR >out.js; touch '{}'; while ! [ -e '{}' ]; do sleep 0.05; done",
        began.display(),
        go.display()
    );
    let hook = |of: &str| [("make", run.clone(), format!("env = {{ FOR = '{of}' }}"))];
    let configure = |site: &mut Site, of: &str| {
        let [(name, run, more)] = hook(of);
        configure(site, "", &[(name, &run, &more)]);
    };
    configure(&mut site, "one");
    let one = start(&site, &["--release", "1"], "one");
    until("the first build runs", || began.exists().then_some(()));
    configure(&mut site, "two");
    let wait = format!("Another deploy uses `{}` for a build: waiting until it ends", site.path("").display());
    let wait = wait.replace("/`", "`");
    let mut interrupted = start(&site, &["--release", "3"], "three");
    wait_for(&site, "three", &wait);
    kill_process(Pid::from_child(&interrupted), Signal::INT).unwrap();
    assert!(!interrupted.wait().unwrap().success());
    let two = start(&site, &["--release", "2"], "two");
    wait_for(&site, "two", &wait);
    fs::write(&go, "").unwrap();
    for (release, run, expected) in [("1", one, "one\n"), ("2", two, "two\n")] {
        assert_eq!(RunResult::wait(run).code, Some(0));
        assert_eq!(fs::read_to_string(site.release(release).join("out.js")).unwrap(), expected);
    }
}

#[test]
fn a_deploy_in_its_own_build_is_refused() {
    let mut site = Site::new();
    site.write("version", "1");
    let inner = site.path("inner");
    let words = site.command(&["deploy"]);
    let config = site.path("cutover.toml");
    let line: Vec<&str> = words.get_args().map(|word| word.to_str().unwrap()).collect();
    let run = format!(
        "'{}' {} --config '{}' 2>'{}' || true",
        env!("CARGO_BIN_EXE_cutover"),
        line.join(" "),
        config.display(),
        inner.display()
    );
    configure(&mut site, "", &[("make", &run, "")]);
    site.deploy(&[]);
    let told = fs::read_to_string(inner).unwrap();
    assert!(told.contains("This command runs inside the hook `make`, whose run has the lock"), "{told}");
}

/// Returns how often the hook `make` has run.
fn runs(site: &Site) -> usize {
    fs::read_to_string(site.path("runs")).unwrap_or_default().lines().count()
}

/// A hook that is counted, with a command and further keys. It depends on the file `in`.
fn counted(site: &Site, run: &str, more: &str) -> (String, String) {
    (
        format!("echo x >>'{}'; {run}", site.path("runs").display()),
        format!("if_changed = ['/in', '/source/in']\n{more}"),
    )
}

#[test]
fn a_build_is_skipped_only_if_all_that_made_it_and_all_that_it_made_is_the_same() {
    let mut site = Site::new();
    site.write("in", "1");
    site.write("other", "1");
    let run = "mkdir -p out && echo $FOR $(cat in) >out/app.js && echo same >out/same";
    let set = |site: &mut Site, run: &str, more: &str| {
        let (run, more) = counted(site, run, more);
        configure(site, "", &[("make", &run, &more)]);
    };
    let check = |site: &Site, what: &str, expected: usize| {
        let planned = site.deploy(&["--dry-run"])["hooks"].as_array().unwrap().len();
        let before = runs(site);
        site.deploy(&[]);
        assert_eq!((runs(site), planned), (expected, expected - before), "{what}");
        assert_eq!(read(site, "out/same"), "same", "{what}");
    };
    set(&mut site, run, "env = { FOR = 'me' }");
    check(&site, "the first", 1);
    check(&site, "nothing differs", 1);
    site.write("other", "2");
    site.write("out/further", "x");
    fs::remove_file(site.source("other")).unwrap();
    check(&site, "something else differs", 1);
    site.write("in", "2");
    check(&site, "a file that matches", 2);
    assert_eq!(read(&site, "out/app.js"), "me 2");
    site.write("out/app.js", "me 3");
    check(&site, "a build by hand", 3);
    assert_eq!(read(&site, "out/app.js"), "me 2");
    fs::remove_file(site.source("out/same")).unwrap();
    check(&site, "a result that is gone", 4);
    fs::remove_dir_all(site.source("out")).unwrap();
    check(&site, "all results are gone", 5);
    set(&mut site, run, "env = { FOR = 'you' }");
    check(&site, "the environment", 6);
    assert_eq!(read(&site, "out/app.js"), "you 2");
    set(&mut site, run, "env = { FOR = 'you' }\nshell = '/bin/bash'");
    check(&site, "the shell", 7);
    set(&mut site, run, "env = { FOR = 'you' }\nshell = '/bin/bash'\ncwd = 'home'");
    check(&site, "the directory", 8);
    set(&mut site, &format!("{run}; exit $(cat fail || echo 0)"), "env = { FOR = 'you' }");
    site.write("fail", "1");
    site.cutover(&["deploy"]).failed(6, &["The hook `make` (build) failed"]);
    fs::remove_file(site.source("fail")).unwrap();
    check(&site, "a failure", 10);
    check(&site, "nothing differs in the end", 10);
    // A program that makes only what is not there.
    set(&mut site, "mkdir -p out; test -e out/same || echo same >out/same; cat in >out/app.js", "");
    check(&site, "another command", 11);
    site.write("in", "3");
    check(&site, "a file that matches", 12);
    fs::remove_file(site.source("out/same")).unwrap();
    check(&site, "what an earlier run made is gone", 13);
}

#[test]
fn a_build_for_one_stage_is_not_that_of_another() {
    let site = Site::new();
    site.write("in", "1");
    let config = site.source("cutover.toml");
    let stage = |name: &str| format!("[{name}]\ndeploy_path = '{}'\n", site.path(name).display());
    let hook = "[[hooks]]\nname = 'make'\nphase = 'build'\nrun = 'echo built for $CUTOVER_STAGE >app.js'\nif_changed = ['in']\n";
    fs::write(&config, format!("{hook}{}{}", stage("staging"), stage("production"))).unwrap();
    for name in ["staging", "production", "production", "staging"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cutover"));
        command.args(["deploy", name, "--json", "--config"]).arg(&config).arg("--state-dir").arg(site.path("state"));
        RunResult::of(&command.env("HOME", site.path("home")).output().unwrap()).succeeded();
        let built = fs::read_to_string(site.path(name).join("current/app.js")).unwrap();
        assert_eq!(built, format!("built for {name}\n"));
    }
}

#[test]
fn a_build_of_a_commit_is_skipped_only_if_all_that_it_made_was_kept() {
    for (keep, expected) in [("['/packages', '/out']", 1), ("['/packages']", 2), ("[]", 2)] {
        let mut site = Site::new();
        site.write("in", "1");
        let run = "mkdir -p packages out && echo x >packages/x && echo y >out/y";
        let (run, more) = counted(&site, run, "");
        configure(&mut site, &format!("ref = 'main'\nbuild_keep = {keep}"), &[("make", &run, &more)]);
        for version in ["1", "2"] {
            site.write("version", version);
            commit(&site);
            site.deploy(&[]);
            assert_eq!((read(&site, "packages/x"), read(&site, "out/y")), ("x".to_owned(), "y".to_owned()), "{keep}");
        }
        assert_eq!(runs(&site), expected, "{keep}");
    }
}
