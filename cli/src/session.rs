//! One run: resolves the settings of a verb, runs the engine with progress and interrupts, and prints the result.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use engine::Context;
use engine::cancel::Cancel;
use engine::error::Error;
use engine::event::{Event, Observer};
use serde_json::{Value, json};

use crate::args::GlobalArgs;
use crate::color::{self, Palette};
use crate::environment::Environment;
use crate::events::{self, EventLines};
use crate::failure::{self, Failure};
use crate::interrupt;
use crate::notice::{Notices, Outcome};
use crate::output::Output;
use crate::place::Place;
use crate::progress::Progress;
use crate::report::{self, Report};
use crate::run_log::{self, RunLog};
use crate::run_verb::RunVerb;
use crate::secrets::Secrets;
use crate::settings::Settings;
use crate::stdout;
use crate::tally::Verbosity;
use crate::terminal;
use crate::uses::Uses;
use crate::words::Stages;

/// The parts that every verb runs with.
pub(crate) struct Session<'a> {
    /// The flags of every verb.
    pub(crate) everywhere: &'a GlobalArgs,
    /// The surroundings.
    pub(crate) environment: &'a Environment,
    /// The stages of the config. None if it cannot be read: the verb reports that.
    pub(crate) stages: &'a Stages,
    /// The words and flags that make another verb work at the same place.
    pub(crate) place: String,
    /// The line to print when a signal ends a verb that switches at once.
    pub(crate) last_line: Option<String>,
}

/// The progress that a verb shows.
#[derive(Clone, Copy)]
struct Show {
    talk: Verbosity,
    /// Whether it shows work without a phase.
    work: bool,
}

impl Session<'_> {
    /// Returns a session whose messages send other verbs to another place.
    pub(crate) fn at(&self, place: String) -> Session<'_> {
        let Session { everywhere, environment, stages, .. } = *self;
        Session { everywhere, environment, stages, place, last_line: self.last_line.clone() }
    }

    /// Resolves the settings for a place, for a verb that uses these keys.
    pub(crate) fn settings(&self, place: &Place, uses: Uses) -> Result<Settings, Failure> {
        Settings::read(place, uses, self.everywhere, self.environment)
    }

    /// Runs the engine with progress, and prints the result.
    pub(crate) fn run<T: Report, E: Into<Failure>>(
        &self,
        settings: &Settings,
        talk: Verbosity,
        work: impl FnOnce(&Context) -> Result<T, E>,
    ) -> Result<(), Failure> {
        let report = self.call(settings, talk, work)?;
        self.print_or(&report, &settings.secrets(), || report::object(&report))?;
        report.failure().map_or(Ok(()), Err)
    }

    /// Works like [`Session::run`] for a run, unless it has no verb: then it is a dry run. A run has a log on this
    /// machine, and the webhook is told of it.
    pub(crate) fn run_logged<T: Report, E: Into<Failure>>(
        &self,
        settings: &Settings,
        talk: Verbosity,
        verb: Option<RunVerb>,
        work: impl FnOnce(&Context) -> Result<T, E>,
    ) -> Result<(), Failure> {
        // A rollback may ask while it runs, and the answer is typed where the work would be drawn.
        let show = Show { talk, work: verb != Some(RunVerb::Rollback) };
        let (report, log) = self.observe(settings, show, verb, Report::outcome, work)?;
        let object = report::logged_object(&report, log.as_deref().map(RunLog::path))?;
        if let Some(log) = log {
            log.end("done", &object);
        }
        self.print_or(&report, &settings.secrets(), || Ok(object))?;
        report.failure().map_or(Ok(()), Err)
    }

    /// Runs the engine with progress, and returns its result.
    pub(crate) fn call<T, E: Into<Failure>>(
        &self,
        settings: &Settings,
        talk: Verbosity,
        work: impl FnOnce(&Context) -> Result<T, E>,
    ) -> Result<T, Failure> {
        self.observe(settings, Show { talk, work: true }, None, |_| None, work).map(|(result, _)| result)
    }

    /// Works like [`Session::call`], for a verb that prints while it runs.
    pub(crate) fn stream<T, E: Into<Failure>>(
        &self,
        settings: &Settings,
        work: impl FnOnce(&Context) -> Result<T, E>,
    ) -> Result<T, Failure> {
        let show = Show { talk: Verbosity::Brief, work: false };
        self.observe(settings, show, None, |_| None, work).map(|(result, _)| result)
    }

    /// Runs the engine with progress. `outcome` is for the webhook. Returns also the log, which waits for its last line.
    fn observe<T, E: Into<Failure>>(
        &self,
        settings: &Settings,
        show: Show,
        verb: Option<RunVerb>,
        outcome: impl FnOnce(&T) -> Option<Outcome>,
        work: impl FnOnce(&Context) -> Result<T, E>,
    ) -> Result<(T, Option<Arc<RunLog>>), Failure> {
        let palette = self.palette(&io::stderr());
        let progress = Progress::start(self.talk(show.talk), palette, self.environment.dumb_terminal);
        if show.work {
            progress.show_work();
        }
        let cancel = Cancel::default();
        let heard = interrupt::listen(cancel.clone(), Arc::clone(&progress), self.last_line.clone());
        let mut audience = Audience(vec![progress.clone()]);
        let records = self.start_records(settings, verb, &mut audience);
        let notices =
            verb.and_then(|verb| Notices::start(verb, settings, &(Arc::new(audience.clone()) as Arc<dyn Observer>)));
        audience.0.extend(notices.clone().map(|notices| notices as Arc<dyn Observer>));
        let audience = Arc::new(Masking { inner: audience, secrets: settings.secrets() });
        let result = match heard {
            Ok(()) => {
                let mut context = settings.context(audience.clone(), cancel.clone());
                context.target.reach.answers = terminal::answers(&progress);
                work(&context).map_err(E::into)
            }
            Err(error) => Err(Failure::from(Error::Bug("cannot listen to signals".into())).because(&error)),
        };
        if let Some(notices) = notices {
            notices.finish(result.as_ref().map(outcome), &cancel);
        }
        let log = records.finish(audience.as_ref());
        progress.finish();
        match result {
            Ok(result) => Ok((result, log)),
            Err(failure) => Err(Failure { log, ..failure.masked(&settings.secrets()) }),
        }
    }

    /// Starts to write the events, on stdout if they are asked for, and into the log of a run.
    fn start_records(&self, settings: &Settings, verb: Option<RunVerb>, audience: &mut Audience) -> Records {
        let is_asked = self.everywhere.output() == Output::Events;
        let events = is_asked.then(|| EventLines::start(self.everywhere.verbose, settings.secrets(), stdout::write));
        let Settings { target, state_dir, .. } = settings;
        let begun = verb.map(|verb| (verb, RunLog::start(state_dir, &target.destination, verb, settings.secrets())));
        let log = begun.as_ref().and_then(|(_, log)| log.as_ref().ok().cloned());
        let lines: Vec<Arc<EventLines>> = events.iter().cloned().chain(log.iter().map(|log| log.lines())).collect();
        if let Some(verb) = verb {
            let head = head(settings, verb, log.as_deref().map(RunLog::path));
            lines.iter().for_each(|lines| lines.tell("run", head.clone()));
        }
        audience.0.extend(lines.into_iter().map(|lines| lines as Arc<dyn Observer>));
        if let Some((_, Err(error))) = begun {
            audience.observe(run_log::unwritten(&error.with_cause()));
        }
        Records { events, log }
    }

    /// Prints the result of a verb without secrets. A verb that knows none, or has masked them, gives an empty mask.
    pub(crate) fn print<T: Report>(&self, report: &T, secrets: &Secrets) -> Result<(), Failure> {
        self.print_or(report, secrets, || report::object(report))
    }

    /// Prints the result of a verb as a text for people, or as the object that `object` makes of it.
    fn print_or<T: Report>(
        &self,
        report: &T,
        secrets: &Secrets,
        object: impl FnOnce() -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        let object = || Ok::<String, Failure>(secrets.mask_object(object()?));
        match self.everywhere.output() {
            Output::Object => report::print(&object()?),
            Output::Events => report::print(&events::line("done", &object()?)),
            Output::Text if T::ANSWERS || !self.everywhere.quiet => {
                let text = report.text(self.palette(&io::stdout()), self.everywhere.verbose);
                let mut text = secrets.mask_text(text);
                if let Some(next) = report.next() {
                    text += &format!("{}\n", failure::at_place(&next, &self.place));
                }
                report::print(&text)
            }
            Output::Text => Ok(()),
        }
    }

    fn talk(&self, usual: Verbosity) -> Verbosity {
        match self.everywhere {
            GlobalArgs { quiet: true, .. } => Verbosity::Quiet,
            GlobalArgs { verbose: true, .. } => Verbosity::Verbose,
            _ => usual,
        }
    }

    fn palette(&self, stream: &(impl IsTerminal + AsFd)) -> Palette {
        let palette = Palette::new(self.everywhere.color, self.environment, stream.is_terminal());
        palette.of_width(color::columns(stream))
    }
}

/// The writers of the events of a verb.
struct Records {
    events: Option<Arc<EventLines>>,
    log: Option<Arc<RunLog>>,
}

impl Records {
    /// Writes the events that wait. Returns the log, which waits for its last line.
    fn finish(self, observer: &dyn Observer) -> Option<Arc<RunLog>> {
        if let Some(log) = &self.log {
            log.finish_events(observer);
        }
        if let Some(events) = self.events {
            // The last line has the same fate, and its error is told.
            events.finish().unwrap_or_default();
        }
        self.log
    }
}

/// Returns the first line of a run.
fn head(settings: &Settings, verb: RunVerb, log: Option<&Path>) -> Value {
    let Settings { target, procedure, provenance, .. } = settings;
    json!({
        "verb": verb.name(),
        "stage": procedure.stage,
        "target": target.destination.to_string(),
        "who": provenance.person(),
        "version": provenance.version,
        "log": log.map(|log| log.display().to_string()),
    })
}

/// Masks secrets in the events for an audience.
struct Masking {
    inner: Audience,
    secrets: Secrets,
}

impl Observer for Masking {
    fn observe(&self, event: Event) {
        self.inner.observe(self.secrets.mask_event(event));
    }
}

/// Observers that all hear each event.
#[derive(Clone)]
struct Audience(Vec<Arc<dyn Observer>>);

impl Observer for Audience {
    fn observe(&self, event: Event) {
        for observer in &self.0 {
            observer.observe(event.clone());
        }
    }
}
