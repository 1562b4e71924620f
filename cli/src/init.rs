//! `cutover init`: writes a commented `cutover.toml`, and a `.deployignore` where there is none.
//!
//! What it writes comes from a preset, from another tool's configuration, from flags, and on a terminal from answers.
//! The text is read back before it is written, as any config is. Nothing that stands is replaced.

mod answers;
mod apart;
mod checkout;
mod draft;
mod import;
mod preset;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::answers::{HOST, Place, app_name};
use self::draft::{Draft, Found, HookDraft, Setting, Untranslated};
use self::import::imported::Imported;
use self::preset::{Facts, Preset};
use engine::error::ErrorId;

use crate::args::InitArgs;
use crate::color::Palette;
use crate::config::{self, Config};
use crate::failure::{Failure, one_line};
use crate::mistake::{Line, list};
use crate::overrides;
use crate::question;
use crate::report::Report;
use crate::secrets::Secrets;
use crate::session::Session;
use crate::variables::Variables;

pub(crate) use self::import::Origin;
pub(crate) use self::preset::names as preset_names;

/// The file with patterns of what is not deployed.
const IGNORE: &str = ".deployignore";

/// The stage if none is named.
const STAGE: &str = "production";

pub(crate) fn run(session: &Session<'_>, args: &InitArgs) -> Result<(), Failure> {
    let directory = &session.environment.directory;
    let file = match &session.everywhere.config {
        Some(named) => session.environment.absolute(named),
        None => directory.join(config::NAME),
    };
    if !args.print && fs::symlink_metadata(&file).is_ok() {
        return Err(taken(&file));
    }
    let asks = !args.print && !session.everywhere.yes && args.from.is_none() && question::can_ask();
    let plan = Plan::make(session, args, asks)?;
    let (draft, intro) = (&plan.draft, plan.intro());
    let config = text::config(draft, &intro);
    // It is read as it will be, before it is there.
    Config::parse(&file, &config, &Variables::default())?;
    let ignore = text::ignore(&draft.ignore);
    let mut report = InitReport {
        config: None,
        deployignore: None,
        preset: plan.preset.as_ref().map(|preset| preset.name),
        stages: draft.stages.iter().map(|stage| stage.name.clone()).collect(),
        untranslated: draft.untranslated.clone(),
        config_text: config,
        deployignore_text: ignore,
        notes: Vec::new(),
        next: Vec::new(),
    };
    if !args.print {
        report.write(&file)?;
        report.next = plan.next(&report);
    }
    session.print(&report, &Secrets::default())
}

fn taken(file: &Path) -> Failure {
    Failure::refused(ErrorId::FileExists, format!("`{}` exists already", file.display()))
        .hint("`cutover init --print` shows what would be written. To begin anew, rename the file first")
}

/// All that is written, and where it comes from.
struct Plan {
    draft: Draft,
    preset: Option<Preset>,
    /// The tool and its files.
    tool: Option<(Origin, Vec<String>)>,
}

impl Plan {
    fn make(session: &Session<'_>, args: &InitArgs, asks: bool) -> Result<Plan, Failure> {
        let environment = session.environment;
        let source = &environment.directory;
        let imported = args.from.map(|origin| import::read(origin, &args.file, source)).transpose()?;
        let preset = find_preset(args, imported.as_ref(), source, asks)?;
        let own = app_name(source);
        let place = match (&args.target.target, &imported) {
            (Some(_), Some(Imported { draft, .. })) if !draft.stages.is_empty() => {
                return Err(Failure::usage("`--target` and `--from` both name a server")
                    .hint("Leave one of them out: `--from` takes the servers of the other tool"));
            }
            (Some(target), _) => Some(Place::of_target(target, environment)?),
            (None, Some(Imported { draft, .. })) if !draft.stages.is_empty() => {
                if args.stage.is_some() {
                    return Err(Failure::usage("`--stage` and `--from` both name a stage")
                        .hint("Leave `--stage` out, and rename the stages in the config"));
                }
                None
            }
            (None, _) if asks => Some(Place::ask(&own)?),
            (None, _) => Some(Place::usual(&own)),
        };
        let mut tool = imported.as_ref().map(|imported| imported.draft.clone()).unwrap_or_default();
        if let Some(place) = &place {
            tool.stages.push(place.stage(args.stage.as_deref().unwrap_or(STAGE)));
        }
        let draft = laid_over(preset.as_ref(), tool, source, imported.as_ref());
        let mut draft = draft.with_apart_shared_paths();
        draft.untranslated.sort();
        for setting in set_by_flags(session)? {
            draft.set(setting);
        }
        let tool = imported.zip(args.from).map(|(imported, origin)| (origin, imported.files));
        Ok(Plan { draft, preset, tool })
    }

    /// Returns the sentences at the top of the config.
    fn intro(&self) -> Vec<String> {
        let made = match (&self.tool, &self.preset) {
            (Some((origin, files)), _) => {
                format!("`cutover init` translated it from {} ({}).", origin.title(), files.join(", "))
            }
            (None, Some(preset)) => format!("`cutover init` wrote it for {}.", preset.title),
            (None, None) => "`cutover init` wrote it.".to_owned(),
        };
        vec![
            format!("Cutover deploys this application as this file says. {made}"),
            "`cutover config show` prints the settings as they count, `cutover deploy --dry-run` what a deploy would do."
                .to_owned(),
        ]
    }

    /// Returns the next steps.
    fn next(&self, report: &InitReport) -> Vec<String> {
        let stage = report.stages.first().map_or(STAGE, String::as_str);
        let mut steps = Vec::new();
        let host = |setting: &Setting| setting.name == "host" && setting.value.as_str() == Some(HOST);
        for stage in self.draft.stages.iter().filter(|stage| stage.settings.iter().any(host)) {
            steps.push(format!("Write the name of your server for `host` of `[{}]`", stage.name));
        }
        if self.draft.settings.iter().any(|setting| setting.name == "ref") && report.deployignore.is_some() {
            steps.push("Commit `.deployignore`: the commit is deployed, not the working directory".to_owned());
        }
        steps.push(format!(
            "`cutover setup {stage}` makes the directories on the server. If the site stands there already: \
             `cutover adopt {stage} --dry-run`"
        ));
        if let Some(preset) = &self.preset {
            steps.push(preset.web_step(stage));
        }
        steps.push(format!("`cutover deploy {stage} --dry-run` shows what a deploy would do"));
        steps
    }
}

/// Finds the preset: the named one, that of the other tool, or the one that the files are of. A person may choose another.
fn find_preset(
    args: &InitArgs,
    imported: Option<&Imported>,
    source: &Path,
    asks: bool,
) -> Result<Option<Preset>, Failure> {
    if let Some(name) = &args.preset {
        return Preset::open(name).map(Some);
    }
    if let Some(imported) = imported {
        return imported.preset.map(Preset::open).transpose();
    }
    let found = Preset::find(source)?;
    if !asks {
        return Ok(found);
    }
    let known = preset_names();
    let usual = found.map_or("none", |preset| preset.name);
    let question = format!("Framework ({}, none)", known.join(", "));
    let check = |name: &str| match name {
        "none" => Ok(()),
        name if known.contains(&name) => Ok(()),
        _ => Err(format!("The frameworks are {}", list(known.iter().copied()))),
    };
    match question::text(&question, usual, check)?.as_str() {
        "none" => Ok(None),
        name => Preset::open(name).map(Some),
    }
}

/// Lays the draft of the tool and the stages over the preset. Behind another tool no check is proposed, and hooks are proposals
/// that restart services, or that migrate the database if the tool did not.
fn laid_over(preset: Option<&Preset>, tool: Draft, source: &Path, imported: Option<&Imported>) -> Draft {
    let first = tool.stages.first();
    let value = |key: &str| {
        let found = first.and_then(|stage| stage.settings.iter().find(|setting| setting.name == key));
        found.and_then(|setting| setting.value.as_str()).unwrap_or_default().to_owned()
    };
    let (deploy_path, host) = (value("deploy_path"), value("host"));
    let branch = checkout::branch(source);
    let facts = Facts {
        source,
        app: &app_name(Path::new(&deploy_path)),
        deploy_path: &deploy_path,
        stage: first.map_or(STAGE, |stage| stage.name.as_str()),
        branch: branch.as_deref(),
    };
    let mut draft = preset.map(|preset| preset.draft(facts)).unwrap_or_default();
    if let Some(Imported { migrates, .. }) = imported {
        // The other tool may restart services in another way.
        let unsure = |hook: &&mut HookDraft| hook.runs_sudo() || hook.migrates() && !migrates;
        draft.hooks.iter_mut().filter(unsure).for_each(|hook| hook.is_proposal = true);
    } else if !host.is_empty() {
        draft.checks.push(home_page(&host));
    }
    draft.lay_over(tool)
}

/// Returns a check of the home page, as a proposal.
fn home_page(host: &str) -> HookDraft {
    let keys = [("name", "home"), ("url", &format!("https://{host}/"))];
    HookDraft {
        keys: keys.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect(),
        why: Some(
            "A page that must answer after each switch. If it does not, the release before goes live again.".into(),
        ),
        is_proposal: true,
        found: None,
    }
}

/// Returns the keys of `--set`, which are written at the top.
fn set_by_flags(session: &Session<'_>) -> Result<Vec<Setting>, Failure> {
    let read = overrides::read(&session.everywhere.set, &Variables::default());
    let section = read.map_err(|mistake| mistake.failure(Path::new("")))?;
    let setting = |(name, value, _): &(String, serde_json::Value, Line)| {
        // What was read as TOML can be written as TOML.
        toml::Value::try_from(value).ok().map(|value| Setting::new(name, value))
    };
    Ok(section.written.iter().filter_map(setting).collect())
}

/// What was written.
#[derive(Debug, Serialize)]
struct InitReport {
    config: Option<PathBuf>,
    deployignore: Option<PathBuf>,
    preset: Option<&'static str>,
    stages: Vec<String>,
    untranslated: Vec<Untranslated>,
    config_text: String,
    deployignore_text: String,
    #[serde(skip)]
    notes: Vec<String>,
    #[serde(skip)]
    next: Vec<String>,
}

impl InitReport {
    /// Writes the files that do not exist.
    fn write(&mut self, file: &Path) -> Result<(), Failure> {
        if !engine::write_new_file(file, self.config_text.as_bytes())? {
            return Err(taken(file));
        }
        self.config = Some(file.to_owned());
        if self.deployignore_text.is_empty() {
            return Ok(());
        }
        let ignore = file.with_file_name(IGNORE);
        if engine::write_new_file(&ignore, self.deployignore_text.as_bytes())? {
            self.deployignore = Some(ignore);
        } else {
            let lines = self.deployignore_text.lines().filter(|line| !line.starts_with('#'));
            let standing =
                if ignore.is_file() { fs::read_to_string(&ignore).unwrap_or_default() } else { String::new() };
            let missing: Vec<&str> = lines.filter(|line| !standing.lines().any(|other| other == *line)).collect();
            if !missing.is_empty() {
                self.notes.push(format!("`{IGNORE}` stands already. Usual lines that it lacks: {}", list(missing)));
            }
        }
        Ok(())
    }
}

impl Report for InitReport {
    const ANSWERS: bool = true;

    fn text(&self, palette: Palette, _: bool) -> String {
        let Some(config) = &self.config else { return self.config_text.clone() };
        let name = |file: &Path| one_line(&file.file_name().unwrap_or_default().to_string_lossy());
        let files: Vec<String> =
            [Some(config), self.deployignore.as_ref()].into_iter().flatten().map(|file| name(file)).collect();
        let mut text = format!("{}\n", palette.strong(format!("Wrote {}", list(files.iter().map(String::as_str)))));
        for note in &self.notes {
            text += &format!("{note}\n");
        }
        if !self.untranslated.is_empty() {
            text += &format!("Not translated, and listed at the end of {}:\n", name(config));
        }
        for Untranslated { found: Found { file, line, text: found }, reason } in &self.untranslated {
            text += &format!("  {}:{line}: {}\n    {}\n", one_line(file), one_line(found), one_line(reason));
        }
        text += "Next:\n";
        for step in &self.next {
            text += &format!("  {step}\n");
        }
        text
    }
}
