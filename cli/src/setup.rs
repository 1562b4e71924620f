//! `cutover setup`: creates the deploy path's directories.

use engine::report::SetupReport;

use crate::args::SetupArgs;
use crate::color::Palette;
use crate::failure::{Failure, one_line};
use crate::report::Report;
use crate::session::Session;
use crate::tally::Verbosity;
use crate::uses::Uses;

pub(crate) fn run(session: &Session<'_>, args: &SetupArgs) -> Result<(), Failure> {
    let settings = session.settings(&args.place.place()?, Uses::Server)?;
    session.run(&settings, Verbosity::Brief, engine::setup)
}

impl Report for SetupReport {
    const ANSWERS: bool = false;

    fn text(&self, palette: Palette, _: bool) -> String {
        let path = palette.strong(one_line(&self.deploy_path));
        if self.created.is_empty() {
            return format!("{path} was set up already\n");
        }
        let made: String = self.created.iter().map(|name| format!("  {}\n", one_line(name))).collect();
        format!("{path} is set up; created:\n{made}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_listed() {
        let mut report = SetupReport {
            deploy_path: "/srv/shop".into(),
            store: "0a1b".into(),
            created: vec!["releases".into(), "shared".into()],
            warnings: Vec::new(),
        };
        let text = "/srv/shop is set up; created:\n  releases\n  shared\n";
        assert_eq!(report.text(Palette::plain(), false), text);
        report.created.clear();
        assert_eq!(report.text(Palette::plain(), false), "/srv/shop was set up already\n");
    }
}
