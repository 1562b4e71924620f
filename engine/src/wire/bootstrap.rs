//! Gets the agent running on a server that need have nothing but a POSIX `sh`.
//!
//! Where an agent is thought to be at its place, the first command is short: it looks at that one file and starts it.
//! Otherwise the script finds out what is there.
//!
//! A script for each mode does everything else that is done there. Whatever the login shell is, it gets
//! `exec sh -c '<script>' cutover <mode> <arguments>`: a script holds no single quote, no newline, no `!` and no
//! doubled backslash, which fish and csh would read their own way, and the arguments are in an alphabet that no shell
//! reads anything into. It decodes them, so paths may hold any byte.
//!
//! ```text
//! start    run the agent at its place, or say what is there instead
//! look     the same for what must leave nothing behind: whether the deploy path is ours does not matter then
//! lane     run the agent at its place as a lane of one that runs already
//! place    take the agent from stdin, put it at its place
//! lend     take the agent from stdin, put it into a fresh temporary directory, and say which
//! vanish   run the agent there; the directory is removed before, or afterwards where there is no `/proc`
//! ```
//!
//! The script answers on stdout, between marks that are found among whatever a login prints. Script and program never
//! travel through the same stream: what a shell has read ahead of its script would be missing from the program.
//!
//! The name of the agent holds its hash, so what is at its place is right or damaged; the greeting tells which, on
//! every connection. What is damaged is replaced, once. It is copied under another name and renamed, so two clients
//! that copy at once do not disturb each other, and none runs half of it. It is not synced: after a power cut it may
//! be damaged, and then it is replaced.
//!
//! **Nobody else's program is run.** Whoever may change the agent's file, or the directory that holds it, decides what
//! the login user runs. So the shell that starts the agent first enters its directory, and looks at owner and mode of
//! both from inside: they must belong to the login user, and nobody else may write to them. It then runs the file by its
//! name in that directory. Links and renames on the way there change nothing any more: the directory is held, and only
//! its owner makes names in it. Nothing is copied to a place of which one of the directories above could be replaced by
//! others (`judge` in the script). The agent makes the same demands of the deploy path when it opens it.

use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::error::{Error, SiteError, StartError, Writers};
use crate::event::{Event, Observer, Phase, Silent};
use crate::path::{Shown, shown_lines};
use crate::wire::arrived::Arrived;
use crate::wire::connect::Install;
use crate::wire::connection::Connection;
use crate::wire::greeting::{NoGreeting, PROTOCOL_VERSION, read_greeting, wait_readable};
use crate::wire::login::{Ended, Login, Running};
use crate::wire::packing::{self, Packing};
use crate::wire::program::{Program, SYSTEM};

/// How long a login may take until the agent greets. Some run a good deal of their owner's configuration first.
const GREETING_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of what is printed is kept: its end, as what a login prints comes before the answer.
const ANSWER_MAX: usize = 64 << 10;
/// How often it is told how much of the agent has arrived.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// A copy that takes less says little of the line: where both ends are busy, beginning and unpacking may take half as long.
const TELLING: Duration = Duration::from_secs(1);
const MARK: &[u8] = b"cutover-bootstrap:";
const END_MARK: &[u8] = b":end";

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

/// What every script begins with: it reads its arguments. What is made is for its owner alone; the agent takes the usual
/// umask itself. `printf %b` decodes; the `x` keeps newlines at the end of a path, which `$(…)` would drop. `h` names the
/// agent's directory where it is one of our own making.
const BEGIN: &str = concat!(
    "umask 077; m=$1; n=$2; l=$3; z=$6; o=$PWD; p=; t=; ",
    "d=$(printf %bx \"$4\"); d=${d%x}; a=$(printf %bx \"$5\"); a=${a%x}; ",
    "h=; case $a in (\"$d/.cutover/bin\") h=.;; esac; ",
    "say() { printf \"\\ncutover-bootstrap:%s:%s:end\\n\" \"$1\" \"$2\"; }; ",
);

/// Tells whether the working directory and the agent in it are the login user's own. `ls -ld` prints the modes of one after
/// the other; `-rwx` stands nowhere but where the second begins. A mark for an access list may follow the first, and the
/// rights that such a list gives to others show as the group's.
const OURS: &str = concat!(
    "ours() { [ -O . ] && [ -O \"$n\" ] && case $(ls -ld . \"$n\") in (",
    "d????-??-*-rwx?-??-*) ;; (*) false;; esac; }; ",
);

/// `judge` goes to the nearest directory that exists on a path, and looks at that one and all above it, by `..`: what a
/// symlink on the way leads past does not matter. It prints the first that somebody else could change, and nothing where
/// there is none. Without `ls` nothing is known, and nothing is right. `alone` tells whether a group is known to have no
/// members but the login user and root.
const JUDGE: &str = concat!(
    "alone() { k=1; while IFS=: read -r x x v w || [ \"$x\" ]; do [ \"$v\" = \"$1\" ] && { k=0; ",
    "case ,$w, in (,,|,root,|,\"$LOGNAME\",|,root,\"$LOGNAME\",|,\"$LOGNAME\",root,) ;; (*) return 1;; esac; }; ",
    "done < /etc/group; while IFS=: read -r x v v w v || [ \"$x\" ]; do ",
    "[ \"$w\" = \"$1\" ] && case $x in (root|\"$LOGNAME\") ;; (*) return 1;; esac; ",
    "done < /etc/passwd; [ -r /etc/passwd ] && return $k; }; ",
    "tell() { cd -P \"$1\"; set -- \"$(pwd -P)\" $(ls -ld .); k=o; { [ -O . ] || [ \"$4\" = root ]; } && k=m; ",
    "printf %s \"$k:$2:$4:$5:$1\"; }; ",
    "judge() { e=$1; until cd -P \"$e\" 2>&-; do case $e in (*/*) e=${e%/*}; e=${e:-/};; (*) e=/;; esac; done; ",
    "e=.; k=; q=$(pwd -P); while [ \"$q\" ]; do k=\"$k $e\"; e=$e/..; q=${q%/*}; done; ",
    "{ ls -ldn $k $e || echo - - - - .; } | while read -r b x v g e; do e=${e##* }; ",
    "{ [ \"$v\" = 0 ] || [ -O \"$e\" ]; } && case $b in (d????-??-*|d????????[tT]*) continue;; ",
    "(d????w??-?|d????w??-?.) alone \"$g\" && continue;; esac; tell \"$e\"; break; done; }; ",
);

/// `put` takes the program from stdin into the working directory. An empty file that may be executed is run by the shell
/// and does nothing; on a filesystem mounted noexec it is refused with 126. That is known before the program is sent.
/// `true >` rather than `: >`: a failed redirection of a special builtin ends the shell. Streams are closed rather than led
/// to `/dev/null`, which some jails do not have. What is left at the end is removed by its name.
const PUT: &str = concat!(
    "put() { p=.$n.$$; true > \"$p\" && chmod 700 \"$p\" || return 1; ",
    "\"./$p\" <&- >&- 2>&-; [ $? -eq 126 ] && return 2; ",
    "$z > \"$p\" && w=$(wc -c < \"$p\") || return 1; [ \"$w\" -eq \"$l\" ] || return 3; mv -f \"$p\" \"$n\"; }; ",
    "told() { case $1 in (2) say noexec;; (3) say short;; (*) say failed;; esac; }; ",
);
const CLEAN: &str = concat!(
    "clean() { [ -z \"$p\" ] || rm -f \"$p\"; [ -z \"$t\" ] || { rm -f \"$t/$n\"; rmdir \"$t\"; }; }; ",
    "trap clean 0; trap \"exit 1\" 1 2 15; ",
);

/// The program is sent packed where the server has a `gzip` that unpacks, which nearly all have: that is less than half of
/// it. Some name one that they cannot run, so it is tried on an empty stream.
const START: &str = concat!(
    "if cd \"$a\" 2>&-; then if ours; then chmod 700 $h \"$n\"; say start; ",
    "case $m in (lane) exec \"./$n\" agent --lane;; (*) exec \"./$n\" agent --from \"$o\";; esac; fi; cd \"$o\"; fi; ",
    "u=$(judge \"$a\"); f=; g=; [ \"$u\" ] || ",
    "[ $m = look ] || [ -d \"$d/.cutover\" ] || f=$(ls -A \"$d\" 2>&- | while IFS= read -r f; do ",
    "case $f in (shared|cache|lost+found) ;; (*) printf %s \"$f\"; break;; esac; done); ",
    "if [ \"$u\" ]; then say unsafe \"$u\"; elif [ \"$f\" ]; then say foreign \"$f\"; else ",
    "printf \"\\037\\213\\010\\0\\0\\0\\0\\0\\0\\3\\3\\0\\0\\0\\0\\0\\0\\0\\0\\0\" | gzip -dc 2>&- && g=gzip; ",
    "say missing \"$(uname -s -m 2>&-):$g\"; fi",
);

/// The deploy path is made for all to read, as a web server must; what is private begins at `.cutover`. Old agents are
/// removed by the exact form of their names, in the agent's directory alone.
const PLACE: &str = concat!(
    "u=$(judge \"$a\"); if [ -z \"$u\" ]; then ",
    "{ [ -z $h ] || (umask 022; mkdir -p \"$d\"); } && mkdir -p \"$a\" && cd \"$a\"; r=$?; ",
    "[ $r -eq 0 ] && { [ -z $h ] || [ -L \"$a\" ] || [ -L \"${a%/bin}\" ] || chmod 700 . .. 2>&-; u=$(judge .); ",
    "[ \"$u\" ] || { [ -O . ] && case $(ls -ld .) in (d????-??-*) ;; (*) false;; esac; } || u=$(tell .); }; fi; ",
    "if [ \"$u\" ]; then say unsafe \"$u\"; elif [ $r -eq 0 ] && { put; r=$?; [ $r -eq 0 ]; }; then say placed; ",
    "h=[0-9a-f]; h=$h$h$h$h; h=$h$h$h$h; g=; set --; for x in 1 2 3 4 5 6 7; do g=$g[0-9]; ",
    "set -- \"$@\" -o -name \".cutover-$h.$g\"; done; ",
    "LC_ALL=C find . -name . -o -prune -type f -user \"$LOGNAME\" -perm 700 -mtime +7 ",
    "\\( -name \"cutover-$h\" \"$@\" \\) -exec rm -f {} + 2>&-; else told $r; fi",
);

const LEND: &str = concat!(
    "r=1; for e in \"${TMPDIR:-/tmp}\" /tmp /var/tmp /dev/shm; do ",
    "t=$(mktemp -d \"$e/cutover.XXXXXXXX\") && cd \"$t\" || continue; t=$PWD; put; r=$?; [ $r -eq 2 ] || break; ",
    "clean; t=; cd \"$o\"; done; ",
    "if [ $r -eq 0 ]; then say lent \"$t\"; t=; else told $r; fi",
);

/// A program that was opened is run through `/proc` after its last name is gone.
const VANISH: &str = concat!(
    "t=$a; cd \"$a\" && ours && exec 3< \"$n\" && say start && if [ -e /proc/self/fd/3 ]; ",
    "then cd \"$o\"; clean; exec /proc/self/fd/3 agent; else \"./$n\" agent --from \"$o\"; fi",
);

/// Returns the script for a mode.
fn script(mode: &str) -> String {
    let parts: &[&str] = match mode {
        "place" => &[BEGIN, JUDGE, PUT, CLEAN, PLACE],
        "lend" => &[BEGIN, PUT, CLEAN, LEND],
        "vanish" => &[BEGIN, OURS, CLEAN, VANISH],
        _ => &[BEGIN, OURS, JUDGE, START],
    };
    parts.concat()
}

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
    match bootstrap.start_unasked(true)? {
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
        if let Some(connection) = self.start_unasked(false)? {
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
        if let Some(connection) = self.start_unasked(false)? {
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
    fn start_unasked(&mut self, is_lane: bool) -> Result<Option<Connection>, Error> {
        // Another try costs the system's `ssh` another login.
        if !self.packing.is_on_demand() || self.login.round_trip().is_none() {
            return Ok(None);
        }
        let Some(command) = unasked(self.program, self.places, is_lane) else { return Ok(None) };
        self.cancel.check()?;
        let mut running = self.login.run(&command)?;
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
        let mut output = format!("no greeting within {} seconds", GREETING_TIMEOUT.as_secs());
        if !noise.trim_ascii().is_empty() {
            output += &format!("; the login printed: {}", Shown(noise.trim_ascii()));
        }
        Error::from(StartError::NoGreeting { host: self.login.host().to_owned(), output })
    }

    /// Starts an agent that was just copied.
    fn insist(&mut self, mode: &str, directory: &Path) -> Result<Connection, Error> {
        match self.start(mode, directory)? {
            Start::Greeted(connection) => Ok(Connection { copied_at: self.copied_at, ..connection }),
            // It is there, and the shell says that it may not be executed.
            Start::Missing => Err(StartError::Noexec { directory: shown(directory) }.into()),
            Start::Damaged(output) => Err(StartError::NoGreeting { host: self.login.host().to_owned(), output }.into()),
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
                Err(SiteError::NotOurs { path: shown(&self.places.deploy_path), found: Shown(rest).to_string() }.into())
            }
            Some(Answer { word: b"unsafe", rest }) => Err(unsafe_place(rest, ended)),
            Some(Answer { word: b"start", .. }) if ended.status == Some(126) && !says_format(&ended.words) => {
                Err(StartError::Noexec { directory: shown(directory) }.into())
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
        loop {
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
                Ok(bytes) => {
                    printed.extend_from_slice(&buffer[..bytes]);
                    printed.drain(..printed.len().saturating_sub(ANSWER_MAX));
                }
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
        let not_copied = |output| Error::from(StartError::AgentNotCopied { directory: shown(directory), output });
        match Answer::find(printed) {
            Some(Answer { word: b"placed", .. }) => Ok(None),
            Some(Answer { word: b"lent", rest }) if rest.starts_with(b"/") => {
                Ok(Some(PathBuf::from(std::ffi::OsStr::from_bytes(rest))))
            }
            Some(Answer { word: b"unsafe", rest }) => Err(unsafe_place(rest, ended)),
            Some(Answer { word: b"noexec", .. }) => Err(StartError::Noexec { directory: shown(directory) }.into()),
            Some(Answer { word: b"short", .. }) => Err(not_copied("not all of it arrived".into())),
            Some(Answer { word: b"failed", .. }) if says_missing(&ended.words) => {
                Err(StartError::ProgramsMissing { output: said(b"", ended) }.into())
            }
            Some(Answer { word: b"failed", .. }) => Err(not_copied(said(b"", ended))),
            _ => Err(self.no_shell(printed, ended)),
        }
    }

    fn run(&mut self, mode: &str, directory: &Path) -> Result<Running, Error> {
        self.cancel.check()?;
        self.login.run(&command(mode, self.program, &self.places.deploy_path, directory, self.unpack))
    }

    fn no_shell(&self, printed: &[u8], ended: &Ended) -> Error {
        Error::from(StartError::NoShell { host: self.login.host().to_owned(), output: said(printed, ended) })
    }
}

/// Returns the short command that starts an agent at its place; nothing where the place needs quotes.
fn unasked(program: &Program, places: &Places, is_lane: bool) -> Option<String> {
    let directory = places.agent_directory.to_str().filter(|directory| directory.bytes().all(needs_no_quotes))?;
    let start = if directory.ends_with("/.cutover/bin") { UNASKED } else { UNASKED_ELSEWHERE };
    let option = match (is_lane, places.deploy_path.is_relative()) {
        (true, _) => " --lane",
        (false, true) => " --from \"$OLDPWD\"",
        (false, false) => "",
    };
    Some(format!("sh -c 'cd {directory}{start}{option}' {}", program.name()))
}

fn command(mode: &str, program: &Program, deploy_path: &Path, directory: &Path, unpack: Unpack) -> String {
    format!(
        "exec sh -c '{}' cutover {mode} {} {} '{}' '{}' '{}'",
        script(mode),
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
    Err(StartError::ForeignArchitecture { found: Shown(found).to_string(), needed: SYSTEM }.into())
}

/// Tells whether a shell found that a file is no program, as against that it may not be executed.
fn says_format(words: &[u8]) -> bool {
    String::from_utf8_lossy(words).to_ascii_lowercase().contains("format")
}

/// Reads what the script says of a directory that others could change: whether by its owner or by its mode, mode, owner,
/// group, path.
fn unsafe_place(answer: &[u8], ended: &Ended) -> Error {
    let mut parts = answer.splitn(5, |&byte| byte == b':').map(|part| Shown(part).to_string());
    let mut next = || parts.next().unwrap_or_default();
    let (why, mode, owner, group, path) = (next(), next(), next(), next(), next());
    let may_write = |at: usize| mode.as_bytes().get(at) == Some(&b'w');
    match (why.as_str(), may_write(5), may_write(8)) {
        _ if mode.is_empty() => Error::from(StartError::ProgramsMissing { output: said(b"", ended) }),
        ("m", _, true) => Error::from(SiteError::OthersWrite { path, by: Writers::All }),
        ("m", true, false) => Error::from(SiteError::OthersWrite { path, by: Writers::Group(group) }),
        _ => Error::from(SiteError::OtherOwner { path, owner }),
    }
}

/// Tells whether a shell says that it has no such program: `sh: 1: wc: not found`, `applet not found`.
fn says_missing(words: &[u8]) -> bool {
    words.trim_ascii_end().ends_with(b"not found")
}

/// Returns what was printed, for a message.
fn said(printed: &[u8], ended: &Ended) -> String {
    let words = [printed, &ended.words].map(shown_lines);
    let words: Vec<String> = words.into_iter().filter(|words| !words.is_empty()).collect();
    match (words.is_empty(), ended.status) {
        (false, _) => words.join("\n"),
        (true, Some(status)) => format!("it ended with status {status}"),
        (true, None) => "it was killed".into(),
    }
}

fn shown(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    Shown(bytes.strip_prefix(b"./").unwrap_or(bytes)).to_string()
}

#[cfg(test)]
mod tests;
