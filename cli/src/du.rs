//! `cutover du`: the space that each release and each part of the deploy path takes.

use engine::report::{DiskUseReport, ReleaseState, ReleaseUseReport, UsageReport};

use crate::args::DuArgs;
use crate::color::Palette;
use crate::failure::Failure;
use crate::releases::state_name;
use crate::report::{Block, Report};
use crate::session::Session;
use crate::table::{self, Style, Table};
use crate::tally::Verbosity;
use crate::units::{Bytes, Count, Counted};
use crate::uses::Uses;

pub(crate) fn run(session: &Session<'_>, args: &DuArgs) -> Result<(), Failure> {
    let settings = session.settings(&args.place.place()?, Uses::Server)?;
    session.run(&settings, Verbosity::Brief, engine::disk_use)
}

impl Report for DiskUseReport {
    const ANSWERS: bool = true;

    fn text(&self, palette: Palette, _: bool) -> String {
        let table = if self.releases.is_empty() {
            "There are no releases\n".to_owned()
        } else {
            Table::new(HEADS)
                .numbers(NUMBERS)
                .dispensable(DISPENSABLE)
                .styled_rows(self.releases.iter().map(|release| (row(release), style(release))))
                .text(palette)
        };
        let free_inodes = self.free_inodes.map_or(String::new(), |inodes| format!(", {}", Counted(inodes, "inode")));
        let mut block = Block::default();
        block
            .line("store", format!("{}, {}", usage(self.store), Counted(self.objects, "object")))
            .line("trees", format!("{}: directories and own files of the releases", usage(self.trees)))
            .line("shared/", usage(self.shared))
            .line_if("cache/", part(self.cache))
            .line_if("staging", part(self.staging))
            .line_if("trash", trash(self))
            .line("records", records(self))
            .line_if("foreign", part(self.foreign))
            .line_if("original", part(self.original).map(|text| text + ": the adopted directory, for `adopt --undo`"))
            .line("other", usage(self.other))
            .line("total", usage(self.total))
            .line("free", format!("{}{free_inodes}", Bytes(self.free_bytes)));
        format!("{table}\n{}", block.text())
    }
}

const HEADS: [&str; 7] = ["RELEASE", "STATE", "FILES", "SIZE", "OWN", "OWN INODES", "SHARED"];

/// The columns of numbers.
const NUMBERS: &[usize] = &[2, 3, 4, 5, 6];

/// The columns to leave out on a narrow terminal: OWN INODES, SHARED, FILES, STATE.
const DISPENSABLE: &[usize] = &[5, 6, 2, 1];

fn row(release: &ReleaseUseReport) -> [String; 7] {
    [
        release.id.to_string(),
        state_name(release.state).to_owned(),
        Count(release.files).to_string(),
        Bytes(release.bytes).to_string(),
        Bytes(release.own.bytes).to_string(),
        Count(release.own.inodes).to_string(),
        Bytes(release.shared.bytes).to_string(),
    ]
}

fn style(release: &ReleaseUseReport) -> Style {
    match release.state {
        ReleaseState::Live => |palette, line| palette.strong(line).to_string(),
        _ => table::plain,
    }
}

/// `12.3 MB, 1,200 inodes`
fn usage(usage: UsageReport) -> String {
    format!("{}, {}", Bytes(usage.bytes), Counted(usage.inodes, "inode"))
}

/// Returns the text of a part that is there. An empty directory is not worth a line.
fn part(part: UsageReport) -> Option<String> {
    (part.inodes > 1).then(|| usage(part))
}

fn trash(report: &DiskUseReport) -> Option<String> {
    let spare = report.spare.as_ref().map_or(String::new(), |id| format!("; {id} will become the next release"));
    part(report.trash).map(|text| text + &spare)
}

fn records(report: &DiskUseReport) -> String {
    let removed = match report.removed.len() as u64 {
        0 => String::new(),
        count => format!("; a rollback may make {} again", Counted(count, "removed release")),
    };
    usage(report.records) + &removed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: u64, inodes: u64) -> UsageReport {
        UsageReport { bytes, inodes }
    }

    fn report() -> DiskUseReport {
        DiskUseReport {
            deploy_path: "/srv/shop".into(),
            releases: vec![ReleaseUseReport {
                id: "2".parse().unwrap(),
                state: ReleaseState::Live,
                files: 78_622,
                bytes: 1_312_345_678,
                own: of(14_000_000, 5_120),
                shared: of(1_300_000_000, 73_000),
            }],
            store: of(1_400_000_000, 80_000),
            objects: 79_743,
            trees: of(30_000_000, 6_000),
            shared: of(4096, 1),
            cache: of(0, 0),
            staging: of(4096, 1),
            trash: of(21_000_000, 5_000),
            spare: Some("1".parse().unwrap()),
            records: of(7_000_000, 12),
            removed: vec!["0".parse().unwrap()],
            foreign: of(0, 0),
            original: of(0, 0),
            other: of(300_000, 20),
            total: of(1_458_308_192, 91_034),
            free_bytes: 12_300_000_000,
            free_inodes: Some(1_000_000),
            warnings: Vec::new(),
        }
    }

    #[test]
    fn the_space_is_told_by_release_and_by_part() {
        let expected = "\
RELEASE  STATE   FILES    SIZE      OWN  OWN INODES  SHARED
2        live   78,622  1.3 GB  14.0 MB       5,120  1.3 GB

  store    1.4 GB, 80,000 inodes, 79,743 objects
  trees    30.0 MB, 6,000 inodes: directories and own files of the releases
  shared/  4.1 kB, 1 inode
  trash    21.0 MB, 5,000 inodes; 1 will become the next release
  records  7.0 MB, 12 inodes; a rollback may make 1 removed release again
  other    300.0 kB, 20 inodes
  total    1.5 GB, 91,034 inodes
  free     12.3 GB, 1,000,000 inodes
";
        assert_eq!(report().text(Palette::plain(), false), expected);
    }

    #[test]
    fn before_the_first_deploy_there_are_no_releases() {
        let report = DiskUseReport { releases: Vec::new(), ..report() };
        assert!(report.text(Palette::plain(), false).starts_with("There are no releases\n\n  store "));
    }
}
