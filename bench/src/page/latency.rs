//! Time against the round-trip time: over the runs of the page, where they differ in nothing else that is known of.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use crate::page::escape::Escaped;
use crate::page::figures::{CrossTable, contenders, is_race};
use crate::page::plot::{Axis, Plot, Point, Series};
use crate::page::scale::{Scale, tick};
use crate::record::{RunRecord, Track};
use crate::row::{Summary, Unit};
use crate::shape::Shape;
use crate::table::Figure;

/// The section with a plot for each scenario and rate; nothing where there is one round-trip time only.
pub(crate) struct Latencies<'a>(pub(crate) &'a [RunRecord]);

/// What must be equal among the points of a plot: scenario, trees, what carries the line, its rate in bit/s.
type Group<'a> = (&'a str, Vec<&'a str>, u8, Option<u64>);

/// A scenario's tracks at one round-trip time, in milliseconds.
type At<'a> = (f64, &'a [Track]);

impl Display for Latencies<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = groups(self.0);
        if groups.is_empty() {
            return Ok(());
        }
        f.write_str(
            "<section id=\"latency\">\n<h2>Time against the round-trip time</h2>\n<p>The same work on links that differ \
             in nothing but the time that a packet takes to the server and an answer back.</p>\n<div class=\"pair\">\n",
        )?;
        for (number, ((scenario, _, _, rate), points)) in groups.iter().enumerate() {
            f.write_str("<div>\n")?;
            write_group(f, &title(scenario, *rate), &format!("latency-{number}"), points)?;
            f.write_str("</div>\n")?;
        }
        f.write_str("</div>\n</section>\n")
    }
}

fn title(scenario: &str, rate: Option<u64>) -> String {
    match rate {
        Some(bits) => format!("{scenario}, {} Mbit/s", bits as f64 / 1e6),
        None => format!("{scenario}, no limit of the rate"),
    }
}

/// Returns what was run at two round-trip times at least.
fn groups(runs: &[RunRecord]) -> Vec<(Group<'_>, Vec<At<'_>>)> {
    let mut groups: BTreeMap<Group<'_>, Vec<At<'_>>> = BTreeMap::new();
    for run in runs {
        let Some(shape) = run.line.shape else { continue };
        let trees: Vec<&str> = run.trees.all().into_iter().map(|tree| tree.name.as_str()).collect();
        for scenario in run.scenarios.iter().filter(|scenario| is_race(scenario)) {
            let group = (scenario.name.as_str(), trees.clone(), run.line.kind as u8, rate(shape));
            groups.entry(group).or_default().push((shape.rtt_ms, &scenario.outcome.tracks));
        }
    }
    let mut found: Vec<_> = groups.into_iter().collect();
    for (_, at) in &mut found {
        at.sort_by(|one, other| one.0.total_cmp(&other.0));
    }
    found.retain(|(_, at)| at.first().map(|first| first.0) != at.last().map(|last| last.0));
    found
}

/// Returns the rate in bit/s, which can be compared.
fn rate(shape: Shape) -> Option<u64> {
    shape.rate_mbit.map(|rate| (rate * 1e6) as u64)
}

/// Returns the seconds of a contender in its timed runs.
fn seconds(tracks: &[Track], contender: &str) -> Option<Summary> {
    let track = tracks.iter().find(|track| track.contender == contender)?;
    Summary::of(track.timed.iter().map(|sample| sample.seconds))
}

fn write_group(out: &mut fmt::Formatter<'_>, title: &str, id: &str, at: &[At<'_>]) -> fmt::Result {
    let tracks: Vec<&Track> = at.iter().flat_map(|(_, tracks)| *tracks).collect();
    let series: Vec<Series> = contenders(&tracks)
        .into_iter()
        .map(|(label, is_ours)| Series { points: points(at, &label), label, is_ours })
        .filter(|series| !series.points.is_empty())
        .collect();
    let all = series.iter().flat_map(|series| &series.points);
    let (across, upwards): (Vec<f64>, Vec<f64>) = all.map(|point| (point.x, point.y)).unzip();
    let table = CrossTable {
        caption: format!("{title}: seconds at each round-trip time"),
        headings: at.iter().map(|(rtt, _)| format!("{rtt} ms")).collect(),
        rows: series
            .iter()
            .map(|series| {
                let cells = at.iter().map(|(_, tracks)| seconds(tracks, &series.label));
                (series.label.clone(), series.is_ours, cells.collect())
            })
            .collect(),
        unit: Unit::Seconds,
    };
    let plot = Plot {
        id: id.to_owned(),
        title: format!("Seconds against the round-trip time: {title}"),
        x: Axis {
            name: "round-trip time, from zero".to_owned(),
            scale: Scale::linear(&across),
            tick: |ms| format!("{ms} ms"),
        },
        y: Axis {
            name: "seconds, from zero".to_owned(),
            scale: Scale::linear(&upwards),
            tick: |s| tick(s, Unit::Seconds),
        },
        series,
    };
    writeln!(out, "<h3>{}</h3>\n<figure>\n{plot}</figure>\n{table}", Escaped(title))
}

fn points(at: &[At<'_>], contender: &str) -> Vec<Point> {
    let point = |(rtt, tracks): &At<'_>| {
        let y = seconds(tracks, contender)?.median;
        Some(Point { x: *rtt, y, note: format!("{} at {rtt} ms", Figure(y, Unit::Seconds)) })
    };
    at.iter().filter_map(point).collect()
}
