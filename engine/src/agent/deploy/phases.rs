//! The phases of a deploy: reports their begin and end, and measures each.

use std::time::Instant;

use crate::agent::reporter::Reporter;
use crate::error::Error;
use crate::event::Phase;

/// The duration of each phase so far.
pub(super) struct Phases<'a> {
    reporter: &'a dyn Reporter,
    seconds: Vec<(Phase, f32)>,
}

impl<'a> Phases<'a> {
    /// Begins before the first phase.
    pub(super) fn new(reporter: &'a dyn Reporter) -> Phases<'a> {
        Phases { reporter, seconds: Vec::new() }
    }

    /// Runs a phase. A phase that fails is never reported as ended.
    pub(super) fn time<T>(&mut self, phase: Phase, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.reporter.began(phase);
        let began = Instant::now();
        let result = work()?;
        self.seconds.push((phase, began.elapsed().as_secs_f32()));
        self.reporter.ended(phase);
        Ok(result)
    }

    /// Adds phases that were reported already.
    pub(super) fn extend(&mut self, seconds: Vec<(Phase, f32)>) {
        self.seconds.extend(seconds);
    }

    /// Returns the duration of each phase, in seconds.
    pub(super) fn finish(self) -> Vec<(Phase, f32)> {
        self.seconds
    }
}
