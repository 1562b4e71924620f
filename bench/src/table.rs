//! The table in Markdown: what a run came to, for people.

use std::fmt::{self, Display};

use crate::record::{LineKind, LineRecord, RunRecord, ScenarioRecord, Track};
use crate::row::{Aim, Row, Summary, Unit};

/// A whole run, to be printed.
pub(crate) struct Table<'a>(pub(crate) &'a RunRecord);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_run(f, self.0)
    }
}

fn write_run(out: &mut fmt::Formatter<'_>, run: &RunRecord) -> fmt::Result {
    let (machine, versions) = (&run.machine, &run.versions);
    writeln!(out, "# Run {}\n", run.name)?;
    writeln!(
        out,
        "{} · {} cores of {} · {:.0} GiB · Linux {} · {} · load {} at the start",
        run.started,
        machine.cores,
        machine.cpu,
        machine.memory_bytes as f64 / f64::from(1 << 30),
        machine.kernel,
        machine.filesystem,
        machine.load,
    )?;
    writeln!(
        out,
        "{} (`{}`) · {} · {}\n",
        versions.cutover,
        short(&versions.cutover_sha256),
        versions.rsync,
        versions.ssh
    )?;
    writeln!(out, "- line: {}", ShownLine(&run.line))?;
    if let Some(wire) = run.login.wire {
        let bytes = Figure(wire.total_bytes() as f64, Unit::Bytes);
        writeln!(out, "- `ssh SERVER true` by itself: {bytes} on the wire, {:.3} s", run.login.seconds)?;
    }
    let logins =
        [&run.logins.openssh, &run.logins.cutover].map(|login| login.wire.map(|wire| wire.total_bytes() as f64));
    if let [Some(openssh), Some(cutover)] = logins {
        let (openssh, cutover) = (Figure(openssh, Unit::Bytes), Figure(cutover, Unit::Bytes));
        writeln!(
            out,
            "- a login that is given no session: {openssh} on the wire with OpenSSH, {cutover} with Cutover's own SSH"
        )?;
    }
    for (label, tree) in ["A", "B", "C"].iter().zip(run.trees.all()) {
        writeln!(
            out,
            "- {label}: `{}`, {} files, {} directories, {} symlinks, {}",
            tree.name,
            tree.files,
            tree.directories,
            tree.symlinks,
            Figure(tree.bytes as f64, Unit::Bytes),
        )?;
    }
    writeln!(
        out,
        "- files of equal path, size and mtime in A and B: {}\n\nMedian (least – greatest) of {} runs each, in turn. \
         The ratio is Cutover's divided by the other's: below 1 is better for Cutover.",
        run.quick_check_matches, run.repeats,
    )?;
    run.scenarios.iter().try_for_each(|scenario| write_scenario(out, scenario))
}

/// A line, to be printed.
pub(crate) struct ShownLine<'a>(pub(crate) &'a LineRecord);

impl Display for ShownLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0;
        let shape = line.shape.unwrap_or_default();
        let rate = shape.rate_mbit.map_or_else(|| "no limit of rate".to_owned(), |rate| format!("{rate} Mbit/s"));
        let queue = line.queue_bytes.map(|bytes| format!(", a queue of {}", Figure(bytes as f64, Unit::Bytes)));
        let shape = format!("{} ms there and back, {rate}{}", shape.rtt_ms, queue.unwrap_or_default());
        match line.kind {
            LineKind::Loopback => write!(f, "the loopback"),
            LineKind::Target => write!(f, "to a server of the user's; bytes are what the tools say"),
            LineKind::Link => write!(f, "packets between two network namespaces, {shape}"),
            LineKind::Relay => {
                let why = line.without_link.as_deref().and_then(|why| why.lines().next()).unwrap_or_default();
                write!(f, "a relay of the two ends, so without TCP's own behaviour, {shape}; no link, as: {why}")
            }
        }
    }
}

fn write_scenario(out: &mut fmt::Formatter<'_>, scenario: &ScenarioRecord) -> fmt::Result {
    writeln!(out, "\n## {}: {}\n", scenario.name, scenario.title)?;
    if let Some(failure) = &scenario.failure {
        return writeln!(out, "**Failed**\n\n```text\n{failure}\n```");
    }
    if let Some(reason) = &scenario.outcome.skipped {
        return writeln!(out, "Skipped: {reason}");
    }
    if !scenario.outcome.rows.is_empty() {
        write_rows(out, &scenario.outcome.rows)?;
    }
    write_tracks(out, &scenario.outcome.tracks)?;
    for track in &scenario.outcome.tracks {
        let sample = track.timed.first().or(track.observed.first()).or(track.steps.first());
        if let Some(sample) = sample {
            write!(out, "\n- {}: `{}`", track.contender, sample.command)?;
            if let Some(made_of) = track.made_of() {
                write!(out, "; {made_of}")?;
            }
        }
    }
    writeln!(out)
}

/// Cutover against one other each.
fn write_rows(out: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    writeln!(out, "| | Cutover | compared with | | ratio | aim |\n|---|---:|---|---:|---:|---|")?;
    for row in rows {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            row.what,
            shown(row.ours, row.unit),
            row.rival,
            shown(row.theirs, row.unit),
            row.ratio.map(shown_ratio).unwrap_or_default(),
            aim(row),
        )?;
    }
    writeln!(out)
}

/// All contenders beside each other. Processor time is that of the client, then that of the server.
fn write_tracks(out: &mut fmt::Formatter<'_>, tracks: &[Track]) -> fmt::Result {
    if tracks.iter().all(|track| track.skipped.is_none() && track.failure.is_none() && !track.has_figures()) {
        return Ok(());
    }
    writeln!(
        out,
        "| contender | seconds | bytes on the wire | bytes before SSH | processor time | peak memory | disk |\n\
         |---|---:|---:|---:|---:|---:|---:|"
    )?;
    for track in tracks {
        let none = track.skipped.as_ref().map(|reason| format!("skipped: {reason}"));
        let none = none.or(track.failure.as_ref().map(|_| "**failed**".to_owned()));
        if let Some(none) = none {
            writeln!(out, "| {} | {none} | | | | | |", track.contender)?;
            continue;
        }
        writeln!(
            out,
            "| {} | {} | {} | {} | {} + {} | {} + {} | {} |",
            track.contender,
            shown(track.seconds(|sample| Some(sample.seconds)), Unit::Seconds),
            shown(track.bytes(|sample| sample.wire.map(|wire| wire.total_bytes())), Unit::Bytes),
            shown(track.bytes(|sample| sample.payload.map(|payload| payload.total_bytes())), Unit::Bytes),
            shown_median(track.seconds(|sample| Some(sample.client_cpu_seconds)), Unit::Seconds),
            shown_median(track.seconds(|sample| sample.server_cpu_seconds), Unit::Seconds),
            shown(track.bytes(|sample| Some(sample.client_peak_bytes)), Unit::Memory),
            shown(track.bytes(|sample| sample.server_peaks.map(|peaks| peaks.together_bytes)), Unit::Memory),
            track.disk_bytes.map_or_else(|| "–".to_owned(), |bytes| Figure(bytes as f64, Unit::Bytes).to_string()),
        )?;
    }
    for track in tracks {
        if let Some(failure) = &track.failure {
            writeln!(out, "\n{} failed:\n\n```text\n{failure}\n```", track.contender)?;
        }
    }
    Ok(())
}

/// The middle alone.
fn shown_median(summary: Option<Summary>, unit: Unit) -> String {
    summary.map_or_else(|| "–".to_owned(), |summary| Figure(summary.median, unit).to_string())
}

/// Prints a median, and the spread where there is one.
pub(crate) fn shown(summary: Option<Summary>, unit: Unit) -> String {
    let Some(Summary { median, min, max, samples }) = summary else {
        return "–".to_owned();
    };
    let figure = |value| Figure(value, unit);
    if samples == 1 {
        return figure(median).to_string();
    }
    format!("{} ({} – {})", figure(median), figure(min), figure(max))
}

/// Prints a ratio. Small ones, as of bytes when nothing changed, need more digits.
pub(crate) fn shown_ratio(ratio: f64) -> String {
    if ratio < 0.01 { format!("{ratio:.6}") } else { format!("{ratio:.3}") }
}

/// Prints what a row should come to, and whether it does.
pub(crate) fn aim(row: &Row) -> String {
    let Some(aim) = row.aim else { return String::new() };
    let text = match aim {
        Aim::RatioAtMost(most) => format!("ratio ≤ {most:.3}"),
        Aim::OursAtMost(most) => format!("≤ {}", Figure(most, row.unit)),
    };
    match row.met {
        Some(true) => format!("{text}: met"),
        Some(false) => format!("{text}: **missed**"),
        None => text,
    }
}

/// Prints enough of a hash to tell builds apart.
pub(crate) fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Prints a number with commas: `1,000,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A value in its unit, to be printed.
pub(crate) struct Figure(pub(crate) f64, pub(crate) Unit);

impl Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.0;
        match self.1 {
            Unit::Times => write!(f, "{value}"),
            Unit::Seconds => write!(f, "{value:.3} s"),
            Unit::Memory => write!(f, "{:.1} MiB", value / f64::from(1 << 20)),
            Unit::Bytes if value.abs() >= 1e9 => write!(f, "{:.3} GB", value / 1e9),
            Unit::Bytes if value.abs() >= 1e6 => write!(f, "{:.2} MB", value / 1e6),
            Unit::Bytes if value.abs() >= 1e4 => write!(f, "{:.1} KB", value / 1e3),
            Unit::Bytes => write!(f, "{value:.0} B"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_shown_in_their_unit() {
        let check = |value, unit, expected: &str| assert_eq!(Figure(value, unit).to_string(), expected);
        check(1.25, Unit::Seconds, "1.250 s");
        check(209_715_200.0, Unit::Memory, "200.0 MiB");
        check(1842.0, Unit::Bytes, "1842 B");
        check(208_000_000.0, Unit::Bytes, "208.00 MB");
        check(-5_000_000.0, Unit::Bytes, "-5.00 MB");
    }

    #[test]
    fn a_missed_aim_stands_out() {
        let row = Row::new("bytes", Unit::Bytes, vec![3000.0], "rsync", vec![]).aim(Aim::OursAtMost(2000.0));
        assert_eq!(aim(&row), "≤ 2000 B: **missed**");
    }

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!([0, 999, 1000, 50_000, 1_000_000].map(grouped), ["0", "999", "1,000", "50,000", "1,000,000"]);
    }
}
