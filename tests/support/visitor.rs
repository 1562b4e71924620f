//! A visitor of a web server, who asks for the page all the time. Dropping it ends the visit.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::wait;

/// A thread that asks, and what it was answered.
pub(crate) struct Visitor {
    answers: Arc<Mutex<Vec<String>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Asks for a page. Returns the status and the page.
pub(crate) fn ask(port: u16, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, page) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(format!("{} {page}", head.split(' ').nth(1).ok_or(io::ErrorKind::InvalidData)?))
}

impl Visitor {
    /// Starts to ask.
    pub(crate) fn of(port: u16) -> Visitor {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let (told, end) = (Arc::clone(&answers), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let answer = ask(port, "/").unwrap_or_else(|error| format!("no answer: {error}"));
                told.lock().unwrap().push(answer);
            }
        });
        Visitor { answers, is_over, thread: Some(thread) }
    }

    /// Returns the answers since the last call, of equal ones in a row one. The last was asked for after this call.
    pub(crate) fn saw(&self) -> Vec<String> {
        let answers = || self.answers.lock().unwrap();
        // One may be on its way.
        let enough = answers().len() + 2;
        wait::until("the visitor has asked again", || (answers().len() >= enough).then_some(()));
        let mut saw = std::mem::take(&mut *answers());
        saw.dedup();
        saw
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}
