//! Keeps shared paths apart: no two of them have one name, and none is in another one.
//!
//! Other tools accept `tmp` beside `tmp/pids`, and a preset may have a path that a tool has too.

use std::collections::BTreeSet;

use toml::Value;

use super::draft::{Draft, Setting, Untranslated};

/// The keys whose paths are kept apart.
const KEYS: [&str; 2] = ["shared_dirs", "shared_files"];

impl Draft {
    /// Drops shared paths that are named twice or are in another one, and tells of those that were translated.
    pub(crate) fn with_apart_shared_paths(mut self) -> Draft {
        let mut told = Vec::new();
        keep_apart(&mut self.settings, &BTreeSet::new(), &mut told);
        let top = paths(&self.settings);
        for stage in &mut self.stages {
            // A list of a stage replaces that of the top; the other list of the top stays.
            let names: Vec<&str> = stage.settings.iter().map(|setting| setting.name.as_str()).collect();
            let beside: BTreeSet<String> =
                top.iter().filter(|(key, _)| !names.contains(&key.as_str())).map(|(_, path)| path.clone()).collect();
            keep_apart(&mut stage.settings, &beside, &mut told);
        }
        self.untranslated.extend(told);
        self
    }
}

fn keep_apart(settings: &mut [Setting], beside: &BTreeSet<String>, told: &mut Vec<Untranslated>) {
    let own = settings.iter().filter(|setting| KEYS.contains(&setting.name.as_str()));
    let mut all = beside.clone();
    all.extend(own.filter_map(|setting| setting.value.as_array()).flatten().filter_map(path));
    let mut kept = beside.clone();
    for setting in settings.iter_mut().filter(|setting| KEYS.contains(&setting.name.as_str())) {
        let found = setting.found.clone();
        let Value::Array(items) = &mut setting.value else { continue };
        items.retain(|item| {
            let Some(path) = path(item) else { return true };
            let mut above = path.match_indices('/').map(|(at, _)| &path[..at]);
            let outer = above.find(|above| all.contains(*above));
            if let (Some(outer), Some(found)) = (outer, &found) {
                let reason = format!("`{path}` is in the shared path `{outer}`, and so it is shared with it");
                told.push(Untranslated { found: found.clone(), reason });
            }
            outer.is_none() && kept.insert(path)
        });
    }
}

/// Returns the shared paths of a table, each with its key.
fn paths(settings: &[Setting]) -> Vec<(String, String)> {
    let shared = settings.iter().filter(|setting| KEYS.contains(&setting.name.as_str()));
    let of = |setting: &Setting| -> Vec<(String, String)> {
        let items = setting.value.as_array().into_iter().flatten();
        items.filter_map(path).map(|path| (setting.name.clone(), path)).collect()
    };
    shared.flat_map(of).collect()
}

/// Returns the path of an item: a text, or a table with a `path`.
fn path(item: &Value) -> Option<String> {
    let text = item.as_str().or_else(|| item.get("path").and_then(Value::as_str))?;
    Some(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::draft::{Found, StageDraft};

    #[test]
    fn a_path_in_another_one_and_a_second_one_of_a_name_are_dropped() {
        let found = Found { file: "deploy.rb".into(), line: 7, text: "append".into() };
        let list = |name: &str, paths: &[&str]| Setting::new(name, paths.to_vec()).found(found.clone());
        let mut draft = Draft::default();
        draft.set(list("shared_dirs", &["tmp/pids", "tmp", "tmp", "log/"]));
        draft.set(list("shared_files", &["log/x", ".env"]));
        let mut stage = StageDraft::new("production");
        stage.set(list("shared_files", &["tmp/a", ".env", "b"]));
        draft.stages.push(stage);
        let draft = draft.with_apart_shared_paths();
        assert_eq!(draft.settings, [list("shared_dirs", &["tmp", "log/"]), list("shared_files", &[".env"])]);
        let reasons: Vec<&str> =
            draft.untranslated.iter().map(|left| left.reason.split(" is in").next().unwrap()).collect();
        assert_eq!(reasons, ["`tmp/pids`", "`log/x`", "`tmp/a`"]);
        assert_eq!(draft.stages[0].settings, [list("shared_files", &[".env", "b"])]);
    }
}
