//! The commands that run on a server before the agent does.
//!
//! If the client expects an agent at its place, the short command of [`direct_command`] is enough: it checks that one file
//! and starts it. A script for each mode does everything else. `script.sh` has the parts of all scripts; they travel
//! as one line. The command works in every login shell: it is `exec sh -c '<script>' cutover <mode> <arguments>`. A
//! script holds no single quote, no newline, no `!` and no doubled backslash, which fish and csh would interpret. The
//! arguments are encoded in an alphabet that no shell interprets, so paths may hold any byte.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::wire::bootstrap::alphabet::needs_no_quotes;
use crate::wire::bootstrap::places::Places;
use crate::wire::bootstrap::run_as::{GO_HOME, RunAs};

/// The parts, each behind a line `#: name`.
const PARTS: &str = include_str!("script.sh");

/// The endings of script lines that are not the end of a command.
const CONTINUATIONS: [&str; 9] = ["{", "(", "&&", "||", "|", "in", "then", "do", "else"];

/// The task of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Run the agent at its place, or report what is there instead.
    Start,
    /// The same for commands that must leave nothing behind: the owner of the deploy path does not matter then.
    Look,
    /// The same for an examination: it does not matter either that others could change the place.
    Visit,
    /// Run the agent at its place as a lane of the running agent.
    Lane,
    /// Read the agent from stdin and put it at its place.
    Place,
    /// Read the agent from stdin, put it into a new temporary directory, and report that directory.
    Lend,
    /// Run the agent there. The directory is removed first, or afterwards if the server has no `/proc`.
    Vanish,
}

impl Mode {
    /// Returns the word of the mode in the arguments of a script.
    fn word(self) -> &'static str {
        match self {
            Mode::Start => "start",
            Mode::Look => "look",
            Mode::Visit => "visit",
            Mode::Lane => "lane",
            Mode::Place => "place",
            Mode::Lend => "lend",
            Mode::Vanish => "vanish",
        }
    }

    /// Returns the names of the parts that the script needs.
    fn parts(self) -> &'static [&'static str] {
        match self {
            Mode::Start | Mode::Look | Mode::Visit | Mode::Lane => &["begin", "ours", "judge", "start"],
            Mode::Place => &["begin", "judge", "put", "clean", "place"],
            Mode::Lend => &["begin", "put", "clean", "lend"],
            Mode::Vanish => &["begin", "ours", "clean", "vanish"],
        }
    }

    /// Returns the script.
    pub(super) fn script(self) -> String {
        one_line(self.parts().iter().flat_map(|part| lines_of(part)))
    }
}

/// Returns the lines of a part, without comments and indentation.
fn lines_of(part: &str) -> impl Iterator<Item = &'static str> {
    let parts = PARTS.split("\n#: ").filter_map(|text| text.split_once('\n'));
    let lines = parts.filter(move |(name, _)| *name == part).flat_map(|(_, text)| text.lines());
    lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Joins the lines into one.
fn one_line<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let (mut script, mut between) = (String::new(), "");
    for line in lines {
        script.push_str(between);
        script.push_str(line);
        let last = line.rsplit(' ').next().unwrap_or_default();
        between = if last.ends_with(";;") || CONTINUATIONS.contains(&last) { " " } else { ";" };
    }
    script
}

/// The command that reads the agent on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unpack {
    /// The agent is sent as it is.
    Cat,
    /// The agent is sent packed.
    Gzip,
}

impl Unpack {
    fn command(self) -> &'static str {
        match self {
            Unpack::Cat => "cat",
            Unpack::Gzip => "gzip -dc",
        }
    }
}

/// A script with its arguments.
pub(super) struct Script<'a> {
    /// The task.
    pub(super) mode: Mode,
    /// The file name of the agent.
    pub(super) agent: &'a str,
    /// The length of the agent in bytes, if the script reads it.
    pub(super) agent_bytes: u64,
    /// The deploy path.
    pub(super) deploy_path: &'a Path,
    /// The agent's directory.
    pub(super) directory: &'a Path,
    /// How the agent is sent.
    pub(super) unpack: Unpack,
    /// The user that runs the script, if it is another than the one that logs in.
    pub(super) run_as: Option<&'a RunAs>,
}

impl Script<'_> {
    /// Returns the command that runs the script.
    pub(super) fn command(&self) -> String {
        format!(
            "exec {}sh -c '{}{}' cutover {} {} {} '{}' '{}' '{}'",
            self.run_as.map(RunAs::command).unwrap_or_default(),
            if self.run_as.is_some() { GO_HOME } else { "" },
            self.mode.script(),
            self.mode.word(),
            self.agent,
            self.agent_bytes,
            encode(self.deploy_path.as_os_str().as_bytes()),
            encode(self.directory.as_os_str().as_bytes()),
            self.unpack.command(),
        )
    }
}

/// The command that starts the agent `$0` of the working directory if only the login user can have put it there.
/// `find` prints two names in that case, the directory's and the agent's; otherwise the command runs nothing. Each of
/// its bytes crosses the wire with each deploy. Options and the closing quote follow.
macro_rules! direct_command {
    ($modes:literal) => {
        concat!("&&set x `find . $0 -prune -user $USER ", $modes, "`;exec ./$3 agent")
    };
}

/// For a directory that Cutover made: exactly the modes that it made.
const DIRECT_COMMAND: &str = direct_command!("-perm 700");
/// For a directory that the user named: nobody else may write to it.
const DIRECT_COMMAND_ELSEWHERE: &str = direct_command!("! -perm -20 ! -perm -2");

/// Returns the short command that starts an agent at its place, or a lane of it. Returns nothing if the path needs
/// quotes.
pub(super) fn direct_command(mode: Mode, agent: &str, places: &Places) -> Option<String> {
    let directory = places.agent_directory.to_str().filter(|directory| directory.bytes().all(needs_no_quotes))?;
    let start = if directory.ends_with("/.cutover/bin") { DIRECT_COMMAND } else { DIRECT_COMMAND_ELSEWHERE };
    let option = match (mode, places.deploy_path.is_relative()) {
        (Mode::Lane, _) => " --lane",
        (_, true) => " --from \"$OLDPWD\"",
        (_, false) => "",
    };
    let (sudo, home) = match &places.run_as {
        Some(run_as) => (run_as.command(), GO_HOME),
        None => (String::new(), ""),
    };
    Some(format!("{sudo}sh -c '{home}cd {directory}{start}{option}' {agent}"))
}

/// Encodes all but letters, digits and the usual bytes of paths as `\0` and three octal digits, which `printf %b`
/// reads.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for &byte in bytes {
        if needs_no_quotes(byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("\\0{byte:03o}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODES: [Mode; 7] = [Mode::Start, Mode::Look, Mode::Visit, Mode::Lane, Mode::Place, Mode::Lend, Mode::Vanish];

    #[test]
    fn a_script_has_nothing_that_a_login_shell_reads_its_own_way() {
        for mode in MODES {
            for forbidden in ["'", "\n", "!", "\\\\"] {
                assert!(!mode.script().contains(forbidden), "{mode:?} {forbidden:?}");
            }
        }
    }

    #[test]
    fn every_part_of_a_script_is_there_and_of_some_use() {
        for part in MODES.iter().flat_map(|mode| mode.parts()) {
            assert!(lines_of(part).next().is_some(), "{part}");
        }
        let named = PARTS.lines().filter_map(|line| line.strip_prefix("#: "));
        for part in named {
            assert!(MODES.iter().any(|mode| mode.parts().contains(&part)), "{part}");
        }
    }

    #[test]
    fn lines_become_one_where_a_command_ends() {
        let check = |text: &str, expected: &str| assert_eq!(one_line(text.lines()), expected);
        check("", "");
        check("a\nb", "a;b");
        check("f() {\na &&\nb\n}", "f() { a && b;}");
        check("case $a in\n(b) ;;\n(*) c;;\nesac\nd", "case $a in (b) ;; (*) c;; esac;d");
        check("if a; then\nb\nelse\nc\nfi", "if a; then b;else c;fi");
        check("undo\nagain", "undo;again");
    }

    #[test]
    fn arguments_are_encoded_in_a_safe_alphabet() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(encode(bytes), expected);
        check(b"/srv/my-shop_1.2", "/srv/my-shop_1.2");
        check(b"a b'c\"d", "a\\0040b\\0047c\\0042d");
        check(b"\\\n\xff", "\\0134\\0012\\0377");
    }
}
