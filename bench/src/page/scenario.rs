//! One scenario: its bars, its table, its comparisons with their aims, and the lines that were run.

use std::fmt::{self, Display};

use crate::page::bars::{Bar, Bars};
use crate::page::escape::Escaped;
use crate::page::figures::{DISK, Quantity, SECONDS, TrackTable, WIRE, grows, is_ours, is_race, job};
use crate::record::{ScenarioRecord, Track};
use crate::row::{Row, Summary, Unit};
use crate::table::{Figure, aim, shown_ratio};

/// A scenario's part of the page.
pub(crate) struct Section<'a> {
    /// The scenario.
    pub(crate) scenario: &'a ScenarioRecord,
    /// Unique in the page.
    pub(crate) id: &'a str,
}

impl Display for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScenarioRecord { name, title, failure, outcome } = self.scenario;
        writeln!(
            f,
            "<section class=\"scenario\" id=\"{}\">\n<h3><code>{}</code> {}</h3>",
            Escaped(self.id),
            Escaped(name),
            Escaped(title)
        )?;
        if let Some(failure) = failure {
            writeln!(f, "<p><strong>Failed</strong>; it gives no figures.</p>\n<pre>{}</pre>", Escaped(failure))?;
        } else if let Some(reason) = &outcome.skipped {
            writeln!(f, "<p>Skipped: {}</p>", Escaped(reason))?;
        } else {
            self.write_figures(f)?;
        }
        f.write_str("</section>\n")
    }
}

impl Section<'_> {
    fn write_figures(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if grows(self.scenario) {
            // What is to be seen is in plots over all sizes.
            out.write_str("<p>Plotted <a href=\"#growth\">above</a>.</p>\n")?;
            write!(out, "<details><summary>Every figure</summary>\n{}</details>\n", TrackTable(self.scenario))?;
            self.write_made_of(out)?;
            self.write_rows(out)?;
            return self.write_lines(out);
        }
        let bars = if is_race(self.scenario) { self.race_bars() } else { self.other_bars() };
        out.write_str("<div class=\"pair\">\n")?;
        for bars in bars.iter().filter(|bars| !bars.bars.is_empty()) {
            let title = Escaped(&bars.title);
            writeln!(out, "<figure>\n<figcaption>{title}</figcaption>\n{bars}</figure>")?;
        }
        out.write_str("</div>\n")?;
        // Where runs follow each other, a median over them would mean nothing.
        if is_race(self.scenario) {
            write!(out, "{}", TrackTable(self.scenario))?;
        }
        self.write_made_of(out)?;
        self.write_rows(out)?;
        self.write_lines(out)
    }

    fn write_made_of(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for track in &self.scenario.outcome.tracks {
            if let Some(made_of) = track.made_of() {
                writeln!(out, "<p class=\"note\">{}: {}.</p>", Escaped(&track.contender), Escaped(&made_of))?;
            }
        }
        Ok(())
    }

    /// Seconds and bytes of every contender, from the least to the greatest; for each job by itself.
    fn race_bars(&self) -> Vec<Bars> {
        let mut jobs: Vec<&str> = Vec::new();
        for track in &self.scenario.outcome.tracks {
            let (job, _) = job(&track.contender);
            if !jobs.contains(&job) {
                jobs.push(job);
            }
        }
        let bars = jobs.iter().flat_map(|job| [SECONDS, WIRE].map(|quantity| self.bars_of(&quantity, job)));
        bars.collect()
    }

    /// The disk of every contender, where a scenario asks for that; then what rows compare.
    fn other_bars(&self) -> Vec<Bars> {
        let bar = |track: &Track| {
            let summary = Summary::of(track.disk_bytes.map(|bytes| bytes as f64))?;
            Some(Bar { label: track.contender.clone(), is_ours: is_ours(track), summary })
        };
        let bars = self.scenario.outcome.tracks.iter().filter_map(bar).collect();
        let (id, title) = (format!("{}-disk", self.id), DISK.to_owned());
        let disk = Bars { id, title, unit: Unit::Bytes, bars: sorted(bars) };
        std::iter::once(disk).chain(self.row_bars()).collect()
    }

    fn bars_of(&self, quantity: &Quantity, of_job: &str) -> Bars {
        let bar = |track: &Track| {
            let (job, name) = job(&track.contender);
            let summary = quantity.of(track).filter(|_| job == of_job)?;
            Some(Bar { label: name.to_owned(), is_ours: is_ours(track), summary })
        };
        let bars = self.scenario.outcome.tracks.iter().filter_map(bar).collect();
        let title = if of_job.is_empty() { quantity.name.to_owned() } else { format!("{of_job}: {}", quantity.name) };
        let id = format!("{}-{}", self.id, title.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        Bars { id, title, unit: quantity.unit, bars: sorted(bars) }
    }

    /// A chart for each quantity that rows compare: ours, and what it is compared with.
    fn row_bars(&self) -> Vec<Bars> {
        let mut charts: Vec<Bars> = Vec::new();
        for row in &self.scenario.outcome.rows {
            let known = charts.iter().position(|chart| chart.title == row.what && chart.unit == row.unit);
            let at = known.unwrap_or_else(|| {
                let ours = row.ours.map(|summary| Bar { label: "Cutover".to_owned(), is_ours: true, summary });
                charts.push(Bars {
                    id: format!("{}-row-{}", self.id, charts.len()),
                    title: row.what.clone(),
                    unit: row.unit,
                    bars: ours.into_iter().collect(),
                });
                charts.len() - 1
            });
            let theirs = row.theirs.map(|summary| Bar { label: row.rival.clone(), is_ours: false, summary });
            charts[at].bars.extend(theirs);
        }
        charts
    }

    fn write_rows(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = &self.scenario.outcome.rows;
        if rows.is_empty() {
            return Ok(());
        }
        let name = Escaped(&self.scenario.name);
        write!(
            out,
            "<details><summary>Compared, and what was aimed at</summary>\n<div class=\"scroll\" role=\"region\" \
             aria-label=\"{name}: comparisons\" tabindex=\"0\"><table>\n<caption>The ratio is Cutover’s divided by the \
             other’s</caption>\n<thead><tr><td></td><th scope=\"col\">Cutover</th><th scope=\"col\">compared with</th>\
             <th scope=\"col\"></th><th scope=\"col\">ratio</th><th scope=\"col\">aim</th></tr></thead>\n<tbody>\n"
        )?;
        for row in rows {
            write_row(out, row)?;
        }
        out.write_str("</tbody></table></div></details>\n")
    }

    fn write_lines(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("<details><summary>The lines that were run</summary>\n<dl class=\"lines\">\n")?;
        for track in &self.scenario.outcome.tracks {
            if let Some(sample) = track.timed.first().or(track.observed.first()).or(track.steps.first()) {
                let (name, line) = (Escaped(&track.contender), Escaped(&sample.command));
                let version = Escaped(track.version.as_deref().unwrap_or_default());
                writeln!(out, "<dt>{name} <small>{version}</small></dt><dd><code>{line}</code></dd>")?;
            }
        }
        out.write_str("</dl></details>\n")?;
        self.scenario.outcome.tracks.iter().try_for_each(|track| write_failure(out, track))
    }
}

fn sorted(mut bars: Vec<Bar>) -> Vec<Bar> {
    bars.sort_by(|one, other| one.summary.median.total_cmp(&other.summary.median));
    bars
}

fn write_failure(out: &mut fmt::Formatter<'_>, track: &Track) -> fmt::Result {
    let Some(failure) = &track.failure else { return Ok(()) };
    writeln!(out, "<p>{} failed:</p>\n<pre>{}</pre>", Escaped(&track.contender), Escaped(failure))
}

fn write_row(out: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    let shown = |summary: Option<Summary>, unit: Unit| {
        summary.map(|summary| Figure(summary.median, unit).to_string()).unwrap_or_default()
    };
    writeln!(
        out,
        "<tr><th scope=\"row\">{}</th><td class=\"ours\">{}</td><td class=\"text\">{}</td><td>{}</td><td>{}</td>\
         <td class=\"text\">{}</td></tr>",
        Escaped(&row.what),
        shown(row.ours, row.unit),
        Escaped(&row.rival),
        shown(row.theirs, row.unit),
        row.ratio.map(shown_ratio).unwrap_or_default(),
        Escaped(&aim(row).replace("**", "")),
    )
}
