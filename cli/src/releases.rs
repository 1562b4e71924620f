//! `cutover releases`: lists the releases on the server, oldest first.

use engine::report::{ReleaseReport, ReleaseState, ReleasesReport};

use crate::args::ReleasesArgs;
use crate::color::Palette;
use crate::failure::{Failure, one_line};
use crate::pin::pinned;
use crate::report::Report;
use crate::session::Session;
use crate::table::{self, Style, Table};
use crate::tally::Verbosity;
use crate::units::{Bytes, Commit, Count, Time};
use crate::uses::Uses;

pub(crate) fn run(session: &Session<'_>, args: &ReleasesArgs) -> Result<(), Failure> {
    let settings = session.settings(&args.place.place()?, Uses::Server)?;
    session.run(&settings, Verbosity::Brief, |context| engine::releases(context, args.all))
}

impl Report for ReleasesReport {
    const ANSWERS: bool = true;

    fn text(&self, palette: Palette, _: bool) -> String {
        let mut text = if self.releases.is_empty() {
            "There are no releases\n".to_owned()
        } else {
            table(&self.releases, palette)
        };
        for release in &self.releases {
            if let Some(bad) = &release.bad {
                text += &format!("{} is bad: {} (by {})\n", release.id, one_line(&bad.reason), one_line(&bad.by));
            }
            if let Some(pin) = &release.pinned {
                text += &format!("{} is {} (by {})\n", release.id, pinned(pin), one_line(&pin.by));
            }
        }
        for name in &self.foreign {
            text += &format!("`releases/{}` was not made by Cutover and is left alone\n", one_line(name));
        }
        text
    }
}

/// Returns the name of a state, as in `--json`.
pub(crate) fn state_name(state: ReleaseState) -> &'static str {
    match state {
        ReleaseState::Live => "live",
        ReleaseState::Bad => "bad",
        ReleaseState::Ready => "ready",
        ReleaseState::Earlier => "earlier",
        ReleaseState::Damaged => "damaged",
        ReleaseState::Removed => "removed",
    }
}

const HEADS: [&str; 8] = ["RELEASE", "STATE", "LIVE SINCE", "COMMIT", "FILES", "SIZE", "OWN", "WHO"];

/// The columns of numbers.
const NUMBERS: &[usize] = &[4, 5, 6];

/// The columns to leave out on a narrow terminal: OWN, FILES, SIZE, COMMIT.
const DISPENSABLE: &[usize] = &[6, 4, 5, 3];

fn table(releases: &[ReleaseReport], palette: Palette) -> String {
    Table::new(HEADS)
        .numbers(NUMBERS)
        .dispensable(DISPENSABLE)
        .styled_rows(releases.iter().map(|release| (row(release), style(release))))
        .text(palette)
}

fn style(release: &ReleaseReport) -> Style {
    match release.state {
        ReleaseState::Live => |palette, line| palette.strong(line).to_string(),
        ReleaseState::Damaged => |palette, line| palette.error(line).to_string(),
        ReleaseState::Bad => |palette, line| palette.warning(line).to_string(),
        ReleaseState::Ready | ReleaseState::Earlier | ReleaseState::Removed => table::plain,
    }
}

fn row(release: &ReleaseReport) -> [String; 8] {
    [
        release.id.to_string(),
        state_name(release.state).to_owned(),
        release.live_since.map_or("-".to_owned(), |second| Time(second).to_string()),
        commit(release).unwrap_or("-".to_owned()),
        Count(release.files).to_string(),
        Bytes(release.bytes).to_string(),
        Bytes(release.own_bytes).to_string(),
        release.who.clone(),
    ]
}

/// Returns the commit of a release, with `-dirty` behind it if the deployed files differ from it, and its branch.
pub(crate) fn commit(release: &ReleaseReport) -> Option<String> {
    commit_text(release.commit.as_deref(), release.dirty, release.branch.as_deref())
}

/// As [`commit`], of its parts.
pub(crate) fn commit_text(commit: Option<&str>, dirty: Option<bool>, branch: Option<&str>) -> Option<String> {
    let dirty = if dirty == Some(true) { "-dirty" } else { "" };
    let branch = branch.map_or(String::new(), |branch| format!(" ({})", one_line(branch)));
    commit.map(|commit| format!("{}{dirty}{branch}", Commit(commit)))
}

#[cfg(test)]
mod tests {
    use engine::pin::Pin;
    use engine::release::Bad;

    use super::*;

    fn release(id: &str, state: ReleaseState) -> ReleaseReport {
        ReleaseReport {
            id: id.parse().unwrap(),
            state,
            live_since: (state != ReleaseState::Ready).then_some(1_774_447_200),
            created: 1_774_447_190,
            commit: (state != ReleaseState::Ready).then(|| "0123456789abcdef".into()),
            branch: None,
            dirty: None,
            files: 78_622,
            bytes: 1_312_345_678,
            own_bytes: 900,
            who: "deploy@laptop".into(),
            manifest: "00".repeat(32),
            bad: None,
            pinned: None,
            migrations: Vec::new(),
        }
    }

    #[test]
    fn releases_are_a_table() {
        let bad = Bad { reason: "it was rolled back".into(), at: 0, by: "anna@desk".into(), left_for: None };
        let pin =
            Pin { until: Some("2026-12-31".parse().unwrap()), note: Some("a report".into()), by: "me@here".into() };
        let report = ReleasesReport {
            releases: vec![
                release("20260325140000", ReleaseState::Live),
                release("20260326", ReleaseState::Ready),
                ReleaseReport {
                    bad: Some(bad),
                    pinned: Some(pin),
                    branch: Some("cart".into()),
                    dirty: Some(true),
                    ..release("20260327", ReleaseState::Bad)
                },
            ],
            foreign: vec!["old".into()],
            warnings: Vec::new(),
        };
        let expected = "\
RELEASE         STATE  LIVE SINCE            COMMIT                      FILES    SIZE    OWN  WHO
20260325140000  live   2026-03-25 14:00:00Z  0123456789ab               78,622  1.3 GB  900 B  deploy@laptop
20260326        ready  -                     -                          78,622  1.3 GB  900 B  deploy@laptop
20260327        bad    2026-03-25 14:00:00Z  0123456789ab-dirty (cart)  78,622  1.3 GB  900 B  deploy@laptop
20260327 is bad: it was rolled back (by anna@desk)
20260327 is pinned until 2026-12-31: a report (by me@here)
`releases/old` was not made by Cutover and is left alone
";
        assert_eq!(report.text(Palette::plain(), false), expected);
    }

    #[test]
    fn no_releases_are_no_table() {
        let report = ReleasesReport { releases: Vec::new(), foreign: Vec::new(), warnings: Vec::new() };
        assert_eq!(report.text(Palette::plain(), false), "There are no releases\n");
    }
}
