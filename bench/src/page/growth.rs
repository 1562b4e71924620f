//! What grows and what does not: seconds, bytes and memory over the number of files, and over the share that changed.

use std::fmt::{self, Display};

use crate::page::escape::Escaped;
use crate::page::figures::{CLIENT_MEMORY, CrossTable, Quantity, SECONDS, SERVER_MEMORY, WIRE, grows, is_ours, job};
use crate::page::plot::{Axis, Plot, Point, Series};
use crate::page::scale::{Scale, tick};
use crate::page::setting::LineName;
use crate::record::{RunRecord, ScenarioRecord, Track};
use crate::row::{Summary, Unit};
use crate::scenario::Scenario;
use crate::table::{Figure, grouped};

/// The section with the plots of each scenario in which something grows; nothing where there is none.
pub(crate) struct Growths<'a>(pub(crate) &'a [RunRecord]);

impl Display for Growths<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grown = |run: &RunRecord| run.scenarios.iter().any(grows);
        if !self.0.iter().any(grown) {
            return Ok(());
        }
        f.write_str("<section id=\"growth\">\n<h2>What grows, and what does not</h2>\n")?;
        for (number, run) in self.0.iter().enumerate().filter(|(_, run)| grown(run)) {
            if self.0.len() > 1 {
                writeln!(f, "<h3>Run {}: {}</h3>", Escaped(&run.name), Escaped(&LineName(run).to_string()))?;
            }
            for (at, scenario) in run.scenarios.iter().enumerate().filter(|(_, scenario)| grows(scenario)) {
                write_scenario(f, scenario, &format!("growth-{number}-{at}"))?;
            }
        }
        f.write_str("</section>\n")
    }
}

/// What is drawn in one plot: quantities that share an axis.
const PLOTS: [(&str, &[(&str, Quantity)]); 3] = [
    ("seconds", &[("", SECONDS)]),
    ("bytes on the wire", &[("", WIRE)]),
    ("peak memory", &[(", client", CLIENT_MEMORY), (", server", SERVER_MEMORY)]),
];

/// What grows.
struct Across {
    name: &'static str,
    scale: Scale,
    tick: fn(f64) -> String,
    /// How a value is told.
    told: fn(u64) -> String,
}

impl Across {
    fn of(scenario: &ScenarioRecord, values: &[u64]) -> Across {
        let (least, most) = (values.first().copied().unwrap_or(1), values.last().copied().unwrap_or(1));
        if scenario.name == Scenario::Share.name() {
            return Across {
                name: "per cent of the files that changed, from zero",
                scale: Scale::Linear { end: most.max(1) as f64 },
                tick: |share| format!("{share} %"),
                told: |share| format!("{share} %"),
            };
        }
        let from = least.max(1).ilog10() as i32;
        Across {
            name: "files, log scale",
            scale: Scale::Log { from, to: ((most as f64).log10().ceil() as i32).max(from + 1) },
            tick: |files| grouped(files as u64),
            told: |files| format!("{} files", grouped(files)),
        }
    }
}

fn write_scenario(out: &mut fmt::Formatter<'_>, scenario: &ScenarioRecord, id: &str) -> fmt::Result {
    writeln!(out, "<h3><code>{}</code> {}</h3>", Escaped(&scenario.name), Escaped(&scenario.title))?;
    let tracks: Vec<&Track> = scenario.outcome.tracks.iter().filter(|track| track.mark.is_some()).collect();
    let mut steps: Vec<&str> = Vec::new();
    for mark in tracks.iter().filter_map(|track| track.mark.as_ref()) {
        if !steps.contains(&mark.step.as_str()) {
            steps.push(&mark.step);
        }
    }
    // What only Cutover has is one plot, where there are others at all.
    let (raced, own): (Vec<&str>, Vec<&str>) = steps.into_iter().partition(|step| {
        let is_others = |track: &&&Track| !is_ours(track);
        let mut others = tracks.iter().filter(is_others).peekable();
        others.peek().is_none() || others.any(|track| track.mark.as_ref().is_some_and(|mark| mark.step == *step))
    });
    out.write_str("<div class=\"triple\">\n")?;
    for (number, step) in raced.iter().enumerate() {
        for (at, (name, quantities)) in PLOTS.iter().enumerate() {
            let title = if raced.len() > 1 { format!("{step}: {name}") } else { (*name).to_owned() };
            Lines::of(&tracks, step, quantities).write(out, scenario, &title, &format!("{id}-{number}-{at}"))?;
        }
    }
    let mut of_own = Lines { points: Vec::new(), series: Vec::new(), unit: Unit::Seconds };
    for lines in own.iter().map(|step| Lines::of(&tracks, step, &[("", SECONDS)])) {
        of_own.points = lines.points;
        of_own.series.extend(lines.series);
    }
    of_own.write(out, scenario, "what only Cutover has: seconds", &format!("{id}-own"))?;
    out.write_str("</div>\n")
}

/// The lines of a plot: a name, whether it is Cutover's, and a figure for each point, where there is one.
struct Lines {
    /// What there was of what grows, from the least on.
    points: Vec<u64>,
    series: Vec<(String, bool, Vec<Option<Summary>>)>,
    unit: Unit,
}

impl Lines {
    fn of(tracks: &[&Track], step: &str, quantities: &[(&str, Quantity)]) -> Lines {
        let marked = |track: &Track| track.mark.as_ref().filter(|mark| mark.step == step).map(|mark| mark.at);
        let tracks: Vec<(u64, &Track)> = tracks.iter().filter_map(|track| Some((marked(track)?, *track))).collect();
        let mut points: Vec<u64> = tracks.iter().map(|(at, _)| *at).collect();
        points.sort_unstable();
        points.dedup();
        // A tool may be run in another mode where nothing changed; it is one line all the same.
        let mut tools: Vec<(&str, bool)> = Vec::new();
        for (_, track) in &tracks {
            if !tools.iter().any(|(tool, _)| *tool == track.tool) {
                tools.push((&track.tool, is_ours(track)));
            }
        }
        tools.sort_by_key(|(_, is_ours)| !is_ours);
        let mut series = Vec::new();
        for (words, quantity) in quantities {
            for (tool, is_ours) in &tools {
                let of_tool = |at: u64| tracks.iter().find(|(other, track)| *other == at && track.tool == *tool);
                let figures: Vec<Option<Summary>> =
                    points.iter().map(|at| of_tool(*at).and_then(|(_, track)| quantity.of(track))).collect();
                let last = points.iter().rev().find_map(|at| of_tool(*at));
                let name = last.map_or(*tool, |(_, track)| job(&track.contender).1);
                if figures.iter().any(Option::is_some) {
                    series.push((format!("{name}{words}"), *is_ours, figures));
                }
            }
        }
        series.sort_by_key(|(_, is_ours, _)| !is_ours);
        Lines { points, series, unit: quantities.first().map_or(Unit::Times, |(_, quantity)| quantity.unit) }
    }

    /// Writes the plot and its table; nothing where no line has two points.
    fn write(self, out: &mut fmt::Formatter<'_>, scenario: &ScenarioRecord, title: &str, id: &str) -> fmt::Result {
        if self.points.len() < 2 || self.series.is_empty() {
            return Ok(());
        }
        let across = Across::of(scenario, &self.points);
        let unit = self.unit;
        let figures = self.series.iter().flat_map(|(_, _, figures)| figures.iter().flatten());
        let scale = Scale::log(&figures.map(|figure| figure.median).collect::<Vec<f64>>());
        let series = self.series.iter().map(|(label, is_ours, figures)| {
            let point = |(at, figure): (&u64, &Option<Summary>)| {
                let y = (*figure)?.median;
                Some(Point { x: *at as f64, y, note: format!("{}, {}", (across.told)(*at), Figure(y, unit)) })
            };
            let points = self.points.iter().zip(figures).filter_map(point).collect();
            Series { label: label.clone(), is_ours: *is_ours, points }
        });
        let plot = Plot {
            id: id.to_owned(),
            title: format!("{}, {title}", scenario.name),
            x: Axis { name: across.name.to_owned(), scale: across.scale, tick: across.tick },
            y: Axis {
                name: format!("{}, log scale", title.rsplit(": ").next().unwrap_or(title)),
                scale,
                tick: match unit {
                    Unit::Seconds => |value| tick(value, Unit::Seconds),
                    // A power of ten is no round number of MiB.
                    Unit::Memory | Unit::Bytes => |value| tick(value, Unit::Bytes),
                    Unit::Times => |value| tick(value, Unit::Times),
                },
            },
            series: series.collect(),
        };
        let table = CrossTable {
            caption: format!("{}, {title}", scenario.name),
            headings: self.points.iter().map(|at| (across.told)(*at)).collect(),
            rows: self.series,
            unit,
        };
        writeln!(
            out,
            "<div>\n<figure>\n<figcaption>{}</figcaption>\n{plot}</figure>\n<details><summary>Every figure</summary>\n{table}\
             </details>\n</div>",
            Escaped(title)
        )
    }
}
