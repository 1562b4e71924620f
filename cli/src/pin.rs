//! `cutover pin` and `cutover unpin`: keeps a release, whatever retention says, or lets it go.

use engine::PinRequest;
use engine::pin::{Pin, PinTerms};
use engine::report::PinReport;

use crate::args::{PinArgs, ReleaseArgs};
use crate::color::Palette;
use crate::failure::{Failure, one_line};
use crate::place::Place;
use crate::report::Report;
use crate::session::Session;
use crate::tally::Verbosity;
use crate::uses::Uses;
use crate::words;

pub(crate) fn pin(session: &Session<'_>, args: &PinArgs) -> Result<(), Failure> {
    run(session, &args.release, Some(PinTerms { until: args.until, note: args.note.clone() }))
}

pub(crate) fn unpin(session: &Session<'_>, args: &ReleaseArgs) -> Result<(), Failure> {
    run(session, args, None)
}

fn run(session: &Session<'_>, args: &ReleaseArgs, pin: Option<PinTerms>) -> Result<(), Failure> {
    let (release, stage) =
        words::one_release(&args.words(), session.stages, "No release is named", "A pin is of one release")?;
    let settings = session.settings(&Place { stage, target: args.target.target.clone() }, Uses::Everything)?;
    let request = PinRequest { release, pin };
    session.run(&settings, Verbosity::Brief, |context| engine::pin(context, &request))
}

impl Report for PinReport {
    const ANSWERS: bool = false;

    fn text(&self, palette: Palette, _: bool) -> String {
        let id = &self.release;
        let text = match (&self.pinned, &self.before) {
            (Some(pin), _) => format!("Release {id} is {}", pinned(pin)),
            (None, Some(_)) => format!("Release {id} is not pinned any more"),
            (None, None) => format!("Release {id} was not pinned"),
        };
        format!("{}\n", palette.strong(text))
    }
}

/// Describes a pin: `pinned until 2026-12-31: the year-end report`.
pub(crate) fn pinned(pin: &Pin) -> String {
    let until = pin.until.map_or(String::new(), |day| format!(" until {day}"));
    let note = pin.note.as_ref().map_or(String::new(), |note| format!(": {}", one_line(note)));
    format!("pinned{until}{note}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_told_with_its_end_and_its_note() {
        let pin = |until: Option<&str>, note: Option<&str>| {
            Some(Pin {
                until: until.map(|day| day.parse().unwrap()),
                note: note.map(str::to_owned),
                by: "me@here".into(),
            })
        };
        let check = |pinned: Option<Pin>, before: Option<Pin>, expected: &str| {
            let report = PinReport { release: "1".parse().unwrap(), pinned, before, warnings: Vec::new() };
            assert_eq!(report.text(Palette::plain(), false), expected);
        };
        check(pin(None, None), None, "Release 1 is pinned\n");
        check(pin(Some("2026-12-31"), None), None, "Release 1 is pinned until 2026-12-31\n");
        check(pin(Some("2026-12-31"), Some("a report")), None, "Release 1 is pinned until 2026-12-31: a report\n");
        check(None, pin(None, None), "Release 1 is not pinned any more\n");
        check(None, None, "Release 1 was not pinned\n");
    }
}
