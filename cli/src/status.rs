//! `cutover status`: the live release and the state of the server.

use std::collections::BTreeSet;

use engine::StatusCheck;
use engine::error::{ErrorId, Kind};
use engine::release::ReleaseId;
use engine::report::{
    ComparisonReport, DifferenceKind, Differences, LinkState, ReleaseReport, StatusReport, TrialReport,
};

use crate::args::StatusArgs;
use crate::color::Palette;
use crate::failure::Failure;
use crate::releases::commit;
use crate::report::{Block, Report};
use crate::session::Session;
use crate::tally::Verbosity;
use crate::units::{Bytes, Count, Counted, Time};
use crate::uses::Uses;

pub(crate) fn run(session: &Session<'_>, args: &StatusArgs) -> Result<(), Failure> {
    let settings = session.settings(&args.place.place()?, Uses::Server)?;
    let check = match args {
        StatusArgs { content: true, .. } => StatusCheck::Content,
        StatusArgs { check: true, .. } => StatusCheck::Entries,
        _ => StatusCheck::Nothing,
    };
    session.run(&settings, Verbosity::Brief, |context| engine::status(context, check))
}

impl Report for StatusReport {
    const ANSWERS: bool = true;

    fn text(&self, palette: Palette, _: bool) -> String {
        let headline = match &self.live {
            Some(release) => format!("Release {} is live", release.id),
            None => nothing_live(self),
        };
        let rollback = self.rollback.as_ref().map_or("none".into(), |id| format!("goes to {id}"));
        let store = format!("{}, {}", Counted(self.store_objects, "object"), Bytes(self.store_bytes));
        let staging =
            (self.staging_bytes > 0).then(|| format!("{} received and not used yet", Bytes(self.staging_bytes)));
        let spare = self
            .spare
            .as_ref()
            .map(|spare| format!("{} will become the next release, about {}", spare.release, Bytes(spare.disk_bytes)));
        let inodes = self.free_inodes.map_or(String::new(), |inodes| format!(", {} inodes", Count(inodes)));
        let mut block = Block::default();
        block
            .line_if("since", self.live.as_ref().and_then(since))
            .line_if("commit", self.live.as_ref().and_then(commit))
            .line_if("files", self.live.as_ref().map(|live| format!("{}, {}", Count(live.files), Bytes(live.bytes))))
            .line("rollback", rollback)
            .line_if("forward", self.forward.as_ref().map(|id| format!("returns to {id}")))
            .line_if("trial", self.trial.as_ref().map(|trial| trial_text(trial, self.lock.is_some())))
            .line("path", &self.deploy_path)
            .line("current", &self.current_path)
            .line("releases", Count(self.releases))
            .line("store", store)
            .line_if("staging", staging)
            .line_if("spare", spare)
            .line("free", format!("{}{inodes}", Bytes(self.free_bytes)))
            .line_if("lock", self.lock.as_ref())
            .line_if("locked by", self.manual_lock.as_ref());
        for name in &self.foreign {
            block.line("foreign", format!("`releases/{name}` was not made by Cutover"));
        }
        if let Some(comparison) = &self.comparison {
            add_comparison(&mut block, comparison);
        }
        format!("{}\n{}", palette.strong(headline), block.text())
    }

    fn failure(&self) -> Option<Failure> {
        failure(&self.comparison.as_ref()?.differences, self.live.as_ref().map(|live| &live.id))
    }
}

/// Says why nothing is live.
fn nothing_live(report: &StatusReport) -> String {
    match (&report.broken, report.link) {
        (Some(id), _) => return format!("`current` leads to release {id}, which is damaged or gone"),
        (None, LinkState::AdoptionUnfinished) => "Nothing is live: an adoption is not finished",
        (None, LinkState::NotALink) => "Nothing is live: a directory or a file stands in the place of the link",
        (None, LinkState::Elsewhere) => "Nothing is live: the link leads elsewhere",
        (None, LinkState::Release | LinkState::Missing) if report.rollback.is_some() => {
            "Nothing is live: the link is missing"
        }
        (None, LinkState::Release | LinkState::Missing) => "Nothing is live yet",
    }
    .to_owned()
}

/// Says what follows the trial of the live release. It can end only while a run has the lock.
fn trial_text(trial: &TrialReport, has_lock: bool) -> String {
    match (has_lock, &trial.back_to) {
        (true, Some(to)) => format!("has not ended; if it fails, the server switches back to {to}"),
        (true, None) => "has not ended; the release stays".to_owned(),
        (false, Some(to)) => format!("did not end; the next run that takes the lock switches back to {to}"),
        (false, None) => "did not end; the release stays".to_owned(),
    }
}

/// Adds a line for the comparison, or for each group of differences.
fn add_comparison(block: &mut Block, comparison: &ComparisonReport) {
    let how = if comparison.content { "read in full" } else { "compared without reading" };
    if comparison.differences.is_empty() {
        let releases = Counted(comparison.releases.len() as u64, "release");
        block.line("check", format!("{releases}, {how}: as deployed"));
    }
    for differences in &comparison.differences {
        let ids: Vec<&str> = differences.releases.iter().map(ReleaseId::as_str).collect();
        block.line("changed", format!("{}: {differences}", ids.join(", ")));
    }
}

/// Returns the failure for releases that differ from what was deployed.
pub(crate) fn failure(differences: &[Differences], live: Option<&ReleaseId>) -> Option<Failure> {
    let releases: BTreeSet<&ReleaseId> = differences.iter().flat_map(|group| &group.releases).collect();
    let subject = match releases.into_iter().collect::<Vec<_>>()[..] {
        [] => return None,
        [id] => format!("Release {id} is"),
        ref several => format!("{} releases are", several.len()),
    };
    let is_edited =
        |group: &&Differences| group.paths.iter().any(|difference| difference.kind != DifferenceKind::Added);
    let edited: Vec<&Differences> = differences.iter().filter(is_edited).collect();
    let hint = if edited.is_empty() {
        "Names that the application adds belong to `copy_paths` or to `shared/`"
    } else if edited.iter().any(|group| live.is_some_and(|live| group.releases.contains(live))) {
        "`cutover deploy` makes the live release anew from its source, and names what was changed"
    } else {
        "The live release is not among them. A rollback to the others needs `--force`, so deploy their source instead"
    };
    Some(
        Failure {
            kind: Kind::Damage,
            ..Failure::refused(ErrorId::ReleaseEdited, format!("{subject} not what was deployed"))
        }
        .hint(hint)
        .reported(),
    )
}

fn since(live: &ReleaseReport) -> Option<String> {
    live.live_since.map(|second| format!("{}, by {}", Time(second), live.who))
}

#[cfg(test)]
mod tests {
    use engine::report::{LockHolder, ReleaseState, SpareReport};

    use super::*;

    fn report() -> StatusReport {
        StatusReport {
            deploy_path: "/srv/shop".into(),
            current_path: "/srv/shop/current".into(),
            live: None,
            link: LinkState::Missing,
            broken: None,
            rollback: None,
            forward: None,
            trial: None,
            lock: None,
            manual_lock: None,
            releases: 0,
            store_objects: 0,
            store_bytes: 0,
            staging_bytes: 0,
            spare: None,
            free_bytes: 12_345_678_901,
            free_inodes: None,
            store: "0a1b".into(),
            foreign: Vec::new(),
            comparison: None,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_status_says_what_is_live_first() {
        let report = StatusReport {
            link: LinkState::Release,
            live: Some(ReleaseReport {
                id: "20260325140000".parse().unwrap(),
                state: ReleaseState::Live,
                live_since: Some(1_774_447_200),
                created: 1_774_447_190,
                commit: Some("0123456789abcdef".into()),
                branch: Some("main".into()),
                dirty: Some(true),
                files: 78_622,
                bytes: 1_312_345_678,
                own_bytes: 900,
                who: "deploy@laptop".into(),
                manifest: "00".repeat(32),
                bad: None,
                pinned: None,
                migrations: Vec::new(),
            }),
            rollback: Some("20260325120000".parse().unwrap()),
            forward: Some("20260325150000".parse().unwrap()),
            trial: Some(TrialReport { back_to: Some("20260325120000".parse().unwrap()), needs_confirmation: true }),
            lock: Some(LockHolder {
                who: "me".into(),
                from: "laptop".into(),
                since: 1_774_447_200,
                pid: 4711,
                verb: "deploy".into(),
                commit: None,
                job: None,
                hook: None,
            }),
            releases: 3,
            store_objects: 80_000,
            store_bytes: 1_500_000_000,
            staging_bytes: 2000,
            spare: Some(SpareReport { release: "20260324110000".parse().unwrap(), disk_bytes: 21_000_000 }),
            free_inodes: Some(1_000_000),
            foreign: vec!["old".into()],
            ..report()
        };
        let expected = "\
Release 20260325140000 is live
  since     2026-03-25 14:00:00Z, by deploy@laptop
  commit    0123456789ab-dirty (main)
  files     78,622, 1.3 GB
  rollback  goes to 20260325120000
  forward   returns to 20260325150000
  trial     has not ended; if it fails, the server switches back to 20260325120000
  path      /srv/shop
  current   /srv/shop/current
  releases  3
  store     80,000 objects, 1.5 GB
  staging   2.0 kB received and not used yet
  spare     20260324110000 will become the next release, about 21.0 MB
  free      12.3 GB, 1,000,000 inodes
  lock      me@laptop since 2026-03-25 14:00:00Z: deploy (process 4711)
  foreign   `releases/old` was not made by Cutover
";
        assert_eq!(report.text(Palette::plain(), false), expected);
    }

    #[test]
    fn before_the_first_deploy_there_is_little_to_say() {
        let expected = "\
Nothing is live yet
  rollback  none
  path      /srv/shop
  current   /srv/shop/current
  releases  0
  store     0 objects, 0 B
  free      12.3 GB
";
        assert_eq!(report().text(Palette::plain(), false), expected);
    }

    #[test]
    fn what_stands_in_the_place_of_the_link_is_the_reason_that_nothing_is_live() {
        let headline = |link, rollback: Option<&str>| {
            let rollback = rollback.map(|id| id.parse().unwrap());
            StatusReport { link, rollback, ..report() }.text(Palette::plain(), false).lines().next().unwrap().to_owned()
        };
        assert_eq!(headline(LinkState::Missing, Some("1")), "Nothing is live: the link is missing");
        assert_eq!(headline(LinkState::AdoptionUnfinished, None), "Nothing is live: an adoption is not finished");
        let place = "Nothing is live: a directory or a file stands in the place of the link";
        assert_eq!(headline(LinkState::NotALink, None), place);
        assert_eq!(headline(LinkState::Elsewhere, Some("1")), "Nothing is live: the link leads elsewhere");
    }
}
