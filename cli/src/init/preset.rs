//! Presets: what is usual for a framework. Each is a file of data in `presets/`, and none has code of its own.
//!
//! ```text
//! title         the name for people
//! found_by      lists of files; a source that has all of one list is probably of this framework
//! web_root      the directory for the web server, in a release
//! listens       the address at which the application answers requests itself
//! build_keep    what a build makes: with a commit as the source it stays between builds
//! ignore        lines of `.deployignore`
//! keys, hooks   keys and hooks of the config, each with its reason
//! ```
//!
//! A key or a hook that `is_proposal` becomes a comment, and so does a hook whose file in `needs` the source lacks. In
//! texts, `{app}`, `{deploy_path}` and `{stage}` stand for the name of the application, its deploy path and the stage.

use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use super::draft::{Draft, HookDraft, IgnoreLine, Setting};
use crate::failure::Failure;

/// The presets, in the order in which a source is compared with them: an application of Laravel has a `package.json`
/// too.
const ALL: [(&str, &str); 8] = [
    ("laravel", include_str!("presets/laravel.toml")),
    ("symfony", include_str!("presets/symfony.toml")),
    ("wordpress", include_str!("presets/wordpress.toml")),
    ("magento", include_str!("presets/magento.toml")),
    ("rails", include_str!("presets/rails.toml")),
    ("django", include_str!("presets/django.toml")),
    ("node", include_str!("presets/node.toml")),
    ("static", include_str!("presets/static.toml")),
];

/// The names of the presets.
pub(crate) fn names() -> Vec<&'static str> {
    ALL.iter().map(|(name, _)| *name).collect()
}

/// Returns a list of a preset: the paths of one of its keys.
pub(crate) fn list_of(preset: &str, key: &str) -> Vec<Value> {
    let keys = Preset::open(preset).map(|preset| preset.keys).unwrap_or_default();
    let found = keys.into_iter().find(|found| found.name == key);
    found.and_then(|found| found.value.as_array().cloned()).unwrap_or_default()
}

/// What is usual for a framework.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// The name on the command line.
    #[serde(skip)]
    pub(crate) name: &'static str,
    /// The name for people.
    pub(crate) title: String,
    found_by: Vec<Vec<String>>,
    web_root: Option<String>,
    listens: Option<String>,
    #[serde(default)]
    build_keep: Vec<String>,
    #[serde(default)]
    ignore: Vec<PresetLine>,
    #[serde(default)]
    keys: Vec<PresetKey>,
    #[serde(default)]
    hooks: Vec<PresetHook>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PresetLine {
    pattern: String,
    why: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PresetKey {
    name: String,
    value: Value,
    why: Option<String>,
    #[serde(default)]
    is_proposal: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PresetHook {
    hook: Table,
    why: Option<String>,
    needs: Option<String>,
    #[serde(default)]
    is_proposal: bool,
}

/// The place for which a preset is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The source.
    pub(crate) source: &'a Path,
    /// The name of the application.
    pub(crate) app: &'a str,
    /// The deploy path.
    pub(crate) deploy_path: &'a str,
    /// The first stage.
    pub(crate) stage: &'a str,
    /// The branch that the source has checked out, if it is a git checkout.
    pub(crate) branch: Option<&'a str>,
}

impl Preset {
    /// Opens the preset of a name.
    pub(crate) fn open(name: &str) -> Result<Preset, Failure> {
        let found = ALL.iter().find(|(known, _)| *known == name);
        let (name, text) = found.ok_or_else(|| Failure::usage(format!("There is no preset `{name}`")))?;
        let preset: Preset = toml::from_str(text)
            .map_err(|error| Failure::usage(format!("The preset `{name}` cannot be read")).because(&error))?;
        Ok(Preset { name, ..preset })
    }

    /// Finds the preset for a source.
    pub(crate) fn find(source: &Path) -> Result<Option<Preset>, Failure> {
        for (name, _) in ALL {
            let preset = Preset::open(name)?;
            let has_all = |files: &Vec<String>| files.iter().all(|file| source.join(file).is_file());
            if preset.found_by.iter().any(has_all) {
                return Ok(Some(preset));
            }
        }
        Ok(None)
    }

    /// Returns the step that sets up the web server. The source of an application that answers requests itself is for nobody.
    pub(crate) fn web_step(&self, stage: &str) -> String {
        let root = self.web_root.as_deref();
        match (&self.listens, root) {
            (Some(address), root) => format!(
                "The application answers requests itself, and the web server passes them on: \
                 `cutover web nginx {stage} --proxy {address} --root {}`. Its root has public files only, and is never `current`",
                root.unwrap_or("DIRECTORY")
            ),
            (None, Some(directory)) => format!("The web server's root is `current/{directory}` in the deploy path"),
            (None, None) => "The web server's root is `current` in the deploy path".to_owned(),
        }
    }

    /// Returns the preset as a draft.
    pub(crate) fn draft(&self, facts: Facts<'_>) -> Draft {
        let mut draft = Draft::default();
        if let Some(branch) = facts.branch
            && !self.build_keep.is_empty()
        {
            draft.set(Setting::new("ref", branch).because(
                "The commit that is deployed. Builds run in a checkout of Cutover's own, and your working directory stays \
                 as it is.",
            ));
            let why = "What the builds make stays there between two deploys.";
            draft.set(Setting::new("build_keep", self.build_keep.clone()).because(why));
        }
        for key in &self.keys {
            draft.set(Setting {
                name: key.name.clone(),
                value: filled_in(&key.value, facts),
                why: key.why.as_deref().map(|why| fill_in(why, facts)),
                is_proposal: key.is_proposal,
                found: None,
            });
        }
        draft.hooks = self.hooks.iter().map(|hook| hook.draft(facts)).collect();
        let line = |PresetLine { pattern, why }: &PresetLine| IgnoreLine { pattern: pattern.clone(), why: why.clone() };
        draft.ignore = self.ignore.iter().map(line).collect();
        draft
    }
}

impl PresetHook {
    fn draft(&self, facts: Facts<'_>) -> HookDraft {
        let is_lacking = self.needs.as_ref().is_some_and(|file| !facts.source.join(file).exists());
        let keys = self.hook.iter().map(|(name, value)| (name.clone(), filled_in(value, facts))).collect();
        let why = self.why.as_deref().map(|why| fill_in(why, facts));
        let needs = self.needs.as_ref().filter(|_| is_lacking).map(|file| format!("For a source with `{file}`."));
        let why = match (why, needs) {
            (Some(why), Some(needs)) => Some(format!("{needs} {why}")),
            (why, needs) => why.or(needs),
        };
        HookDraft { keys, why, is_proposal: self.is_proposal || is_lacking, found: None }
    }
}

/// Fills in the names of a place, in all texts of a value.
fn filled_in(value: &Value, facts: Facts<'_>) -> Value {
    match value {
        Value::String(text) => Value::String(fill_in(text, facts)),
        Value::Array(values) => Value::Array(values.iter().map(|value| filled_in(value, facts)).collect()),
        Value::Table(table) => {
            Value::Table(table.iter().map(|(name, value)| (name.clone(), filled_in(value, facts))).collect())
        }
        other => other.clone(),
    }
}

fn fill_in(text: &str, facts: Facts<'_>) -> String {
    text.replace("{app}", facts.app).replace("{deploy_path}", facts.deploy_path).replace("{stage}", facts.stage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_read_and_is_found_by_its_files() {
        for (name, _) in ALL {
            let place = tempfile::tempdir().unwrap();
            let preset = Preset::open(name).unwrap();
            for files in &preset.found_by {
                for file in files {
                    let file = place.path().join(file);
                    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
                    std::fs::write(file, "").unwrap();
                }
                assert_eq!(Preset::find(place.path()).unwrap().unwrap().name, name);
                std::fs::remove_dir_all(place.path()).unwrap();
                std::fs::create_dir(place.path()).unwrap();
            }
            assert!(Preset::find(place.path()).unwrap().is_none());
        }
        assert!(Preset::open("cobol").is_err());
    }

    #[test]
    fn a_framework_is_found_though_it_has_a_package_json_too() {
        let place = tempfile::tempdir().unwrap();
        for file in ["package.json", "index.html", "artisan"] {
            std::fs::write(place.path().join(file), "").unwrap();
        }
        assert_eq!(Preset::find(place.path()).unwrap().unwrap().name, "laravel");
    }
}
