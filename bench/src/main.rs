//! Measures Cutover against rsync and others on real trees, over a real `sshd` on one machine.
//!
//! `run` starts a server of its own ([`sshd`]), lets contenders deploy in turn ([`contest`]), proves that what they made
//! is right ([`verify`]), and keeps every sample ([`record`]) beside a table ([`table`]) made of them. `digest`
//! ([`digest`]) makes the tables of a document. What each row means stands in `docs/benchmarks.md`.

#![forbid(unsafe_code)]

mod settings;

mod debian;
mod difference;
mod made;
mod tree;

mod image;
mod lab;
mod remote;
mod sshd;

mod carrier;
mod link;
mod namespace;
mod packet;
mod probe;
mod relay;
mod shape;
mod wire;

mod process;
mod procfs;
mod usage;
mod verify;

mod contest;
mod cutover;
mod rsync;
mod scenario;
mod tool;

mod digest;
mod machine;
mod record;
mod row;
mod table;

mod failure;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::failure::{Context, Result};
use crate::lab::Lab;
use crate::machine::{Machine, Versions};
use crate::process::Invocation;
use crate::record::{FORMAT, Outcome, RunRecord, ScenarioRecord};
use crate::scenario::Scenario;
use crate::settings::{Args, DigestArgs, LinkArgs, RunArgs, Verb};
use crate::table::Table;

#[expect(clippy::print_stderr, reason = "the only place that reports a failure")]
fn main() -> ExitCode {
    let done = match Args::parse().command {
        Verb::Run(arguments) => run(*arguments),
        Verb::Digest(arguments) => write_digest(&arguments).map(|()| true),
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

/// Runs the scenarios, keeps the record, prints the table, and tells whether none failed.
#[expect(clippy::print_stdout, reason = "the table is what the bench is for")]
fn run(arguments: RunArgs) -> Result<bool> {
    let lab = Lab::open(arguments.resolve()?)?;
    let settings = lab.settings();
    let mut record = RunRecord {
        format: FORMAT,
        name: settings.name.clone(),
        started: Invocation::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).text()?,
        machine: Machine::look(&lab),
        versions: Versions::ask(&settings.cutover)?,
        quick_check_matches: settings.trees.b.quick_check_matches(&settings.trees.a)?,
        trees: settings.trees.clone(),
        line: lab.line(),
        login: lab.measure_login()?,
        logins: lab.measure_logins()?,
        repeats: settings.repeats,
        scenarios: Vec::new(),
    };
    for &scenario in &settings.scenarios {
        lab.say(&format!("{}: {}", scenario.name(), scenario.title()));
        record.scenarios.push(run_scenario(&lab, scenario));
        lab.clear()?;
        // After each, so that a long run which is broken off has not been for nothing.
        keep(&lab, &record)?;
    }
    print!("{}", Table(&record));
    Ok(record.scenarios.iter().all(ScenarioRecord::is_sound))
}

/// Writes the figures of kept runs into a document.
fn write_digest(arguments: &DigestArgs) -> Result<()> {
    digest::write(&arguments.into, &arguments.records, &read(&arguments.records)?, arguments.brief)
}

fn read(records: &[PathBuf]) -> Result<Vec<RunRecord>> {
    records.iter().map(|path| RunRecord::read(path)).collect()
}

/// Measures a link and prints what it reaches.
#[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
fn link(arguments: &LinkArgs) -> Result<()> {
    let probe = probe::probe(arguments.shape())?;
    println!("{}", serde_json::to_string_pretty(&probe).context(|| "Could not write the figures as JSON")?);
    Ok(())
}

/// A scenario that fails does not take the others with it, but it is recorded as failed and gives no figures.
fn run_scenario(lab: &Lab, scenario: Scenario) -> ScenarioRecord {
    let run = match scenario.skipped(lab) {
        Some(skipped) => Ok(skipped),
        None => scenario.run(lab),
    };
    let (outcome, failure) = match run {
        Ok(outcome) => (outcome, None),
        Err(failure) => {
            lab.say(&format!("  failed: {failure}"));
            (Outcome::default(), Some(failure.to_string()))
        }
    };
    ScenarioRecord { name: scenario.name().to_owned(), title: scenario.title().to_owned(), failure, outcome }
}

fn keep(lab: &Lab, record: &RunRecord) -> Result<()> {
    let runs = &lab.settings().runs;
    let json = serde_json::to_string_pretty(record).context(|| "Could not write the record as JSON")?;
    for (extension, text) in [("json", json + "\n"), ("md", Table(record).to_string())] {
        let path = runs.join(format!("{}.{extension}", record.name));
        fs::write(&path, text).context(|| format!("Could not write `{}`", path.display()))?;
    }
    Ok(())
}
