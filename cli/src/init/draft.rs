//! A config that is being written: settings, hooks and stages, each with the reason that stands above it.
//!
//! A preset and another tool's configuration become drafts. A draft of the tool is laid over that of the preset: its
//! settings replace those of the same name, and its hooks come behind.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// A config that is being written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    /// The keys at the top.
    pub(crate) settings: Vec<Setting>,
    /// The hooks at the top.
    pub(crate) hooks: Vec<HookDraft>,
    /// The checks at the top.
    pub(crate) checks: Vec<HookDraft>,
    /// The stages.
    pub(crate) stages: Vec<StageDraft>,
    /// The lines of `.deployignore`.
    pub(crate) ignore: Vec<IgnoreLine>,
    /// The parts of another tool's configuration that have no counterpart here.
    pub(crate) untranslated: Vec<Untranslated>,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    /// The key.
    pub(crate) name: String,
    /// The value.
    pub(crate) value: Value,
    /// The reason, for the comment above it.
    pub(crate) why: Option<String>,
    /// Whether it is only proposed: then it is a comment too.
    pub(crate) is_proposal: bool,
    /// The place from which it was translated.
    pub(crate) found: Option<Found>,
}

/// A hook, or a check.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HookDraft {
    /// Its keys.
    pub(crate) keys: Table,
    /// The reason, for the comment above it.
    pub(crate) why: Option<String>,
    /// Whether it is only proposed: then it is a comment too.
    pub(crate) is_proposal: bool,
    /// The place from which it was translated.
    pub(crate) found: Option<Found>,
}

/// A stage.
#[derive(Debug, Clone, Default)]
pub(crate) struct StageDraft {
    /// Its name.
    pub(crate) name: String,
    /// Its keys.
    pub(crate) settings: Vec<Setting>,
    /// Its hooks.
    pub(crate) hooks: Vec<HookDraft>,
    /// Whether it is a path of this machine: it has no host.
    pub(crate) is_local: bool,
}

/// A line of `.deployignore`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IgnoreLine {
    /// The pattern.
    pub(crate) pattern: String,
    /// The reason, for the comment above it.
    pub(crate) why: Option<String>,
}

/// A part of another tool's configuration that has no counterpart here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub(crate) struct Untranslated {
    /// The place.
    #[serde(flatten)]
    pub(crate) found: Found,
    /// The reason.
    pub(crate) reason: String,
}

/// A place in another tool's configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub(crate) struct Found {
    /// The file, from the directory of the config.
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: usize,
    /// The first line of its text.
    pub(crate) text: String,
}

impl Setting {
    /// Makes a setting without a reason.
    pub(crate) fn new(name: &str, value: impl Into<Value>) -> Setting {
        Setting { name: name.to_owned(), value: value.into(), why: None, is_proposal: false, found: None }
    }

    /// Adds the reason.
    pub(crate) fn because(self, why: impl Into<String>) -> Setting {
        Setting { why: Some(why.into()), ..self }
    }

    /// Adds the place from which it was translated.
    pub(crate) fn found(self, found: Found) -> Setting {
        Setting { found: Some(found), ..self }
    }
}

impl HookDraft {
    /// Makes a hook of a command.
    pub(crate) fn new(name: &str, phase: &str, run: &str) -> HookDraft {
        let keys = [("name", name), ("phase", phase), ("run", run)];
        let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), Value::from(value))).collect();
        HookDraft { keys, why: None, is_proposal: false, found: None }
    }

    /// Sets a key.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> HookDraft {
        self.keys.insert(key.to_owned(), value.into());
        self
    }

    /// Adds the place from which it was translated.
    pub(crate) fn found(self, found: Found) -> HookDraft {
        HookDraft { found: Some(found), ..self }
    }

    /// Returns whether its command needs rights of `sudo`.
    pub(crate) fn runs_sudo(&self) -> bool {
        self.keys.get("run").and_then(Value::as_str).is_some_and(|run| run.starts_with("sudo "))
    }

    /// Returns whether it is marked as a migration.
    pub(crate) fn migrates(&self) -> bool {
        self.keys.get("migration").and_then(Value::as_bool) == Some(true)
    }

    /// Returns the name.
    pub(crate) fn name(&self) -> &str {
        self.keys.get("name").and_then(Value::as_str).unwrap_or_default()
    }
}

impl StageDraft {
    /// Begins a stage.
    pub(crate) fn new(name: &str) -> StageDraft {
        StageDraft { name: name.to_owned(), ..StageDraft::default() }
    }

    /// Sets a key, in the place of an earlier value.
    pub(crate) fn set(&mut self, setting: Setting) {
        set(&mut self.settings, setting);
    }

    /// Returns whether a key is set.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.settings.iter().any(|setting| setting.name == name)
    }
}

impl Draft {
    /// Sets a key at the top, in the place of an earlier value.
    pub(crate) fn set(&mut self, setting: Setting) {
        set(&mut self.settings, setting);
    }

    /// Lays another draft over this one.
    pub(crate) fn lay_over(mut self, other: Draft) -> Draft {
        for setting in other.settings {
            self.set(setting);
        }
        self.hooks.extend(other.hooks);
        self.checks.extend(other.checks);
        self.stages.extend(other.stages);
        self.ignore.extend(other.ignore);
        self.untranslated.extend(other.untranslated);
        self.with_own_names()
    }

    /// Gives hooks of one name further names: a stage has no two hooks of one name.
    fn with_own_names(mut self) -> Draft {
        let taken = name_apart(&mut self.hooks, Taken::new());
        for stage in &mut self.stages {
            name_apart(&mut stage.hooks, taken.clone());
        }
        self
    }
}

/// The names that are taken, each with the number behind the last one of it.
type Taken = BTreeMap<String, u32>;

/// Gives hooks names that no other one has. Returns all names that are taken then.
fn name_apart(hooks: &mut [HookDraft], mut taken: Taken) -> Taken {
    for hook in hooks {
        let name = hook.name().to_owned();
        let mut free = name.clone();
        while taken.contains_key(&free) {
            let number = taken.entry(name.clone()).or_insert(1);
            *number += 1;
            free = format!("{name}-{number}");
        }
        hook.keys.insert("name".to_owned(), Value::from(free.clone()));
        taken.insert(free, 1);
    }
    taken
}

/// Sets a key, in the place of an earlier value or proposal. The earlier reason stays if there is no new one.
fn set(settings: &mut Vec<Setting>, setting: Setting) {
    match settings.iter_mut().find(|earlier| earlier.name == setting.name) {
        Some(earlier) => {
            let why = setting.why.clone().or_else(|| earlier.why.take());
            *earlier = Setting { why, ..setting };
        }
        None => settings.push(setting),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_replaces_one_of_its_name_and_a_hook_of_a_taken_name_gets_a_number() {
        let mut preset = Draft::default();
        preset.set(Setting::new("keep_releases", 3).because("disk"));
        preset.hooks.push(HookDraft::new("migrate", "before_switch", "a"));
        let mut tool = Draft::default();
        tool.set(Setting::new("keep_releases", 5));
        tool.hooks.extend(["b", "c"].map(|run| HookDraft::new("migrate", "before_switch", run)));
        for name in ["eu", "us"] {
            let mut stage = StageDraft::new(name);
            stage.hooks.extend(["seed", "migrate"].map(|name| HookDraft::new(name, "before_switch", "d")));
            tool.stages.push(stage);
        }
        let draft = preset.lay_over(tool);
        assert_eq!(draft.settings, [Setting::new("keep_releases", 5).because("disk")]);
        let names: Vec<&str> = draft.hooks.iter().map(HookDraft::name).collect();
        assert_eq!(names, ["migrate", "migrate-2", "migrate-3"]);
        for stage in &draft.stages {
            let names: Vec<&str> = stage.hooks.iter().map(HookDraft::name).collect();
            assert_eq!(names, ["seed", "migrate-4"], "{}", stage.name);
        }
    }
}
