//! Bytes on the wire against the size of the change: over all scenarios of a run that say how much had changed.

use std::fmt::{self, Display};

use crate::difference;
use crate::page::escape::Escaped;
use crate::page::figures::{CrossTable, contenders, job};
use crate::page::plot::{Axis, Plot, Point, Series};
use crate::page::scale::{Scale, tick};
use crate::page::setting::LineName;
use crate::record::{RunRecord, ScenarioRecord, Track};
use crate::row::{Summary, Unit};
use crate::table::Figure;

/// The section with a plot for each run; nothing where no run has two such scenarios.
pub(crate) struct Changes<'a>(pub(crate) &'a [RunRecord]);

impl Display for Changes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plots = self.0.iter().enumerate().filter(|(_, run)| scenarios(run).len() > 1).peekable();
        if plots.peek().is_none() {
            return Ok(());
        }
        f.write_str(
            "<section id=\"change\">\n<h2>Bytes against the size of the change</h2>\n<p>How much crossed the wire, both \
             ways, for how much had changed: the bytes of all files that are new at their \
             path or hold other content, whole. Each \
             point is a scenario.</p>\n",
        )?;
        for (number, run) in plots {
            write_run(f, run, &format!("change-{number}"), self.0.len() > 1)?;
        }
        f.write_str("</section>\n")
    }
}

/// Returns the scenarios that have a place on the axis, by the size of their change. None at all has no place on a
/// logarithmic axis.
fn scenarios(run: &RunRecord) -> Vec<(f64, &ScenarioRecord)> {
    let sized = |scenario| Some((size(scenario)?, scenario));
    let mut found: Vec<_> = run.scenarios.iter().filter_map(sized).filter(|(bytes, _)| *bytes > 0.0).collect();
    found.sort_by(|one, other| one.0.total_cmp(&other.0));
    found
}

fn size(scenario: &ScenarioRecord) -> Option<f64> {
    scenario.outcome.facts.get(difference::FACT).map(|bytes| *bytes as f64)
}

/// Returns what crossed the wire, where it was counted.
fn wire(track: &Track) -> Option<Summary> {
    Summary::of(track.observed.iter().filter_map(|sample| sample.wire).map(|wire| wire.total_bytes() as f64))
}

fn write_run(out: &mut fmt::Formatter<'_>, run: &RunRecord, id: &str, is_named: bool) -> fmt::Result {
    if is_named {
        writeln!(out, "<h3>Run {}: {}</h3>", Escaped(&run.name), Escaped(&LineName(run).to_string()))?;
    }
    let scenarios = scenarios(run);
    let tracks = scenarios.iter().flat_map(|(_, scenario)| &scenario.outcome.tracks);
    // How much changed is said of the scenario's own job.
    let tracks: Vec<&Track> = tracks.filter(|track| job(&track.contender).0.is_empty()).collect();
    let series: Vec<Series> = contenders(&tracks)
        .into_iter()
        .map(|(label, is_ours)| Series { points: points(&scenarios, &label), label, is_ours })
        .filter(|series| !series.points.is_empty())
        .collect();
    let all = series.iter().flat_map(|series| &series.points);
    let (across, upwards): (Vec<f64>, Vec<f64>) = all.map(|point| (point.x, point.y)).unzip();
    let axis = |name: &str, values: &[f64]| Axis {
        name: format!("{name}, log scale"),
        scale: Scale::log(values),
        tick: |value| tick(value, Unit::Bytes),
    };
    let headings =
        scenarios.iter().map(|(bytes, scenario)| format!("{}, {}", scenario.name, Figure(*bytes, Unit::Bytes)));
    let table = CrossTable {
        caption: "Bytes on the wire, and the size of the change in the heading".to_owned(),
        headings: headings.collect(),
        rows: series
            .iter()
            .map(|series| {
                let cell = |(_, scenario): &(f64, &ScenarioRecord)| find(scenario, &series.label).and_then(wire);
                (series.label.clone(), series.is_ours, scenarios.iter().map(cell).collect())
            })
            .collect(),
        unit: Unit::Bytes,
    };
    let plot = Plot {
        id: id.to_owned(),
        title: "Bytes on the wire against the size of the change".to_owned(),
        x: axis("bytes of changed files", &across),
        y: axis("bytes on the wire", &upwards),
        series,
    };
    write!(out, "<figure class=\"wide\">\n{plot}</figure>\n{table}")
}

fn find<'a>(scenario: &'a ScenarioRecord, contender: &str) -> Option<&'a Track> {
    scenario.outcome.tracks.iter().find(|track| track.contender == contender)
}

fn points(scenarios: &[(f64, &ScenarioRecord)], contender: &str) -> Vec<Point> {
    let point = |(x, scenario): &(f64, &ScenarioRecord)| {
        let y = find(scenario, contender).and_then(wire)?.median;
        let (changed, sent) = (Figure(*x, Unit::Bytes), Figure(y, Unit::Bytes));
        (y > 0.0).then(|| Point { x: *x, y, note: format!("{}, {changed} changed, {sent} on the wire", scenario.name) })
    };
    scenarios.iter().filter_map(point).collect()
}
