//! `cutover doctor`: real targets that are broken in one way each. Each has exactly its finding, the fix is run as it is
//! printed, and the finding is gone then. A healthy target has none.
//!
//! The target is a path in the home of a user of a real `sshd`. A fix for the server runs there as that user, or as root
//! if it calls `sudo`; a fix for this machine runs with the words that were printed.

mod application;
mod connection;
mod directories;
mod disk;
mod machine;
mod state;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::site::{RunResult, Site, names, text};
use crate::support::sshd::{Sshd, is_root, run};
use crate::support::strace;
use crate::support::tree::{self, Tree};

/// The user whose rights are examined: it exists everywhere, and no test runs a server as it in a home of these tests.
const WEB_USER: &str = "www-data";

/// A target that a test breaks.
struct Target {
    sshd: Sshd,
    user: String,
    site: Site,
}

impl Target {
    /// Makes a server with a user, and a site in its home to which nothing was deployed. None without root.
    fn bare() -> Option<Target> {
        if !is_root() {
            return None;
        }
        let mut sshd = Sshd::start();
        let user = sshd.add_user("/bin/bash");
        tree::set_mode(sshd.home(&user), 0o755);
        let site = Site::over(&sshd, &user);
        site.write("index.php", "<?php echo 1;");
        site.write("lib/shop.php", "<?php");
        Some(Target { sshd, user, site })
    }

    /// Makes the same, and deploys.
    fn deployed() -> Option<Target> {
        let target = Target::bare()?;
        target.site.deploy(&[]);
        Some(target)
    }

    /// Makes the same with a config, and deploys.
    fn configured(config: &str) -> Option<Target> {
        let mut target = Target::bare()?;
        target.site.configure(&format!("source = 'source'\n{config}"));
        target.site.deploy(&[]);
        Some(target)
    }

    /// Sets a config with a directory for the agent in the home: an agent with symbols for a debugger is larger than the
    /// disks of the tests.
    fn keep_agent_elsewhere(&mut self, config: &str) {
        let agent = self.home("agent");
        self.site.configure(&format!("source = 'source'\nagent_path = '{}'\n{config}", agent.display()));
    }

    fn examine(&self, flags: &[&str]) -> RunResult {
        let mut words = vec!["doctor", "--as", WEB_USER];
        words.extend(flags);
        self.site.cutover(&words)
    }

    /// Examines the target, which must have exactly these findings. Returns the first. The exit code must fit.
    #[track_caller]
    fn has(&self, flags: &[&str], expected: &[&str]) -> Value {
        let ran = self.examine(flags);
        let findings = ran.json["findings"].as_array().unwrap_or_else(|| panic!("no report: {}", ran.stderr)).clone();
        let ids: Vec<String> = findings.iter().map(|found| text(&found["id"])).collect();
        assert_eq!(ids, expected, "{}", serde_json::to_string_pretty(&ran.json).unwrap());
        let has_error = findings.iter().any(|found| found["severity"] == "error");
        assert_eq!(ran.code, Some(i32::from(has_error)), "{}", ran.stderr);
        findings.into_iter().next().unwrap_or_default()
    }

    #[track_caller]
    fn is_healthy(&self, flags: &[&str]) {
        self.has(flags, &[]);
    }

    /// Examines the target, which must have exactly this finding, and runs its fix as printed. The finding is gone then,
    /// and no other has come.
    #[track_caller]
    fn mends(&self, flags: &[&str], id: &str) -> Value {
        let found = self.has(flags, &[id]);
        self.fix(&found);
        self.is_healthy(flags);
        found
    }

    /// Runs the command of a finding as it was printed.
    #[track_caller]
    fn fix(&self, found: &Value) {
        let command = found["command"].as_str().unwrap_or_else(|| panic!("there is no command in {found}"));
        let mut shell = if found["on_server"] == true { self.shell_on_server(command) } else { self.shell_here() };
        run(shell.args(["-c", command]));
    }

    fn shell_on_server(&self, command: &str) -> Command {
        if command.contains("sudo ") {
            return Command::new("sh");
        }
        let mut shell = Command::new("sudo");
        shell.args(["-u", &self.user, "sh"]).current_dir("/");
        shell
    }

    fn shell_here(&self) -> Command {
        let like = self.site.command(&["status"]);
        let mut shell = Command::new("sh");
        shell.current_dir(like.get_current_dir().unwrap()).env_clear();
        for (name, value) in like.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        let programs = Path::new(env!("CARGO_BIN_EXE_cutover")).parent().unwrap().display();
        shell.env("PATH", format!("{programs}:/usr/bin:/bin"));
        shell
    }

    /// Returns a path in the home of the user.
    fn home(&self, path: &str) -> PathBuf {
        self.sshd.home(&self.user).join(path)
    }

    /// Gives a path to the user of the server.
    fn give(&self, path: &Path) {
        chown(&self.user, path);
    }

    /// Makes a directory as the user of the server.
    fn make(&self, path: &Path) {
        fs::create_dir_all(path).unwrap();
        self.give(path);
    }

    /// Writes a file as the user of the server.
    fn put(&self, path: &Path, content: &str) {
        fs::write(path, content).unwrap();
        self.give(path);
    }
}

fn chown(user: &str, path: &Path) {
    run(Command::new("chown").args(["-hR", user]).arg(path));
}

fn chmod(mode: &str, path: &Path) {
    run(Command::new("chmod").arg(mode).arg(path));
}

#[test]
fn a_healthy_target_has_no_finding_before_and_after_its_deploys() {
    let Some(mut target) = Target::bare() else { return };
    target.is_healthy(&[]);
    assert!(!target.site.target("").exists(), "nothing was made");
    target.make(&target.site.target(""));
    target.is_healthy(&[]);
    assert_eq!(fs::read_dir(target.site.target("")).unwrap().count(), 0, "nothing was left");
    target.site.configure("source = 'source'\nshared_dirs = ['storage']\n[[hooks]]\nname = 'warm'\nphase = 'after_deploy'\nrun = 'true && ls'\n");
    for version in ["one", "two", "three"] {
        target.site.write("version", version);
        target.site.deploy(&[]);
    }
    run(Command::new("setfacl").args(["-m", "u:www-data:rwx"]).arg(target.site.target("shared/storage")));
    target.is_healthy(&[]);
    target.is_healthy(&["--full"]);
    target.site.succeed(&["rollback"]);
    target.is_healthy(&["--full"]);
}

#[test]
fn an_examination_changes_nothing() {
    let Some(target) = Target::deployed() else { return };
    let before = Tree::read(&target.site.target(""));
    target.is_healthy(&["--full"]);
    Tree::read(&target.site.target("")).assert_equals(&before);
    // A directory of others is left as it is, too.
    let Some(target) = Target::bare() else { return };
    target.make(&target.site.target("html"));
    target.give(&target.site.target(""));
    let before = Tree::read(&target.site.target(""));
    target.has(&[], &["deploy-path-not-empty"]);
    let checks = target.examine(&[]).json["checks"].clone();
    let filesystem = checks.as_array().unwrap().iter().find(|check| check["check"] == "filesystem").unwrap();
    assert_eq!(filesystem["skipped"], "the deploy path cannot be used as it is");
    Tree::read(&target.site.target("")).assert_equals(&before);
}

#[test]
fn the_rest_of_an_examination_that_was_killed_is_removed_once_it_is_old() {
    let Some(target) = Target::deployed() else { return };
    let rest = target.site.target(".cutover/staging/trial-0123456789abcdef");
    target.make(&rest);
    target.put(&rest.join("file"), "x");
    target.is_healthy(&[]);
    assert!(rest.exists(), "another examination may be at work");
    let age = |time: &str| run(Command::new("touch").args(["-d", time]).arg(&rest));
    age("59 minutes ago");
    target.is_healthy(&[]);
    assert!(rest.exists());
    age("61 minutes ago");
    target.is_healthy(&[]);
    assert!(!rest.exists());
    target.make(&rest);
    age("61 minutes ago");
    target.site.succeed(&["cleanup"]);
    assert!(!rest.exists());
}

#[test]
fn an_examination_that_is_killed_leaves_a_target_that_can_be_deployed_to() {
    for is_deployed in [false, true] {
        let site = Site::new();
        site.write("file", "content");
        if is_deployed {
            site.deploy(&[]);
        } else {
            fs::create_dir(site.target("")).unwrap();
        }
        // It tries whether two names can be exchanged.
        let Some(ran) = strace::inject(&site, &["doctor"], "renameat2:signal=KILL", None) else { return };
        assert_eq!(ran.code, None, "{}", ran.stderr);
        let staging = site.target(".cutover/staging");
        let rest: Vec<String> = names(&staging);
        assert!(rest.len() == 1 && rest[0].starts_with("trial-"), "{rest:?}");
        site.write("file", "other");
        site.deploy_and_compare(&[]);
        run(Command::new("touch").args(["-d", "2 hours ago"]).arg(staging.join(&rest[0])));
        site.succeed(&["doctor"]);
        assert_eq!(names(&staging), [""; 0]);
    }
}
