//! One run: resolves the settings of a verb, runs the engine with progress and interrupts, and prints the result.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use engine::Context;
use engine::cancel::Cancel;
use engine::error::Error;

use crate::args::GlobalArgs;
use crate::color::Palette;
use crate::environment::Environment;
use crate::failure::{self, Failure};
use crate::interrupt;
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
        self.print(&self.observe(settings, talk, work)?)
    }

    /// Runs the engine with progress.
    pub(crate) fn observe<T, E: Into<Failure>>(
        &self,
        settings: &Settings,
        talk: Verbosity,
        work: impl FnOnce(&Context) -> Result<T, E>,
    ) -> Result<T, Failure> {
        let palette = self.palette(io::stderr().is_terminal());
        let progress = Progress::start(self.talk(talk), palette, self.environment.dumb_terminal);
        let cancel = Cancel::default();
        let heard = interrupt::listen(cancel.clone(), Arc::clone(&progress), self.last_line.clone());
        let result = match heard {
            Ok(()) => {
                let mut context = settings.context(progress.clone(), cancel);
                context.target.reach.answers = terminal::answers(&progress);
                work(&context).map_err(E::into)
            }
            Err(error) => Err(Failure::from(Error::Bug("cannot listen to signals".into())).because(&error)),
        };
        progress.finish();
        result
    }

    fn print<T: Report>(&self, report: &T) -> Result<(), Failure> {
        if self.everywhere.json {
            report::print(&report::object(report)?)
        } else if T::ANSWERS || !self.everywhere.quiet {
            let mut text = report.text(self.palette(io::stdout().is_terminal()), self.everywhere.verbose);
            if let Some(next) = report.next() {
                text += &format!("{}\n", failure::at_place(&next, &self.place));
            }
            report::print(&text)
        } else {
            Ok(())
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
