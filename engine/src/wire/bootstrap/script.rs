//! The commands that a server is sent before the agent runs there.
//!
//! Where an agent is thought to be at its place, [`unasked`] is enough: it looks at that one file and starts it. A script for
//! each mode does everything else. `script.sh` has its parts; they travel as one line. Whatever the login shell is, it gets
//! `exec sh -c '<script>' cutover <mode> <arguments>`: a script holds no single quote, no newline, no `!` and no
//! doubled backslash, which fish and csh would read their own way, and the arguments are in an alphabet that no shell
//! reads anything into. It decodes them, so paths may hold any byte.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::wire::bootstrap::places::Places;
use crate::wire::program::Program;

/// The parts, each behind a line `#: name`.
const PARTS: &str = include_str!("script.sh");

/// What a line of the script ends with where its end is no end of a command.
const GOES_ON: [&str; 9] = ["{", "(", "&&", "||", "|", "in", "then", "do", "else"];

/// What a script is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Run the agent at its place, or say what is there instead.
    Start,
    /// The same for what must leave nothing behind: whether the deploy path is ours does not matter then.
    Look,
    /// Run the agent at its place as a lane of one that runs already.
    Lane,
    /// Take the agent from stdin, put it at its place.
    Place,
    /// Take the agent from stdin, put it into a fresh temporary directory, and say which.
    Lend,
    /// Run the agent there; the directory is removed before, or afterwards where there is no `/proc`.
    Vanish,
}

impl Mode {
    /// Returns the word for it in the arguments of a script.
    fn word(self) -> &'static str {
        match self {
            Mode::Start => "start",
            Mode::Look => "look",
            Mode::Lane => "lane",
            Mode::Place => "place",
            Mode::Lend => "lend",
            Mode::Vanish => "vanish",
        }
    }

    /// Returns the parts that it needs.
    fn parts(self) -> &'static [&'static str] {
        match self {
            Mode::Start | Mode::Look | Mode::Lane => &["begin", "ours", "judge", "start"],
            Mode::Place => &["begin", "judge", "put", "clean", "place"],
            Mode::Lend => &["begin", "put", "clean", "lend"],
            Mode::Vanish => &["begin", "ours", "clean", "vanish"],
        }
    }

    /// Returns its script.
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

/// Makes one line of several.
fn one_line<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let (mut script, mut between) = (String::new(), "");
    for line in lines {
        script.push_str(between);
        script.push_str(line);
        let last = line.rsplit(' ').next().unwrap_or_default();
        between = if last.ends_with(";;") || GOES_ON.contains(&last) { " " } else { ";" };
    }
    script
}

/// What reads the program on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unpack {
    /// It is sent as it is.
    Cat,
    /// It is sent packed.
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
    /// What it is to do.
    pub(super) mode: Mode,
    /// The agent.
    pub(super) program: &'a Program,
    /// The deploy path.
    pub(super) deploy_path: &'a Path,
    /// The directory with the agent, or for it.
    pub(super) directory: &'a Path,
    /// How the agent is sent.
    pub(super) unpack: Unpack,
}

impl Script<'_> {
    /// Returns the command that runs it.
    pub(super) fn command(&self) -> String {
        format!(
            "exec sh -c '{}' cutover {} {} {} '{}' '{}' '{}'",
            self.mode.script(),
            self.mode.word(),
            self.program.name(),
            self.program.bytes,
            encode(self.deploy_path.as_os_str().as_bytes()),
            encode(self.directory.as_os_str().as_bytes()),
            self.unpack.command(),
        )
    }
}

/// Starts the agent `$0` of the working directory, where only the login user can have put it there: `find` prints both names
/// then, the directory's and the agent's, and otherwise there is nothing to run. Every byte of it crosses the wire with
/// each deploy. Options and the closing quote follow.
macro_rules! unasked {
    ($modes:literal) => {
        concat!("&&set x `find . $0 -prune -user $USER ", $modes, "`;exec ./$3 agent")
    };
}

/// For a directory of our own making: the modes are just what was made.
const UNASKED: &str = unasked!("-perm 700");
/// For a directory that the user named: nobody else may write.
const UNASKED_ELSEWHERE: &str = unasked!("! -perm -20 ! -perm -2");

/// Returns the short command that starts an agent at its place, or a lane of it; nothing where the place needs quotes.
pub(super) fn unasked(mode: Mode, program: &Program, places: &Places) -> Option<String> {
    let directory = places.agent_directory.to_str().filter(|directory| directory.bytes().all(needs_no_quotes))?;
    let start = if directory.ends_with("/.cutover/bin") { UNASKED } else { UNASKED_ELSEWHERE };
    let option = match (mode, places.deploy_path.is_relative()) {
        (Mode::Lane, _) => " --lane",
        (_, true) => " --from \"$OLDPWD\"",
        (_, false) => "",
    };
    Some(format!("sh -c 'cd {directory}{start}{option}' {}", program.name()))
}

/// Tells whether no shell reads anything into a byte.
fn needs_no_quotes(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)
}

/// Writes all but letters, digits and what paths usually hold as `\0` and three octal digits, which `printf %b` reads.
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

    const MODES: [Mode; 6] = [Mode::Start, Mode::Look, Mode::Lane, Mode::Place, Mode::Lend, Mode::Vanish];

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
