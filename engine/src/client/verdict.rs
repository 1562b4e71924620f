//! The client's verdict on a release that went live: its own checks, whose result the server waits for.
//!
//! A verdict that the release is good also confirms it.

use std::path::Path;

use crate::cancel::Cancel;
use crate::check::{Check, CheckFrom};
use crate::command::{Invocation, Mask};
use crate::error::Error;
use crate::event::{CheckEvent, Event, HookEvent};
use crate::hook::Command;
use crate::http::HttpClient;
use crate::probe::{FailedTry, Prober};
use crate::request::Context;
use crate::wire::message::ToAgent;

use super::conversation::Conversation;

/// Runs the client's checks, and sends the verdict. Ends early once the server has decided without it. Fails only if the
/// user interrupts, the line is lost, or it was asked for before.
pub(crate) fn give(context: &Context, conversation: &Conversation) -> Result<(), Error> {
    conversation.note_question()?;
    let stop = conversation.has_decided();
    let verdict = match check_all(context, &stop) {
        Ok(()) => None,
        // The server's next message says what it did.
        Err(Error::Interrupted) => return context.cancel.check(),
        Err(error) => Some(Box::new(error.to_refusal().masked(&Mask::new(&context.procedure.secrets)))),
    };
    conversation.send(&ToAgent::Verdict(verdict))
}

fn check_all(context: &Context, stop: &Cancel) -> Result<(), Error> {
    let own = context.procedure.checks.iter().filter(|check| check.from == CheckFrom::Client);
    let mut http = None;
    for check in own {
        check_one(context, check, http.get_or_insert_with(HttpClient::with_tls), stop)?;
        stop.check()?;
        context.observer.observe(Event::Check(CheckEvent::Passed { name: check.name.clone() }));
    }
    Ok(())
}

fn check_one(context: &Context, check: &Check, http: &HttpClient, stop: &Cancel) -> Result<(), Error> {
    let mask = Mask::new(&context.procedure.secrets);
    let name = || check.name.clone();
    let on_failed_try = |failed: &FailedTry<'_>| {
        let reason = mask.mask(failed.fault.to_string());
        let event = CheckEvent::Failed { name: name(), attempt: failed.number, reason };
        context.observer.observe(Event::Check(event));
    };
    let on_line = |text| context.observer.observe(Event::Hook(HookEvent::Line { name: name(), text }));
    let run_command = |command: &Command| {
        let invocation = Invocation { command, directory: Path::new("."), variables: &[], mask: &mask };
        invocation.prove(on_line, || stop.check().is_err())
    };
    let prober = Prober { http, cancel: stop, run_command: &run_command, mask: &mask, on_failed_try: &on_failed_try };
    prober.run(check)
}
