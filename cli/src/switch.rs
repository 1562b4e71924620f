//! `cutover switch`: makes a ready or an earlier release live.

use engine::report::SwitchReport;
use engine::{SwitchRequest, SwitchTo};

use crate::args::SwitchArgs;
use crate::color::Palette;
use crate::failure::Failure;
use crate::notice::Outcome;
use crate::place::Place;
use crate::report::Report;
use crate::run_verb::RunVerb;
use crate::session::Session;
use crate::settings::Settings;
use crate::tally::Verbosity;
use crate::uses::Uses;
use crate::words;

pub(crate) fn run(session: &Session<'_>, args: &SwitchArgs) -> Result<(), Failure> {
    let (settings, to) = prepare(session, args).map_err(Failure::before_any_switch)?;
    let request = SwitchRequest { force: args.force };
    let verb = Some(RunVerb::Switch);
    session.run_logged(&settings, Verbosity::Brief, verb, |context| engine::switch(context, &to, request))
}

fn prepare(session: &Session<'_>, args: &SwitchArgs) -> Result<(Settings, SwitchTo), Failure> {
    let (release, stage) = words::switch(&args.release.words(), session.stages)?;
    let target = args.release.target.target.clone();
    let settings = session
        .settings(&Place { stage, target }, Uses::Everything)?
        .with_lock(args.lock.request())
        .without_hooks_if(args.skip_hooks);
    Ok((settings, SwitchTo::Release(release)))
}

impl Report for SwitchReport {
    const ANSWERS: bool = false;

    fn outcome(&self) -> Option<Outcome> {
        Some(Outcome::of_switch(self))
    }

    fn text(&self, palette: Palette, _: bool) -> String {
        let id = &self.release;
        let text = match (&self.previous, self.switched) {
            (_, false) => format!("Release {id} was live already"),
            (Some(previous), true) => format!("Release {id} is live; it replaces {previous}"),
            (None, true) => format!("Release {id} is live"),
        };
        format!("{}\n", palette.strong(text))
    }
}

#[cfg(test)]
mod tests {
    use engine::report::ReleaseSummary;

    use super::*;

    #[test]
    fn it_says_what_is_live_now() {
        let check = |previous: Option<&str>, switched: bool, expected: &str| {
            let report = SwitchReport {
                release: "2".parse().unwrap(),
                previous: previous.map(|id| id.parse().unwrap()),
                switched,
                from: None,
                to: ReleaseSummary { id: "2".parse().unwrap(), commit: None, age: 0, who: "me@here".into() },
                differences: Vec::new(),
                warnings: Vec::new(),
            };
            assert_eq!(report.text(Palette::plain(), false), expected);
        };
        check(Some("1"), true, "Release 2 is live; it replaces 1\n");
        check(None, true, "Release 2 is live\n");
        check(Some("2"), false, "Release 2 was live already\n");
    }
}
