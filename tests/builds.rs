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
        assert_eq!(site.deploy(&["--force"])["warnings"].to_string().contains("killed"), false);
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
