//! A conversation with an agent that falls silent, is interrupted or is lost.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use crossbeam_channel::bounded;

use super::*;
use crate::event::Silent;
use crate::news::News;
use crate::report::DeployState;
use crate::wire::message::Reply;

struct Nothing;

impl Carrier for Nothing {
    fn finish(self: Box<Self>) -> Result<(), Error> {
        Ok(())
    }
}

/// The agent's ends of a conversation: its input and its output.
struct Agent {
    _hears: io::PipeReader,
    says: io::PipeWriter,
}

/// Waits for an agent that never ends.
struct Frozen;

impl Carrier for Frozen {
    fn finish(self: Box<Self>) -> Result<(), Error> {
        loop {
            std::thread::park();
        }
    }
}

impl Agent {
    fn begin(silent_max: Duration) -> (Agent, Conversation, Cancel) {
        Agent::begin_over(Box::new(Nothing), silent_max)
    }

    fn begin_over(carrier: Box<dyn Carrier>, silent_max: Duration) -> (Agent, Conversation, Cancel) {
        let (input, says) = io::pipe().unwrap();
        let (hears, output) = io::pipe().unwrap();
        let connection = Connection {
            input: File::from(OwnedFd::from(input)),
            output: File::from(OwnedFd::from(output)),
            carrier,
            lanes: None,
            copied_at: None,
            lent_bytes: None,
            noise: Vec::new(),
        };
        let cancel = Cancel::default();
        let conversation = Conversation::begin(connection, Arc::new(Silent), cancel.clone(), silent_max).unwrap();
        (Agent { _hears: hears, says }, conversation, cancel)
    }

    fn say(&mut self, message: &FromAgent) {
        FrameWriter::new(&mut self.says).write(FrameKind::Message, &message::to_bytes(message)).unwrap();
    }
}

const LONG: Duration = Duration::from_secs(20);

fn id(text: &str) -> crate::release::ReleaseId {
    text.parse().unwrap()
}

fn ready(live: LiveNow) -> FromAgent {
    FromAgent::Ready { holding: None, base: AgentBase::Nothing, live, commit: None }
}

#[test]
fn an_agent_that_neither_reads_nor_speaks_is_taken_for_dead() {
    let (_agent, conversation, _) = Agent::begin(Duration::from_millis(100));
    // More than a pipe holds.
    let Err(Error::LineLost { source }) = conversation.send_frame(FrameKind::Block, &vec![7; 8 << 20]) else {
        panic!("the silence was not noticed");
    };
    assert_eq!(source.kind(), ErrorKind::TimedOut);
}

#[test]
fn a_part_may_come_slower_than_silence_is_suffered() {
    let silent_max = Duration::from_secs(1);
    let (mut agent, conversation, _) = Agent::begin(silent_max);
    let mut bytes = Vec::new();
    FrameWriter::new(&mut bytes).write(FrameKind::Part, &[7; 50]).unwrap();
    let began = Instant::now();
    let trickle = std::thread::spawn(move || {
        for byte in bytes {
            std::thread::sleep(Duration::from_millis(30));
            agent.says.write_all(&[byte]).unwrap();
        }
    });
    assert_eq!(conversation.parts(50, 50).unwrap(), [7; 50]);
    assert!(began.elapsed() > silent_max, "the part came too fast to show anything");
    trickle.join().unwrap();
}

#[test]
fn an_agent_of_which_nothing_comes_is_taken_for_dead() {
    let (_agent, conversation, _) = Agent::begin(Duration::from_millis(100));
    let Err(DeployFailure { error: Error::LineLost { source }, .. }) = conversation.wait() else {
        panic!("the silence was not noticed")
    };
    assert_eq!(source.kind(), ErrorKind::TimedOut);
}

#[test]
fn the_end_of_an_agent_that_is_taken_for_dead_is_not_waited_for() {
    let (_agent, conversation, _) = Agent::begin_over(Box::new(Frozen), Duration::from_millis(100));
    let (tell, told) = bounded(1);
    std::thread::spawn(move || drop(tell.send(conversation.wait().map_err(|failure| failure.error))));
    let said = told.recv_timeout(LONG).expect("nobody waits any more");
    assert!(matches!(said, Err(Error::LineLost { source }) if source.kind() == ErrorKind::TimedOut));
}

/// Interrupts a conversation in which the agent has sent these messages, and returns the known live release.
fn interrupted_after(messages: &[FromAgent], can_switch: bool) -> LiveNow {
    let (mut agent, conversation, cancel) = Agent::begin(LONG);
    if can_switch {
        conversation.note_possible_switch();
    }
    messages.iter().for_each(|message| agent.say(message));
    let heard = || conversation.answers.live() != LiveNow::Unchanged || !conversation.answers.inbox.is_empty();
    let began = Instant::now();
    while !messages.is_empty() && !heard() {
        assert!(began.elapsed() < LONG, "what the agent said was not heard");
        std::thread::yield_now();
    }
    cancel.cancel();
    let failure = conversation.settle(conversation.wait().unwrap_err());
    assert!(matches!(failure.error, Error::Interrupted));
    failure.live
}

#[test]
fn an_interruption_after_the_switch_says_what_is_live() {
    let live = interrupted_after(&[FromAgent::News(News::Live(id("2"))), FromAgent::Ping], true);
    assert_eq!(live, LiveNow::Switched(id("2")));
}

#[test]
fn an_interruption_that_the_answer_outran_says_what_it_says() {
    use crate::wire::message::DeployDone;
    let check = |state, release: Option<&str>, previous: Option<&str>, expected: LiveNow| {
        let mut done = DeployDone::of(state);
        done.release = release.map(id);
        done.previous = previous.map(id);
        let answer = FromAgent::Done(Reply::Deploy(Box::new(done)));
        assert_eq!(interrupted_after(&[answer], true), expected);
    };
    check(DeployState::Live, Some("2"), Some("1"), LiveNow::Switched(id("2")));
    check(DeployState::Unchanged, Some("1"), Some("1"), LiveNow::Release(id("1")));
    check(DeployState::Ready, Some("2"), Some("1"), LiveNow::Release(id("1")));
    check(DeployState::Ready, Some("2"), None, LiveNow::Nothing);
}

#[test]
fn before_a_commit_what_the_holder_of_the_lock_said_is_live() {
    assert_eq!(interrupted_after(&[ready(LiveNow::Release(id("1")))], false), LiveNow::Release(id("1")));
    assert_eq!(interrupted_after(&[ready(LiveNow::Nothing)], false), LiveNow::Nothing);
    assert_eq!(interrupted_after(&[], false), LiveNow::Unchanged);
}

#[test]
fn a_line_that_is_lost_leaves_known_only_what_was_switched() {
    let checks_after_the_switch = Procedure { confirm: Some(LONG), ..Procedure::default() };
    let check = |message: FromAgent, can_switch, procedure: &Procedure, expected: LiveNow| {
        let (mut agent, conversation, _) = Agent::begin(LONG);
        conversation.note_procedure(procedure);
        if can_switch {
            conversation.note_possible_switch();
        }
        agent.say(&message);
        drop(agent);
        let failure = loop {
            if let Err(failure) = conversation.wait() {
                break conversation.settle(failure);
            }
        };
        assert!(matches!(failure.error, Error::LineLost { .. }));
        assert_eq!(failure.live, expected);
    };
    let plain = Procedure::default();
    check(ready(LiveNow::Release(id("1"))), false, &plain, LiveNow::Unchanged);
    check(ready(LiveNow::Release(id("1"))), true, &plain, LiveNow::Unknown);
    check(FromAgent::News(News::Live(id("2"))), true, &plain, LiveNow::Switched(id("2")));
    // The server may leave that release again.
    check(FromAgent::News(News::Live(id("2"))), true, &checks_after_the_switch, LiveNow::Unknown);
}
