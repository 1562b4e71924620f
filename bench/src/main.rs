//! Measures Cutover against rsync on real trees, over a real `sshd` on one machine.
//!
//! ```text
//! args ─► settings ─► scenarios ─► contest (tools in turn) ─► record ─► comparison ─► paper
//!           source       lab, line                           one JSON     rows       tables, picture
//! ```
//! `run` starts a server of its own ([`lab`]), lets contenders deploy in turn ([`contest`]), proves that their releases
//! are right ([`verify`]), and keeps every sample ([`record`]). `digest` makes tables and a picture of kept runs
//! ([`paper`]). The meaning of each row stands in `docs/benchmarks.md`.

#![forbid(unsafe_code)]

mod args;
mod settings;

mod scenario;
mod source;

mod lab;
mod line;
mod namespace;

mod aside;
mod invocation;
mod process;
mod procfs;
mod usage;
mod verify;

mod contest;
mod logins;
mod place;
mod scenarios;
mod tool;
mod tools;

mod record;

mod comparison;
mod number;
mod paper;

mod failure;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, DigestArgs, LineArgs, RunArgs, Verb};
use crate::failure::{Context, Result};
use crate::invocation::Invocation;
use crate::lab::laboratory::Lab;
use crate::lab::sshd;
use crate::line::probe::probe;
use crate::paper::digest::Digest;
use crate::paper::table::Table;
use crate::record::machine::{Machine, Versions};
use crate::record::run::{FORMAT, RunRecord};
use crate::record::scenario::ScenarioRecord;
use crate::settings::Settings;

#[expect(clippy::print_stderr, reason = "the only place that reports a failure")]
fn main() -> ExitCode {
    let done = match Args::parse().command {
        Verb::Run(arguments) => run(*arguments),
        Verb::Digest(arguments) => digest(&arguments).map(|()| true),
        Verb::Link(arguments) => link(&arguments).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("Error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the scenarios, keeps the record, prints the tables, and tells whether none failed.
#[expect(clippy::print_stdout, reason = "the tables are the result of a run")]
fn run(arguments: RunArgs) -> Result<bool> {
    let lab = Lab::open(Settings::resolve(arguments)?)?;
    let settings = lab.settings();
    let mut record = RunRecord {
        format: FORMAT,
        name: settings.place.name.clone(),
        started: Invocation::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).text()?,
        machine: Machine::look(&lab.server("")),
        versions: Versions::ask(&settings.place.cutover, sshd::program()?)?,
        quick_check_matches: settings.trees.b.quick_check_matches(&settings.trees.a)?,
        trees: settings.trees.clone(),
        line: settings.shape,
        logins: logins::measure(&lab)?,
        scenarios: Vec::new(),
    };
    for &scenario in &settings.scenarios {
        lab.say(&format!("{}: {}", scenario.name(), scenario.title()));
        record.scenarios.push(scenarios::run(&lab, scenario));
        lab.clear()?;
        // After each, so that a long run which is broken off has not been for nothing.
        record.write(&settings.place.runs)?;
    }
    print!("{}", Table(&record));
    Ok(record.scenarios.iter().all(ScenarioRecord::is_sound))
}

/// Writes the figures of kept runs into documents, or prints them.
#[expect(clippy::print_stdout, reason = "the tables are the result")]
fn digest(arguments: &DigestArgs) -> Result<()> {
    let digest = Digest::read(&arguments.records)?;
    let DigestArgs { tables, summary, picture, .. } = arguments;
    if tables.is_none() && summary.is_none() && picture.is_none() {
        digest.runs().for_each(|run| print!("{}", Table(run)));
    }
    tables.as_deref().map_or(Ok(()), |document| digest.write_tables(document))?;
    summary.as_deref().map_or(Ok(()), |document| digest.write_summary(document))?;
    picture.as_deref().map_or(Ok(()), |document| digest.write_picture(document))
}

/// Measures a link and prints its figures.
#[expect(clippy::print_stdout, reason = "the figures are the result")]
fn link(arguments: &LineArgs) -> Result<()> {
    let probe = probe(arguments.shape().unwrap_or_default())?;
    println!("{}", serde_json::to_string_pretty(&probe).context(|| "Could not write the figures as JSON")?);
    Ok(())
}
