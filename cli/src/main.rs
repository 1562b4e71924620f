//! The `cutover` command: arguments become settings, settings become a call of the engine, and the result is printed.

#![forbid(unsafe_code)]

mod args;
mod checks_table;
mod choice;
mod command_entry;
mod command_tree;
mod command_words;
mod config;
mod destination;
mod docs;
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
mod shape;
mod shared_keys;
mod size;
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
mod progress_text;
mod question;
mod run_log;
mod run_verb;
mod session;
mod tally;
mod terminal;

mod adopt;
mod agent;
mod askpass;
mod cleanup;
mod completions;
mod deploy;
mod diff;
mod doctor;
mod du;
mod exec;
mod explain;
mod hooks;
mod init;
mod lock;
mod log;
mod man;
mod pin;
mod preview;
mod reference;
mod releases;
mod rollback;
mod schema;
mod setup;
mod shared;
mod show;
mod ssh;
mod status;
mod switch;
mod web;

mod color;
mod failure;
mod hint;
mod report;
mod stdout;
mod table;
mod toml_string;
mod units;
mod wrap;

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser};

use crate::args::{Args, ConfigArgs, ConfigVerb, Verb};
use crate::color::Palette;
use crate::config::Config;
use crate::environment::Environment;
use crate::failure::{Failure, FailureStyle};
use crate::output::Output;
use crate::session::Session;
use crate::words::Stages;

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
    let stages = stages(&args, &environment);
    let run = AssertUnwindSafe(|| run(&args, &environment, &stages));
    let panicked = |_| Err(Failure::panic(args.verb.switches()));
    let ended = panic::catch_unwind(run).unwrap_or_else(panicked);
    terminal::close();
    let mut failure = match ended {
        Ok(code) => return code,
        Err(failure) => failure,
    };
    let place = same_place::flags(&args, &stages);
    failure = failure.at_place(&place);
    failure.print(&FailureStyle {
        palette: Palette::new(args.everywhere.color, &environment, io::stderr().is_terminal()),
        output: args.everywhere.output(),
        status_command: format!("cutover status{place}"),
    });
    ExitCode::from(failure.exit_code(interrupt::code()))
}

/// Returns the stages of the config, for verbs that name releases. None if it cannot be read: the verb reports that.
fn stages(args: &Args, environment: &Environment) -> Stages {
    if !args.verb.names_releases() {
        return Stages::default();
    }
    let config = Config::open(args.everywhere.config.as_deref(), environment).ok().flatten();
    config.into_iter().flat_map(|config| config.stages.into_keys()).collect()
}

fn run(args: &Args, environment: &Environment, stages: &Stages) -> Result<ExitCode, Failure> {
    let place = same_place::flags(args, stages);
    let last_line = args.verb.switches().then(|| failure::ended_at_once(&format!("cutover status{place}")));
    let session = Session { everywhere: &args.everywhere, environment, stages, place, last_line };
    match &args.verb {
        Verb::Init(args) => init::run(&session, args),
        Verb::Setup(args) => setup::run(&session, args),
        Verb::Adopt(args) => adopt::run(&session, args),
        Verb::Deploy(args) => deploy::run(&session, args),
        Verb::Releases(args) => releases::run(&session, args),
        Verb::Status(args) => status::run(&session, args),
        Verb::Doctor(args) => doctor::run(&session, args),
        Verb::Switch(args) => switch::run(&session, args),
        Verb::Rollback(args) => rollback::run(&session, args),
        Verb::Pin(args) => pin::pin(&session, args),
        Verb::Unpin(args) => pin::unpin(&session, args),
        Verb::Cleanup(args) => cleanup::run(&session, args),
        Verb::Lock(args) => lock::run(&session, args),
        Verb::Unlock(args) => lock::unlock(&session, args),
        Verb::Du(args) => du::run(&session, args),
        Verb::Diff(args) => diff::run(&session, args),
        Verb::Hooks(args) => hooks::run(&session, args),
        Verb::Web(args) => web::run(&session, args),
        Verb::Ssh(args) => ssh::run(&session, args),
        Verb::Log(args) => log::run(&session, args),
        Verb::Exec(args) => return exec::run(&session, args).map(ExitCode::from),
        Verb::Shared(args) => shared::run(&session, args),
        Verb::Config(ConfigArgs { verb: ConfigVerb::Show(args) }) => show::run(&session, args),
        Verb::Config(ConfigArgs { verb: ConfigVerb::Schema }) => schema::run(),
        Verb::Explain(args) => explain::run(args),
        Verb::Completions(args) => completions::run(args),
        Verb::Man(args) => man::run(args),
        Verb::Reference => reference::run(),
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
