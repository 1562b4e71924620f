//! Collects what is not translated, and finds what Cutover would refuse.

use std::collections::BTreeSet;
use std::path::Path;

use toml::{Table, Value};

use super::file::SourceFile;
use crate::config::Config;
use crate::init::answers::HOST;
use crate::init::draft::{Draft, Found, HookDraft, Setting, StageDraft, Untranslated};
use crate::variables::Variables;

/// The longest list. More than that nobody reads.
const LISTED_MAX: usize = 200;

/// Collects what is not translated.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    found: Vec<Untranslated>,
    dropped: usize,
}

impl Leftovers {
    /// Adds a place of a file.
    pub(crate) fn add(&mut self, file: &SourceFile, line: usize, reason: impl Into<String>) {
        self.push(Untranslated { found: file.found(line), reason: reason.into() });
    }

    /// Adds a place.
    pub(crate) fn push(&mut self, untranslated: Untranslated) {
        if self.found.len() < LISTED_MAX {
            self.found.push(untranslated);
        } else {
            self.dropped += 1;
        }
    }

    /// Returns the list.
    pub(crate) fn finish(mut self) -> Vec<Untranslated> {
        if let Some(last) = self.found.last().filter(|_| self.dropped > 0) {
            let found = Found { text: "…".into(), ..last.found.clone() };
            self.found.push(Untranslated { found, reason: format!("{} further parts were not read", self.dropped) });
        }
        self.found
    }
}

impl SourceFile {
    /// Returns a place of the file.
    pub(crate) fn found(&self, line: usize) -> Found {
        Found { file: self.name.clone(), line, text: self.line(line) }
    }
}

/// Moves the settings that Cutover would refuse to those that are not translated, and gives each stage a name of its own.
pub(crate) fn checked(mut draft: Draft) -> Draft {
    let mut refused = Vec::new();
    let mut taken = BTreeSet::new();
    for stage in &mut draft.stages {
        let numbered = (2..).map(|number| format!("{}-{number}", stage.name));
        let mut names = [stage.name.clone()].into_iter().chain(numbered);
        stage.name = names.find(|name| !taken.contains(name)).unwrap_or_default();
        taken.insert(stage.name.clone());
    }
    retain(&mut draft.settings, &mut refused);
    retain_hooks(&mut draft.hooks, &mut refused);
    for stage in &mut draft.stages {
        retain(&mut stage.settings, &mut refused);
        retain_hooks(&mut stage.hooks, &mut refused);
        complete(stage);
    }
    draft.untranslated.extend(refused);
    draft
}

/// Gives a stage a host and a deploy path, if it has none that can be used. Without a host it would be this machine.
fn complete(stage: &mut StageDraft) {
    if !stage.is_local && !stage.has("host") {
        stage.settings.insert(0, Setting::new("host", HOST).because("Write the name of the server here."));
    }
    if !stage.has("deploy_path") {
        let path = format!("/srv/{}", stage.name);
        stage.set(Setting::new("deploy_path", path).because("Write the right path here."));
    }
}

fn retain(settings: &mut Vec<Setting>, refused: &mut Vec<Untranslated>) {
    settings.retain_mut(|setting| {
        setting.value = without_variables(&setting.value);
        let mut refuse = |reason: String| {
            refused.extend(setting.found.clone().map(|found| Untranslated { found, reason }));
        };
        match &mut setting.value {
            Value::Array(items) => {
                items.retain(|item| match check(&setting.name, Value::Array(vec![item.clone()])) {
                    Ok(()) => true,
                    Err(reason) => {
                        refuse(reason);
                        false
                    }
                });
                !items.is_empty()
            }
            value => match check(&setting.name, value.clone()) {
                Ok(()) => true,
                Err(reason) => {
                    refuse(reason);
                    false
                }
            },
        }
    });
}

fn retain_hooks(hooks: &mut Vec<HookDraft>, refused: &mut Vec<Untranslated>) {
    hooks.retain(|hook| match check("hooks", Value::Array(vec![Value::Table(hook.keys.clone())])) {
        Ok(()) => true,
        Err(reason) => {
            refused.extend(hook.found.clone().map(|found| Untranslated { found, reason }));
            false
        }
    });
}

/// Returns the reason for which a key would be refused.
fn check(name: &str, value: Value) -> Result<(), String> {
    let text = Table::from_iter([(name.to_owned(), value)]).to_string();
    let read = Config::parse(Path::new("cutover.toml"), &text, &Variables::default());
    read.map(drop).map_err(|failure| {
        let reason = failure.message.split_once(": ").map_or(failure.message.as_str(), |(_, reason)| reason);
        format!("Cutover would refuse it: {reason}")
    })
}

/// Returns a value in which `${` means itself: the other tool knows no variables of ours.
fn without_variables(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("${", "$${")),
        Value::Array(items) => Value::Array(items.iter().map(without_variables).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Found {
        Found { file: "deploy.rb".into(), line: 1, text: "x".into() }
    }

    #[test]
    fn what_would_be_refused_is_told_and_the_rest_stays() {
        let mut draft = Draft::default();
        draft.stages.push(StageDraft { is_local: true, ..StageDraft::new("eu") });
        draft.stages.push(StageDraft { is_local: true, ..StageDraft::new("eu") });
        let mut stage = StageDraft::new("production");
        stage.set(Setting::new("host", "-oProxyCommand=evil").found(found()));
        draft.stages.push(stage);
        draft.set(Setting::new("shared_dirs", vec!["log", "../etc", "/abs"]).found(found()));
        draft.set(Setting::new("ref", "${A}").found(found()));
        draft.hooks.push(HookDraft::new("a", "before_switch", "echo ${A}").found(found()));
        draft.hooks.push(HookDraft::new("b", "sometimes", "x").found(found()));
        let draft = checked(draft);
        assert_eq!(
            draft.settings.iter().map(|setting| setting.value.clone()).collect::<Vec<_>>(),
            [Value::from(vec!["log"]), Value::from("$${A}")]
        );
        assert_eq!(draft.hooks.len(), 1);
        let keys: Vec<&str> = draft.stages[2].settings.iter().map(|setting| setting.name.as_str()).collect();
        assert_eq!(keys, ["host", "deploy_path"], "it would be a path of this machine without a host");
        assert_eq!(
            draft.stages.iter().map(|stage| stage.name.as_str()).collect::<Vec<_>>(),
            ["eu", "eu-2", "production"]
        );
        assert_eq!(draft.untranslated.len(), 4);
        assert!(draft.untranslated[3].reason.contains("begins with `-`"), "{:?}", draft.untranslated);
    }

    #[test]
    fn a_list_that_nobody_reads_is_cut_and_counted() {
        let mut leftovers = Leftovers::default();
        let file = SourceFile::new("a", "x");
        for _ in 0..300 {
            leftovers.add(&file, 1, "no");
        }
        let list = leftovers.finish();
        assert_eq!(list.len(), LISTED_MAX + 1);
        assert_eq!(list.last().unwrap().reason, "100 further parts were not read");
    }
}
