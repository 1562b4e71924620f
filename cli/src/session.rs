//! One run: resolves the settings of a verb, runs the engine with progress and interrupts, and prints the result.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use engine::Context;
use engine::cancel::Cancel;
use engine::error::Error;
use engine::event::{Event, Observer};

use crate::args::GlobalArgs;
use crate::color::Palette;
use crate::environment::Environment;
use crate::events::{self, EventLines};
use crate::failure::{self, Failure};
use crate::interrupt;
use crate::notice::{Notices, Outcome, ToldVerb};
use crate::output::Output;
use crate::place::Place;
use crate::progress::Progress;
use crate::report::{self, Report};
use crate::settings::Settings;
use crate::tally::Verbosity;
use crate::terminal;

/// The parts that every verb runs with.
pub(crate) struct Session<'a> {
    /// The flags of every verb.
    pub(crate) everywhere: &'a GlobalArgs,
    /// The surroundings.
    pub(crate) environment: &'a Environment,
    /// The words and flags that make another verb work at the same place.
    pub(crate) place: String,
    /// The line to print when a signal ends a verb that switches at once.
    pub(crate) last_line: Option<String>,
}

impl Session<'_> {
    /// Resolves the settings for a place.
    pub(crate) fn settings(&self, place: &Place) -> Result<Settings, Failure> {
        Settings::read(place, self.everywhere, self.environment)
    }

    /// Runs the engine with progress, and prints the result.
    pub(crate) fn run<T: Report, E: Into<Failure>>(
        &self,
        settings: &Settings,
        talk: Verbosity,
        work: impl FnOnce(&Context) -> Result<T, E>,
    ) -> Result<(), Failure> {
        self.run_told(settings, talk, None, work)
    }

    /// Works like [`Session::run`], and tells the webhook of the run if it has a verb for that.
    pub(crate) fn run_told<T: Report, E: Into<Failure>>(
        &self,
        settings: &Settings,
        talk: Verbosity,
        told: Option<ToldVerb>,
        work: impl FnOnce(&Context) -> Result<T, E>,
    ) -> Result<(), Failure> {
        let report = self.observe(settings, talk, told, Report::outcome, work)?;
        self.print(&report)?;
        report.failure().map_or(Ok(()), Err)
    }

    /// Runs the engine with progress, and returns its result.
    pub(crate) fn call<T, E: Into<Failure>>(
        &self,
        settings: &Settings,
        talk: Verbosity,
        work: impl FnOnce(&Context) -> Result<T, E>,
    ) -> Result<T, Failure> {
        self.observe(settings, talk, None, |_| None, work)
    }

    /// Runs the engine with progress. `outcome` is for the webhook.
    pub(crate) fn observe<T, E: Into<Failure>>(
        &self,
        settings: &Settings,
        talk: Verbosity,
        told: Option<ToldVerb>,
        outcome: impl FnOnce(&T) -> Option<Outcome>,
        work: impl FnOnce(&Context) -> Result<T, E>,
    ) -> Result<T, Failure> {
        let palette = self.palette(io::stderr().is_terminal());
        let progress = Progress::start(self.talk(talk), palette, self.environment.dumb_terminal);
        let cancel = Cancel::default();
        let heard = interrupt::listen(cancel.clone(), Arc::clone(&progress), self.last_line.clone());
        let events = (self.everywhere.output() == Output::Events).then(|| EventLines::start(self.everywhere.verbose));
        let mut audience = Audience(vec![progress.clone()]);
        audience.0.extend(events.clone().map(|events| events as Arc<dyn Observer>));
        let notices =
            told.and_then(|verb| Notices::start(verb, settings, &(Arc::new(audience.clone()) as Arc<dyn Observer>)));
        audience.0.extend(notices.clone().map(|notices| notices as Arc<dyn Observer>));
        let result = match heard {
            Ok(()) => {
                let mut context = settings.context(Arc::new(audience), cancel.clone());
                context.target.reach.answers = terminal::answers(&progress);
                work(&context).map_err(E::into)
            }
            Err(error) => Err(Failure::from(Error::Bug("cannot listen to signals".into())).because(&error)),
        };
        if let Some(notices) = notices {
            notices.finish(result.as_ref().map(outcome), &cancel);
        }
        progress.finish();
        if let Some(events) = events {
            events.finish();
        }
        result
    }

    /// Prints the result of a verb.
    pub(crate) fn print<T: Report>(&self, report: &T) -> Result<(), Failure> {
        match self.everywhere.output() {
            Output::Object => report::print(&report::object(report)?),
            Output::Events => report::print(&events::line("done", &report::object(report)?)),
            Output::Text if T::ANSWERS || !self.everywhere.quiet => {
                let mut text = report.text(self.palette(io::stdout().is_terminal()), self.everywhere.verbose);
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

    fn palette(&self, is_terminal: bool) -> Palette {
        Palette::new(self.everywhere.color, self.environment, is_terminal)
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
