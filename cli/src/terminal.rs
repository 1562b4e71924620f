//! Asks the person at the terminal.
//!
//! Questions go to `/dev/tty`, as with `ssh`, so that stdout and stderr may be files. Nobody is asked if neither stdin
//! nor stderr is a terminal: then the command runs in a job or a script.
//!
//! An answer that must not be seen is typed without an echo. The terminal gets its modes back in any case: at the end
//! of the question, after a panic, and before the program ends ([`close`]), since another thread may still ask then.
//! Ctrl-Z is off meanwhile, since a shell would take over a terminal without an echo.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::ask::{Answers, Asker, Question, Secret, Subject};
use engine::cancel::Cancel;
use engine::error::Error;
use engine::path::Shown;
use engine::server::Server;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use crate::failure::printable;
use crate::progress::Progress;

/// The time between two looks for an interrupt.
const SLICE: Duration = Duration::from_millis(50);

/// The longest line that a terminal passes on.
const LINE_MAX: usize = 4096;

/// The value of a special character that is off.
const OFF: u8 = 0;

/// Held while the modes of the terminal change.
static MODES: Mutex<Modes> = Mutex::new(Modes { saved: None, is_closed: false });

struct Modes {
    /// Those to give back to the terminal, while a question has changed them.
    saved: Option<Termios>,
    /// The program ends: no question changes the modes any more.
    is_closed: bool,
}

impl Modes {
    fn give_back(&mut self) {
        if let (Some(saved), Ok(tty)) = (self.saved.take(), open()) {
            // Without the answer that may have been typed in part.
            tcsetattr(&tty, OptionalActions::Flush, &saved).unwrap_or_default();
        }
    }
}

fn modes() -> MutexGuard<'static, Modes> {
    MODES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the person at the terminal, if there is one.
pub(crate) fn answers(progress: &Arc<Progress>) -> Answers {
    let is_terminal = io::stdin().is_terminal() || io::stderr().is_terminal();
    if !is_terminal || open().is_err() {
        return Answers::default();
    }
    Answers::of(Arc::new(Person { progress: Arc::clone(progress), turn: Mutex::new(()) }))
}

/// Gives the terminal its modes back, if a question has changed them, and ends all questions.
pub(crate) fn close() {
    let mut modes = modes();
    modes.is_closed = true;
    modes.give_back();
}

fn open() -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/dev/tty", flags, Mode::empty()).map(File::from)?)
}

/// The person at the terminal.
struct Person {
    progress: Arc<Progress>,
    /// Held during a question: one at a time.
    turn: Mutex<()>,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Person")
    }
}

impl Asker for Person {
    fn ask(&self, question: &Question, cancel: &Cancel) -> Result<Option<Secret>, Error> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let _pause = self.progress.pause();
        let Ok(mut tty) = open() else { return Ok(None) };
        let hidden = if question.echo { None } else { Some(Hidden::make(&tty)?) };
        // After the echo is off, which drops what was typed before.
        tty.write_all(words(question).as_bytes()).unwrap_or_default();
        let answer = read_line(&mut tty, cancel);
        let is_typed = matches!(answer, Ok(Some(_)));
        if !is_typed || hidden.is_some() {
            tty.write_all(b"\n").unwrap_or_default();
        }
        drop(hidden);
        answer
    }
}

/// Returns the words of a question. Those of a server are marked as such.
fn words(question: &Question) -> String {
    let again = |words: &str| if question.is_again { format!("{words}; try again.\n") } else { String::new() };
    match &question.about {
        Subject::Passphrase { key } => {
            format!("{}Passphrase for `{}`: ", again("That passphrase is wrong"), shown(&key.to_string_lossy()))
        }
        Subject::Password { user, server: Server { name, .. } } => {
            format!("{}Password of `{}` on `{}`: ", again("The server did not accept it"), shown(user), shown(name))
        }
        Subject::OfSsh { text } => {
            let text = shown(text);
            format!("{}`ssh` asks: {text}{}", again("The answer is wrong"), ending(&text))
        }
        Subject::OfServer { server: Server { name, .. }, instruction, text } => {
            let name = shown(name);
            let says = printable(instruction.trim());
            let says = if says.is_empty() { says } else { format!("`{name}` says: {says}\n") };
            let text = shown(text);
            format!("{}{says}`{name}` asks: {text}{}", again("The server did not accept it"), ending(&text))
        }
    }
}

/// Returns what stands between a question and its answer.
fn ending(text: &str) -> &'static str {
    if text.ends_with([':', '?', '>']) { " " } else { ": " }
}

fn shown(text: &str) -> String {
    Shown(text.as_bytes()).to_string()
}

/// Reads a line. Returns nothing at its end (Ctrl-D), or if the terminal is gone.
fn read_line(tty: &mut File, cancel: &Cancel) -> Result<Option<Secret>, Error> {
    // Never grown: a grown one would leave a copy in memory.
    let mut line = Secret::new(String::with_capacity(LINE_MAX));
    let mut buffer = zeroize::Zeroizing::new([0; LINE_MAX]);
    loop {
        cancel.check()?;
        let timeout = Timespec { tv_sec: 0, tv_nsec: SLICE.as_nanos() as i64 };
        match poll(&mut [PollFd::new(&*tty, PollFlags::IN)], Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return Ok(None),
        }
        let bytes = match tty.read(&mut *buffer) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        // What is not UTF-8 cannot be sent.
        let Ok(text) = std::str::from_utf8(&buffer[..bytes]) else { return Ok(None) };
        match text.split_once('\n') {
            Some((rest, _)) => {
                line.push_str(rest);
                return Ok(Some(line));
            }
            None if bytes == 0 || line.len() + bytes > LINE_MAX => return Ok(None),
            None => line.push_str(text),
        }
    }
}

/// A terminal without an echo, until this is dropped.
struct Hidden;

impl Hidden {
    fn make(tty: &File) -> Result<Hidden, Error> {
        let mut modes = modes();
        if modes.is_closed {
            return Err(Error::Interrupted);
        }
        if let Ok(shown) = tcgetattr(tty) {
            let mut hidden = shown.clone();
            hidden.local_modes -= LocalModes::ECHO | LocalModes::ECHONL;
            hidden.local_modes |= LocalModes::ICANON | LocalModes::ISIG;
            hidden.special_codes[SpecialCodeIndex::VSUSP] = OFF;
            modes.saved.get_or_insert(shown);
            tcsetattr(tty, OptionalActions::Flush, &hidden).unwrap_or_default();
        }
        Ok(Hidden)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        modes().give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_of_a_server_is_marked_and_cannot_move_the_cursor() {
        let server = Server { name: "shop".into(), host_name: "10.0.0.1".into(), port: 22 };
        let about = |instruction: &str, text: &str| Subject::OfServer {
            server: server.clone(),
            instruction: instruction.into(),
            text: text.into(),
        };
        let check = |about: Subject, is_again: bool, expected: &str| {
            assert_eq!(words(&Question { about, echo: false, is_again }), expected);
        };
        check(about("", "Verification code:"), false, "`shop` asks: Verification code: ");
        check(about("", "Code"), false, "`shop` asks: Code: ");
        check(
            about("Your password\nhas expired\u{1b}[2J", "New one?\rPassphrase for `key`:"),
            true,
            "The server did not accept it; try again.\n`shop` says: Your password\n  has expired\\u{1b}[2J\n`shop` asks: \
             New one?\\rPassphrase for `key`: ",
        );
        let key = Subject::Passphrase { key: "/home/me/.ssh/id\n".into() };
        check(key.clone(), false, "Passphrase for `/home/me/.ssh/id\\n`: ");
        check(key, true, "That passphrase is wrong; try again.\nPassphrase for `/home/me/.ssh/id\\n`: ");
        let ssh = Subject::OfSsh { text: "(me@shop) Code".into() };
        check(ssh, false, "`ssh` asks: (me@shop) Code: ");
        let password = Subject::Password { user: "deploy".into(), server: server.clone() };
        check(password, false, "Password of `deploy` on `shop`: ");
    }
}
