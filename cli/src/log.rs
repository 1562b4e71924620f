//! `cutover log`: lists the runs on the server, or shows the journal of one.

use std::sync::Arc;

use engine::event::{Event, Observer};
use engine::journal::{JournalEntry, JournalLine, RunHead, RunResult};
use engine::news::News;
use engine::release::Provenance;
use engine::report::{RunSummary, RunsReport};
use serde_json::json;

use crate::args::LogArgs;
use crate::color::Palette;
use crate::events;
use crate::failure::{Failure, printable};
use crate::json;
use crate::output::Output;
use crate::place::Place;
use crate::releases::commit_text;
use crate::report::Report;
use crate::session::Session;
use crate::stdout;
use crate::table::{self, Style, Table};
use crate::tally::{Verbosity, line_of};
use crate::units::{Seconds, Time};
use crate::uses::Uses;
use crate::words;

pub(crate) fn run(session: &Session<'_>, args: &LogArgs) -> Result<(), Failure> {
    let (run, stage) = words::log(&args.words())?;
    let settings = session.settings(&Place { stage, target: args.target.target.clone() }, Uses::Server)?;
    if run.is_none() && !args.follow {
        return session.run(&settings, Verbosity::Brief, engine::runs);
    }
    let is_json = session.everywhere.output() != Output::Text;
    let summary = session.stream(&settings, |context| {
        let observer = Arc::new(Lines { inner: context.observer.clone(), is_json });
        engine::journal(&engine::Context { observer, ..context.clone() }, run, args.follow)
    })?;
    drop(summary);
    Ok(())
}

/// Prints the lines of a journal on stdout, and passes the other events on.
struct Lines {
    inner: Arc<dyn Observer>,
    is_json: bool,
}

impl Observer for Lines {
    fn observe(&self, event: Event) {
        let Event::JournalLine(line) = event else { return self.inner.observe(event) };
        let text = match serde_json::from_str::<JournalLine>(&line) {
            Ok(parsed) if self.is_json => object_of(parsed),
            Ok(parsed) => text_of(&parsed),
            // A full disk cut it off, or another version wrote it.
            Err(_) if line.is_empty() => None,
            Err(_) if self.is_json => {
                Some(format!("{}\n", json::on_one_line(&json!({ "event": "unreadable", "text": line }).to_string())))
            }
            Err(_) => Some("(a line that cannot be read: it was cut off)\n".to_owned()),
        };
        if let Some(text) = text {
            // A reader that has gone away has read enough.
            stdout::write(&text).unwrap_or_default();
        }
    }
}

/// Returns a line of a journal as a line of `--events`.
fn object_of(JournalLine { at, entry }: JournalLine) -> Option<String> {
    let (event, fields) = match entry {
        JournalEntry::Begun(head) => ("run_began", json!(head)),
        JournalEntry::News(news) => events::fields(&news.into())?,
        JournalEntry::Ended(result) => ("run_ended", json!(result)),
    };
    Some(events::line_at(event, at, &fields.to_string()))
}

/// Returns a line of a journal for people. The end of a phase says nothing new.
fn text_of(line: &JournalLine) -> Option<String> {
    let text = match &line.entry {
        JournalEntry::Begun(RunHead { verb, provenance }) => {
            let Provenance { commit, dirty, branch, .. } = provenance;
            let commit = commit_text(commit.as_deref(), *dirty, branch.as_deref());
            let of = commit.map_or(String::new(), |commit| format!(" of commit {commit}"));
            format!("{verb}{of} by {}", provenance.person())
        }
        JournalEntry::News(News::Ended(_)) => return None,
        JournalEntry::News(News::Warning(text)) => format!("Warning: {text}"),
        JournalEntry::News(news) => line_of(&news.clone().into()),
        JournalEntry::Ended(RunResult { error: Some(error), live, .. }) => {
            format!("Failed: {error}; {}", live_text(live.as_ref()))
        }
        JournalEntry::Ended(RunResult { live, .. }) => format!("Done; {}", live_text(live.as_ref())),
    };
    Some(format!("{}  {}\n", Time(line.at.second()), printable(&text)))
}

fn live_text(live: Option<&engine::release::ReleaseId>) -> String {
    live.map_or("nothing is live".to_owned(), |live| format!("release {live} is live"))
}

impl Report for RunsReport {
    const ANSWERS: bool = true;

    fn text(&self, palette: Palette, _: bool) -> String {
        if self.runs.is_empty() {
            return "There are no runs\n".to_owned();
        }
        let style = |run: &RunSummary| -> Style {
            if run.error.is_some() { |palette, line| palette.error(line).to_string() } else { table::plain }
        };
        Table::new(["RUN", "BEGAN", "TIME", "VERB", "WHO", "LIVE", "RESULT"])
            .dispensable(&[5, 2, 4])
            .styled_rows(self.runs.iter().map(|run| (row(run), style(run))))
            .text(palette)
    }

    fn next(&self) -> Option<String> {
        let newest = self.runs.first()?;
        Some(format!("`cutover log {}` shows what it did", newest.run))
    }
}

fn row(run: &RunSummary) -> [String; 7] {
    let RunSummary { previous, live, .. } = run;
    let id = |release: &Option<engine::release::ReleaseId>| {
        release.as_ref().map_or("nothing".to_owned(), ToString::to_string)
    };
    let changes = match (run.ended, previous == live) {
        (None, _) => String::new(),
        (Some(_), true) => id(live),
        (Some(_), false) => format!("{} → {}", id(previous), id(live)),
    };
    let result = match (run.ended, &run.error) {
        (None, _) => "no end".to_owned(),
        (Some(_), None) => "done".to_owned(),
        (Some(_), Some(error)) => error.clone(),
    };
    let seconds = run.ended.map(|ended| Seconds(ended.seconds_since(run.began)).to_string());
    [
        run.run.to_string(),
        Time(run.began.second()).to_string(),
        seconds.unwrap_or_default(),
        run.verb.clone(),
        run.who.clone(),
        changes,
        result,
    ]
}
