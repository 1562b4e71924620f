//! A machine with many processors and a low limit of processes and threads: a deploy works with as few threads as
//! possible, and reports the limit if there are still fewer.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::program;
use crate::support::real_tree::noise;
use crate::support::site::{RunResult, Site};
use crate::support::sshd::{Sshd, is_root};
use crate::support::tree::{self, assert_same};

/// As many threads as a machine of so many processors would have.
const PROCESSORS: &str = "64";

/// With so many processes and threads a deploy works.
const ENOUGH: u32 = 20;

/// A user that runs nothing else.
const USER: u32 = 61_371;

/// A few hundred small files, and one that travels in several parts.
fn write_source(site: &Site) {
    for number in 0..300 {
        site.write(&format!("{}/{number}", number % 30), number.to_string());
    }
    site.write("large", noise(1, 9 << 20));
    for path in [site.path("source"), site.path("")] {
        tree::set_mode(path, 0o755);
    }
}

/// Asserts that a deploy worked, or was refused with the reason and a way out.
#[track_caller]
fn assert_works_or_says_why(site: &Site, ran: &RunResult, limit: u32) -> bool {
    let said = &ran.stderr;
    assert!(!said.contains("panicked") && !said.contains("fault in Cutover"), "{limit}: {said}");
    if ran.code == Some(0) {
        assert_same(&site.path("source"), &site.current(""));
        return true;
    }
    assert!(limit < ENOUGH, "{limit}: {said}");
    assert!(matches!(ran.code, Some(1 | 3)), "{limit}: {:?} {said}", ran.code);
    assert!(said.contains("\nHint: Cutover needs about 20"), "{limit}: {said}");
    false
}

#[test]
fn a_local_deploy_does_with_as_few_threads_as_it_may_have() {
    if !is_root() {
        return;
    }
    let site = Site::new();
    write_source(&site);
    for name in ["target", "state", "home"] {
        fs::create_dir_all(site.path(name)).unwrap();
        chown(site.path(name), Some(USER), Some(USER)).unwrap();
    }
    // The build may lie where only its owner goes.
    let program = site.path("cutover");
    program::copy(Path::new(env!("CARGO_BIN_EXE_cutover")), &program);
    let worked: Vec<bool> = (1..=ENOUGH).map(|limit| deploy_locally(&site, &program, limit)).collect();
    assert!(worked[0..5].iter().all(|worked| !worked), "{worked:?}");
    // Where it works with some, it does with more.
    assert!(worked.is_sorted(), "{worked:?}");
}

fn deploy_locally(site: &Site, program: &Path, limit: u32) -> bool {
    let plain = site.command_of(program, &["deploy", "--force"]);
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups", "prlimit"]);
    command.arg(format!("--nproc={limit}:{limit}")).arg(plain.get_program()).args(plain.get_args());
    command.env_clear().env("RAYON_NUM_THREADS", PROCESSORS).env("PATH", "/usr/bin:/bin");
    command.env("HOME", site.path("home")).current_dir(site.path("home"));
    let ran = RunResult::of(&command.stdin(Stdio::null()).output().unwrap());
    assert_works_or_says_why(site, &ran, limit)
}

#[test]
fn a_server_that_allows_few_threads_is_deployed_to_or_named() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let shell = sshd.client("few");
    let limit_file = sshd.client("limit");
    let script = format!(
        "#!/bin/bash\nulimit -u $(cat {})\nexport RAYON_NUM_THREADS={PROCESSORS}\nexec /bin/sh \"$@\"\n",
        limit_file.display()
    );
    program::write(&shell, &script);
    fs::write(&limit_file, "unlimited").unwrap();
    let user = sshd.add_user(shell.to_str().unwrap());
    let site = Site::over(&sshd, &user);
    write_source(&site);
    // What a shell takes for the copy of the agent is not the question here.
    site.succeed(&["setup"]);
    let deploy = |limit: u32| {
        fs::write(&limit_file, limit.to_string()).unwrap();
        assert_works_or_says_why(&site, &site.cutover(&["deploy", "--force"]), limit)
    };
    let worked: Vec<bool> = (1..=ENOUGH).map(deploy).collect();
    assert!(worked[0..2].iter().all(|worked| !worked), "{worked:?}");
    // Between the two it depends on how many threads happen to live at a moment.
    assert!(worked[14..].iter().all(|worked| *worked), "{worked:?}");
}
