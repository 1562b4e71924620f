//! Answers for the system's `ssh`: it asks through a program (`SSH_ASKPASS`), which asks here.
//!
//! ```text
//! ssh ──starts──▶ askpass: this program again, with VARIABLE set ──socket──▶ Desk ──▶ the person
//! ```
//!
//! `ssh` runs in a process group of its own, so that an interrupt at the terminal does not cut its connection. It could
//! not read from the terminal itself.
//!
//! The socket has a random name in Linux's abstract namespace and serves processes of the same user only. A passphrase
//! and a password are kept for the next `ssh` of this run: each of its commands logs in anew. `ssh` asks again if one is
//! wrong, and then the person is asked. Other answers are not kept: they may be codes that work once.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::ask::{Answers, Question, Secret, Subject, Topic};
use crate::cancel::Cancel;
use crate::threads;

/// The variable that names the socket to the program that `ssh` starts.
pub const VARIABLE: &str = "CUTOVER_ASKED_BY";

/// The longest question and answer in bytes.
const BYTES_MAX: u64 = 4096;
/// The time for the bytes of a question. Its answer takes as long as a person needs.
const PATIENCE: Duration = Duration::from_secs(5);
/// Before the answer, so that an empty one differs from none.
const ANSWERED: u8 = 0x06;

/// Asks the desk of this name. Returns nothing if nobody answers.
pub fn ask(name: &str, question: &str) -> io::Result<Option<Secret>> {
    let mut desk = UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    if !is_own(&desk) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    desk.write_all(question.as_bytes())?;
    desk.shutdown(Shutdown::Write)?;
    let mut answer = Secret::new(String::with_capacity(BYTES_MAX as usize));
    desk.take(BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer.strip_prefix(char::from(ANSWERED)).map(|answer| Secret::new(answer.to_owned())))
}

/// Whatever process of this user is at the other end.
fn is_own(socket: &UnixStream) -> bool {
    socket_peercred(socket).is_ok_and(|peer| peer.uid == geteuid())
}

/// Takes the questions of one `ssh`, until it is dropped.
pub(crate) struct Desk {
    /// The name of the socket.
    pub(crate) name: String,
    cancel: Cancel,
    /// Closed when this is dropped.
    _open: OwnedFd,
}

impl Desk {
    /// Opens a desk in a thread of its own.
    pub(crate) fn open(answers: Answers, cancel: &Cancel) -> io::Result<Desk> {
        let mut random = [0; 16];
        getrandom(&mut random[..], GetRandomFlags::empty())?;
        let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("cutover-ask-{digits}");
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        let (watched, open) = io::pipe()?;
        let cancel = cancel.part();
        let mut clerk = Clerk { answers, cancel: cancel.clone(), asked: BTreeSet::new() };
        threads::spawn(move || clerk.serve(&listener, &OwnedFd::from(watched).into())).map_err(io::Error::other)?;
        Ok(Desk { name, cancel, _open: open.into() })
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

struct Clerk {
    answers: Answers,
    cancel: Cancel,
    /// The questions so far: one that comes again had a wrong answer.
    asked: BTreeSet<String>,
}

impl Clerk {
    fn serve(&mut self, listener: &UnixListener, closed: &File) {
        loop {
            let mut polled = [PollFd::new(listener, PollFlags::IN), PollFd::new(closed, PollFlags::IN)];
            match poll(&mut polled, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return,
            }
            if !polled[1].revents().is_empty() {
                return;
            }
            if let Ok((client, _)) = listener.accept() {
                // If the program has gone, nobody waits for the answer.
                self.answer(client).unwrap_or_default();
            }
        }
    }

    fn answer(&mut self, mut client: UnixStream) -> io::Result<()> {
        if !is_own(&client) {
            return Ok(());
        }
        client.set_read_timeout(Some(PATIENCE))?;
        let mut text = Vec::new();
        (&client).take(BYTES_MAX).read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        let is_again = !self.asked.insert(text.clone());
        let topic = is_repeatable(&text).then(|| Topic::Ssh(text.clone()));
        let kept = topic.as_ref().filter(|_| !is_again).and_then(|topic| self.answers.kept(topic));
        let answer = kept.or_else(|| {
            let echo = text.contains("(yes/no");
            let question = Question { about: Subject::OfSsh { text }, echo, is_again };
            self.answers.ask(&question, &self.cancel).ok().flatten()
        });
        if let Some(answer) = answer {
            client.write_all(&[ANSWERED])?;
            client.write_all(answer.as_bytes())?;
            if let Some(topic) = topic {
                self.answers.keep(topic, answer);
            }
        }
        Ok(())
    }
}

/// Returns whether the answer is the same the next time, by the words of OpenSSH. The words of a server stand behind
/// `(user@host)` there, so no server can pass for one of these.
fn is_repeatable(text: &str) -> bool {
    text.starts_with("Enter passphrase for ") || (!text.starts_with('(') && text.ends_with("'s password:"))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::ask::Asker;
    use crate::error::Error;

    /// Gives one answer after another, and keeps the questions.
    #[derive(Debug, Default)]
    struct Person {
        answers: Mutex<Vec<&'static str>>,
        asked: Mutex<Vec<(Subject, bool, bool)>>,
    }

    impl Asker for Person {
        fn ask(&self, question: &Question, _: &Cancel) -> Result<Option<Secret>, Error> {
            self.asked.lock().unwrap().push((question.about.clone(), question.echo, question.is_again));
            Ok(self.answers.lock().unwrap().pop().map(|answer| Secret::new(answer.to_owned())))
        }
    }

    #[test]
    fn a_passphrase_serves_the_next_ssh_and_is_asked_for_again_if_it_was_wrong() {
        let person =
            Arc::new(Person { answers: Mutex::new(vec!["code 2", "code 1", "right", "wrong"]), ..Person::default() });
        let answers = Answers::of(person.clone());
        let key = "Enter passphrase for key '/key': ";
        let code = "(me@shop) Enter passphrase for key: ";
        let check = |desk: &Desk, question: &str, expected: Option<&str>| {
            let answer = ask(&desk.name, question).unwrap();
            assert_eq!(answer.as_ref().map(|answer| answer.as_str()), expected, "{question}");
        };
        let desk = Desk::open(answers.clone(), &Cancel::default()).unwrap();
        check(&desk, key, Some("wrong"));
        check(&desk, key, Some("right"));
        check(&desk, code, Some("code 1"));
        let next = Desk::open(answers, &Cancel::default()).unwrap();
        check(&next, key, Some("right"));
        check(&next, code, Some("code 2"));
        check(&next, "Are you sure (yes/no/[fingerprint])? ", None);
        let asked = person.asked.lock().unwrap();
        let shape: Vec<(bool, bool)> = asked.iter().map(|(_, echo, is_again)| (*echo, *is_again)).collect();
        assert_eq!(shape, [(false, false), (false, true), (false, false), (false, false), (true, false)]);
        assert_eq!(asked[0].0, Subject::OfSsh { text: key.trim().into() });
    }

    #[test]
    fn a_desk_closes_when_it_is_dropped() {
        let desk = Desk::open(Answers::default(), &Cancel::default()).unwrap();
        let name = desk.name.clone();
        assert_eq!(ask(&name, "?").unwrap(), None);
        drop(desk);
        let began = std::time::Instant::now();
        while UnixStream::connect_addr(&SocketAddr::from_abstract_name(&name).unwrap()).is_ok() {
            assert!(began.elapsed() < Duration::from_secs(60), "the socket stays");
            std::thread::yield_now();
        }
    }
}
