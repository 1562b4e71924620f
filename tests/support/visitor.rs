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
    exchange(port, &format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n")).and_then(shown)
}

/// Sends a body. Returns the status and the answer.
pub(crate) fn post(port: u16, path: &str, body: &str) -> io::Result<String> {
    let head = format!("Host: 127.0.0.1:{port}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n", body.len());
    exchange(port, &format!("POST {path} HTTP/1.0\r\n{head}\r\n{body}")).and_then(shown)
}

/// Waits until the site shows a page, given with its status.
#[track_caller]
pub(crate) fn wait_for(port: u16, page: &str) {
    wait::until(page, || (ask(port, "/").unwrap() == page).then_some(()));
}

/// Sends a request. Returns the head and the body of the answer.
pub(crate) fn exchange(port: u16, request: &str) -> io::Result<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let whole = answer.split_once("\r\n\r\n").map(|(head, body)| (head.to_owned(), body.to_owned()));
    whole.ok_or_else(|| io::Error::other(format!("no whole head: {answer:?}")))
}

fn shown((head, page): (String, String)) -> io::Result<String> {
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
