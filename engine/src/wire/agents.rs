//! The agents that this client can copy to servers, one for each processor architecture.
//!
//! An agent is a file beside the running program, or in `../lib/cutover` seen from there, where a package puts it:
//!
//! ```text
//! cutover-agent-x86_64    for servers on which `uname -m` prints x86_64
//! cutover-agent-aarch64   for those on which it prints aarch64
//! cutover-agent           for this machine's architecture, as a build makes it; only beside the program
//! ```
//!
//! A file of another build is skipped. A file in `../lib/cutover` that other users could change is skipped too:
//! `../lib` may belong to anybody, for example if the program is in `/tmp/bin`. The directory of the program needs no
//! such check, because its writers could change the program itself. Without an agent for its own architecture, the
//! client copies the running program, which contains the agent and is three times as large.
//!
//! `uname -m` names the architecture of the kernel. The agents are static, so the kernel alone decides what runs: a
//! 32-bit userland on a 64-bit kernel gets the 64-bit agent.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::access;
use crate::error::{Error, StartError};
use crate::event::{Event, Observer};
use crate::hash::Hash;
use crate::path::{Shown, shown_path};
use crate::wire::program::{Program, ProgramMark};

/// The architecture of this client.
const ARCH: &str = env!("CUTOVER_ARCHITECTURE");

/// The file name of the agent for this architecture, and the beginning of the others'.
const AGENT: &str = "cutover-agent";

/// The architectures of the agents in a package, as `uname -m` prints them.
const PACKAGED: [&str; 2] = ["aarch64", "x86_64"];

/// The beginning of the text that the file of each program of this build has. The architecture and a parenthesis follow.
macro_rules! build {
    () => {
        concat!("cutover-agent ", env!("CARGO_PKG_VERSION"), " (build ", env!("CUTOVER_BUILD"), ", ")
    };
}

/// The text in the file of each program of this build and architecture. Programs of the same sources speak one protocol.
pub const BUILD: &str = concat!(build!(), env!("CUTOVER_ARCHITECTURE"), ")");

/// An agent for one architecture.
#[derive(Debug, Clone)]
struct Agent {
    architecture: &'static str,
    program: Program,
}

/// The agents at hand. The first is for the architecture of this client.
#[derive(Debug, Clone)]
pub(super) struct Agents {
    agents: Vec<Agent>,
    /// The directories in which they were looked for.
    directories: Vec<PathBuf>,
}

impl Agents {
    /// Finds the agents, from the running program's file. Skips agents of another build, and reports that.
    pub(super) fn find(own: &Path, observer: &dyn Observer) -> Result<Agents, Error> {
        let directories = directories(own);
        let mut agents = Vec::new();
        for architecture in std::iter::once(ARCH).chain(PACKAGED.into_iter().filter(|&name| name != ARCH)) {
            let program = find_agent(architecture, &directories, observer);
            let program =
                if architecture == ARCH { Some(program.map_or_else(|| Program::open(own), Ok)?) } else { program };
            agents.extend(program.map(|program| Agent { architecture, program }));
        }
        Ok(Agents { agents, directories })
    }

    /// Returns the agent for the architecture of this client.
    pub(super) fn own(&self) -> &Program {
        &self.agents[0].program
    }

    /// Returns whether a greeting comes from one of the agents.
    pub(super) fn include(&self, mark: &ProgramMark) -> bool {
        self.agents.iter().any(|agent| agent.program.mark() == *mark)
    }

    /// Returns the agent's file name on servers. It depends on all agents, so that a client can start an agent whose
    /// architecture it does not know yet. A file of that name is right or damaged: the greeting shows which. Cleanup
    /// recognizes old agents by exactly this form.
    pub(super) fn name(&self) -> String {
        let mut marks: Vec<ProgramMark> = self.agents.iter().map(|agent| agent.program.mark()).collect();
        marks.sort_unstable();
        format!("cutover-{}", &Hash::of(&marks.concat()).to_string()[..16])
    }

    /// Returns the agent for a server on which `uname -s -m` printed this. A server that printed nothing is taken for one
    /// like this client.
    pub(super) fn for_system(&self, system: &[u8]) -> Result<&Program, Error> {
        if system.is_empty() {
            return Ok(self.own());
        }
        let machine = system.strip_prefix(b"Linux ").unwrap_or_default();
        if let Some(agent) = self.agents.iter().find(|agent| agent.architecture.as_bytes() == machine) {
            return Ok(&agent.program);
        }
        let system = Shown(system).to_string();
        Err(Error::Start(match PACKAGED.iter().find(|name| name.as_bytes() == machine) {
            Some(architecture) => StartError::AgentMissing {
                system,
                file: format!("{AGENT}-{architecture}"),
                directories: self.directories.iter().map(|path| shown_path(path)).collect(),
            },
            None => StartError::ForeignSystem { system },
        }))
    }
}

/// Returns where agents may be: the directory of the program, and the one that a package has for them.
fn directories(own: &Path) -> Vec<PathBuf> {
    let own = fs::canonicalize(own).ok();
    let Some(beside) = own.as_deref().and_then(Path::parent) else { return Vec::new() };
    let library = beside.parent().map(|above| above.join("lib/cutover"));
    std::iter::once(beside.to_owned()).chain(library).collect()
}

/// Finds the agent for an architecture.
fn find_agent(architecture: &'static str, directories: &[PathBuf], observer: &dyn Observer) -> Option<Program> {
    let packaged = directories.iter().map(|directory| directory.join(format!("{AGENT}-{architecture}")));
    let built = directories.first().map(|beside| beside.join(AGENT)).filter(|_| architecture == ARCH);
    let is_own = |path: &PathBuf| path.parent() == directories.first().map(PathBuf::as_path) || is_safe(path, observer);
    built.into_iter().chain(packaged).filter(is_own).find_map(|path| open_agent(path, architecture, observer))
}

/// Returns whether it is certain that nobody else could change a file.
fn is_safe(path: &Path, observer: &dyn Observer) -> bool {
    let reason = match access::find_exposure(path) {
        Ok(None) => return true,
        Ok(Some(_)) => format!("Others could change `{}`, and it is not used", shown_path(path)),
        Err(error) if error.kind() == ErrorKind::NotFound => return false,
        Err(error) => format!("It is not known who could change `{}`, and it is not used: {error}", shown_path(path)),
    };
    observer.observe(Event::Detail(reason));
    false
}

/// Reads an agent. Returns nothing if there is none of this build.
fn open_agent(path: PathBuf, architecture: &str, observer: &dyn Observer) -> Option<Program> {
    let content = fs::read(&path).ok()?;
    let build = format!("{}{architecture})", build!());
    if memchr::memmem::find(&content, build.as_bytes()).is_none() {
        observer.observe(Event::Detail(format!("`{}` is of another build, and is not used", shown_path(&path))));
        return None;
    }
    Some(Program { path, hash: Hash::of(&content), bytes: content.len() as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Recorder, Silent};

    /// A directory like `/usr`, with a program that is no agent of any build.
    struct Installation(tempfile::TempDir);

    impl Installation {
        fn new() -> Installation {
            let installation = Installation(tempfile::tempdir().unwrap());
            installation.put("bin/cutover", "the program");
            installation
        }

        fn put(&self, name: &str, content: &str) {
            let path = self.0.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn remove(&self, name: &str) {
            fs::remove_file(self.0.path().join(name)).unwrap();
        }

        fn find(&self) -> Agents {
            Agents::find(&self.0.path().join("bin/cutover"), &Silent).unwrap()
        }

        /// Returns the file that a server of this architecture gets, or the error.
        fn agent_for(&self, machine: &str) -> String {
            let agents = self.find();
            match agents.for_system(format!("Linux {machine}").as_bytes()) {
                Ok(program) => shown_path(program.path.strip_prefix(self.0.path()).unwrap()),
                Err(error) => error.to_string().replace(&shown_path(self.0.path()), "/usr"),
            }
        }
    }

    fn build(architecture: &str, note: &str) -> String {
        format!("{}{architecture}) {note}", build!())
    }

    /// The architecture of packages that this machine has not.
    fn other() -> &'static str {
        PACKAGED.into_iter().find(|&name| name != ARCH).unwrap()
    }

    #[test]
    fn an_agent_is_found_beside_the_program_and_then_in_the_library_directory() {
        let usr = Installation::new();
        assert_eq!(usr.agent_for(ARCH), "bin/cutover");
        for (name, architecture) in [
            (format!("lib/cutover/{AGENT}-{ARCH}"), ARCH),
            (format!("bin/{AGENT}-{ARCH}"), ARCH),
            (format!("bin/{AGENT}"), ARCH),
            (format!("lib/cutover/{AGENT}-{}", other()), other()),
            (format!("bin/{AGENT}-{}", other()), other()),
        ] {
            usr.put(&name, &build(architecture, &name));
            assert_eq!(usr.agent_for(architecture), name);
        }
        // A link to the program leads to where the agents are.
        std::os::unix::fs::symlink(usr.0.path().join("bin/cutover"), usr.0.path().join("linked")).unwrap();
        let agents = Agents::find(&usr.0.path().join("linked"), &Silent).unwrap();
        assert_eq!(agents.name(), usr.find().name());
    }

    #[test]
    fn an_agent_in_the_library_directory_that_others_could_change_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let usr = Installation::new();
        let name = format!("lib/cutover/{AGENT}-{ARCH}");
        usr.put(&name, &build(ARCH, ""));
        assert_eq!(usr.agent_for(ARCH), name);
        for (path, safe) in [(name.as_str(), 0o644), ("lib/cutover", 0o755)] {
            let set = |mode| fs::set_permissions(usr.0.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
            set(0o777);
            assert_eq!(usr.agent_for(ARCH), "bin/cutover", "{path}");
            set(safe);
            assert_eq!(usr.agent_for(ARCH), name);
        }
    }

    #[test]
    fn an_agent_in_the_library_directory_of_which_this_is_not_known_is_not_used() {
        let usr = Installation::new();
        let path = usr.0.path().join(format!("lib/cutover/{AGENT}-{ARCH}"));
        let check = |expected: bool, told: &str| {
            let recorder = Recorder::default();
            assert_eq!(is_safe(&path, &recorder), expected);
            let events = format!("{:?}", recorder.events());
            assert_eq!(events.contains("It is not known who could change"), !told.is_empty(), "{events}");
            assert!(events.contains(told), "{events}");
        };
        check(false, "");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&path, &path).unwrap();
        check(false, "symbolic links");
        fs::remove_file(&path).unwrap();
        fs::write(&path, build(ARCH, "")).unwrap();
        check(true, "");
    }

    #[test]
    fn an_agent_of_another_build_or_architecture_is_skipped_and_told() {
        let usr = Installation::new();
        let right = build(other(), "");
        for wrong in [right.replace("(build ", "(build 0"), build(ARCH, ""), String::new()] {
            usr.put(&format!("bin/{AGENT}-{}", other()), &wrong);
            let recorder = Recorder::default();
            let agents = Agents::find(&usr.0.path().join("bin/cutover"), &recorder).unwrap();
            assert!(agents.for_system(format!("Linux {}", other()).as_bytes()).is_err(), "{wrong}");
            let told = format!("{:?}", recorder.events());
            assert!(told.contains("is of another build, and is not used"), "{told}");
        }
        usr.put(&format!("lib/cutover/{AGENT}-{}", other()), &right);
        assert_eq!(usr.agent_for(other()), format!("lib/cutover/{AGENT}-{}", other()));
    }

    #[test]
    fn a_server_for_which_there_is_no_agent_is_refused() {
        let usr = Installation::new();
        let other = other();
        assert_eq!(
            usr.agent_for(other),
            format!(
                "The server runs Linux {other}, and its agent `cutover-agent-{other}` of this build is not in `/usr/bin` or \
                 `/usr/lib/cutover`"
            )
        );
        for machine in ["riscv64", "armv7l", "i686", ""] {
            assert_eq!(
                usr.agent_for(machine),
                format!("The server runs Linux {machine}, and the agent runs on Linux x86_64 and Linux aarch64")
            );
        }
        let agents = usr.find();
        let error = agents.for_system(format!("FreeBSD {ARCH}").as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("The server runs FreeBSD "), "{error}");
        // Without `uname` nothing is known of it.
        assert_eq!(agents.for_system(b"").unwrap().path, usr.0.path().join("bin/cutover"));
    }

    #[test]
    fn the_name_on_servers_depends_on_each_agent_and_their_greetings_are_known() {
        let usr = Installation::new();
        let mut names = vec![usr.find().name()];
        for (name, architecture) in [(format!("bin/{AGENT}"), ARCH), (format!("bin/{AGENT}-{}", other()), other())] {
            for note in ["one", "two"] {
                usr.put(&name, &build(architecture, note));
                let agents = usr.find();
                assert!(!names.contains(&agents.name()), "{name} {note}");
                names.push(agents.name());
                let mark = *Hash::of(build(architecture, note).as_bytes()).as_bytes().first_chunk().unwrap();
                assert!(agents.include(&mark), "{name} {note}");
                assert!(!agents.include(&[0; 16]));
            }
        }
        usr.remove(&format!("bin/{AGENT}-{}", other()));
        assert_eq!(usr.find().name(), names[2]);
    }
}
