//! Lets contenders run in turn: A B A B.
//!
//! In turn, because a machine's speed drifts; one block after the other would give the drift to one of them. The first
//! round goes through the relay and is watched: it gives bytes and memory and warms the caches. The rounds after it
//! give seconds and have nothing beside them.

use crate::failure::Result;
use crate::lab::{Lab, Line};
use crate::record::{Sample, Track};

/// A step of a contender; it may be taken many times.
pub(crate) type Step<'a, In, Out> = Box<dyn Fn(In) -> Result<Out> + 'a>;

/// Looks at what a run has made.
pub(crate) type Check<'a> = Box<dyn Fn(&Sample) -> Result<()> + 'a>;

/// One tool in one mode.
pub(crate) struct Contender<'a> {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// Whether its seconds are wanted; otherwise it is only observed.
    pub(crate) is_timed: bool,
    /// Brings the destination into the state that each run begins with. Not timed.
    pub(crate) prepare: Step<'a, (), ()>,
    /// The run.
    pub(crate) run: Step<'a, Line, Sample>,
    /// Fails when the result is wrong. Not timed.
    pub(crate) check: Check<'a>,
}

impl Contender<'_> {
    fn round(&self, lab: &Lab, line: Line) -> Result<Sample> {
        (self.prepare)(())?;
        lab.say(&format!("  {}, {}", self.name, line.host()));
        // What was prepared is written out before the clock starts; else the run would wait for it.
        rustix::fs::sync();
        let sample = (self.run)(line)?;
        (self.check)(&sample)?;
        Ok(sample)
    }
}

/// Runs all of them, one observed round and then the timed ones, and returns a track for each, in their order.
pub(crate) fn race<const N: usize>(lab: &Lab, contenders: &[Contender<'_>; N]) -> Result<[Track; N]> {
    let mut tracks =
        contenders.each_ref().map(|contender| Track { contender: contender.name.to_owned(), ..Track::default() });
    for (contender, track) in contenders.iter().zip(&mut tracks) {
        track.observed.push(contender.round(lab, Line::Counted)?);
    }
    for _ in 0..lab.repeats() {
        for (contender, track) in contenders.iter().zip(&mut tracks) {
            if contender.is_timed {
                track.timed.push(contender.round(lab, Line::Direct)?);
            }
        }
    }
    Ok(tracks)
}
