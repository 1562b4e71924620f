//! A deploy to one host, from the client's side. The source is scanned while the client connects to the host; then both
//! are exchanged.
//!
//! The content to send is found while the connection may still be under way. Warnings about the source are reported
//! before anything is live.

use std::time::Instant;

use crate::cancel::Cancel;
use crate::client::conversation::Conversation;
use crate::client::exchange::{Exchange, Forecast, Host, Outcome, Proposal};
use crate::client::memory::Memory;
use crate::client::source::Source;
use crate::client::source_directory::{LastScan, SourceDirectory};
use crate::error::{Error, SourceError};
use crate::event::{Event, Phase};
use crate::report::{DeployFailure, DeployReport, Seconds, TrafficReport, TreeReport};
use crate::request::{Context, DeployRequest};
use crate::threads;
use crate::wire::connection::Connection;

/// The state before anything was sent.
struct Preparation<'a> {
    source: Source<'a>,
    warnings: Vec<String>,
    forecast: Forecast,
    conversation: Conversation,
    seconds: Seconds,
}

/// Deploys what `directory` finds, over the connection that `connect` makes. Both may be cancelled. `connect` gets a flag that says whether this machine knows nothing
/// of the host.
pub(crate) fn deploy<'a>(
    context: &Context,
    request: &DeployRequest,
    directory: impl FnOnce(&Cancel) -> Result<SourceDirectory<'a>, Error>,
    connect: impl FnOnce(bool, &Cancel) -> Result<Connection, Error> + Send,
) -> Result<DeployReport, DeployFailure> {
    let began = Instant::now();
    let memory = Memory::open(&context.state_dir, context.observer.clone());
    let host = Host::recall(context, request, &memory);
    let prepared = prepare(&host, directory, &memory, |cancel| connect(host.is_new(), cancel), began)?;
    let Preparation { source, mut warnings, forecast, conversation, mut seconds } = prepared;
    for warning in &warnings {
        context.observer.observe(Event::Warning(warning.clone()));
    }
    let proposal = Proposal::now(request);
    let outcome = match Exchange::new(&source, &proposal, &host, &conversation).run(forecast) {
        Ok(outcome) => outcome,
        Err(failure) => {
            conversation.leave(&failure.error);
            if matches!(failure.error, Error::Source(SourceError::FileChangedUnseen(_))) {
                source.forget();
            }
            return Err(failure);
        }
    };
    note_phases(&mut seconds, &outcome, &conversation, began);
    host.remember(&source, &outcome);
    let mut report = report(&source, &host, outcome, &conversation, seconds);
    warnings.append(&mut report.warnings);
    report.warnings = warnings;
    conversation.finish();
    Ok(report)
}

/// Scans, prepares and connects at once. If one of them fails, the others are not waited for.
fn prepare<'a, 'd>(
    host: &Host<'_>,
    directory: impl FnOnce(&Cancel) -> Result<SourceDirectory<'d>, Error>,
    memory: &'a Memory,
    connect: impl FnOnce(&Cancel) -> Result<Connection, Error> + Send,
    began: Instant,
) -> Result<Preparation<'a>, Error> {
    let Context { observer, cancel, .. } = host.context;
    let last_scan = if host.request.paranoid { LastScan::Ignored } else { LastScan::Trusted };
    let both = cancel.part();
    let scanned = || {
        let source = Source::scan(directory(&both)?, last_scan, memory, observer.as_ref(), &both)?;
        let scanned = began.elapsed().as_secs_f64();
        let foresee = || {
            let forecast = Forecast::new(&source, host);
            source.drop_last();
            forecast
        };
        let (warnings, forecast) = threads::beside(|| source.review(last_scan), foresee);
        let forecast = forecast?;
        Ok((source, warnings, forecast, scanned))
    };
    let connected = || {
        observer.observe(Event::Began(Phase::Connect));
        // The conversation begins at once: it keeps the agent alive during the scan.
        let conversation = Conversation::new(connect(&both)?, observer.clone(), cancel.clone())?;
        host.ask_for_look(&conversation)?;
        conversation.note_procedure(&host.context.procedure);
        observer.observe(Event::Ended(Phase::Connect));
        Ok((conversation, began.elapsed().as_secs_f64()))
    };
    let connected = || connected().inspect_err(|_| both.cancel());
    let (connected, scanned) = threads::beside(connected, || scanned().inspect_err(|_| both.cancel()));
    match (scanned, connected) {
        (Ok((source, warnings, forecast, scanned)), Ok((conversation, connect))) => {
            let seconds = Seconds { connect, scan: scanned, ..Seconds::default() };
            Ok(Preparation { source, warnings, forecast, conversation, seconds })
        }
        // This one was only cancelled because of the other.
        (Err(Error::Interrupted), Err(error)) | (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

/// Notes the durations of the phases. The agent reports those of its own.
fn note_phases(seconds: &mut Seconds, outcome: &Outcome, conversation: &Conversation, began: Instant) {
    seconds.upload = conversation.delivery().duration().as_secs_f64();
    for &(phase, spent) in &outcome.done.seconds {
        // Microseconds: an `f32` has no more precision.
        let spent = (f64::from(spent) * 1e6).round() / 1e6;
        match phase {
            Phase::Assemble => seconds.assemble = spent,
            Phase::Sync => seconds.sync = spent,
            Phase::Hooks => seconds.hooks = spent,
            Phase::Switch => seconds.switch = spent,
            Phase::Cleanup => seconds.cleanup = spent,
            Phase::Connect
            | Phase::CopyAgent
            | Phase::Scan
            | Phase::Lock
            | Phase::Upload
            | Phase::Copy
            | Phase::Check => {}
        }
    }
    seconds.total = began.elapsed().as_secs_f64();
    let until_live = conversation.live_at().map(|live_at| (live_at - began).as_secs_f64());
    seconds.live = until_live.unwrap_or(seconds.total - seconds.cleanup);
}

fn report(
    source: &Source<'_>,
    host: &Host<'_>,
    outcome: Outcome,
    conversation: &Conversation,
    seconds: Seconds,
) -> DeployReport {
    let Outcome { done, zstd_levels, .. } = outcome;
    let manifest = source.manifest();
    DeployReport {
        release: done.release,
        previous: done.previous,
        state: done.state,
        dry_run: host.request.dry_run,
        tree: TreeReport {
            manifest: manifest.root().to_string(),
            commit: source.commit().map(str::to_owned),
            branch: source.branch().map(str::to_owned),
            dirty: source.is_dirty(),
            files: manifest.files(),
            bytes: manifest.bytes(),
        },
        changes: done.changes,
        traffic: TrafficReport { zstd_levels, ..conversation.traffic() },
        making: done.making,
        removed: done.removed,
        preview: done.preview,
        hooks: done.hooks,
        edited: done.edited,
        warnings: done.warnings,
        seconds,
    }
}

#[cfg(test)]
mod tests;
