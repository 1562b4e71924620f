//! Tables: every figure as text, with its spread.

use std::fmt::{self, Display};

use crate::cutover;
use crate::page::escape::Escaped;
use crate::page::plot::letters;
use crate::record::{RunRecord, Sample, ScenarioRecord, Track};
use crate::row::{Summary, Unit};
use crate::table::Figure;

/// A quantity that every contender has, or may have.
#[derive(Debug)]
pub(crate) struct Quantity {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it is counted in.
    pub(crate) unit: Unit,
    /// Which runs it is taken from.
    rounds: Rounds,
    /// The figure of one run, where it has one.
    figure: fn(&Sample) -> Option<f64>,
}

#[derive(Debug)]
enum Rounds {
    Observed,
    Timed,
}

/// The heading of what a contender's directory on the server takes, which belongs to no run.
pub(crate) const DISK: &str = "disk on the server";

/// Wall time.
pub(crate) const SECONDS: Quantity =
    Quantity { name: "seconds", unit: Unit::Seconds, rounds: Rounds::Timed, figure: |sample| Some(sample.seconds) };

/// Both directions.
pub(crate) const WIRE: Quantity = Quantity {
    name: "bytes on the wire",
    unit: Unit::Bytes,
    rounds: Rounds::Observed,
    figure: |sample| sample.wire.map(|wire| wire.total_bytes() as f64),
};

/// The client's largest process.
pub(crate) const CLIENT_MEMORY: Quantity = Quantity {
    name: "peak memory, client",
    unit: Unit::Memory,
    rounds: Rounds::Observed,
    figure: |sample| Some(sample.client_peak_bytes as f64),
};

/// The server's processes together.
pub(crate) const SERVER_MEMORY: Quantity = Quantity {
    name: "peak memory, server",
    unit: Unit::Memory,
    rounds: Rounds::Observed,
    figure: |sample| sample.server_peaks.map(|peaks| peaks.together_bytes as f64),
};

const QUANTITIES: [Quantity; 11] = [
    SECONDS,
    Quantity {
        name: "seconds, with syncfs",
        unit: Unit::Seconds,
        rounds: Rounds::Timed,
        figure: |sample| sample.syncfs_seconds.map(|more| sample.seconds + more),
    },
    WIRE,
    Quantity {
        name: "to the server",
        unit: Unit::Bytes,
        rounds: Rounds::Observed,
        figure: |sample| sample.wire.map(|wire| wire.sent_bytes as f64),
    },
    Quantity {
        name: "from the server",
        unit: Unit::Bytes,
        rounds: Rounds::Observed,
        figure: |sample| sample.wire.map(|wire| wire.received_bytes as f64),
    },
    Quantity {
        name: "waits for the server",
        unit: Unit::Times,
        rounds: Rounds::Observed,
        figure: |sample| sample.wire?.waits.map(|waits| waits as f64),
    },
    Quantity {
        name: "bytes before SSH",
        unit: Unit::Bytes,
        rounds: Rounds::Observed,
        figure: |sample| sample.payload.map(|payload| payload.total_bytes() as f64),
    },
    Quantity {
        name: "processor time, client",
        unit: Unit::Seconds,
        rounds: Rounds::Timed,
        figure: |sample| Some(sample.client_cpu_seconds),
    },
    Quantity {
        name: "processor time, server",
        unit: Unit::Seconds,
        rounds: Rounds::Timed,
        figure: |sample| sample.server_cpu_seconds,
    },
    CLIENT_MEMORY,
    SERVER_MEMORY,
];

/// Tells whether a track is Cutover's. Older records do not name the tool.
pub(crate) fn is_ours(track: &Track) -> bool {
    track.tool == cutover::NAME || track.tool.is_empty() && track.contender.starts_with(cutover::NAME)
}

/// Splits the name of a contender into the job, in a scenario with several, and the contender: `400 MB: rsync -a`.
pub(crate) fn job(contender: &str) -> (&str, &str) {
    contender.split_once(": ").unwrap_or(("", contender))
}

/// Tells whether contenders did the same in turn, once with bytes counted; in other scenarios runs follow each other.
pub(crate) fn is_race(scenario: &ScenarioRecord) -> bool {
    let tracks = &scenario.outcome.tracks;
    let is_counted = |track: &Track| track.observed.iter().any(|sample| sample.wire.is_some());
    tracks.iter().any(is_counted) && tracks.iter().all(|track| track.observed.len() <= 1)
}

/// Tells whether the same was done at several sizes.
pub(crate) fn grows(scenario: &ScenarioRecord) -> bool {
    scenario.outcome.tracks.iter().any(|track| track.mark.is_some())
}

impl Quantity {
    /// Returns a contender's figure.
    pub(crate) fn of(&self, track: &Track) -> Option<Summary> {
        let samples = match self.rounds {
            Rounds::Observed => &track.observed,
            Rounds::Timed => &track.timed,
        };
        Summary::of(samples.iter().filter_map(self.figure))
    }
}

/// Returns the contenders among some tracks, each once: Cutover's first, the others in the order that they ran in.
pub(crate) fn contenders(tracks: &[&Track]) -> Vec<(String, bool)> {
    let mut found: Vec<(String, bool)> = Vec::new();
    for track in tracks {
        if !found.iter().any(|(name, _)| *name == track.contender) {
            found.push((track.contender.clone(), is_ours(track)));
        }
    }
    found.sort_by_key(|(_, is_ours)| !is_ours);
    found
}

/// Median, and below it the spread, in a cell.
struct Cell(Option<Summary>, Unit);

impl Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("<td class=\"none\">–</td>"),
            Some(Summary { median, min, max, samples }) => {
                write!(f, "<td>{}", Figure(median, self.1))?;
                if samples > 1 {
                    write!(f, "<small>{}</small>", spread(min, max, self.1))?;
                }
                f.write_str("</td>")
            }
        }
    }
}

/// Prints the least and the greatest; the unit once, where it is the same.
fn spread(min: f64, max: f64, unit: Unit) -> String {
    let [min, max] = [min, max].map(|value| Figure(value, unit).to_string());
    match (min.split_once(' '), max.split_once(' ')) {
        (Some((least, one)), Some((_, other))) if one == other => format!("{least} – {max}"),
        _ => format!("{min} – {max}"),
    }
}

fn write_table(
    out: &mut fmt::Formatter<'_>,
    caption: &str,
    headings: &[String],
    body: impl FnOnce(&mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    // A box that scrolls must be reachable with the keyboard, and have a name.
    let caption = Escaped(caption);
    write!(
        out,
        "<div class=\"scroll\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\"><table>\n\
         <caption>{caption}</caption>\n<thead><tr><td></td>"
    )?;
    for heading in headings {
        write!(out, "<th scope=\"col\">{}</th>", Escaped(heading))?;
    }
    out.write_str("</tr></thead>\n<tbody>\n")?;
    body(out)?;
    out.write_str("</tbody></table></div>\n")
}

fn write_head(out: &mut fmt::Formatter<'_>, name: &str, letter: Option<&str>, is_ours: bool) -> fmt::Result {
    let class = if is_ours { " class=\"ours\"" } else { "" };
    write!(out, "<tr{class}><th scope=\"row\">")?;
    if let Some(letter) = letter {
        write!(out, "<b>{letter}</b> ")?;
    }
    write!(out, "{}</th>", Escaped(name))
}

/// Says why a contender has no figures, if it has none.
fn absence(track: &Track) -> Option<String> {
    let skipped = track.skipped.as_ref().map(|reason| format!("skipped: {reason}"));
    // What it printed as it failed stands below the table.
    skipped.or_else(|| track.failure.is_some().then(|| "failed".to_owned()))
}

/// Every figure of a scenario's contenders.
pub(crate) struct TrackTable<'a>(pub(crate) &'a ScenarioRecord);

impl Display for TrackTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tracks = &self.0.outcome.tracks;
        let shown = |quantity: &&Quantity| tracks.iter().any(|track| quantity.of(track).is_some());
        let quantities: Vec<&Quantity> = QUANTITIES.iter().filter(shown).collect();
        if quantities.is_empty() {
            return Ok(());
        }
        let mut headings: Vec<String> = quantities.iter().map(|quantity| quantity.name.to_owned()).collect();
        let has_disk = tracks.iter().any(|track| track.disk_bytes.is_some());
        headings.extend(has_disk.then(|| DISK.to_owned()));
        write_table(f, &format!("{}: every figure", self.0.name), &headings, |out| {
            for track in tracks {
                write_head(out, &track.contender, None, is_ours(track))?;
                if let Some(reason) = absence(track) {
                    writeln!(out, "<td class=\"text\" colspan=\"{}\">{}</td></tr>", headings.len(), Escaped(&reason))?;
                    continue;
                }
                for quantity in &quantities {
                    write!(out, "{}", Cell(quantity.of(track), quantity.unit))?;
                }
                if has_disk {
                    write!(out, "{}", Cell(Summary::of(track.disk_bytes.map(|bytes| bytes as f64)), Unit::Bytes))?;
                }
                out.write_str("</tr>\n")?;
            }
            Ok(())
        })
    }
}

/// One quantity of every contender, over a second thing that varies. Goes with a plot, and shows its letters.
pub(crate) struct CrossTable {
    /// What is shown.
    pub(crate) caption: String,
    /// What varies.
    pub(crate) headings: Vec<String>,
    /// The contender, whether it is Cutover, and its figures.
    pub(crate) rows: Vec<(String, bool, Vec<Option<Summary>>)>,
    /// What they are counted in.
    pub(crate) unit: Unit,
}

impl Display for CrossTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = letters(self.rows.iter().map(|(_, is_ours, _)| is_ours));
        write_table(f, &self.caption, &self.headings, |out| {
            for ((name, is_ours, cells), letter) in self.rows.iter().zip(&letters) {
                write_head(out, name, Some(letter), *is_ours)?;
                for cell in cells {
                    write!(out, "{}", Cell(*cell, self.unit))?;
                }
                out.write_str("</tr>\n")?;
            }
            Ok(())
        })
    }
}

/// For each scenario: ours, and the best of the others, whichever it is.
pub(crate) struct Glance<'a>(pub(crate) &'a RunRecord);

impl Display for Glance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.0.scenarios.iter().filter_map(|scenario| glance(scenario)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let headings = [SECONDS.name, WIRE.name].map(str::to_owned);
        let caption = format!("Run {}: Cutover, and whichever other tool was best", self.0.name);
        write_table(f, &caption, &headings, |out| {
            for (scenario, seconds, wire) in &rows {
                write_head(out, &scenario.title, None, false)?;
                writeln!(out, "{}{}</tr>", Against(seconds, Unit::Seconds), Against(wire, Unit::Bytes))?;
            }
            Ok(())
        })
    }
}

/// Ours, and the name and median of the best of the others.
#[derive(Debug)]
struct Best<'a> {
    ours: Option<Summary>,
    theirs: Option<(&'a str, f64)>,
}

/// Returns seconds and bytes of a scenario in which Cutover and others ran.
fn glance(scenario: &ScenarioRecord) -> Option<(&ScenarioRecord, Best<'_>, Best<'_>)> {
    let tracks = &scenario.outcome.tracks;
    // Of several jobs the first stands for all.
    let first_job = job(&tracks.first()?.contender).0;
    let best = |quantity: &Quantity| {
        let rivals = tracks.iter().filter(|track| !is_ours(track) && job(&track.contender).0 == first_job);
        let theirs = rivals.filter_map(|track| Some((track.contender.as_str(), quantity.of(track)?.median)));
        Best {
            ours: tracks.iter().find(|track| is_ours(track)).and_then(|track| quantity.of(track)),
            theirs: theirs.min_by(|one, other| one.1.total_cmp(&other.1)),
        }
    };
    let (seconds, wire) = (best(&SECONDS), best(&WIRE));
    // Where something grows, no size stands for all.
    let is_raced = is_race(scenario) && !grows(scenario) && (seconds.ours.is_some() || wire.ours.is_some());
    is_raced.then_some((scenario, seconds, wire))
}

struct Against<'a>(&'a Best<'a>, Unit);

impl Display for Against<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.ours {
            Some(ours) => write!(f, "<td class=\"glance\"><b class=\"ours\">{}</b>", Figure(ours.median, self.1))?,
            None => f.write_str("<td class=\"glance\">–")?,
        }
        if let Some((name, median)) = self.0.theirs {
            write!(f, "<small>{}, {}</small>", Figure(median, self.1), Escaped(name))?;
        }
        f.write_str("</td>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_printed_once_where_it_is_the_same() {
        let check = |min, max, unit, expected: &str| assert_eq!(spread(min, max, unit), expected);
        check(11.391, 12.677, Unit::Seconds, "11.391 – 12.677 s");
        check(9000.0, 12_000.0, Unit::Bytes, "9000 B – 12.0 KB");
    }
}
