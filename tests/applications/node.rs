//! A server in Node. A build hook installs its packages from the registry of npm, and another hook restarts it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::git::git;
use crate::support::site::{RunResult, Site, names, number};
use crate::support::sshd::run;
use crate::support::visitor::ask;

/// The versions of the package, with the sum that the registry has for each.
const PACKAGES: [(&str, &str); 2] = [
    ("2.1.3", "6FlzubTLZG3J2a/NVCAleEhjzq5oxgHyaCU9yYXvcLsvoVaHJq/s5xXI6/XXP6tz7R9xAOtHnSO/tXtF3WRTlA=="),
    ("2.1.2", "sGkPx+VjMtmA6MX27oA4FBFELFCZZ4S4XqeGOXCv68tT+jb3vk/RyaKWP0PTKyWtmLSM0b+adUTEvbs1PEaH2w=="),
];

/// The server and its source, a repository.
struct Clock {
    site: Site,
    port: u16,
}

impl Clock {
    fn new() -> Clock {
        let mut site = Site::new();
        let files = super::files().join("clock/.");
        run(Command::new("cp").arg("-R").arg(files).arg(site.path("source")));
        fs::rename(site.source("gitignore"), site.source(".gitignore")).unwrap();
        git(&site.path("source"), &["init", "-q"]);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        site.configure(&format!(
            "ref = 'main'\nbuild_keep = ['/node_modules/']\nshared_dirs = ['run']\n\
             [[hooks]]\nname = 'install'\nphase = 'build'\nrun = 'npm ci --no-audit --no-fund'\n\
             if_changed = ['/package-lock.json']\n\
             [[hooks]]\nname = 'look'\nphase = 'after_switch'\ntimeout = '60s'\n\
             run = 'curl -s http://127.0.0.1:{port}/ || echo nothing'\n\
             [[hooks]]\nname = 'restart'\nphase = 'after_switch'\nrun = './restart {port}'\ntimeout = '60s'\n\
             [[checks]]\nname = 'page'\nurl = 'http://127.0.0.1:{port}/'\nbody = ': 86400000'\nfrom = 'server'\n"
        ));
        Clock { site, port }
    }

    /// Writes which package the server needs, with a sum.
    fn require(&self, (package, sum): (&str, &str)) {
        let dependencies = format!(r#""dependencies": {{ "ms": "{package}" }}"#);
        self.site.write("package.json", format!(r#"{{ "name": "clock", "private": true, {dependencies} }}"#));
        let lock = format!(
            r#"{{ "name": "clock", "lockfileVersion": 3, "requires": true, "packages": {{
                "": {{ "name": "clock", {dependencies} }},
                "node_modules/ms": {{ "version": "{package}", "integrity": "sha512-{sum}" }} }} }}"#
        );
        self.site.write("package-lock.json", lock);
    }

    /// Commits a version, and deploys it as the release of that number.
    fn deploy(&self, version: u32) -> RunResult {
        self.site.write("version", version.to_string());
        git(&self.site.path("source"), &["add", "-A"]);
        git(&self.site.path("source"), &["commit", "-q", "-m", &version.to_string()]);
        self.site.cutover(&["deploy", "--release", &version.to_string()])
    }

    /// Asserts what a deploy or a rollback did: whether it installed packages, and the pages before and after.
    #[track_caller]
    fn check(&self, ran: &RunResult, installs: bool, before: &str, after: &str) {
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(ran.stderr.contains("[install] added 1 package"), installs, "{}", ran.stderr);
        // The server of the old release answers until it is restarted.
        assert!(ran.stderr.contains(&format!("[look] {before}")), "{before:?} is not in {}", ran.stderr);
        assert_eq!(self.page(), format!("200 {after}"));
    }

    fn page(&self) -> String {
        ask(self.port, "/").unwrap()
    }

    fn pid(&self) -> PathBuf {
        self.site.target("shared/run/server.pid")
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let Ok(pid) = fs::read_to_string(self.pid()) else { return };
        kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).ok();
    }
}

#[test]
fn a_node_application_has_the_packages_of_its_lock_file_and_is_restarted_by_a_hook() {
    let clock = Clock::new();
    clock.require(PACKAGES[0]);
    let [one, two, three] = [("1", 0), ("2", 0), ("3", 1)]
        .map(|(version, package)| format!("{version} with ms {}: 86400000", PACKAGES[package].0));
    let ran = clock.deploy(1);
    assert_eq!(ran.json["warnings"], serde_json::json!([]), "{}", ran.stderr);
    clock.check(&ran, true, "nothing", &one);
    assert_eq!(names(&clock.site.current("node_modules/ms")).len(), 4);
    // Nothing is installed if the lock file is the same, and the packages are there all the same.
    let ran = clock.deploy(2);
    assert_eq!(number(&ran.json["files_changed"]), 2, "{}", ran.json);
    clock.check(&ran, false, &one, &two);
    clock.require(PACKAGES[1]);
    clock.check(&clock.deploy(3), true, &two, &three);

    clock.check(&clock.site.cutover(&["rollback"]), false, &three, &two);
    clock.check(&clock.site.cutover(&["rollback"]), false, &two, &one);
    clock.check(&clock.site.cutover(&["rollback", "--forward"]), false, &one, &two);
    let daemon = fs::read_to_string(clock.pid()).unwrap();
    assert!(run(Command::new("pgrep").arg("node")).lines().any(|pid| pid == daemon));
    assert_eq!(clock.site.succeed(&["status"])["lock"], serde_json::Value::Null);
}

#[test]
fn packages_that_cannot_be_installed_stop_the_deploy_and_are_installed_anew_by_the_next_one() {
    let clock = Clock::new();
    clock.require(PACKAGES[0]);
    let one = format!("1 with ms {}: 86400000", PACKAGES[0].0);
    clock.check(&clock.deploy(1), true, "nothing", &one);
    // npm removes all packages before it finds that the sum is wrong.
    clock.require((PACKAGES[1].0, PACKAGES[0].1));
    clock
        .deploy(2)
        .failed(6, &["[install] npm", "EINTEGRITY", "The hook `install` (build) failed", "Nothing was switched."]);
    assert_eq!((clock.site.live(), clock.page()), (Some("1".to_owned()), format!("200 {one}")));
    assert_eq!(clock.site.release_names(), ["1"]);
    // The lock file is the one of the last success again, but its packages are gone.
    clock.require(PACKAGES[0]);
    let three = one.replacen('1', "3", 1);
    clock.check(&clock.deploy(3), true, &one, &three);
}

#[test]
fn a_build_runs_again_where_its_results_are_gone() {
    let mut clock = Clock::new();
    clock.require(PACKAGES[0]);
    let page = |version: u32| format!("{version} with ms {}: 86400000", PACKAGES[0].0);
    clock.check(&clock.deploy(1), true, "nothing", &page(1));
    fs::remove_dir_all(clock.site.path("state/worktrees")).unwrap();
    clock.check(&clock.deploy(2), true, &page(1), &page(2));
    // Without `build_keep`, each checkout removes them.
    let config = fs::read_to_string(clock.site.path("cutover.toml")).unwrap();
    clock.site.configure(&config.replace("build_keep", "# build_keep"));
    for version in [3, 4] {
        clock.check(&clock.deploy(version), true, &page(version - 1), &page(version));
    }
}
