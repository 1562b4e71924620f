//! `cutover deploy`: makes a release of the source and switches to it.

use engine::DeployRequest;
use engine::release::ReleaseId;
use engine::report::{self, ChangesReport, DeployReport, DeployState, MakingReport, ReuseReport};

use crate::args::DeployArgs;
use crate::color::Palette;
use crate::failure::Failure;
use crate::notice::Outcome;
use crate::preview;
use crate::report::{Block, Report, changes};
use crate::run_verb::RunVerb;
use crate::session::Session;
use crate::settings::Settings;
use crate::tally::Verbosity;
use crate::units::{Bytes, Count, Counted, Seconds};
use crate::uses::Uses;

/// A phase that is shorter, in seconds, is left out of the summary. It would be `0.0 s`.
const SHORTEST_SHOWN: f64 = 0.05;

pub(crate) fn run(session: &Session<'_>, args: &DeployArgs) -> Result<(), Failure> {
    let (settings, request) = prepare(session, args).map_err(Failure::before_any_switch)?;
    let verb = (!request.dry_run).then_some(RunVerb::Deploy);
    let done = session.run_logged(&settings, Verbosity::Phases, verb, |context| engine::deploy(context, &request));
    done.map_err(|failure| if args.dry_run { failure } else { failure.after_sending() })
}

fn prepare(session: &Session<'_>, args: &DeployArgs) -> Result<(Settings, DeployRequest), Failure> {
    if let Some(release) = &args.release {
        session.stages.check_new_release(release)?;
    }
    let settings = session
        .settings(&args.place.place()?, Uses::Everything)?
        .with_grace(args.grace)
        .with_lock(args.lock.request())
        .without_hooks_if(args.skip_hooks);
    let given = args.source.as_ref().map(|source| session.environment.absolute(source));
    let mut source = settings.source.clone();
    source.directory = given.unwrap_or(source.directory);
    source.git_ref = args.git_ref.clone().or(source.git_ref);
    let request = DeployRequest {
        source,
        release: args.release.clone(),
        no_switch: args.no_switch,
        force: args.force,
        dry_run: args.dry_run,
        no_space_check: args.no_space_check,
        paranoid: args.paranoid,
        zstd_level: args.zstd_level.or(settings.zstd_level),
        lanes: args.lanes,
    };
    Ok((settings, request))
}

impl Report for DeployReport {
    const ANSWERS: bool = false;

    fn text(&self, palette: Palette, is_verbose: bool) -> String {
        let no_reuse = self.making.not_reused.as_ref().filter(|_| is_verbose);
        let no_reuse = no_reuse.map(|why| format!("none, so this release was made in full. {why}"));
        let ChangesReport { files_new, files_changed, files_removed } = self.changes;
        let mut block = Block::default();
        block.line("files", format!("{}, {}", Count(self.tree.files), Bytes(self.tree.bytes)));
        match &self.preview {
            Some(preview) => preview::add(&mut block, &self.changes, preview),
            None => drop(block.line("changes", changes(files_new, files_changed, files_removed))),
        }
        block
            .line_if("sent", (!self.dry_run).then_some(Bytes(self.traffic.sent_bytes)))
            .line_if("stored", stored(&self.making))
            .line_if("reused", reuse(&self.making))
            .line_if("reuse", no_reuse)
            .line_if("copied", copies(&self.making))
            .line_if("carried", carried(&self.making))
            .line_if("shared", seeded(&self.making))
            .line_if(if self.dry_run { "to remove" } else { "removed" }, removals(self))
            .line_if("hooks", hooks(self))
            .line("time", Seconds(self.seconds.total))
            .line_if("phases", phases(&self.seconds));
        format!("{}\n{}", palette.strong(headline(self)), block.text())
    }

    fn failure(&self) -> Option<Failure> {
        self.preview.as_ref().and_then(preview::failure)
    }

    fn outcome(&self) -> Option<Outcome> {
        Some(Outcome::of_deploy(self))
    }

    fn next(&self) -> Option<String> {
        let is_ready = self.state == DeployState::Ready && !self.dry_run;
        let id = self.release.as_ref().filter(|_| is_ready)?;
        Some(format!("`cutover switch {id}` makes it live"))
    }
}

fn headline(report: &DeployReport) -> String {
    let id = report.release.as_ref().map(ToString::to_string);
    let name = id.as_ref().map_or("a new release".to_owned(), |id| format!("release {id}"));
    match (report.state, report.dry_run) {
        (DeployState::Live, true) => format!("Dry run: nothing was changed. A deploy would make {name} live"),
        (DeployState::Ready, true) => format!("Dry run: nothing was changed. A deploy would make {name} ready"),
        (DeployState::Unchanged, true) if report.hooks.is_empty() => {
            "Dry run: a deploy would change nothing".to_owned()
        }
        (DeployState::Unchanged, true) => {
            "Dry run: a deploy would change nothing, unless the hooks of its build change the source".to_owned()
        }
        (DeployState::Unchanged, false) => format!("Nothing changed: {name} is live"),
        (DeployState::Ready, false) => format!("Release {} is ready", id.unwrap_or_default()),
        (DeployState::Live, false) => {
            let replaces = report.previous.as_ref().map(|previous| format!("; it replaces {previous}"));
            format!("Release {} is live{}", id.unwrap_or_default(), replaces.unwrap_or_default())
        }
    }
}

/// Returns the time of each phase that took long enough to be seen.
fn phases(seconds: &report::Seconds) -> Option<String> {
    let phases = [
        ("connect", seconds.connect),
        ("scan", seconds.scan),
        ("upload", seconds.upload),
        ("assemble", seconds.assemble),
        ("sync", seconds.sync),
        ("hooks", seconds.hooks),
        ("switch", seconds.switch),
        ("cleanup", seconds.cleanup),
    ];
    let seen = phases.into_iter().filter(|(_, seconds)| *seconds >= SHORTEST_SHOWN);
    let texts: Vec<String> = seen.map(|(name, seconds)| format!("{name} {seconds:.1} s")).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn stored(making: &MakingReport) -> Option<String> {
    let stored = making.objects_new + making.objects_linked > 0;
    stored.then(|| {
        let new = Counted(making.objects_new, "new object");
        format!("{new}, {} linked", Counted(making.objects_linked, "file"))
    })
}

fn reuse(making: &MakingReport) -> Option<String> {
    let ReuseReport { release, kept, .. } = making.reused.as_ref()?;
    Some(format!("{release}, with {} of its files", Count(*kept)))
}

fn copies(making: &MakingReport) -> Option<String> {
    let copied: u64 = making.copied.values().sum();
    let reasons = making.copied.iter().map(|(why, count)| format!("{why}: {}", Count(*count)));
    let reasons: Vec<String> = reasons.collect();
    (copied > 0).then(|| format!("{} ({})", Counted(copied, "file"), reasons.join(", ")))
}

/// Names the first of the carried files. Their number is among the copies.
fn carried(making: &MakingReport) -> Option<String> {
    let all = making.copied.get("carry_over").copied().unwrap_or_default();
    let named = &making.carried;
    let more = if all > named.len() as u64 { ", …" } else { "" };
    (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
}

fn seeded(making: &MakingReport) -> Option<String> {
    let filled = making.seeded.iter().map(|seeded| match seeded.files {
        0 => format!("{} (made empty)", seeded.path),
        files => format!("{} ({} of the release)", seeded.path, Counted(files, "file")),
    });
    let filled: Vec<String> = filled.collect();
    (!filled.is_empty()).then(|| filled.join(", "))
}

fn removals(report: &DeployReport) -> Option<String> {
    let ids: Vec<&str> = report.removed.iter().map(ReleaseId::as_str).collect();
    (!ids.is_empty()).then(|| ids.join(", "))
}

/// Returns the hooks that a deploy would run.
fn hooks(report: &DeployReport) -> Option<String> {
    (!report.hooks.is_empty()).then(|| report.hooks.join(", "))
}

#[cfg(test)]
mod tests {
    use engine::report::{Seconds, SeededReport, TrafficReport, TreeReport};

    use super::*;

    fn report() -> DeployReport {
        DeployReport {
            release: Some("20260325140000".parse().unwrap()),
            previous: Some("20260325120000".parse().unwrap()),
            state: DeployState::Live,
            dry_run: false,
            tree: TreeReport {
                manifest: "00".repeat(32),
                commit: None,
                branch: None,
                dirty: None,
                files: 78_622,
                bytes: 1_312_345_678,
            },
            changes: ChangesReport { files_new: 12, files_changed: 1828, files_removed: 3 },
            traffic: TrafficReport {
                sent_bytes: 4_972_000,
                received_bytes: 1200,
                round_trips: 2,
                zstd_levels: [(6, 1_000_000)].into(),
                connections: 1,
            },
            making: MakingReport {
                objects_new: 1840,
                objects_linked: 1840,
                reused: Some(ReuseReport {
                    release: "20260301120000".parse().unwrap(),
                    kept: 76_782,
                    removed: 1843,
                    moved: 0,
                }),
                not_reused: None,
                copied: [("copy_paths".to_owned(), 2), ("carry_over".to_owned(), 7)].into(),
                seeded: vec![
                    SeededReport { path: "storage".into(), files: 12 },
                    SeededReport { path: "logs".into(), files: 0 },
                ],
                carried: vec!["plugins/a/a.php".into()],
            },
            removed: vec!["20260301120000".parse().unwrap()],
            preview: None,
            hooks: vec!["build".into(), "migrate".into()],
            edited: None,
            warnings: Vec::new(),
            seconds: Seconds { total: 3.214, ..Seconds::default() },
        }
    }

    #[test]
    fn a_deploy_is_summed_up_in_one_block() {
        let expected = "\
Release 20260325140000 is live; it replaces 20260325120000
  files    78,622, 1.3 GB
  changes  12 new, 1,828 changed, 3 removed
  sent     5.0 MB
  stored   1,840 new objects, 1,840 files linked
  reused   20260301120000, with 76,782 of its files
  copied   9 files (carry_over: 7, copy_paths: 2)
  carried  plugins/a/a.php, …
  shared   storage (12 files of the release), logs (made empty)
  removed  20260301120000
  hooks    build, migrate
  time     3.21 s
";
        assert_eq!(report().text(Palette::plain(), false), expected);
    }

    #[test]
    fn the_summary_has_the_time_of_each_phase_that_can_be_seen() {
        let seconds = Seconds {
            connect: 0.31,
            scan: 0.24,
            upload: 12.06,
            assemble: 0.04,
            sync: 0.051,
            hooks: 7.0,
            ..Seconds::default()
        };
        let text = DeployReport { seconds, ..report() }.text(Palette::plain(), false);
        let line = text.lines().last().unwrap();
        assert_eq!(line, "  phases   connect 0.3 s, scan 0.2 s, upload 12.1 s, sync 0.1 s, hooks 7.0 s");
    }

    #[test]
    fn a_dry_run_has_sent_nothing_to_speak_of() {
        let text = DeployReport { dry_run: true, ..report() }.text(Palette::plain(), false);
        assert!(!text.contains("  sent "), "{text}");
    }

    #[test]
    fn why_nothing_was_reused_is_told_to_those_who_ask_for_more() {
        let mut report = report();
        report.making.reused = None;
        report.making.not_reused = Some("Release 1 cannot be reused: sshd (7) of root may still use it".into());
        let expected = "  reuse    none, so this release was made in full. Release 1 cannot be reused: sshd (7) of root may \
                        still use it\n";
        assert!(report.text(Palette::plain(), true).contains(expected), "{}", report.text(Palette::plain(), true));
        assert!(!report.text(Palette::plain(), false).contains("reuse"));
    }

    #[test]
    fn a_report_is_printed_flat() {
        let object = serde_json::to_value(report()).unwrap();
        let numbers =
            ["files", "files_new", "sent_bytes", "connections", "objects_new"].map(|name| object[name].as_u64());
        assert_eq!(numbers, [78_622, 12, 4_972_000, 1, 1840].map(Some));
        assert_eq!(object["zstd_levels"]["6"], 1_000_000);
        assert_eq!(object["copied"]["copy_paths"], 2);
        assert_eq!(object.as_object().unwrap().len(), 31);
    }

    #[test]
    fn the_headline_says_what_became_of_it() {
        let check = |state, dry_run, release: Option<&str>, expected: &str| {
            let release = release.map(|id| id.parse().unwrap());
            let report = DeployReport { state, dry_run, release, ..report() };
            assert_eq!(headline(&report), expected);
        };
        check(DeployState::Live, true, None, "Dry run: nothing was changed. A deploy would make a new release live");
        check(DeployState::Live, true, Some("7"), "Dry run: nothing was changed. A deploy would make release 7 live");
        check(DeployState::Ready, true, None, "Dry run: nothing was changed. A deploy would make a new release ready");
        let unless = "Dry run: a deploy would change nothing, unless the hooks of its build change the source";
        check(DeployState::Unchanged, true, Some("7"), unless);
        let without = DeployReport { state: DeployState::Unchanged, dry_run: true, hooks: Vec::new(), ..report() };
        assert_eq!(headline(&without), "Dry run: a deploy would change nothing");
        check(DeployState::Unchanged, false, Some("7"), "Nothing changed: release 7 is live");
        check(DeployState::Ready, false, Some("7"), "Release 7 is ready");
    }

    #[test]
    fn a_ready_release_names_the_way_on() {
        let ready = DeployReport { state: DeployState::Ready, ..report() };
        assert_eq!(ready.next().as_deref(), Some("`cutover switch 20260325140000` makes it live"));
        assert_eq!(DeployReport { dry_run: true, ..ready }.next(), None);
        assert_eq!(report().next(), None);
    }
}
