//! Gets the agent running on a server that need have nothing but a POSIX `sh`.
//!
//! Where an agent is thought to be at its place, the first command is `exec <place> agent`, which every login shell
//! understands where the place needs no quotes. What comes of it otherwise is found out by the script.
//!
//! One constant script does everything else that is done there. Whatever the login shell is, it gets
//! `exec sh -c '<script>' cutover <mode> <arguments>`: the script holds no single quote, no newline, no `!` and no
//! doubled backslash, which fish and csh would read their own way, and the arguments are in an alphabet that no shell
//! reads anything into. The script decodes them, so paths may hold any byte.
//!
//! ```text
//! start    run the agent at its place, or say what is there instead
//! look     the same for what must leave nothing behind: whose the deploy path is does not matter then
//! lane     run the agent at its place as a lane of one that runs already
//! place    take the agent from stdin, put it at its place
//! lend     take the agent from stdin, put it into a fresh temporary directory, and say which
//! vanish   open the agent there, remove the directory, run what was opened
//! ```
//!
//! The script answers on stdout, between marks that are found among whatever a login prints. Script and program never
//! travel through the same stream: what a shell has read ahead of its script would be missing from the program.
//!
//! The name of the agent holds its hash, so what is at its place is right or damaged; the greeting tells which, on
//! every connection. What is damaged is replaced, once. It is copied under another name and renamed, so two clients
//! that copy at once do not disturb each other, and none runs half of it. It is not synced: after a power cut it may
//! be damaged, and then it is replaced.

use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::error::Error;
use crate::event::{Event, Observer, Phase, Silent};
use crate::path::Shown;
use crate::wire::arrived::Arrived;
use crate::wire::connect::Install;
use crate::wire::connection::Connection;
use crate::wire::greeting::{NoGreeting, PROTOCOL_VERSION, read_greeting, wait_readable};
use crate::wire::login::{Ended, Login, Running};
use crate::wire::packing::{self, Packing};
use crate::wire::program::{Program, SYSTEM};

/// How long a login may take until the agent greets. Some run a good deal of their owner's configuration first.
const GREETING_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of an answer is read; what a login prints comes before it.
const ANSWER_MAX: usize = 64 << 10;
/// How often it is told how much of the agent has arrived.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// A copy that takes less says little of the line: where both ends are busy, beginning and unpacking may take half as long.
const TELLING: Duration = Duration::from_secs(1);
const MARK: &[u8] = b"cutover-bootstrap:";
const END_MARK: &[u8] = b":end";

/// Notes on what is not obvious in it:
/// - What is placed is for its owner alone; the agent takes the usual umask itself.
/// - `printf %b` decodes; the `x` keeps newlines at the end of a path, which `$(…)` would drop.
/// - An empty file that may be executed is run by the shell and does nothing; on a filesystem mounted noexec it is
///   refused with 126. That is known before the program is sent.
/// - `true >` rather than `: >`: a failed redirection of a special builtin ends the shell.
/// - The deploy path is made for all to read, as a web server must; what is private begins at `.cutover`.
/// - The program is sent packed where the server has `gzip`, which nearly all have: that is less than half of it.
/// - A program that was opened is run through `/proc` after its last name is gone.
const SCRIPT: &str = concat!(
    "umask 077; m=$1; n=$2; l=$3; z=$6; t=; ",
    "d=$(printf %bx \"$4\"); d=${d%x}; a=$(printf %bx \"$5\"); a=${a%x}; ",
    "say() { printf \"\\ncutover-bootstrap:%s:%s:end\\n\" \"$1\" \"$2\"; }; ",
    "put() { p=$a/.$n.$$; t=${t:-$p}; true > \"$p\" && chmod 700 \"$p\" || return 1; ",
    "\"$p\" < /dev/null > /dev/null 2>&1; [ $? -eq 126 ] && return 2; ",
    "$z > \"$p\" || return 1; [ \"$(wc -c < \"$p\")\" -eq \"$l\" ] || return 3; mv -f \"$p\" \"$a/$n\"; }; ",
    "judge() { case $1 in (2) say noexec;; (3) say short;; (*) say failed;; esac; }; ",
    "trap \"rm -rf \\\"\\$t\\\"\" 0; trap \"exit 1\" 1 2 15; ",
    "case $m in ",
    "(start|look) if [ -x \"$a/$n\" ]; then say start; trap - 0; exec \"$a/$n\" agent; fi; f=; ",
    "[ $m = look ] || [ -d \"$d/.cutover\" ] || f=$(ls -A \"$d\" 2> /dev/null | while IFS= read -r f; do ",
    "case $f in (shared|cache|lost+found) ;; (*) printf %s \"$f\"; break;; esac; done); ",
    "if [ -n \"$f\" ]; then say foreign \"$f\"; else say missing \"$(uname -s -m 2> /dev/null):$(command -v gzip 2> /dev/null)\"; fi;; ",
    "(lane) say start; trap - 0; exec \"$a/$n\" agent --lane;; ",
    "(place) case $a in (\"$d/.cutover/bin\") (umask 022; mkdir -p \"$d\");; esac && mkdir -p \"$a\" && put; r=$?; ",
    "if [ $r -eq 0 ]; then say placed; ",
    "find \"$a\" -type f -name \"*cutover-*\" -mtime +7 -exec rm -f {} + 2> /dev/null; else judge $r; fi;; ",
    "(lend) r=1; for e in \"${TMPDIR:-/tmp}\" /tmp /var/tmp /dev/shm; do ",
    "t=$(mktemp -d \"$e/cutover.XXXXXXXX\") || continue; a=$t; put; r=$?; [ $r -eq 2 ] || break; rm -rf \"$t\"; done; ",
    "if [ $r -eq 0 ]; then say lent \"$a\"; t=; else judge $r; fi;; ",
    "(vanish) exec 3< \"$a/$n\" && rm -rf \"$a\" && say start && trap - 0 && exec /proc/self/fd/3 agent;; ",
    "esac",
);

/// Where things are on the server.
#[derive(Debug, Clone)]
pub(super) struct Places {
    deploy_path: PathBuf,
    agent_directory: PathBuf,
}

impl Places {
    /// The agent goes into the deploy path, unless it has a directory of its own.
    pub(super) fn new(deploy_path: &Path, agent_path: Option<&Path>) -> Places {
        let agent_directory = match agent_path {
            Some(path) => from_login_directory(path),
            None => from_login_directory(deploy_path).join(".cutover/bin"),
        };
        Places { deploy_path: from_login_directory(deploy_path), agent_directory }
    }
}

/// A path that begins with a dash would look like an option.
fn from_login_directory(path: &Path) -> PathBuf {
    if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) }
}

/// Starts the agent, copying it when it is missing or damaged, and returns the connection once it has greeted.
pub(super) fn start_agent(
    login: &mut dyn Login,
    program: &Program,
    packing: Packing,
    places: &Places,
    install: Install,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<Connection, Error> {
    let mut bootstrap =
        Bootstrap { login, program, packing, places, observer, cancel, unpack: Unpack::Cat, copied_at: None };
    match install {
        Install::Keep => bootstrap.start_placed(),
        Install::Vanish => bootstrap.start_lent(),
    }
}

/// Starts a lane of an agent that runs, and returns the connection once it has greeted.
pub(super) fn start_lane(
    login: &mut dyn Login,
    program: &Program,
    places: &Places,
    cancel: &Cancel,
) -> Result<Connection, Error> {
    let (observer, packing) = (&Silent, Packing::on_demand());
    let mut bootstrap =
        Bootstrap { login, program, packing, places, observer, cancel, unpack: Unpack::Cat, copied_at: None };
    match bootstrap.start_unasked(" --lane")? {
        Some(connection) => Ok(connection),
        None => bootstrap.insist("lane", &places.agent_directory),
    }
}

/// The agent on its way.
struct Copying<'a> {
    observer: &'a dyn Observer,
    arrived: Option<Arrived>,
    /// How long it is as it travels.
    bytes: u64,
}

impl Copying<'_> {
    fn begin(&self) {
        self.observer.observe(Event::Began(Phase::CopyAgent));
        self.tell();
    }

    /// Tells how much has arrived, and returns it; nothing where the transport does not know.
    fn tell(&self) -> Option<u64> {
        let arrived = self.arrived.as_ref().and_then(Arrived::bytes).map(|bytes| bytes.min(self.bytes));
        let (bytes, bytes_total) = (arrived.unwrap_or_default(), self.bytes);
        self.observer.observe(Event::Progress {
            phase: Phase::CopyAgent,
            files: 0,
            files_total: 0,
            bytes,
            bytes_total,
        });
        arrived
    }

    fn end(&self) {
        self.observer.observe(Event::Ended(Phase::CopyAgent));
    }
}

struct Bootstrap<'a> {
    login: &'a mut dyn Login,
    program: &'a Program,
    packing: Packing,
    places: &'a Places,
    observer: &'a dyn Observer,
    cancel: &'a Cancel,
    /// How the server unpacks the program, as far as it said.
    unpack: Unpack,
    /// How many bytes a second the line took while the agent was copied.
    copied_at: Option<f64>,
}

/// What reads the program on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unpack {
    Cat,
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

/// What came of an attempt to start the agent.
enum Start {
    Greeted(Connection),
    /// There is none at its place.
    Missing,
    /// There is one, but it is not what it should be. Holds what it said instead.
    Damaged(String),
}

impl Bootstrap<'_> {
    fn start_placed(&mut self) -> Result<Connection, Error> {
        let places = self.places;
        if let Some(connection) = self.start_unasked("")? {
            return Ok(connection);
        }
        match self.start("start", &places.agent_directory)? {
            Start::Greeted(connection) => return Ok(connection),
            Start::Missing => {}
            Start::Damaged(output) => {
                let directory = shown(&places.agent_directory);
                self.observer.observe(Event::Detail(format!("Replacing the agent in `{directory}`: {output}")));
            }
        }
        self.copy("place", &places.agent_directory)?;
        self.insist("start", &places.agent_directory)
    }

    fn start_lent(&mut self) -> Result<Connection, Error> {
        let places = self.places;
        if let Some(connection) = self.start_unasked("")? {
            return Ok(connection);
        }
        match self.start("look", &places.agent_directory)? {
            Start::Greeted(connection) => return Ok(connection),
            Start::Missing | Start::Damaged(_) => {}
        }
        let directory = self.copy("lend", Path::new("/tmp"))?;
        self.insist("vanish", &directory)
    }

    /// Starts the agent that is thought to be at its place, by a short command. Nothing where that may not be tried, or
    /// came to nothing.
    fn start_unasked(&mut self, option: &str) -> Result<Option<Connection>, Error> {
        // Another try costs the system's `ssh` another login.
        if !self.packing.is_on_demand() || self.login.round_trip().is_none() {
            return Ok(None);
        }
        let place = self.places.agent_directory.join(self.program.name());
        let Some(place) = place.to_str().filter(|place| place.bytes().all(needs_no_quotes)) else { return Ok(None) };
        self.cancel.check()?;
        let mut running = self.login.run(&format!("exec {place} agent{option}"))?;
        match read_greeting(&mut running.input, Instant::now() + GREETING_TIMEOUT, self.cancel) {
            Ok(greeting) if greeting.program == self.program.mark() && greeting.version == PROTOCOL_VERSION => {
                Ok(Some(running.into_connection()))
            }
            Err(NoGreeting::Failed(error)) => Err(error),
            Err(NoGreeting::TimedOut(noise)) => Err(self.too_late(&noise)),
            Ok(_) | Err(NoGreeting::Missing(_)) => {
                let ended = running.end()?;
                self.login.failure(&ended).map_or(Ok(None), Err)
            }
        }
    }

    fn too_late(&self, noise: &[u8]) -> Error {
        let output = format!("nothing came in time {}", Shown(noise.trim_ascii()));
        Error::NoGreeting { host: self.login.host().to_owned(), output }
    }

    /// Starts an agent that was just copied.
    fn insist(&mut self, mode: &str, directory: &Path) -> Result<Connection, Error> {
        match self.start(mode, directory)? {
            Start::Greeted(connection) => Ok(Connection { copied_at: self.copied_at, ..connection }),
            // It is there, and the shell says that it may not be executed.
            Start::Missing => Err(Error::Noexec { directory: shown(directory) }),
            Start::Damaged(output) => Err(Error::NoGreeting { host: self.login.host().to_owned(), output }),
        }
    }

    fn start(&mut self, mode: &str, directory: &Path) -> Result<Start, Error> {
        let mut running = self.run(mode, directory)?;
        let noise = match read_greeting(&mut running.input, Instant::now() + GREETING_TIMEOUT, self.cancel) {
            Ok(greeting) if greeting.program != self.program.mark() => {
                running.end()?;
                return Ok(Start::Damaged("another program answered".into()));
            }
            Ok(greeting) if greeting.version != PROTOCOL_VERSION => {
                return Err(Error::ProtocolVersion { found: greeting.version, known: PROTOCOL_VERSION });
            }
            Ok(_) => return Ok(Start::Greeted(running.into_connection())),
            Err(NoGreeting::Failed(error)) => return Err(error),
            Err(NoGreeting::TimedOut(noise)) => return Err(self.too_late(&noise)),
            Err(NoGreeting::Missing(noise)) => noise,
        };
        let ended = running.end()?;
        self.judge_start(&noise, &ended, directory)
    }

    fn judge_start(&mut self, noise: &[u8], ended: &Ended, directory: &Path) -> Result<Start, Error> {
        if let Some(failure) = self.login.failure(ended) {
            return Err(failure);
        }
        match Answer::find(noise) {
            Some(Answer { word: b"missing", rest }) => {
                let colon = rest.iter().position(|&byte| byte == b':').unwrap_or(rest.len());
                check_system(&rest[..colon])?;
                self.unpack = if rest.len() > colon + 1 { Unpack::Gzip } else { Unpack::Cat };
                Ok(Start::Missing)
            }
            Some(Answer { word: b"foreign", rest }) => {
                Err(Error::NotOurs { path: shown(&self.places.deploy_path), found: Shown(rest).to_string() })
            }
            Some(Answer { word: b"start", .. }) if ended.status == Some(126) && !says_format(&ended.words) => {
                Err(Error::Noexec { directory: shown(directory) })
            }
            Some(Answer { word: b"start", .. }) => Ok(Start::Damaged(said(b"", ended))),
            _ => Err(self.no_shell(noise, ended)),
        }
    }

    /// Sends the program, and returns the directory in which it is now.
    fn copy(&mut self, mode: &str, directory: &Path) -> Result<PathBuf, Error> {
        let packed = match self.unpack {
            Unpack::Cat => packing::read(self.program)?,
            Unpack::Gzip => self.packing.packed(self.program)?,
        };
        let mut running = self.run(mode, directory)?;
        let began = Instant::now();
        let copying = Copying { observer: self.observer, arrived: running.arrived.clone(), bytes: packed.len() as u64 };
        copying.begin();
        self.send(&mut running, &packed, &copying)?;
        let (printed, ended) = self.read_to_end(running, &copying)?;
        copying.end();
        let took = began.elapsed().saturating_sub(self.login.round_trip().unwrap_or_default());
        self.copied_at = (took >= TELLING).then(|| packed.len() as f64 / took.as_secs_f64());
        let lent = self.judge_copy(&printed, &ended, directory)?;
        self.observer.observe(Event::AgentCopied { bytes: packed.len() as u64 });
        Ok(lent.unwrap_or_else(|| directory.to_owned()))
    }

    fn send(&self, running: &mut Running, content: &[u8], copying: &Copying<'_>) -> Result<(), Error> {
        for part in content.chunks(64 << 10) {
            self.cancel.check()?;
            copying.tell();
            // The script ended early; what it printed says why.
            if running.output.write_all(part).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn read_to_end(&self, running: Running, copying: &Copying<'_>) -> Result<(Vec<u8>, Ended), Error> {
        let Running { mut input, output, process, .. } = running;
        drop(output);
        let mut printed = Vec::new();
        let mut buffer = [0; 4096];
        let mut deadline = Instant::now() + GREETING_TIMEOUT;
        let mut arrived = None;
        while printed.len() < ANSWER_MAX {
            if !wait_readable(&input, deadline.min(Instant::now() + TELL_EVERY), self.cancel)? {
                let now = copying.tell();
                // While it arrives, however slowly, nobody is late.
                if now != arrived {
                    (arrived, deadline) = (now, Instant::now() + GREETING_TIMEOUT);
                } else if Instant::now() >= deadline {
                    break;
                }
                continue;
            }
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(bytes) => printed.extend_from_slice(&buffer[..bytes]),
                Err(source) => return Err(Error::LineLost { source }),
            }
        }
        drop(input);
        Ok((printed, process.wait()?))
    }

    fn judge_copy(&self, printed: &[u8], ended: &Ended, directory: &Path) -> Result<Option<PathBuf>, Error> {
        if let Some(failure) = self.login.failure(ended) {
            return Err(failure);
        }
        let not_copied = |output| Error::AgentNotCopied { directory: shown(directory), output };
        match Answer::find(printed) {
            Some(Answer { word: b"placed", .. }) => Ok(None),
            Some(Answer { word: b"lent", rest }) if rest.starts_with(b"/") => {
                Ok(Some(PathBuf::from(std::ffi::OsStr::from_bytes(rest))))
            }
            Some(Answer { word: b"noexec", .. }) => Err(Error::Noexec { directory: shown(directory) }),
            Some(Answer { word: b"short", .. }) => Err(not_copied("not all of it arrived".into())),
            Some(Answer { word: b"failed", .. }) => Err(not_copied(said(b"", ended))),
            _ => Err(self.no_shell(printed, ended)),
        }
    }

    fn run(&mut self, mode: &str, directory: &Path) -> Result<Running, Error> {
        self.cancel.check()?;
        self.login.run(&command(mode, self.program, &self.places.deploy_path, directory, self.unpack))
    }

    fn no_shell(&self, printed: &[u8], ended: &Ended) -> Error {
        Error::NoShell { host: self.login.host().to_owned(), output: said(printed, ended) }
    }
}

fn command(mode: &str, program: &Program, deploy_path: &Path, directory: &Path, unpack: Unpack) -> String {
    format!(
        "exec sh -c '{SCRIPT}' cutover {mode} {} {} '{}' '{}' '{}'",
        program.name(),
        program.bytes,
        encode(deploy_path.as_os_str().as_bytes()),
        encode(directory.as_os_str().as_bytes()),
        unpack.command(),
    )
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

/// What the script answered.
#[derive(Debug, PartialEq, Eq)]
struct Answer<'a> {
    word: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Finds the last answer in what was printed.
    fn find(printed: &'a [u8]) -> Option<Answer<'a>> {
        let start = printed.windows(MARK.len()).rposition(|window| window == MARK)? + MARK.len();
        let answer = &printed[start..];
        let end = answer.windows(END_MARK.len()).rposition(|window| window == END_MARK)?;
        let answer = &answer[..end];
        let colon = answer.iter().position(|&byte| byte == b':')?;
        Some(Answer { word: &answer[..colon], rest: &answer[colon + 1..] })
    }
}

/// Refuses a server on which this program cannot run. One that does not say what it is gets the benefit of the doubt.
fn check_system(found: &[u8]) -> Result<(), Error> {
    if found.is_empty() || found == SYSTEM.as_bytes() {
        return Ok(());
    }
    Err(Error::ForeignArchitecture { found: Shown(found).to_string(), needed: SYSTEM })
}

/// Tells whether a shell found that a file is no program, as against that it may not be executed.
fn says_format(words: &[u8]) -> bool {
    String::from_utf8_lossy(words).to_ascii_lowercase().contains("format")
}

/// Returns what was printed, for a message.
fn said(printed: &[u8], ended: &Ended) -> String {
    let words = [printed.trim_ascii(), ended.words.trim_ascii()].map(|words| Shown(words).to_string());
    let words: Vec<String> = words.into_iter().filter(|words| !words.is_empty()).collect();
    match (words.is_empty(), ended.status) {
        (false, _) => words.join(", "),
        (true, Some(status)) => format!("it ended with status {status}"),
        (true, None) => "it was killed".into(),
    }
}

fn shown(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    Shown(bytes.strip_prefix(b"./").unwrap_or(bytes)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_has_nothing_that_a_login_shell_reads_its_own_way() {
        for forbidden in ["'", "\n", "!", "\\\\"] {
            assert!(!SCRIPT.contains(forbidden), "{forbidden:?}");
        }
    }

    #[test]
    fn arguments_are_encoded_in_a_safe_alphabet() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(encode(bytes), expected);
        check(b"/srv/my-shop_1.2", "/srv/my-shop_1.2");
        check(b"a b'c\"d", "a\\0040b\\0047c\\0042d");
        check(b"\\\n\xff", "\\0134\\0012\\0377");
    }

    #[test]
    fn the_answer_is_found_among_noise() {
        let check = |printed: &[u8], expected: Option<(&[u8], &[u8])>| {
            let expected = expected.map(|(word, rest)| Answer { word, rest });
            assert_eq!(Answer::find(printed), expected);
        };
        check(b"", None);
        check(b"Welcome!\n", None);
        check(b"hi\ncutover-bootstrap:start::end\n", Some((b"start", b"")));
        check(b"hi cutover-bootstrap:foreign:a:end:b:end\nbye\n", Some((b"foreign", b"a:end:b")));
        check(b"cutover-bootstrap:missing:Linux", None);
    }

    #[test]
    fn only_this_system_is_served() {
        assert!(check_system(SYSTEM.as_bytes()).is_ok());
        assert!(check_system(b"").is_ok());
        let error = check_system(b"Linux armv7l").unwrap_err();
        assert!(error.to_string().starts_with("The server runs Linux armv7l, and this agent runs on Linux "));
    }
}
