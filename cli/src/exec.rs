//! `cutover exec`: runs a command in the live release, and ends with its exit code.

use std::io;
use std::sync::Arc;

use engine::CommandEnd;
use engine::event::{Event, HookEvent, Observer};
use engine::hook::Command;

use crate::args::ExecArgs;
use crate::command_words;
use crate::failure::{Failure, printable};
use crate::session::Session;
use crate::stdout;
use crate::uses::Uses;

/// The exit code of a command that a signal ended, as shells have it: this and the signal's number.
const SIGNALLED: i32 = 128;

/// Runs the command. Returns its exit code.
pub(crate) fn run(session: &Session<'_>, args: &ExecArgs) -> Result<u8, Failure> {
    let settings = session.settings(&args.place.place()?, Uses::Everything)?;
    let command = Command { run: command_words::command(&args.command)?, ..Command::default() };
    let end = session.stream(&settings, |context| {
        let observer = Arc::new(Output(context.observer.clone()));
        engine::exec(&engine::Context { observer, ..context.clone() }, &command)
    })?;
    let code = match end {
        CommandEnd::Done => 0,
        CommandEnd::Code(code) => code,
        CommandEnd::Signal(signal) => SIGNALLED + signal,
        CommandEnd::TimedOut | CommandEnd::Stopped => 1,
    };
    Ok(u8::try_from(code).unwrap_or(1))
}

/// Prints the lines of the command on stdout, and passes the other events on.
struct Output(Arc<dyn Observer>);

impl Observer for Output {
    fn observe(&self, event: Event) {
        match event {
            Event::Hook(HookEvent::Line { text, .. }) => {
                let written: io::Result<()> = stdout::write(&format!("{}\n", printable(&text)));
                // A reader that has gone away has read enough.
                written.unwrap_or_default();
            }
            event => self.0.observe(event),
        }
    }
}
