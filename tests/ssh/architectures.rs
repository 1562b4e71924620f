//! Servers of each architecture: which agent is copied, and what is refused.
//!
//! The server's `uname` lies. An agent "for aarch64" is the one of this machine with the mark of the other architecture
//! behind its end, so that it runs here. `tests/packages` runs real ones.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::program;
use crate::support::site::{RunResult, Site};
use crate::support::sshd::Sshd;
use crate::support::tree::set_mode;

use super::{agents, server};

/// A server whose `uname` prints what a test wants, and a client with agents of its own.
struct Foreign {
    sshd: Sshd,
    user: String,
    site: Site,
}

impl Foreign {
    fn new() -> Option<Foreign> {
        let (sshd, user) = server("/bin/bash")?;
        let site = Site::over(&sshd, &user);
        fs::create_dir_all(site.path("usr/bin")).unwrap();
        program::copy(Path::new(env!("CARGO_BIN_EXE_cutover")), &site.path("usr/bin/cutover"));
        fs::create_dir_all(sshd.home(&user).join("bin")).unwrap();
        let commands = "export PATH=$HOME/bin:$PATH\necho \"$BASH_EXECUTION_STRING\" >> ~/commands\n";
        fs::write(sshd.home(&user).join(".bashrc"), commands).unwrap();
        fs::write(sshd.home(&user).join("commands"), "").unwrap();
        set_mode(sshd.home(&user).join("commands"), 0o666);
        Some(Foreign { sshd, user, site })
    }

    /// Has the server say that it is this system.
    fn say(&self, system: &str) {
        let uname = self.sshd.home(&self.user).join("bin/uname");
        program::write(&uname, &format!("#!/bin/sh\necho {system}\n"));
    }

    /// Gives the client an agent for an architecture, and returns its content.
    fn give(&self, architecture: &str, note: &str) -> Vec<u8> {
        let mut agent = fs::read(env!("CARGO_BIN_EXE_cutover-agent")).unwrap();
        let mark = engine::BUILD.replace(std::env::consts::ARCH, architecture);
        agent.extend_from_slice(format!("{mark} {note}").as_bytes());
        let directory = self.site.path("usr/lib/cutover");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("cutover-agent-{architecture}")), &agent).unwrap();
        agent
    }

    fn cutover(&self, words: &[&str]) -> RunResult {
        let program = self.site.path("usr/bin/cutover");
        RunResult::of(&self.site.command_of(&program, words).output().unwrap())
    }

    fn installed(&self) -> Vec<PathBuf> {
        agents(&self.site.target(".cutover/bin"))
    }

    /// Returns what the server ran since the last call: the modes of the scripts, and `direct` for the short command.
    fn commands(&self) -> Vec<String> {
        let path = self.sshd.home(&self.user).join("commands");
        let commands = fs::read_to_string(&path).unwrap();
        fs::write(path, "").unwrap();
        let mode = |command: &str| match command.rsplit_once("' cutover ") {
            Some((_, arguments)) => arguments.split(' ').next().unwrap().to_owned(),
            None => "direct".to_owned(),
        };
        commands.lines().map(mode).collect()
    }
}

#[test]
fn a_server_gets_the_agent_for_its_architecture_without_a_further_command() {
    let Some(server) = Foreign::new() else { return };
    server.site.write("a", "one");
    for (architecture, other) in [("aarch64", "x86_64"), ("x86_64", "aarch64")] {
        let agent = server.give(architecture, "");
        server.give(other, "");
        server.say(&format!("Linux {architecture}"));
        server.commands();
        server.cutover(&["setup"]).succeeded();
        let [installed] = &server.installed()[..] else { panic!("{:?}", server.installed()) };
        assert!(fs::read(installed).unwrap() == agent, "{architecture}");
        assert_eq!(server.commands(), ["direct", "start", "place", "start"]);
        for commands in [["start"], ["direct"]] {
            assert_eq!(server.cutover(&["deploy"]).succeeded()["files"], 1);
            assert_eq!(server.commands(), commands, "only a client that knows the deploy path expects an agent there");
        }
        // The database is a cache: without it, the agent is found as well.
        fs::remove_dir_all(server.site.path("state")).unwrap();
        server.cutover(&["deploy"]).succeeded();
        assert_eq!(server.commands(), ["start"]);
        assert_eq!(server.installed().len(), 1);

        // A damaged one is replaced by the right one.
        fs::write(installed, "#!/bin/sh\n").unwrap();
        fs::remove_dir_all(server.site.path("state")).unwrap();
        server.cutover(&["deploy"]).succeeded();
        assert!(fs::read(installed).unwrap() == agent, "{architecture}");
        fs::remove_dir_all(server.site.target("")).unwrap();
        fs::remove_dir_all(server.site.path("state")).unwrap();
    }
}

#[test]
fn a_server_for_which_there_is_no_agent_is_refused_before_anything_is_made() {
    let Some(server) = Foreign::new() else { return };
    server.site.write("a", "one");
    for (system, words) in [
        (
            "Linux riscv64",
            ["The server runs Linux riscv64, and the agent runs on Linux x86_64 and", "64-bit Linux kernel"],
        ),
        (
            "Linux armv7l",
            ["The server runs Linux armv7l, and the agent runs on Linux x86_64 and", "its programs may be 32-bit"],
        ),
        (
            "Linux aarch64",
            ["its agent `cutover-agent-aarch64` of this build is not in `", "from its package or its archive"],
        ),
    ] {
        server.say(system);
        for (verb, commands) in [("setup", &["direct", "start"][..]), ("deploy", &["start"])] {
            server.commands();
            server.cutover(&[verb]).failed(1, &words);
            assert_eq!(server.commands(), commands, "{system} {verb}");
            assert!(!server.site.target("").exists(), "{system} {verb}");
        }
    }
}
