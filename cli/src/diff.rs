//! `cutover diff`: what a deploy would change, or what differs between two releases.

use engine::DiffSide;
use engine::report::{Change, ChangedPath, DiffReport};

use crate::args::DiffArgs;
use crate::color::Palette;
use crate::failure::{Failure, one_line};
use crate::place::Place;
use crate::report::{Report, changes};
use crate::session::Session;
use crate::settings::Settings;
use crate::tally::Verbosity;
use crate::units::Counted;
use crate::uses::Uses;
use crate::words::{self, Side};

pub(crate) fn run(session: &Session<'_>, args: &DiffArgs) -> Result<(), Failure> {
    let (stage, before, after) = words::diff(&args.words())?;
    let target = args.target.target.clone();
    let settings = session.settings(&Place { stage, target }, Uses::Source)?;
    let (before, after) = (side(before, &settings), side(after, &settings));
    session.run(&settings, Verbosity::Brief, |context| engine::diff(context, &before, &after))
}

fn side(side: Side, settings: &Settings) -> DiffSide {
    match side {
        Side::Release(id) => DiffSide::Release(id),
        Side::Live => DiffSide::Live,
        Side::Source => DiffSide::Source(settings.source.clone()),
    }
}

impl Report for DiffReport {
    const ANSWERS: bool = true;

    fn text(&self, palette: Palette, _: bool) -> String {
        let mut text: String = self.paths.iter().map(|path| line(path, palette)).collect();
        if self.paths_left_out > 0 {
            text += &format!("… and {} more\n", Counted(self.paths_left_out, "path"));
        }
        let counts = changes(self.files_new, self.files_changed, self.files_removed);
        text += &format!("{counts} (from {} to {})\n", one_line(&self.before), one_line(&self.after));
        text
    }
}

fn line(path: &ChangedPath, palette: Palette) -> String {
    let name = one_line(&path.path);
    match path.change {
        Change::New => format!("{}\n", palette.new_path(format!("+ {name}"))),
        Change::Removed => format!("{}\n", palette.removed_path(format!("- {name}"))),
        Change::Content => format!("{}\n", palette.changed_path(format!("~ {name}"))),
        Change::Mode => format!("{}\n", palette.changed_path(format!("~ {name} (mode)"))),
        Change::Kind => format!("{}\n", palette.changed_path(format!("~ {name} (kind)"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_sign() {
        let path = |path: &str, change: Change| ChangedPath {
            path: path.into(),
            change,
            bytes_before: None,
            bytes_after: None,
        };
        let report = DiffReport {
            before: "live".into(),
            after: "source".into(),
            files_new: 1,
            files_changed: 3,
            files_removed: 1,
            paths: vec![
                path("a", Change::New),
                path("b", Change::Content),
                path("c", Change::Kind),
                path("d", Change::Mode),
                path("e", Change::Removed),
            ],
            warnings: Vec::new(),
            paths_left_out: 0,
        };
        let expected = "\
+ a
~ b
~ c (kind)
~ d (mode)
- e
1 new, 3 changed, 1 removed (from live to source)
";
        assert_eq!(report.text(Palette::plain(), false), expected);
        let report = DiffReport { paths: vec![path("a", Change::New)], paths_left_out: 2000, ..report };
        let text = report.text(Palette::plain(), false);
        assert!(text.starts_with("+ a\n… and 2,000 paths more\n1 new,"), "{text}");
    }
}
