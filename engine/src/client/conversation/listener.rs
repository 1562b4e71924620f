//! Reads messages of the agent as they come: events go to the observer at once, and answers wait.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::event::{CheckEvent, Event, HookEvent, Observer};
use crate::live::LiveNow;
use crate::news::News;
use crate::wire::bounds::{TEXTS_BYTES_MAX, TEXTS_MAX};
use crate::wire::frame::{FrameKind, FrameReader};
use crate::wire::message::{self, AgentBase, FromAgent};

use super::answers::Answers;
use super::inbox::Arrival;

/// A reader on a thread of its own.
pub(super) struct Listener {
    observer: Arc<dyn Observer>,
    answers: Answers,
    texts: Allowance,
    steps: Allowance,
}

/// The limit for events that the agent sends unasked, and their number and bytes so far.
#[derive(Debug)]
struct Allowance {
    /// The name of the events, for people.
    what: &'static str,
    count: usize,
    bytes: usize,
}

impl Allowance {
    fn of(what: &'static str) -> Allowance {
        Allowance { what, count: 0, bytes: 0 }
    }

    /// Returns the event to report: the given one, once a warning that no more is shown, then none.
    fn limit(&mut self, event: Event, bytes: usize) -> Option<Event> {
        let had_room = self.has_room();
        (self.count, self.bytes) = (self.count + 1, self.bytes + bytes);
        let last =
            || Event::Warning(format!("The server sent more {} than Cutover shows; the rest is left out", self.what));
        if self.has_room() { Some(event) } else { had_room.then(last) }
    }

    fn has_room(&self) -> bool {
        self.count <= TEXTS_MAX && self.bytes <= TEXTS_BYTES_MAX
    }
}

impl Listener {
    /// Begins. Events go to `observer`, and answers into `answers`.
    pub(super) fn new(observer: Arc<dyn Observer>, answers: Answers) -> Listener {
        Listener { observer, answers, texts: Allowance::of("warnings"), steps: Allowance::of("news") }
    }

    /// Reads until the agent's stream ends, or the conversation does.
    pub(super) fn listen(mut self, mut reader: FrameReader<File>) {
        loop {
            let (arrival, bytes) = match reader.read() {
                Ok(None) => return,
                Ok(Some((kind, payload))) => match self.arrival(kind, payload) {
                    Ok(Some(arrival)) => arrival,
                    Ok(None) => continue,
                    Err(error) => (Arrival::Lost(error), 0),
                },
                Err(error) => (Arrival::Lost(error), 0),
            };
            let is_last = matches!(arrival, Arrival::Lost(_));
            if !self.answers.inbox.put(arrival, bytes) || is_last {
                return;
            }
        }
    }

    /// Returns the answer in a frame, if it holds one, and its size in bytes.
    fn arrival(&mut self, kind: FrameKind, payload: Vec<u8>) -> Result<Option<(Arrival, usize)>, Error> {
        let bytes = payload.len();
        match kind {
            FrameKind::Part => Ok(Some((Arrival::Part(payload), bytes))),
            FrameKind::Message => {
                let message = self.tell(message::from_bytes(&payload)?);
                Ok(message.map(|message| (Arrival::Message(Box::new(message)), bytes)))
            }
            FrameKind::Block => Err(Error::Protocol("content from the agent".into())),
        }
    }

    /// Reports an event, or returns an answer.
    fn tell(&mut self, message: FromAgent) -> Option<FromAgent> {
        let event = match message {
            FromAgent::Progress { phase, files, files_total } => {
                Event::Progress { phase, files, files_total, bytes: 0, bytes_total: 0 }
            }
            FromAgent::News(news) => {
                self.note(&news);
                news.into()
            }
            FromAgent::JournalLine(line) => Event::JournalLine(line),
            FromAgent::Ready { holding, base, live, commit } => {
                self.answers.note_live(live.clone());
                self.answers.taken_base.get_or_init(|| base.clone());
                self.answers.inbox.wake();
                return Some(FromAgent::Ready { holding, base, live, commit });
            }
            FromAgent::Read { bytes, commits, stalled } => {
                if let Some(micros) = stalled {
                    self.answers.load.note(Instant::now(), Duration::from_micros(micros));
                }
                self.answers.delivery.note_read(bytes, commits);
                return None;
            }
            FromAgent::Lanes(ticket) => {
                // One ticket serves the whole conversation.
                self.answers.ticket.get_or_init(|| ticket);
                return None;
            }
            FromAgent::Ping => return None,
            end @ (FromAgent::Done(_) | FromAgent::Failed { .. }) => {
                self.answers.taken_base.get_or_init(|| AgentBase::Nothing);
                self.answers.has_decided.cancel();
                if matches!(end, FromAgent::Done(_)) {
                    self.answers.delivery.finish();
                }
                self.answers.inbox.wake();
                return Some(end);
            }
            answer => return Some(answer),
        };
        if let Some(event) = self.limit(event) {
            self.observer.observe(event);
        }
        None
    }

    /// Limits the events that a caller keeps. The output of commands is as long as it is.
    fn limit(&mut self, event: Event) -> Option<Event> {
        match &event {
            Event::Warning(text) => self.texts.limit(event.clone(), text.len()),
            Event::LockWait { holder } => self.texts.limit(event.clone(), holder.len()),
            Event::ReleaseRemoved { .. } => self.texts.limit(event, 0),
            Event::Check(CheckEvent::Failed { reason, .. }) => self.steps.limit(event.clone(), reason.len()),
            Event::Progress { .. } | Event::JournalLine(_) | Event::Hook(HookEvent::Line { .. }) => Some(event),
            _ => self.steps.limit(event, 0),
        }
    }
}

impl Listener {
    /// Notes what news says of the live release.
    fn note(&self, news: &News) {
        match news {
            News::Live(release) => {
                self.answers.note_live(LiveNow::Switched(release.clone()));
                self.answers.live_at.get_or_init(Instant::now);
            }
            News::Returning { .. } => {
                self.answers.note_live(LiveNow::Unknown);
                self.answers.has_decided.cancel();
            }
            _ => {}
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.answers.has_decided.cancel();
        self.answers.inbox.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::Cancel;
    use crate::event::{Phase, Recorder};
    use crate::wire::bounds::TEXTS_MAX;

    /// Returns the number of events of a server that says the same without end, and their last one.
    fn of_flood(news: &News) -> (usize, Event) {
        let recorder = Arc::new(Recorder::default());
        let mut listener = Listener::new(recorder.clone(), Answers::new(recorder.clone(), &Cancel::default()));
        for _ in 0..2 * TEXTS_MAX {
            assert_eq!(listener.tell(FromAgent::News(news.clone())), None);
        }
        let events = recorder.events();
        (events.len(), events.last().cloned().unwrap())
    }

    #[test]
    fn a_flood_of_news_is_cut_off_and_the_output_of_a_command_is_not() {
        let id = |text: &str| text.parse().unwrap();
        let check = |news: News, what: &str| {
            let last = Event::Warning(format!("The server sent more {what} than Cutover shows; the rest is left out"));
            assert_eq!(of_flood(&news), (TEXTS_MAX + 1, last));
        };
        check(News::Warning("w".into()), "warnings");
        check(News::Removed(id("1")), "warnings");
        check(News::Began(Phase::Hooks), "news");
        check(News::Live(id("1")), "news");
        check(News::Returning { from: id("2"), to: id("1") }, "news");
        check(News::Check(CheckEvent::Passed { name: "health".into() }), "news");
        let failed = CheckEvent::Failed { name: "health".into(), attempt: 1, reason: "r".repeat(10_000) };
        assert!(of_flood(&News::Check(failed)).0 < TEXTS_BYTES_MAX / 10_000 + 3);
        let line = HookEvent::Line { name: "exec".into(), text: "line".into() };
        assert_eq!(of_flood(&News::Hook(line)).0, 2 * TEXTS_MAX);
    }
}
