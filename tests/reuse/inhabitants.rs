//! Processes that live in a release: none finds another version there.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier};

use serde_json::Value;

use crate::support::mount::{Mount, Turn};
use crate::support::program;
use crate::support::site::{RunResult, Site, text};
use crate::support::sshd::is_root;
use crate::support::tree::{self, assert_same};

use super::{deployed, spare, with_spare};

/// A process that lives somewhere until it is dropped.
struct Inhabitant(Child);

impl Inhabitant {
    /// Starts a script, which says when it is where it will be, and becomes a program that waits.
    fn start(command: &mut Command) -> Inhabitant {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "there\n");
        Inhabitant(child)
    }

    /// Returns what it finds under a name in its working directory.
    fn finds(&self, name: &str) -> Option<String> {
        fs::read_to_string(format!("/proc/{}/cwd/{name}", self.0.id())).ok()
    }
}

impl Drop for Inhabitant {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The end of each script: it stands for a program that works for long.
const STAY: &str = "echo there; exec sleep 600";

#[test]
fn however_a_process_lives_in_a_release_it_is_found() {
    if !is_root() {
        return;
    }
    let _turn = Turn::to_make_namespaces();
    // `$1` is the release, `$2` the deploy path, `$3` an empty directory.
    let ways = [
        ("its working directory", "cd $1/lib/1"),
        ("a working directory that is gone", "mkdir $1/lib/x; cd $1/lib/x; rmdir ../x"),
        (
            "a working directory whose path is too long to be told",
            "cd $1/lib; n=$(printf %0250d 0); \
          for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do mkdir $n; cd -P $n; done",
        ),
        ("a directory that is open", "exec 9< $1/lib/1; cd /"),
        ("a file that is open", "exec 9< $1/lib/1/code; cd /"),
        ("another path to it", "mount --bind $2 $3; cd $3/.cutover/trash/${1##*/}/lib"),
        ("a part of it at another path", "mount --bind $1/lib $3; cd $3/1"),
        ("a part of it that it can reach", "mount --bind $1/lib $3; cd /"),
        ("something mounted in it", "mount -t tmpfs tmpfs $1/lib/1; cd $1/lib/1"),
    ];
    for (way, script) in ways {
        let (site, spare) = with_spare();
        fs::create_dir(site.path("empty")).unwrap();
        // In a mount namespace of its own, so that nothing of this is to be seen from outside.
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec", &format!("{script}; {STAY}"), "sh"]);
        command.arg(&spare).arg(site.target("")).arg(site.path("empty"));
        let living = Inhabitant::start(&mut command);
        let reason = deployed(&site).unwrap_err();
        assert!(reason.contains(&format!("sleep ({}) lives in it", living.0.id())), "{way}: {reason}");
    }
}

#[test]
fn a_process_whose_root_is_in_a_release_is_found() {
    if !is_root() {
        return;
    }
    let (site, spare) = with_spare();
    // It needs nothing but itself there, and has its working directory elsewhere.
    let mut command = Command::new("perl");
    command.args(["-e", "$| = 1; chdir '/'; chroot $ARGV[0] or die; print qq(there\\n); sleep 600"]);
    let living = Inhabitant::start(command.arg(spare.join("lib")));
    let reason = deployed(&site).unwrap_err();
    assert!(reason.contains(&format!("perl ({}) lives in it", living.0.id())), "{reason}");
}

#[test]
fn a_thread_that_has_a_working_directory_of_its_own_is_found() {
    let (site, spare) = with_spare();
    let (is_there, wait) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let of_thread = (Arc::clone(&is_there), Arc::clone(&wait), spare.join("lib"));
    let thread = std::thread::spawn(move || {
        #[expect(deprecated, reason = "no descriptors are parted, which is what makes it unsafe")]
        rustix::thread::unshare(rustix::thread::UnshareFlags::FS).unwrap();
        rustix::process::chdir(&of_thread.2).unwrap();
        of_thread.0.wait();
        of_thread.1.wait();
    });
    is_there.wait();
    let reason = deployed(&site).unwrap_err();
    wait.wait();
    thread.join().unwrap();
    assert!(reason.contains(&format!("({}) lives in it", std::process::id())), "{reason}");
}

#[test]
fn what_a_process_lives_in_is_removed_once_the_process_is_gone() {
    let (site, spare) = with_spare();
    let mut command = Command::new("sh");
    let living = Inhabitant::start(command.args(["-c", STAY]).current_dir(spare.join("lib")));
    let reason = format!("sleep ({}) lives in it", living.0.id());
    for name in ["four", "five"] {
        site.write("name", name);
        site.deploy(&[]);
        assert_eq!(living.finds("3/version").as_deref(), Some("one 3"), "{name}");
    }
    let kept = site.succeed(&["cleanup"])["kept"].clone();
    assert_eq!(kept[0]["reason"], reason, "{kept}");
    assert_eq!(living.finds("3/version").as_deref(), Some("one 3"));
    drop(living);
    assert_eq!(site.succeed(&["cleanup"])["kept"], Value::Array(Vec::new()));
    assert!(!spare.exists());
}

#[test]
fn where_a_process_lives_in_what_waits_the_next_that_is_due_is_reused() {
    let mut site = Site::in_memory();
    let mut ids = Vec::new();
    for (name, grace) in [("one", "1h"), ("two", "1h"), ("three", "1h"), ("four", "1h"), ("five", "0s")] {
        site.configure(&format!("keep_releases = 3\ngrace = '{grace}'\n"));
        site.write("lib/version", name);
        ids.push(text(&site.deploy(&[])["release"]));
    }
    let waiting = spare(&site.target("")).unwrap();
    assert!(waiting.file_name().unwrap().to_str().unwrap().starts_with(&ids[0]));
    let mut command = Command::new("sh");
    let living = Inhabitant::start(command.args(["-c", STAY]).current_dir(waiting.join("lib")));
    site.write("lib/version", "six");
    assert_eq!(deployed(&site).unwrap()["release"], ids[2]);
    assert_eq!(living.finds("version").as_deref(), Some("one"));
}

/// Who deploys, where it is not root, and who the web server is.
const DEPLOYER: u32 = 65_534;
const SERVER: u32 = 33;

/// A site of [`DEPLOYER`], with the program where that user finds it.
fn site_of_deployer() -> (Site, PathBuf) {
    let mut site = Site::in_memory();
    site.configure("keep_releases = 2\ngrace = '0s'\n");
    for path in ["target", "state"] {
        fs::create_dir(site.path(path)).unwrap();
        chown(site.path(path), Some(DEPLOYER), Some(DEPLOYER)).unwrap();
    }
    for path in ["", "source", "home"] {
        tree::set_mode(site.path(path), 0o755);
    }
    let program = site.path("cutover");
    program::copy(Path::new(env!("CARGO_BIN_EXE_cutover")), &program);
    (site, program)
}

/// Deploys another version as [`DEPLOYER`], by a command that is given the program and its words, and returns the report.
fn deploy_as(site: &Site, program: &Path, version: &str, by: &[&str]) -> Value {
    site.write("lib/code", "code");
    site.write("lib/version", version);
    let of_site = site.command_of(program, &["deploy"]);
    let mut command = Command::new(by[0]);
    command.args(&by[1..]).arg(of_site.get_program()).args(of_site.get_args());
    command.env_clear().envs(of_site.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let report = RunResult::of(&command.current_dir(site.path("")).output().unwrap()).succeeded();
    assert_same(&site.source(""), &site.current(""));
    report
}

/// Words that make the rest of a command be run as [`DEPLOYER`].
const AS_DEPLOYER: [&str; 6] = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];

/// Makes a program that its user may not read. So that user may not trace it either.
fn hidden_sleep(site: &Site) -> PathBuf {
    let program = site.path("hidden-sleep");
    program::copy(Path::new("/bin/sleep"), &program);
    tree::set_mode(&program, 0o111);
    program
}

/// Starts a hidden process that lives in a directory.
fn live_hidden_in(site: &Site, user: u32, directory: &Path) -> Inhabitant {
    let mut command = Command::new("sh");
    command.args(["-c", "echo there; exec \"$0\" 600"]).arg(hidden_sleep(site)).uid(user).gid(user);
    Inhabitant::start(command.current_dir(directory))
}

#[test]
fn a_hidden_process_that_started_in_a_release_never_finds_another_version_there() {
    if !is_root() {
        return;
    }
    for user in [SERVER, DEPLOYER] {
        let (site, program) = site_of_deployer();
        deploy_as(&site, &program, "1", &AS_DEPLOYER);
        let living = live_hidden_in(&site, user, &site.current("lib"));
        let mut reasons = Vec::new();
        for version in ["2", "3", "4", "5", "6"] {
            let report = deploy_as(&site, &program, version, &AS_DEPLOYER);
            let found = living.finds("version");
            assert!(found.as_deref().is_none_or(|found| found == "1"), "{user}: {version} finds {found:?}");
            reasons.push(report["not_reused"].to_string());
        }
        assert!(reasons[2].contains("may still use it"), "{reasons:?}");
        // It keeps nothing from being removed.
        assert_eq!(living.finds("version"), None);
    }
}

#[test]
fn a_hidden_process_that_started_within_the_grace_may_live_in_what_was_live_before() {
    if !is_root() {
        return;
    }
    let (mut site, program) = site_of_deployer();
    deploy_as(&site, &program, "1", &AS_DEPLOYER);
    let first = site.release(&site.release_names()[0]);
    deploy_as(&site, &program, "2", &AS_DEPLOYER);
    let living = live_hidden_in(&site, SERVER, &first.join("lib"));
    deploy_as(&site, &program, "3", &AS_DEPLOYER);
    site.configure("keep_releases = 2\ngrace = '1h'\n");
    let report = deploy_as(&site, &program, "4", &AS_DEPLOYER);
    assert!(report["not_reused"].to_string().contains("may still use it"), "{report}");
    assert_eq!(living.finds("version").as_deref(), Some("1"));
}

#[test]
fn a_hidden_process_may_live_where_the_process_that_started_it_did() {
    if !is_root() {
        return;
    }
    let (site, program) = site_of_deployer();
    deploy_as(&site, &program, "1", &AS_DEPLOYER);
    let hidden = hidden_sleep(&site);
    // It can be looked at, and is elsewhere by then.
    let script = "read go; \"$0\" 600 & cd /; echo $!; read end; kill $!";
    let mut starter = Command::new("sh");
    starter.args(["-c", script]).arg(hidden).uid(DEPLOYER).gid(DEPLOYER).current_dir(site.current("lib"));
    let mut starter = starter.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    deploy_as(&site, &program, "2", &AS_DEPLOYER);
    writeln!(starter.stdin.as_mut().unwrap(), "go").unwrap();
    let mut pid = String::new();
    BufReader::new(starter.stdout.take().unwrap()).read_line(&mut pid).unwrap();
    deploy_as(&site, &program, "3", &AS_DEPLOYER);
    let report = deploy_as(&site, &program, "4", &AS_DEPLOYER);
    let found = fs::read_to_string(format!("/proc/{}/cwd/version", pid.trim()));
    drop(starter.stdin.take());
    starter.wait().unwrap();
    assert!(report["not_reused"].to_string().contains("may still use it"), "{report}");
    assert!(found.as_ref().map_or(true, |found| found == "1"), "{found:?}");
}

#[test]
fn a_hidden_process_that_is_older_does_not_keep_a_release_from_being_reused() {
    if !is_root() {
        return;
    }
    let (site, program) = site_of_deployer();
    let mut command = Command::new("sh");
    let older = Inhabitant::start(command.args(["-c", STAY]).uid(SERVER).gid(SERVER).current_dir("/"));
    // Other tests start processes of root meanwhile, which may be taken to live in one release or the other.
    let is_reused = (0..30).any(|version| {
        let report = deploy_as(&site, &program, &version.to_string(), &AS_DEPLOYER);
        assert!(!report["not_reused"].to_string().contains(&format!("({})", older.0.id())), "{report}");
        !report["reused"].is_null()
    });
    assert!(is_reused);
}

#[test]
fn where_it_is_not_known_when_a_release_was_live_a_hidden_process_may_live_in_it() {
    if !is_root() {
        return;
    }
    let (site, program) = site_of_deployer();
    for version in ["1", "2", "3"] {
        deploy_as(&site, &program, version, &AS_DEPLOYER);
    }
    let record = PathBuf::from(format!("{}-record", spare(&site.target("")).unwrap().display())).join("record");
    let mut content: Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    content["span"] = Value::Null;
    fs::write(record, content.to_string()).unwrap();
    let report = deploy_as(&site, &program, "4", &AS_DEPLOYER);
    assert!(report["not_reused"].to_string().contains("may still use it"), "{report}");
}

#[test]
fn where_processes_cannot_be_seen_no_release_is_reused() {
    if !is_root() {
        return;
    }
    let _turn = Turn::to_make_namespaces();
    let as_deployer = format!("exec {} \"$@\"", AS_DEPLOYER.join(" "));
    for (hiding, expected) in [
        ("mount -t tmpfs tmpfs /proc", "cannot be seen without `/proc`"),
        ("mount -t proc -o hidepid=2 proc /proc", "a process that `/proc` hides may still use it"),
        ("mount -t proc -o hidepid=1 proc /proc", "a process that `/proc` hides may still use it"),
        ("mount -o remount,hidepid=2 /proc", "a process that `/proc` hides may still use it"),
    ] {
        let (site, program) = site_of_deployer();
        for version in ["1", "2", "3"] {
            deploy_as(&site, &program, version, &AS_DEPLOYER);
        }
        // In a PID namespace too, as a change of the options of `/proc` holds for all of one.
        let script = format!("{hiding}; {as_deployer}");
        let by = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-ec", &script, "sh"];
        let report = deploy_as(&site, &program, "4", &by);
        assert!(report["not_reused"].to_string().contains(expected), "{hiding}: {report}");
        assert_eq!(site.release_names().len(), 2);
    }
}

#[test]
fn in_a_container_no_release_on_a_volume_is_reused() {
    if !is_root() {
        return;
    }
    let _turn = Turn::to_make_namespaces();
    let (site, program) = site_of_deployer();
    let Some(_mounted) = Mount::onto_itself(&site.target("")) else { return };
    let by: Vec<&str> =
        ["unshare", "--mount", "--pid", "--fork", "--mount-proc"].into_iter().chain(AS_DEPLOYER).collect();
    for version in ["1", "2", "3"] {
        deploy_as(&site, &program, version, &by);
    }
    let report = deploy_as(&site, &program, "4", &by);
    assert!(report["not_reused"].to_string().contains("outside this container may still use it"), "{report}");
}
