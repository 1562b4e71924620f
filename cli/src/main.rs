//! The `cutover` command: arguments become settings, settings become a call of the engine, and the result is printed.

#![forbid(unsafe_code)]

mod args;
mod checks_table;
mod choice;
mod command_entry;
mod command_words;
mod config;
mod destination;
mod duration;
mod entry;
mod environment;
mod exposure;
mod hooks_table;
mod key_list;
mod keys;
mod mistake;
mod overrides;
mod page;
mod place;
mod same_place;
mod secrets;
mod settings;
mod shared_keys;
mod url;
mod uses;
mod variables;
mod words;

mod events;
mod interrupt;
mod job;
mod json;
mod notice;
mod output;
mod program;
mod progress;
mod question;
mod run_log;
mod run_verb;
mod session;
mod tally;
mod terminal;

mod agent;
mod askpass;
mod cleanup;
mod deploy;
mod diff;
mod exec;
mod hooks;
mod lock;
mod log;
mod pin;
mod releases;
mod rollback;
mod setup;
mod shared;
mod ssh;
mod status;
mod switch;

mod color;
mod failure;
mod hint;
mod report;
mod stdout;
mod table;
mod units;

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser};

use crate::args::{Args, Verb};
use crate::color::Palette;
use crate::environment::Environment;
use crate::failure::{Failure, FailureStyle};
use crate::output::Output;
use crate::session::Session;

fn main() -> ExitCode {
    failure::ask_for_reports();
    if let Some(desk) = Environment::asked_by() {
        return askpass::run(&desk);
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&with_printable_words(without_hidden_verbs(error))),
    };
    let environment = Environment::read();
    let run = AssertUnwindSafe(|| run(&args, &environment));
    let panicked = |_| Err(Failure::panic(args.verb.switches()));
    let mut failure = match panic::catch_unwind(run).unwrap_or_else(panicked) {
        Ok(code) => return code,
        Err(failure) => failure,
    };
    let place = same_place::flags(&args);
    failure = failure.at_place(&place);
    failure.print(&FailureStyle {
        palette: Palette::new(args.everywhere.color, &environment, io::stderr().is_terminal()),
        output: args.everywhere.output(),
        status_command: format!("cutover status{place}"),
    });
    ExitCode::from(failure.exit_code(interrupt::code()))
}

fn run(args: &Args, environment: &Environment) -> Result<ExitCode, Failure> {
    let place = same_place::flags(args);
    let last_line = args.verb.switches().then(|| failure::ended_at_once(&format!("cutover status{place}")));
    let session = Session { everywhere: &args.everywhere, environment, place, last_line };
    match &args.verb {
        Verb::Setup(args) => setup::run(&session, args),
        Verb::Deploy(args) => deploy::run(&session, args),
        Verb::Releases(args) => releases::run(&session, args),
        Verb::Status(args) => status::run(&session, args),
        Verb::Switch(args) => switch::run(&session, args),
        Verb::Rollback(args) => rollback::run(&session, args),
        Verb::Pin(args) => pin::pin(&session, args),
        Verb::Unpin(args) => pin::unpin(&session, args),
        Verb::Cleanup(args) => cleanup::run(&session, args),
        Verb::Lock(args) => lock::run(&session, args),
        Verb::Unlock(args) => lock::unlock(&session, args),
        Verb::Diff(args) => diff::run(&session, args),
        Verb::Hooks(args) => hooks::run(&session, args),
        Verb::Ssh(args) => ssh::run(&session, args),
        Verb::Log(args) => log::run(&session, args),
        Verb::Exec(args) => return exec::run(&session, args).map(ExitCode::from),
        Verb::Shared(args) => shared::run(&session, args),
        Verb::Agent(args) => agent::run(args),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// Removes hidden verbs from the parser's suggestions.
fn without_hidden_verbs(mut error: clap::Error) -> clap::Error {
    let command = Args::command();
    let is_hidden = |name: &String| command.find_subcommand(name).is_some_and(clap::Command::is_hide_set);
    for kind in [ContextKind::ValidSubcommand, ContextKind::SuggestedSubcommand] {
        let (names, is_list) = match error.get(kind) {
            Some(ContextValue::Strings(names)) => (names.clone(), true),
            Some(ContextValue::String(name)) => (vec![name.clone()], false),
            _ => continue,
        };
        let shown: Vec<String> = names.iter().filter(|name| !is_hidden(name)).cloned().collect();
        if shown.is_empty() {
            error.remove(kind);
        } else if is_list && shown.len() < names.len() {
            error.insert(kind, ContextValue::Strings(shown));
        }
    }
    error
}

/// Escapes the words that the parser's error names: a script may take them from elsewhere, such as a branch.
fn with_printable_words(mut error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::InvalidSubcommand] {
        if let Some(ContextValue::String(word)) = error.get(kind) {
            let printable = failure::one_line(word);
            if printable != *word {
                error.insert(kind, ContextValue::String(printable));
                // It has the word too.
                error.remove(ContextKind::Suggested);
            }
        }
    }
    error
}

/// Prints the output of the command-line parser: help, the version, or an error.
fn usage(error: &clap::Error) -> ExitCode {
    // A reader that has gone away, for example `head`, has read enough.
    drop(error.print());
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let failure = Failure::usage(failure::summary(&error.to_string()));
    let is_given = |flag: &str| std::env::args_os().any(|argument| argument == OsStr::new(flag));
    if is_given("--json") {
        failure.print_object(Output::Object);
    } else if is_given("--events") {
        failure.print_object(Output::Events);
    }
    ExitCode::from(failure.exit_code(None))
}
