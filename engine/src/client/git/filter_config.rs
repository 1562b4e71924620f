//! The filters that git's configuration names: programs that change content between a commit and a working directory.
//!
//! A user's own configuration may name any program. A repository may not, because it may come from a stranger. Git LFS
//! is the exception: the repository may name it exactly as `git lfs install` does.

use std::collections::BTreeSet;
use std::process::Command;

use crate::cancel::Cancel;

use super::running::{NoAnswer, run};

/// The keys of a filter.
const KEYS: [&str; 4] = ["clean", "smudge", "process", "required"];

/// The configuration of Git LFS, as it writes it itself.
const LFS: [(&str, &str); 6] = [
    ("clean", "git-lfs clean -- %f"),
    ("smudge", "git-lfs smudge -- %f"),
    ("smudge", "git-lfs smudge --skip -- %f"),
    ("process", "git-lfs filter-process"),
    ("process", "git-lfs filter-process --skip"),
    ("required", "true"),
];

/// A value of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigValue {
    /// The key: section and name in lower case.
    pub(crate) key: String,
    /// The value. A key alone means true.
    pub(crate) value: String,
    /// Whether the repository has it, and not the user.
    pub(crate) is_own: bool,
}

/// Reads all values of a configuration.
pub(crate) fn read_config(mut question: Command, cancel: &Cancel) -> Result<Vec<ConfigValue>, NoAnswer> {
    question.args(["config", "--list", "-z", "--show-scope"]);
    let text = run(question, cancel)?.success()?;
    let mut fields = text.split(|&byte| byte == 0).map(|field| String::from_utf8_lossy(field).into_owned());
    let mut values = Vec::new();
    while let (Some(scope), Some(entry)) = (fields.next(), fields.next()) {
        let (key, value) = entry.split_once('\n').unwrap_or((&entry, "true"));
        let is_own = matches!(scope.as_str(), "local" | "worktree");
        values.push(ConfigValue { key: key.to_owned(), value: value.to_owned(), is_own });
    }
    Ok(values)
}

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct FilterConfig {
    /// The filters that the user configures, or Git LFS.
    allowed: BTreeSet<String>,
    /// The filters that only the repository configures.
    pub(crate) own: BTreeSet<String>,
}

impl FilterConfig {
    /// Reads the configuration that a question would be asked with.
    pub(crate) fn read(question: Command, cancel: &Cancel) -> Result<FilterConfig, NoAnswer> {
        Ok(FilterConfig::of(&read_config(question, cancel)?))
    }

    /// Finds the filters in a configuration.
    pub(crate) fn of(values: &[ConfigValue]) -> FilterConfig {
        let mut filters = FilterConfig::default();
        for value in values {
            let Some((name, key)) = filter_of(&value.key) else { continue };
            let is_allowed = !value.is_own || is_lfs(value);
            if !is_allowed {
                filters.own.insert(name.to_owned());
            } else if key != "required" {
                filters.allowed.insert(name.to_owned());
            }
        }
        filters
    }

    /// Tells whether a filter may run.
    pub(crate) fn is_allowed(&self, name: &str) -> bool {
        self.allowed.contains(name) && !self.own.contains(name)
    }

    /// Makes a command run none of the filters that the repository configures.
    pub(crate) fn switch_off_own(&self, command: &mut Command) -> Result<(), NoAnswer> {
        for name in &self.own {
            if name.contains('=') {
                return Err(NoAnswer::Failed(format!("its configuration has a filter `{name}`")));
            }
            for key in KEYS {
                let value = if key == "required" { "false" } else { "" };
                command.arg("-c").arg(format!("filter.{name}.{key}={value}"));
            }
        }
        Ok(())
    }
}

/// Tells whether a value is one of Git LFS, as it writes it itself.
pub(crate) fn is_lfs(value: &ConfigValue) -> bool {
    filter_of(&value.key).is_some_and(|(name, key)| name == "lfs" && LFS.contains(&(key, &value.value)))
}

/// Returns the value of Git LFS that gets content, for one that leaves pointers in its place (`install --skip-smudge`).
pub(crate) fn without_skip(value: &ConfigValue) -> Option<String> {
    const SKIP: &str = " --skip";
    (is_lfs(value) && value.value.contains(SKIP)).then(|| value.value.replace(SKIP, ""))
}

/// Returns the name of a filter, and the key, if a key of a configuration is one of a filter.
fn filter_of(key: &str) -> Option<(&str, &str)> {
    let (name, key) = key.strip_prefix("filter.")?.rsplit_once('.')?;
    KEYS.contains(&key).then_some((name, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_of_the_repository_is_not_allowed_unless_it_is_that_of_git_lfs() {
        let check = |values: &[(&str, &str, bool)], expected: bool| {
            let value = |&(key, value, is_own): &(&str, &str, bool)| ConfigValue {
                key: format!("filter.{key}"),
                value: value.to_owned(),
                is_own,
            };
            let values: Vec<ConfigValue> = values.iter().map(value).collect();
            assert_eq!(FilterConfig::of(&values).is_allowed("lfs"), expected, "{values:?}");
        };
        check(&[], false);
        check(&[("lfs.smudge", "anything", false)], true);
        check(&[("lfs.smudge", "anything", true)], false);
        check(&[("lfs.process", "git-lfs filter-process", true), ("lfs.required", "true", true)], true);
        check(&[("lfs.process", "git-lfs filter-process; reboot", true)], false);
        check(&[("lfs.smudge", "git-lfs smudge -- %f", false), ("lfs.clean", "reboot", true)], false);
        check(&[("lfs.required", "true", false)], false);
        check(&[("crypt.smudge", "git-lfs smudge -- %f", true)], false);
    }
}
