//! Sends signed notices of a run to an address, beside the run.
//!
//! ```text
//! POST <address>
//! Content-Type: application/json
//! X-Cutover-Timestamp: 1774447200.123        the time at which the notice was made
//! X-Cutover-Signature: sha256=<hex>          HMAC-SHA256 of the body, with the secret of both sides
//!
//! {"event":"start", …, "at":1774447200.123}
//! ```
//!
//! One thread sends the notices in order, so none delays the run. A notice is tried three times. An earlier notice is
//! not tried again once another one waits. A notice that nobody accepts is a warning, and never a failure. Warnings name
//! the host alone: the rest of the address may be a secret.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::cancel::Cancel;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::http::{HttpClient, HttpRequest, host_of};
use crate::threads;

/// The longest time for one try.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The pauses before the second and the third try: long enough for a receiver that restarts behind a proxy.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// The time to tell of a run that was interrupted. The user waits for its end.
const TIME_OF_INTERRUPTED: Duration = Duration::from_secs(3);

/// The time between two looks at a request to stop.
const SLICE: Duration = Duration::from_millis(20);

/// The part of an answer that is read, so that the connection ends in good order.
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// An address for notices, and the secret that signs them.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The address.
    pub url: String,
    /// The secret.
    pub secret: String,
}

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its event, for warnings.
    pub event: &'static str,
    /// The time at which it was made, as the body has it.
    pub at: String,
    /// Its body: an object of JSON.
    pub body: String,
}

/// The thread that sends notices.
pub struct Messenger {
    queue: Mutex<Option<Sender<Notice>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    stop: Cancel,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhook({})", host_of(&self.url))
    }
}

impl Webhook {
    /// Returns the signature of a body, as its header has it.
    pub fn signature(&self, body: &[u8]) -> String {
        let mut hmac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("a key may have any length");
        hmac.update(body);
        hmac.finalize().into_bytes().iter().fold("sha256=".to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a text takes all that is written");
            text
        })
    }

    fn request(&self, notice: &Notice) -> HttpRequest {
        let headers = [
            ("Content-Type", "application/json".to_owned()),
            ("X-Cutover-Timestamp", notice.at.clone()),
            ("X-Cutover-Signature", self.signature(notice.body.as_bytes())),
        ];
        let headers: BTreeMap<String, String> =
            headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        HttpRequest {
            url: self.url.clone(),
            headers,
            body: Some(notice.body.clone().into_bytes()),
            timeout: TIMEOUT,
            redirects: 0,
        }
    }
}

impl Messenger {
    /// Starts the thread. If none can be had, a warning says so, and nothing is sent.
    pub fn start(webhook: Webhook, observer: &Arc<dyn Observer>) -> Messenger {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let stop = Cancel::default();
        let delivery = Delivery { webhook, observer: observer.clone(), queue: receiver, stop: stop.clone() };
        let thread = threads::spawn(move || delivery.run());
        let thread = thread.map_err(|error| {
            observer.observe(Event::Warning(format!("The webhook is told nothing: {}", error.with_cause())));
        });
        Messenger { queue: Mutex::new(Some(sender)), thread: Mutex::new(thread.ok()), stop }
    }

    /// Sends a notice. Returns at once.
    pub fn send(&self, notice: Notice) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = &*queue {
            // Without a thread nobody receives it, and a warning has said so.
            queue.send(notice).unwrap_or_default();
        }
    }

    /// Waits until all notices are sent or given up. An interrupt ends the wait. After an interrupted run, the wait is
    /// short.
    pub fn finish(&self, cancel: &Cancel) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let time_left = if cancel.check().is_err() { TIME_OF_INTERRUPTED } else { Duration::ZERO };
        let began = Instant::now();
        while !thread.is_finished() {
            if cancel.check().is_err() && began.elapsed() >= time_left {
                self.stop.cancel();
            }
            std::thread::sleep(SLICE);
        }
        // The hook has printed a panic of that thread, and the run does not depend on it.
        drop(thread.join());
    }
}

/// The work of the thread.
struct Delivery {
    webhook: Webhook,
    observer: Arc<dyn Observer>,
    queue: Receiver<Notice>,
    stop: Cancel,
}

impl Delivery {
    fn run(&self) {
        let http = HttpClient::with_tls();
        for notice in &self.queue {
            if let Err(reason) = self.deliver(&http, &notice) {
                let host = host_of(&self.webhook.url);
                self.observer.observe(Event::Warning(format!(
                    "The webhook at `{host}` did not accept the notice `{}`: {}",
                    notice.event,
                    reason.replace(&self.webhook.url, &host)
                )));
            }
        }
    }

    fn deliver(&self, http: &HttpClient, notice: &Notice) -> Result<(), String> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let Err(reason) = self.try_once(http, notice).map_err(|error| error.to_string())? else { return Ok(()) };
            let Some(pause) = pauses.next().filter(|_| self.queue.is_empty()) else { return Err(reason) };
            if !self.pause(pause) {
                return Err(reason);
            }
        }
    }

    /// Sends a notice once. The outer result is an interrupt, the inner one the receiver's answer.
    fn try_once(&self, http: &HttpClient, notice: &Notice) -> Result<Result<(), String>, Error> {
        let request = self.webhook.request(notice);
        let answer = http.ask(&request, |_, body| body.len() >= ANSWER_BYTES_MAX, &self.stop)?;
        Ok(answer.map_err(|fault| fault.to_string()).and_then(|answer| match answer.status {
            200..=299 => Ok(()),
            _ => Err(format!("it answered {}", answer.status_text)),
        }))
    }

    /// Waits. Returns whether another try makes sense: not if another notice waits, or the run is stopped.
    fn pause(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while Instant::now() < end {
            if self.stop.check().is_err() || !self.queue.is_empty() {
                return false;
            }
            std::thread::sleep(SLICE);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_rfc_4231() {
        let webhook = Webhook { url: "https://hooks.example.com/secret".into(), secret: "Jefe".into() };
        assert_eq!(
            webhook.signature(b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(format!("{webhook:?}"), "Webhook(hooks.example.com)");
    }
}
