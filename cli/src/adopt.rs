//! `cutover adopt`: turns a standing site into the first release of a deploy path, or gives it back.

mod config_keys;
mod plan;

use std::path::{Path, PathBuf};

use engine::path::RelativePath;
use engine::report::{AdoptReport, FoundKind, FoundPath, FoundSite, SurveyReport, UndoReport};
use engine::shell::quoted;
use engine::target::Destination;
use engine::{AdoptRequest, Context};
use serde::{Serialize, Serializer};

use crate::args::AdoptArgs;
use crate::color::Palette;
use crate::destination;
use crate::failure::{Failure, one_line};
use crate::output::Output;
use crate::question::confirm;
use crate::report::{Block, Report};
use crate::run_verb::RunVerb;
use crate::session::Session;
use crate::settings::Settings;
use crate::tally::Verbosity;
use crate::units::{Bytes, Count, Counted};
use crate::uses::Uses;

use self::config_keys::{ConfigKey, ConfiguredPlace};
use self::plan::Plan;

pub(crate) fn run(session: &Session<'_>, args: &AdoptArgs) -> Result<(), Failure> {
    let mut settings = session.settings(&args.place.place()?, Uses::Everything)?.with_lock(args.lock.request());
    if let Some(source) = &args.source {
        settings.source.directory = session.environment.absolute(source);
    }
    let configured = ConfiguredPlace {
        deploy_path: settings.target.destination.path().to_owned(),
        current_path: settings.policy.current_path.clone(),
        is_of_target: args.place.target.target.is_some(),
    };
    let declared = [&settings.policy.shared_dirs, &settings.policy.shared_files]
        .map(|shared| shared.iter().map(|shared| shared.path.to_string()).collect::<Vec<_>>());
    let (site, mut settings) = placed(settings, args)?;
    if args.undo {
        return undo(session, args, &settings, &site);
    }
    let mut request = AdoptRequest { site, share: args.share.clone(), keep: args.keep.clone(), link: args.link };
    let source = settings.source.clone();
    let look = |context: &Context| {
        engine::survey(context, &request, &source).map(|survey| {
            let keys = match &survey.found {
                FoundSite::Tool { .. } => Vec::new(),
                FoundSite::Directory | FoundSite::Begun => configured.missing_keys(&survey.site, &survey.deploy_path),
            };
            Plan { survey, keys, declared: declared.clone() }
        })
    };
    if args.dry_run {
        return session.run(&settings, Verbosity::Brief, look);
    }
    let plan = session.call(&settings, Verbosity::Brief, look)?;
    let is_printed = session.everywhere.output() == Output::Text;
    if is_printed {
        session.print(&plan, &settings.secrets())?;
    }
    let survey = plan.survey;
    if let Some(failure) = plan::failure(&survey) {
        return Err(Failure { is_reported: is_printed, ..failure.masked(&settings.secrets()) });
    }
    confirm(&settings.secrets().mask_text(question(&survey)), session.everywhere.yes)?;
    request.share = shares(&survey);
    if let FoundSite::Tool { .. } = survey.found {
        set_path(&mut settings.target.destination, PathBuf::from(&survey.deploy_path));
    }
    let session = session.at(place_behind(session, args, &request.site, &survey.deploy_path));
    session.run_logged(&settings, Verbosity::Phases, Some(RunVerb::Adopt), |context| {
        engine::adopt(context, &request, &source).map(|report| {
            let missing = match &report.tool {
                Some(_) => Vec::new(),
                None => configured.missing_keys(&report.site, &report.deploy_path),
            };
            Adopted { report, missing }
        })
    })
}

/// Gives a site back, or shows what that would do.
fn undo(session: &Session<'_>, args: &AdoptArgs, settings: &Settings, site: &Path) -> Result<(), Failure> {
    if !args.dry_run {
        let question = format!("Give {} back as it was before it was adopted?", site.display());
        confirm(&settings.secrets().mask_text(question), session.everywhere.yes)?;
    }
    let verb = (!args.dry_run).then_some(RunVerb::AdoptUndo);
    session.run_logged(settings, Verbosity::Brief, verb, |context| engine::undo_adoption(context, site, args.dry_run))
}

/// A site that was adopted, and the keys that the config lacks.
struct Adopted {
    report: AdoptReport,
    missing: Vec<ConfigKey>,
}

impl Serialize for Adopted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.report.serialize(serializer)
    }
}

/// Returns the words and flags for later verbs: where `--target` named the site, they need the deploy path in its place.
fn place_behind(session: &Session<'_>, args: &AdoptArgs, site: &Path, deploy_path: &str) -> String {
    let Some(target) = &args.place.target.target else { return session.place.clone() };
    let named = target.to_string_lossy();
    let host = match named.strip_suffix(&*site.to_string_lossy()) {
        // A path of this machine, which may be relative.
        None if !named.contains(':') => "",
        None => return session.place.clone(),
        Some(host) => host,
    };
    session.place.replacen(&quoted(&named), &quoted(&format!("{host}{deploy_path}")), 1)
}

fn question(survey: &SurveyReport) -> String {
    match &survey.found {
        FoundSite::Directory => format!("Adopt {}?", one_line(&survey.site)),
        FoundSite::Tool { tool, .. } => format!("Take {} over from {}?", one_line(&survey.deploy_path), one_line(tool)),
        FoundSite::Begun => format!("Finish the adoption of {}?", one_line(&survey.site)),
    }
}

/// Returns the paths that become shared beside those of the configuration.
fn shares(survey: &SurveyReport) -> Vec<RelativePath> {
    let is_named = |path: &&FoundPath| path.kind.is_shared() && path.kind != FoundKind::Declared;
    survey.paths.iter().filter(is_named).map(|found| found.path.clone()).collect()
}

/// Returns the site, and settings whose destination is the deploy path that it gets. The link is not among them: while the
/// site is a directory, no link is there.
fn placed(mut settings: Settings, args: &AdoptArgs) -> Result<(PathBuf, Settings), Failure> {
    let configured = settings.target.destination.path().to_owned();
    let current = settings.policy.current_path.take();
    let site = current.clone().unwrap_or_else(|| configured.clone());
    let deploy_path = match (&args.deploy_path, current) {
        (Some(path), _) => path.clone(),
        (None, Some(_)) if configured != site => configured,
        (None, _) => destination::beside(&site).ok_or_else(|| {
            Failure::usage(format!("`{}` has no name, so no deploy path can be made beside it", site.display()))
                .hint("Name one with `--deploy-path`")
        })?,
    };
    set_path(&mut settings.target.destination, deploy_path);
    Ok((site, settings))
}

fn set_path(destination: &mut Destination, path: PathBuf) {
    match destination {
        Destination::Local(local) => *local = path,
        Destination::Ssh(ssh) => ssh.path = path,
    }
}

impl Report for Adopted {
    const ANSWERS: bool = false;

    fn text(&self, palette: Palette, _: bool) -> String {
        let report = &self.report;
        let headline = match &report.tool {
            None => format!("{} is adopted: release {} is live", one_line(&report.site), report.release),
            Some(tool) => {
                format!(
                    "{} is taken over from {}: release {} is live",
                    one_line(&report.deploy_path),
                    one_line(tool),
                    report.release
                )
            }
        };
        let mut block = Block::default();
        block.line("files", format!("{}, {}", Count(report.files), Bytes(report.bytes)));
        block.line("stored", Counted(report.objects_new, "new object"));
        if !report.releases.is_empty() {
            let pinned = format!(
                "{} of the tool, which stay until they are unpinned",
                Counted(report.releases.len() as u64, "release")
            );
            block.line("releases", pinned);
        }
        for path in &report.shared {
            block.line("shared", path);
        }
        block.line_if("original", report.original.as_ref());
        for path in &report.changed {
            block.line("changed", format!("{path} changed during the exchange; the old directory has the newer file"));
        }
        if report.changed_left_out > 0 {
            block.line("changed", format!("and {} more", Count(report.changed_left_out)));
        }
        let mut text = format!("{}\n{}", palette.strong(headline), block.text());
        if !self.missing.is_empty() {
            text += "For the stage in cutover.toml:\n";
        }
        text.extend(self.missing.iter().map(ConfigKey::line));
        if report.tool.is_none() {
            text += "PHP: reload PHP-FPM now, unless nginx has the configuration that `cutover web nginx` prints. With the configuration of `cutover web`, PHP serves each later release at once.\n";
        }
        text
    }

    fn next(&self) -> Option<String> {
        let restart = if self.report.tool.is_none() {
            "restart programs that keep running (workers, Node, Python, Ruby), then "
        } else {
            ""
        };
        Some(format!("Next: {restart}`cutover deploy`. To go back: `cutover adopt --undo`"))
    }
}

impl Report for UndoReport {
    const ANSWERS: bool = false;

    fn text(&self, palette: Palette, _: bool) -> String {
        let headline = match (self.dry_run, &self.tool) {
            (false, None) => format!("{} is what it was before it was adopted", one_line(&self.site)),
            (false, Some(tool)) => format!("{} is a deploy path of {} again", one_line(&self.site), one_line(tool)),
            (true, None) => format!("{} would be what it was before it was adopted", one_line(&self.site)),
            (true, Some(tool)) => {
                format!("{} would be a deploy path of {} again", one_line(&self.site), one_line(tool))
            }
        };
        let mut block = Block::default();
        let (left, moved) = if self.dry_run { ("leaves", "moves back") } else { ("left", "moved back") };
        block.line_if(left, self.left.as_ref().map(|left| format!("release {left}")));
        for path in &self.shared {
            block.line(moved, path);
        }
        if self.tool.is_none() {
            block.line("remains", self.deploy_path.clone());
        } else {
            block.line("remains", format!("{}/.cutover", self.deploy_path));
        }
        for id in &self.remaining {
            block.line("remains", format!("{}/releases/{id}, which the tool takes for its own", self.deploy_path));
        }
        format!("{}\n{}", palette.strong(headline), block.text())
    }

    fn next(&self) -> Option<String> {
        if self.dry_run {
            return None;
        }
        let Some(tool) = &self.tool else {
            let next = "Next: restart programs that keep running (PHP-FPM, workers, Node, Python, Ruby)";
            // A path that stays in `shared/` is served from there.
            let is_unused = self.warnings.is_empty();
            let then = format!(". Then nothing is served from {} any more", one_line(&self.deploy_path));
            return Some(format!("{next}{}", if is_unused { then.as_str() } else { "" }));
        };
        let releases = self.remaining.iter().map(|id| format!("{}/releases/{id}", self.deploy_path));
        let paths: Vec<String> = std::iter::once(format!("{}/.cutover", self.deploy_path))
            .chain(releases)
            .map(|path| quoted(&one_line(&path)))
            .collect();
        Some(format!(
            "Next: before you deploy with {} again, run `rm -rf {}` on the server. Switch deploys with Cutover to this path off: \
             `cutover deploy` would make its release live",
            one_line(tool),
            paths.join(" ")
        ))
    }
}
