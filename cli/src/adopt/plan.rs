//! The text of a look at a site: what becomes shared, what the source lacks, what is in the way.

use engine::error::{Error, Kind, Refusal};
use engine::report::{FoundKind, FoundPath, FoundSite, SurveyReport};

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::json;

use crate::color::Palette;
use crate::failure::{Failure, one_line};
use crate::hint;
use crate::preview::space_text;
use crate::report::{Block, Report};
use crate::table::Table;
use crate::toml_string::toml_string;
use crate::units::{Bytes, Count, Counted};

use super::config_keys::ConfigKey;

/// The share of a site's files that a source has at least, in percent. Less is likely another application.
const LIKELY_PERCENT: u64 = 30;

/// A look at a site, as it is printed.
pub(crate) struct Plan {
    /// The look.
    pub(super) survey: SurveyReport,
    /// The keys that the stage lacks.
    pub(super) keys: Vec<ConfigKey>,
    /// The paths that the configuration shares already: directories, and files.
    pub(super) declared: [Vec<String>; 2],
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serde_json::to_value(&self.survey).map_err(S::Error::custom)?;
        let obstacle = |refusal: &Refusal| {
            json!({
                "id": refusal.id.word(),
                "message": refusal.message,
                "causes": refusal.causes,
                "hint": refusal.hint.as_ref().map(hint::text),
            })
        };
        object["obstacles"] = self.survey.obstacles.iter().map(obstacle).collect();
        object.serialize(serializer)
    }
}

impl Report for Plan {
    const ANSWERS: bool = true;

    fn text(&self, palette: Palette, _: bool) -> String {
        text(self, palette)
    }

    fn failure(&self) -> Option<Failure> {
        failure(&self.survey).map(Failure::reported)
    }
}

/// Returns the failure of a site that cannot be adopted.
pub(super) fn failure(survey: &SurveyReport) -> Option<Failure> {
    let first: &Refusal = survey.obstacles.first()?;
    let mut failure = Failure { kind: Kind::Refused, ..Failure::from(Error::Agent(first.clone())) };
    if let others @ 1.. = survey.obstacles.len() - 1 {
        failure.message += &format!(" (and {} more)", Counted(others as u64, "obstacle"));
    }
    Some(failure)
}

/// Returns the text.
fn text(plan: &Plan, palette: Palette) -> String {
    let survey = &plan.survey;
    let mut text = format!("{}\n{}", palette.strong(headline(survey)), facts(survey));
    if !survey.paths.is_empty() {
        text += "Paths that only the server has, that differ from the source, or that the configuration shares:\n";
        text += &table(survey).text(palette);
        if survey.paths_left_out > 0 {
            text += &format!("and {} more leftovers\n", Count(survey.paths_left_out));
        }
        text += &advice(plan);
    }
    text += &config_lines(plan);
    text += &warnings(survey);
    for obstacle in &survey.obstacles {
        text += &format!("Obstacle [{}]: {}\n", obstacle.id, one_line(&obstacle.message));
        if let Some(hint) = &obstacle.hint {
            text += &format!("  {}\n", one_line(&hint::text(hint)));
        }
    }
    text
}

fn headline(survey: &SurveyReport) -> String {
    let (site, deploy_path) = (one_line(&survey.site), one_line(&survey.deploy_path));
    match &survey.found {
        FoundSite::Directory => format!("{site} becomes the link to the live release of {deploy_path}"),
        FoundSite::Tool { tool, releases, live } => format!(
            "{deploy_path} has {} of {}; {live} is live and stays live",
            Counted(releases.len() as u64, "release"),
            one_line(tool)
        ),
        FoundSite::Begun => format!("{site} is the link already; the last step of its adoption is missing"),
    }
}

fn facts(survey: &SurveyReport) -> String {
    if survey.found == FoundSite::Begun {
        return String::new();
    }
    let mut block = Block::default();
    block.line("release", format!("{}, {}", Counted(survey.files, "file"), Bytes(survey.bytes)));
    let (source, own) = (Counted(survey.source_files, "file"), Count(survey.files_of_source));
    block.line("source", format!("{source}, {own} of them on the server"));
    let how = if survey.reflinks { "; copies share their blocks" } else { "" };
    block.line_if("space", survey.space.as_ref().map(|space| space_text(space) + how));
    block.text()
}

fn table(survey: &SurveyReport) -> Table<5> {
    let row = |found: &FoundPath| {
        let slash = if found.directory { "/" } else { "" };
        let shared = if found.kind.is_shared() { "yes" } else { "no" };
        [
            name(found.kind).to_owned(),
            shared.to_owned(),
            Count(found.files).to_string(),
            Bytes(found.bytes).to_string(),
            format!("{}{slash}", found.path),
        ]
    };
    let mut paths: Vec<&FoundPath> = survey.paths.iter().collect();
    paths.sort_by(|one, other| (one.kind, &one.path).cmp(&(other.kind, &other.path)));
    Table::new(["KIND", "SHARED", "FILES", "SIZE", "PATH"]).numbers(&[2, 3]).rows(paths.into_iter().map(row))
}

fn name(kind: FoundKind) -> &'static str {
    match kind {
        FoundKind::Declared => "declared",
        FoundKind::Named => "named",
        FoundKind::Uploads => "uploads",
        FoundKind::Backups => "backups",
        FoundKind::Config => "config",
        FoundKind::Logs => "logs",
        FoundKind::Cache => "cache",
        FoundKind::Database => "database",
        FoundKind::Socket => "socket",
        FoundKind::Open => "open",
        FoundKind::Built => "built",
        FoundKind::Carried => "carried",
        FoundKind::Differs => "differs",
        FoundKind::Leftover => "leftover",
    }
}

/// Says what happens to the paths.
fn advice(plan: &Plan) -> String {
    let survey = &plan.survey;
    let mut text = String::new();
    let has = |kind| survey.paths.iter().any(|found| found.kind == kind);
    if survey.paths.iter().any(|found| found.kind.is_shared()) {
        text += "Shared paths move into `shared/`, where they outlive releases. Another choice: `--share PATH`, `--keep PATH`.\n";
    }
    let is_made_anew = |found: &&FoundPath| {
        !found.directory && (found.kind == FoundKind::Socket || found.path.as_bytes().ends_with(b".pid"))
    };
    if let Some(found) = survey.paths.iter().find(is_made_anew) {
        text += &format!(
            "If a program recreates `{}`, it overwrites the link. Let it use a directory that is shared.\n",
            one_line(&found.path.to_string())
        );
    }
    if has(FoundKind::Built) {
        text += "The next release lacks the paths of kind `built`, unless a `build` hook makes them.\n";
    }
    if has(FoundKind::Differs) {
        text += "The next deploy replaces each file of kind `differs` by that of the source: if the server's is right, share it with `--share PATH`, and leave it out of the source.\n";
    }
    if has(FoundKind::Leftover) {
        text +=
            "Leftovers are in the first release, and not in the next one: share those that the application needs.\n";
    }
    text
}

/// Returns the lines that the config needs. Nothing if it has all of them.
fn config_lines(plan: &Plan) -> String {
    let lines: String = plan.keys.iter().map(ConfigKey::line).collect::<String>() + &shared_lines(plan);
    if lines.is_empty() { lines } else { format!("For cutover.toml:\n{lines}") }
}

/// Returns the keys that declare the shared paths, with those that the configuration has. Nothing if it declares all.
fn shared_lines(plan: &Plan) -> String {
    let is_new = |found: &&FoundPath| found.kind.is_shared() && found.kind != FoundKind::Declared;
    let found: Vec<&FoundPath> = plan.survey.paths.iter().filter(is_new).collect();
    let mut text = String::new();
    for (key, is_directory, declared) in
        [("shared_dirs", true, &plan.declared[0]), ("shared_files", false, &plan.declared[1])]
    {
        let new = found.iter().filter(|found| found.directory == is_directory).map(|found| found.path.to_string());
        let new: Vec<String> = new.filter(|path| !declared.contains(path)).collect();
        if !new.is_empty() {
            let all: Vec<String> = declared.iter().chain(&new).map(|path| toml_string(path)).collect();
            text += &format!("  {key} = [{}]\n", all.join(", "));
        }
    }
    text
}

fn warnings(survey: &SurveyReport) -> String {
    let mut text = String::new();
    if survey.files > 0 && survey.files_of_source * 100 / survey.files < LIKELY_PERCENT {
        text +=
            "Warning: most files on the server are not in the source. Is it the source of this site? See `--source`.\n";
    }
    for (owner, files, example) in &survey.owners {
        let (belong, them) = if *files == 1 { ("belongs", "it") } else { ("belong", "them") };
        text += &format!(
            "Warning: {} of `{owner}`, such as `{}`, {belong} to `{}` in the release, and `{owner}` cannot change {them}. If the application writes to {them}, list {them} in `copy_paths` or share {them}.\n",
            Counted(*files, "file"),
            one_line(example),
            one_line(&survey.user),
            owner = one_line(owner),
        );
    }
    for (owner, directories, example) in &survey.directory_owners {
        text += &format!(
            "Warning: `{}` owns {} of the release, such as `{}`, and can make no files in them any more. If the application writes there, share them, or list them in `writable_dirs`.\n",
            one_line(owner),
            if *directories == 1 { "a directory".to_owned() } else { format!("{} directories", Count(*directories)) },
            one_line(example),
        );
    }
    if let (count @ 1.., Some(example)) = (survey.private_files, &survey.private_example) {
        text += &format!(
            "Warning: not everybody may read {}, such as `{}`. A web server of another user reads their copies by the group of the site, or not at all.\n",
            Counted(count, "file"),
            one_line(example),
        );
    }
    if !survey.running.is_empty() {
        text += &format!(
            "Warning: programs run in the site: {}. Restart them right after. Until then, what they write to files that are not shared goes to the old directory.\n",
            one_line(&survey.running.join(", ")),
        );
    }
    if let (count @ 1.., Some(example)) = (survey.differing_files, &survey.differing_example) {
        let (have, so) = match count {
            1 => ("has", "it by that"),
            _ => ("have", "them by those"),
        };
        text += &format!(
            "Warning: {} {have} another size than in the source, such as `{}`. The next deploy replaces {so} of the source.\n",
            Counted(count, "file"),
            one_line(example),
        );
    }
    for path in &survey.databases {
        text += &format!(
            "Warning: the database `{0}` stays in the release, where nobody can write to it. If the application does, share it: `--share {0}`.\n",
            one_line(path)
        );
    }
    if !survey.acl_names.is_empty() {
        text += &format!(
            "Warning: an ACL of the site gives rights to {}. A release has no ACL: the web server must be in the group of the site, or read it as others do.\n",
            one_line(&survey.acl_names.join(", "))
        );
    }
    if let Some(above) = &survey.served_above {
        text += &format!(
            "Warning: if a web server serves `{0}` itself, visitors reach `shared/` by the name of the deploy path. Let it refuse names that begin with a dot, or name a deploy path that is not below `{0}` with `--deploy-path`.\n",
            one_line(above)
        );
    }
    for path in &survey.held {
        text += &format!(
            "Warning: a program has the database `{}` open. From the adoption until its restart, the program cannot write to the database; no transaction is lost.\n",
            one_line(path)
        );
    }
    for path in &survey.written {
        text +=
            &format!("Warning: a program has `{}` open for writing, and that file is not shared.\n", one_line(path));
    }
    text
}
