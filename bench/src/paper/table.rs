//! The whole tables of one run, in Markdown.

use std::fmt::{self, Display};

use crate::comparison;
use crate::comparison::row::{Summary, Unit};
use crate::line::shape::Shape;
use crate::paper::figure::{Figure, columns, short, shown, shown_median};
use crate::record::run::RunRecord;
use crate::record::sample::Sample;
use crate::record::scenario::ScenarioRecord;
use crate::record::track::Track;

/// The head of a table of comparisons, after the columns that stand before.
pub(crate) const HEAD: [&str; 2] = [" | Cutover | compared with | | ratio | aim |", "---|---:|---|---:|---:|---|"];

/// A whole run, to be printed.
pub(crate) struct Table<'a>(pub(crate) &'a RunRecord);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_head(f, self.0)?;
        self.0.scenarios.iter().try_for_each(|scenario| write_scenario(f, self.0, scenario))
    }
}

fn write_head(out: &mut fmt::Formatter<'_>, run: &RunRecord) -> fmt::Result {
    let (machine, versions) = (&run.machine, &run.versions);
    writeln!(
        out,
        "# Run {}\n\n{} · {} cores of {} · {:.0} GiB · Linux {} · {} · load {} at the start",
        run.name,
        run.started,
        machine.cores,
        machine.cpu,
        machine.memory_bytes as f64 / f64::from(1 << 30),
        machine.kernel,
        machine.filesystem,
        machine.load,
    )?;
    let build = short(&versions.cutover_sha256);
    writeln!(out, "{} (`{build}`) · {} · {}\n", versions.cutover, versions.rsync, versions.ssh)?;
    writeln!(out, "- line: {}", ShownLine(run.line))?;
    for (words, login) in [
        ("a login that is given no session, with OpenSSH", &run.logins.openssh),
        ("the same, with Cutover's own SSH", &run.logins.cutover),
        ("`ssh SERVER true`", &run.logins.session),
    ] {
        let bytes = login.wire.map(|wire| Figure(wire.total_bytes() as f64, Unit::Bytes).to_string());
        writeln!(out, "- {words}: {} on the wire", bytes.unwrap_or_default())?;
    }
    for (label, tree) in ["A", "B", "C"].iter().zip(run.trees.all()) {
        let bytes = Figure(tree.bytes as f64, Unit::Bytes);
        writeln!(
            out,
            "- {label}: `{}`, {} files, {} directories, {} symlinks, {bytes}",
            tree.name, tree.files, tree.directories, tree.symlinks,
        )?;
    }
    writeln!(
        out,
        "- files of equal path, size and mtime in A and B: {}\n\nMedian (least – greatest) of {} runs each, in turn. \
         The ratio is Cutover's divided by the other's: below 1 is better for Cutover.",
        run.quick_check_matches,
        run.repeats(),
    )
}

/// A line, to be printed.
pub(crate) struct ShownLine(pub(crate) Option<Shape>);

impl Display for ShownLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(shape) = self.0 else { return write!(f, "the loopback") };
        let rate = shape.rate_mbit.map_or_else(|| "no limit of rate".to_owned(), |rate| format!("{rate} Mbit/s"));
        let queue = shape.queue_bytes().map(|bytes| format!(", a queue of {}", Figure(bytes as f64, Unit::Bytes)));
        let queue = queue.unwrap_or_default();
        write!(f, "packets between two network namespaces, {} ms there and back, {rate}{queue}", shape.rtt_ms)
    }
}

fn write_scenario(out: &mut fmt::Formatter<'_>, run: &RunRecord, record: &ScenarioRecord) -> fmt::Result {
    writeln!(out, "\n## {}: {}\n", record.scenario.name(), record.scenario.title())?;
    if let Some(failure) = &record.failure {
        return writeln!(out, "**Failed**\n\n```text\n{failure}\n```");
    }
    if let Some(reason) = &record.skipped {
        return writeln!(out, "Skipped: {reason}");
    }
    writeln!(out, "|{}\n|{}", HEAD[0], HEAD[1])?;
    for row in comparison::of(run, record) {
        writeln!(out, "| {} |", columns(&row))?;
    }
    writeln!(out)?;
    write_tracks(out, &record.tracks)?;
    for track in &record.tracks {
        write!(out, "\n- {}: `{}`", track.contender, track.command)?;
    }
    writeln!(out)
}

/// All contenders beside each other. Processor time is that of the client, then that of the server.
fn write_tracks(out: &mut fmt::Formatter<'_>, tracks: &[Track]) -> fmt::Result {
    writeln!(
        out,
        "| contender | seconds | bytes on the wire | processor time | peak memory | disk |\n\
         |---|---:|---:|---:|---:|---:|"
    )?;
    for track in tracks {
        if track.failure.is_some() {
            writeln!(out, "| {} | **failed** | | | | |", track.contender)?;
            continue;
        }
        let seconds = |figure: fn(&Sample) -> f64| Summary::of(track.for_seconds().iter().map(figure));
        let bytes = |figure: fn(&Sample) -> Option<u64>| {
            Summary::of(track.for_bytes().iter().filter_map(figure).map(|n| n as f64))
        };
        writeln!(
            out,
            "| {} | {} | {} | {} + {} | {} + {} | {} |",
            track.contender,
            shown(seconds(|sample| sample.seconds), Unit::Seconds),
            shown(bytes(|sample| sample.wire.map(|wire| wire.total_bytes())), Unit::Bytes),
            shown_median(seconds(|sample| sample.cpu.client_seconds), Unit::Seconds),
            shown_median(seconds(|sample| sample.cpu.server_seconds), Unit::Seconds),
            shown(bytes(|sample| Some(sample.memory.client_bytes)), Unit::Memory),
            shown(bytes(|sample| sample.memory.server_bytes), Unit::Memory),
            shown(track.disk_bytes.and_then(|bytes| Summary::of([bytes as f64])), Unit::Bytes),
        )?;
    }
    for track in tracks {
        if let Some(failure) = &track.failure {
            writeln!(out, "\n{} failed:\n\n```text\n{failure}\n```", track.contender)?;
        }
    }
    Ok(())
}
