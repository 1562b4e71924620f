//! The script is run by the shells that servers have.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::{Command, Stdio};

use super::*;
use crate::event::Silent;

/// Shells that servers have as `sh`. Dash is Debian's.
const SHELLS: [&[&str]; 3] = [&["sh"], &["bash"], &["busybox", "sh"]];
/// A user and a group that are neither root nor the one that runs the tests.
const OTHER: u32 = 54_321;

/// Stands in for the agent, and tells what it was started with.
const PROGRAM: &[u8] = b"#!/bin/sh\necho ran \"$@\"\n";

/// A deploy path on this machine, and what is said and done there.
struct Server {
    directory: tempfile::TempDir,
    places: Places,
    agents: Agents,
    shell: &'static [&'static str],
    path: String,
}

impl Server {
    fn new(shell: &'static [&'static str]) -> Server {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let places = Places::new(&directory.path().join("above/site"), None);
        fs::create_dir_all(&places.deploy_path).unwrap();
        fs::set_permissions(directory.path().join("above"), Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&places.deploy_path, Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(directory.path().join("client")).unwrap();
        fs::write(directory.path().join("client/cutover"), PROGRAM).unwrap();
        let agents = Agents::find(&directory.path().join("client/cutover"), &Silent).unwrap();
        Server { directory, places, agents, shell, path: "/usr/bin:/bin".into() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn agent(&self) -> PathBuf {
        self.places.agent_directory.join(self.agents.name())
    }

    /// Puts an agent at its place.
    fn install(&self) {
        fs::create_dir_all(&self.places.agent_directory).unwrap();
        fs::write(self.agent(), PROGRAM).unwrap();
        for path in self.agent().ancestors().take_while(|&path| path != self.places.deploy_path).take(3) {
            if path != self.directory.path() {
                mode(path, 0o700);
            }
        }
    }

    /// Runs a command as a login shell would, and returns what it prints on stdout.
    fn run(&self, command: &str, input: &[u8]) -> String {
        let [shell, options @ ..] = self.shell else { unreachable!("each has a name") };
        let mut child = Command::new(shell)
            .args(options)
            .args(["-c", command])
            .env_clear()
            .envs([("PATH", self.path.as_str()), ("USER", &user()), ("LOGNAME", &user())])
            .env("TMPDIR", self.path("tmp"))
            .current_dir(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).ok();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    fn direct_command(&self) -> String {
        self.run(&direct_command(Mode::Start, &self.agents.name(), &self.places).unwrap(), b"")
    }

    fn script(&self, mode: Mode, input: &[u8]) -> String {
        self.script_at(mode, &self.places.agent_directory, input)
    }

    fn script_at(&self, mode: Mode, directory: &Path, input: &[u8]) -> String {
        let command = self.command(mode, directory);
        // Whatever the login shell is, `sh` runs the script.
        let command = command.strip_prefix("exec sh").unwrap();
        self.run(&format!("exec {}{command}", self.shell.join(" ")), input)
    }

    fn command(&self, mode: Mode, directory: &Path) -> String {
        let (agent, agent_bytes) = (&self.agents.name(), PROGRAM.len() as u64);
        let deploy_path = &self.places.deploy_path;
        Script { mode, agent, agent_bytes, deploy_path, directory, unpack: Unpack::Cat, run_as: None }.command()
    }

    /// Returns the answer to a start: its word, and for a directory that is not safe which, from the temporary one.
    fn start(&self) -> String {
        let printed = self.script(Mode::Start, b"");
        let Answer { word, rest } = Answer::find(printed.as_bytes()).unwrap_or_else(|| panic!("{printed}"));
        let word = String::from_utf8(word.to_vec()).unwrap();
        match word.as_str() {
            "start" => printed.lines().last().unwrap().to_owned(),
            "unsafe" => {
                let exit = Exit { status: Some(0), stderr: Vec::new() };
                let message = unsafe_place(rest, &exit).to_string();
                let shown = fs::canonicalize(self.directory.path()).unwrap();
                let message = message.split(", ").next().unwrap().to_owned();
                message.replace(&format!("{}/", shown.display()), "").replace(&shown.display().to_string(), "all")
            }
            _ => word,
        }
    }
}

fn user() -> String {
    String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned()
}

/// Tells whether the tests may give files away; otherwise says that a test is skipped.
fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("{test}: skipped, it gives files to other users and needs root");
    }
    root
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn give(path: &Path) {
    std::os::unix::fs::lchown(path, Some(OTHER), Some(OTHER)).unwrap();
}

#[test]
fn only_an_agent_that_nobody_else_can_have_put_there_is_started() {
    if !is_root("only_an_agent_that_nobody_else_can_have_put_there_is_started") {
        return;
    }
    let check = |alter: &dyn Fn(&Server), direct_command: bool, asked: &str| {
        for shell in SHELLS {
            let server = Server::new(shell);
            server.install();
            alter(&server);
            assert_eq!(server.direct_command(), if direct_command { "ran agent\n" } else { "" }, "{shell:?} {asked}");
            let from = fs::canonicalize(server.directory.path()).unwrap();
            let asked = asked.replace("DIR", &from.display().to_string());
            assert_eq!(server.start(), asked, "{shell:?}");
        }
    };
    let bin = |server: &Server| server.places.agent_directory.clone();
    check(&|_| {}, true, "ran agent --from DIR");
    // What is there and not safe to run is replaced.
    check(&|server| give(&server.agent()), false, "unfit");
    check(&|server| mode(&server.agent(), 0o720), false, "unfit");
    check(&|server| mode(&server.agent(), 0o702), false, "unfit");
    check(&|server| mode(&server.agent(), 0o600), false, "unfit");
    let linked = |server: &Server| {
        fs::rename(server.agent(), server.path("elsewhere")).unwrap();
        symlink(server.path("elsewhere"), server.agent()).unwrap();
    };
    check(&linked, false, "unfit");
    check(&|server| fs::remove_file(server.agent()).unwrap(), false, "missing");
    // A directory that others may change makes the agent in it theirs.
    check(&|server| give(&bin(server)), false, "`above/site/.cutover/bin` belongs to `54321`");
    check(&|server| mode(&bin(server), 0o772), false, "Everyone may write to `above/site/.cutover/bin`");
    check(&|server| give(&server.path("above/site/.cutover")), true, "ran agent --from DIR");
    let planted = |server: &Server| {
        let private = server.path("above/site/.cutover");
        fs::rename(&private, server.path("planted")).unwrap();
        for path in ["planted", "planted/bin"] {
            give(&server.path(path));
        }
        give(&server.path("planted/bin").join(server.agents.name()));
        symlink(server.path("planted"), &private).unwrap();
    };
    check(&planted, false, "`planted/bin` belongs to `54321`");
}

#[test]
fn a_mode_that_leaves_others_out_is_put_right() {
    for shell in SHELLS {
        let server = Server::new(shell);
        server.install();
        mode(&server.agent(), 0o755);
        mode(&server.places.agent_directory, 0o755);
        assert_eq!(server.direct_command(), "");
        assert!(server.start().starts_with("ran agent"), "{shell:?}");
        assert_eq!(server.direct_command(), "ran agent\n");
    }
}

#[test]
fn an_agent_in_a_directory_that_the_user_named_is_started_whatever_others_may_read() {
    for shell in SHELLS {
        let mut server = Server::new(shell);
        let directory = server.path("agents");
        server.places = Places::new(&server.places.deploy_path, Some(&directory));
        server.install();
        for (mode_of_all, expected) in [(0o700, "ran agent\n"), (0o755, "ran agent\n"), (0o775, ""), (0o757, "")] {
            mode(&directory, mode_of_all);
            assert_eq!(server.direct_command(), expected, "{shell:?} {mode_of_all:o}");
        }
    }
}

#[test]
fn no_agent_is_placed_where_others_could_replace_it() {
    if !is_root("no_agent_is_placed_where_others_could_replace_it") {
        return;
    }
    let check = |alter: &dyn Fn(&Server), expected: &str| {
        for shell in SHELLS {
            let server = Server::new(shell);
            alter(&server);
            assert_eq!(server.start(), expected, "{shell:?}");
            let placed = server.script(Mode::Place, PROGRAM);
            let word = if expected == "missing" { "placed" } else { "unsafe" };
            let answer = Answer::find(placed.as_bytes()).unwrap();
            assert_eq!(answer.word, word.as_bytes(), "{shell:?} {expected}");
            assert_eq!(server.agent().exists(), word == "placed", "{shell:?} {expected}");
        }
    };
    let site = |server: &Server| server.path("above/site");
    check(&|_| {}, "missing");
    check(&|server| give(&site(server)), "`above/site` belongs to `54321`");
    check(&|server| mode(&site(server), 0o777), "Everyone may write to `above/site`");
    check(&|server| give(&server.path("above")), "`above` belongs to `54321`");
    check(&|server| mode(&server.path("above"), 0o757), "Everyone may write to `above`");
    check(&|server| mode(&server.path("above"), 0o1777), "missing");
    let gone = |server: &Server| fs::remove_dir(site(server)).unwrap();
    check(&gone, "missing");
    let gone_there = |server: &Server| {
        gone(server);
        give(&server.path("above"));
    };
    check(&gone_there, "`above` belongs to `54321`");
    // The directories that count are those that the path leads to.
    let linked = |server: &Server| {
        gone(server);
        fs::create_dir_all(server.path("open/real")).unwrap();
        mode(&server.path("open"), 0o777);
        symlink(server.path("open/real"), site(server)).unwrap();
    };
    check(&linked, "Everyone may write to `open`");
    let grouped = |group: u32| {
        move |server: &Server| {
            chown(site(server), None, Some(group)).unwrap();
            mode(&site(server), 0o2775);
        }
    };
    check(&grouped(OTHER), "The group `54321` may write to `above/site`");
    // Root's group, which has no other members: a system where each user has a group of its own.
    check(&grouped(0), "missing");
}

#[test]
fn of_old_agents_only_what_is_surely_ours_is_removed() {
    let hash = "0123456789abcdef";
    let ours = [format!("cutover-{hash}"), format!(".cutover-{hash}.1"), format!(".cutover-{hash}.1234567")];
    let others = [
        "cutover-checklist.md".to_owned(),
        ".cutover-todo".to_owned(),
        format!("cutover-{hash}0"),
        "cutover-0123456789ABCDEF".to_owned(),
        "cutover-0123456789abcde".to_owned(),
        format!("my-cutover-{hash}"),
        format!("cutover-{hash}.md"),
        format!(".cutover-{hash}.12-notes"),
        format!(".cutover-{hash}.x"),
        format!(".cutover-{hash}."),
        format!(".cutover-{hash}"),
        format!("sub/cutover-{hash}"),
        format!("sub/.cutover-{hash}.7"),
    ];
    for shell in SHELLS {
        let mut server = Server::new(shell);
        let home = server.path("home");
        server.places = Places::new(&server.places.deploy_path, Some(&home));
        fs::create_dir_all(home.join("sub")).unwrap();
        mode(&home, 0o755);
        let old = std::time::SystemTime::now() - Duration::from_secs(40 * 86_400);
        let make = |name: &str, bits: u32| {
            let file = fs::File::create(home.join(name)).unwrap();
            file.set_modified(old).unwrap();
            mode(&home.join(name), bits);
        };
        for name in ours.iter().chain(&others) {
            make(name, 0o700);
        }
        // One that was not placed by the script, one that is new, one that is no file, one of another user.
        make("cutover-1111111111111111", 0o644);
        fs::write(home.join("cutover-2222222222222222"), "").unwrap();
        mode(&home.join("cutover-2222222222222222"), 0o700);
        fs::create_dir(home.join("cutover-3333333333333333")).unwrap();
        mode(&home.join("cutover-3333333333333333"), 0o700);
        let mut kept = vec!["cutover-1111111111111111", "cutover-2222222222222222", "cutover-3333333333333333"];
        if rustix::process::geteuid().is_root() {
            make("cutover-4444444444444444", 0o700);
            give(&home.join("cutover-4444444444444444"));
            kept.push("cutover-4444444444444444");
        }
        let placed = server.script(Mode::Place, PROGRAM);
        assert_eq!(Answer::find(placed.as_bytes()).unwrap().word, b"placed", "{shell:?}");
        for name in &ours {
            assert!(!home.join(name).exists(), "{shell:?} {name}");
        }
        for name in kept.into_iter().chain(others.iter().map(String::as_str)) {
            assert!(home.join(name).exists(), "{shell:?} {name}");
        }
        assert!(server.agent().exists());
    }
}

#[test]
fn a_lent_agent_leaves_nothing_behind_whether_it_can_be_copied_or_not() {
    for shell in SHELLS {
        let server = Server::new(shell);
        let temporary = server.path("tmp");
        fs::create_dir(&temporary).unwrap();
        let lent = server.script(Mode::Lend, PROGRAM);
        let answer = Answer::find(lent.as_bytes()).unwrap();
        assert_eq!(answer.word, b"lent", "{shell:?}");
        let directory = PathBuf::from(OsStr::from_bytes(answer.rest));
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
        // What somebody else may have put there is not run, and what is not the agent stays.
        fs::write(directory.join("other"), "").unwrap();
        mode(&directory, 0o720);
        assert!(!server.script_at(Mode::Vanish, &directory, b"").contains("ran"), "{shell:?}");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(&directory).unwrap();

        let lent = server.script(Mode::Lend, PROGRAM);
        let directory = PathBuf::from(OsStr::from_bytes(Answer::find(lent.as_bytes()).unwrap().rest));
        assert!(server.script_at(Mode::Vanish, &directory, b"").ends_with("ran agent\n"), "{shell:?}");
        let short = server.script(Mode::Lend, b"short");
        assert_eq!(Answer::find(short.as_bytes()).unwrap().word, b"short", "{shell:?}");
        assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0, "{shell:?}");
    }
}

#[test]
fn gzip_counts_only_where_it_unpacks() {
    for shell in SHELLS {
        let mut server = Server::new(shell);
        let system = Command::new("uname").arg("-sm").output().unwrap().stdout;
        let system = String::from_utf8(system).unwrap().trim_end().to_owned();
        let rest = |server: &Server| {
            let printed = server.script(Mode::Start, b"");
            String::from_utf8(Answer::find(printed.as_bytes()).unwrap().rest.to_vec()).unwrap()
        };
        assert_eq!(rest(&server), format!("{system}:gzip"), "{shell:?}");
        let bin = server.path("bin");
        fs::create_dir(&bin).unwrap();
        server.path = format!("{}:{}", bin.display(), server.path);
        for wrong in ["#!/bin/sh\nexit 127\n", "#!/bin/sh\necho usage >&2; exit 1\n"] {
            fs::write(bin.join("gzip"), wrong).unwrap();
            mode(&bin.join("gzip"), 0o755);
            if shell[0] != "busybox" {
                assert_eq!(rest(&server), format!("{system}:"), "{shell:?}");
            }
        }
    }
}

#[test]
fn a_program_that_is_missing_on_the_server_is_named() {
    // What a busybox has of its own is there whatever the path says.
    for shell in [&["/bin/dash"][..], &["/bin/bash"]] {
        if !Path::new(shell[0]).exists() {
            continue;
        }
        for missing in ["cat", "chmod", "ls", "mkdir", "mv", "rm", "wc"] {
            let server = Server { path: String::new(), ..Server::new(SHELLS[0]) };
            let bin = server.path("few");
            fs::write(server.path("program"), PROGRAM).unwrap();
            fs::create_dir(&bin).unwrap();
            for program in ["cat", "chmod", "ls", "mkdir", "mv", "rm", "wc", "uname"] {
                if program != missing {
                    symlink(PathBuf::from("/bin").join(program), bin.join(program)).unwrap();
                }
            }
            let command = server.command(Mode::Place, &server.places.agent_directory);
            let command = command.strip_prefix("exec sh -c ").unwrap();
            let output = Command::new("/bin/sh")
                .args(["-c", &format!("exec {} -c {command}", shell[0])])
                .env("PATH", &bin)
                .current_dir(server.directory.path())
                .stdin(fs::File::open(server.path("program")).unwrap())
                .output()
                .unwrap();
            let words = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                words.contains(&format!("{missing}: not found"))
                    || words.contains(&format!("{missing}: command not found")),
                "{missing}: {words}"
            );
        }
    }
}
