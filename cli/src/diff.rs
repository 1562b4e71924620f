//! `cutover diff`: what a deploy would change, what differs between two releases, or what was changed in one of them on
//! the server.

use engine::report::{
    Change, ChangedPath, DiffReport, Difference, DifferenceKind, Differences, DiskDiffReport, DiskDifference,
};
use engine::{DiffSide, DiskDiffRequest};

use crate::args::DiffArgs;
use crate::color::Palette;
use crate::failure::{Failure, one_line};
use crate::place::Place;
use crate::preview::{counted, largest};
use crate::report::{Block, Report};
use crate::session::Session;
use crate::settings::Settings;
use crate::status;
use crate::tally::Verbosity;
use crate::units::{Bytes, Counted};
use crate::uses::Uses;
use crate::words::{self, Side};

pub(crate) fn run(session: &Session<'_>, args: &DiffArgs) -> Result<(), Failure> {
    let target = args.target.target.clone();
    if args.on_disk {
        let (stage, release) = words::on_disk(&args.words(), session.stages)?;
        let settings = session.settings(&Place { stage, target }, Uses::Server)?;
        let request = DiskDiffRequest { release, content: args.content };
        return session.run(&settings, Verbosity::Brief, |context| engine::diff_on_disk(context, &request));
    }
    let (stage, before, after) = words::diff(&args.words(), session.stages)?;
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
        let mut parts = vec![
            counted(self.files_new, "new", &self.new),
            counted(self.files_changed, "changed", &self.changed),
            counted(self.files_removed, "removed", &self.gone),
        ];
        parts.extend((self.files_moved > 0).then(|| counted(self.files_moved, "moved", &self.moved)));
        text += &format!("{}, from {} to {}\n", parts.join(", "), one_line(&self.before), one_line(&self.after));
        text + &largest_of(self).text()
    }
}

/// The paths of a list that needs no summary of the largest files.
const SHORT_LIST: usize = 20;

/// Returns a line with the largest files for each kind of change, of a long list.
fn largest_of(report: &DiffReport) -> Block {
    let mut block = Block::default();
    if report.paths.len() > SHORT_LIST {
        block
            .line_if("new", largest(&report.new, report.files_new))
            .line_if("changed", largest(&report.changed, report.files_changed))
            .line_if("removed", largest(&report.gone, report.files_removed))
            .line_if("moved", largest(&report.moved, report.files_moved));
    }
    block
}

fn line(path: &ChangedPath, palette: Palette) -> String {
    let name = one_line(&path.path);
    let size = size(path.bytes_before, path.bytes_after);
    let line = match path.change {
        Change::New => palette.new_path(format!("+ {name}{size}")).to_string(),
        Change::Removed => palette.removed_path(format!("- {name}{size}")).to_string(),
        Change::Content => palette.changed_path(format!("~ {name}{size}")).to_string(),
        Change::Mode => palette.changed_path(format!("~ {name}{size} (mode)")).to_string(),
        Change::Kind => palette.changed_path(format!("~ {name}{size} (kind)")).to_string(),
        Change::Moved => {
            let from = one_line(path.from.as_deref().unwrap_or_default());
            palette.changed_path(format!("> {from} => {name}{size}")).to_string()
        }
    };
    format!("{line}\n")
}

/// ` (1.2 kB)`, or ` (1.2 kB, was 3.4 kB)` if the size differs. Symlinks have none.
fn size(before: Option<u64>, after: Option<u64>) -> String {
    match (before, after) {
        (Some(before), Some(after)) if before != after => format!(" ({}, was {})", Bytes(after), Bytes(before)),
        (Some(bytes), _) | (None, Some(bytes)) => format!(" ({})", Bytes(bytes)),
        (None, None) => String::new(),
    }
}

impl Report for DiskDiffReport {
    const ANSWERS: bool = true;

    fn text(&self, palette: Palette, _: bool) -> String {
        let mut text: String = self.paths.iter().map(|path| disk_line(path, palette)).collect();
        if self.paths_left_out > 0 {
            text += &format!("… and {} more\n", Counted(self.paths_left_out, "path"));
        }
        let release = self.release.as_ref().map_or(String::new(), |id| format!("Release {id}"));
        let how = if self.content { "read in full" } else { "compared without reading" };
        let total = self.paths.len() as u64 + self.paths_left_out;
        text + &match total {
            0 => format!("{release}, {how}: as deployed\n"),
            _ => format!("{release}, {how}: {} not as deployed\n", Counted(total, "path")),
        }
    }

    fn failure(&self) -> Option<Failure> {
        let difference = |found: &DiskDifference| Difference { path: found.path.clone(), kind: found.kind };
        let paths: Vec<Difference> = self.paths.iter().map(difference).collect();
        let releases = self.release.iter().cloned().collect();
        let differences = [Differences { releases, total: paths.len() as u64 + self.paths_left_out, paths }];
        let found = if self.paths.is_empty() { &[] } else { &differences[..] };
        status::failure(found, self.release.as_ref().filter(|_| self.live))
    }
}

fn disk_line(path: &DiskDifference, palette: Palette) -> String {
    let name = one_line(&path.path);
    let size = size(path.bytes_before, path.bytes_after);
    let line = match path.kind {
        DifferenceKind::Added => palette.new_path(format!("+ {name}{size}")).to_string(),
        DifferenceKind::Missing => palette.removed_path(format!("- {name}{size}")).to_string(),
        kind => palette.changed_path(format!("~ {name}{size} ({kind})")).to_string(),
    };
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use engine::report::{SizedPath, SizesReport};

    use super::*;

    #[test]
    fn each_path_has_its_sign() {
        let path = |path: &str, change: Change| ChangedPath {
            path: path.into(),
            from: (change == Change::Moved).then(|| "old".into()),
            change,
            bytes_before: (change != Change::New).then_some(7),
            bytes_after: (change == Change::Content).then_some(1200),
        };
        let report = DiffReport {
            before: "live".into(),
            after: "source".into(),
            files_new: 1,
            files_changed: 3,
            files_removed: 1,
            files_moved: 2,
            new: SizesReport::default(),
            changed: SizesReport { bytes: 1200, largest: vec![SizedPath { path: "b".into(), bytes: 1200 }] },
            gone: SizesReport::default(),
            moved: SizesReport::default(),
            paths: vec![
                path("a", Change::New),
                path("b", Change::Content),
                path("c", Change::Kind),
                path("d", Change::Mode),
                path("e", Change::Removed),
                path("f", Change::Moved),
            ],
            warnings: Vec::new(),
            paths_left_out: 0,
        };
        let expected = "\
+ a
~ b (1.2 kB, was 7 B)
~ c (7 B) (kind)
~ d (7 B) (mode)
- e (7 B)
> old => f (7 B)
1 new (0 B), 3 changed (1.2 kB), 1 removed (0 B), 2 moved (0 B), from live to source
";
        assert_eq!(report.text(Palette::plain(), false), expected);
        let report = DiffReport { paths: vec![path("a", Change::New)], paths_left_out: 2000, ..report };
        let text = report.text(Palette::plain(), false);
        assert!(text.starts_with("+ a\n… and 2,000 paths more\n1 new (0 B),"), "{text}");
        let report = DiffReport { paths: vec![path("a", Change::Content); 21], ..report };
        let text = report.text(Palette::plain(), false);
        assert!(text.ends_with(", from live to source\n  changed  b (1.2 kB) and 2 more\n"), "{text}");
    }

    #[test]
    fn a_release_that_was_changed_on_the_server_is_a_failure() {
        let path = |path: &str, kind, before, after| DiskDifference {
            path: path.into(),
            kind,
            bytes_before: before,
            bytes_after: after,
        };
        let mut report = DiskDiffReport {
            release: Some("1".parse().unwrap()),
            live: true,
            content: true,
            paths: vec![
                path("a", DifferenceKind::Added, None, Some(9)),
                path("b", DifferenceKind::Content, Some(9), Some(10)),
                path("c", DifferenceKind::Missing, Some(9), None),
            ],
            ..DiskDiffReport::default()
        };
        let expected = "\
+ a (9 B)
~ b (10 B, was 9 B) (content)
- c (9 B)
Release 1, read in full: 3 paths not as deployed
";
        assert_eq!(report.text(Palette::plain(), false), expected);
        assert_eq!(report.failure().unwrap().message, "Release 1 is not what was deployed");
        report.paths.clear();
        report.content = false;
        let expected = "Release 1, compared without reading: as deployed\n";
        assert_eq!(report.text(Palette::plain(), false), expected);
        assert!(report.failure().is_none());
    }
}
