//! The keys of one table in `cutover.toml`, each with its line.
//!
//! Every value is checked in its place, whether its stage is chosen or not: a mistake is found on the first run, not
//! on the first run of that stage.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::check::Check;
use engine::hook::Hook;
use engine::host_key::HostKey;
use engine::link::Link;
use engine::min_free::MinFree;
use engine::path::RelativePath;
use engine::shared_path::SharedPath;
use engine::target::{HookEdits, Transport};

use crate::checks_table::CHECKS;
use crate::destination;
use crate::entry::{self, Entry};
use crate::hooks_table::HOOKS;
use crate::key_list::keys;
use crate::mistake::{Line, Located, Mistake};
use crate::shape::Shape;
use crate::shared_keys;
use crate::url;

keys! {
    Keys or Keys =>
    deploy_path: String = Entry::path => Shape::Path,
    current_path: String = Entry::absolute_path => Shape::AbsolutePath,
    host: String = |entry| entry.word(destination::check_host) => Shape::Text,
    user: String = |entry| entry.word(|word| destination::check_word("user", word)) => Shape::Text,
    port: u16 = |entry| entry.number("a port from 1 to 65535") => Shape::Number(1, 65_535),
    identity_file: String = Entry::path => Shape::Path,
    host_key: Vec<HostKey> = Entry::host_keys => Shape::TextOrList,
    ssh_config: String = Entry::path => Shape::Path,
    transport: Transport = |entry| entry.one_of(&entry::TRANSPORTS) => Shape::OneOf(&entry::TRANSPORT_WORDS),
    agent_path: String = Entry::absolute_path => Shape::AbsolutePath,
    run_as: String = Entry::account => Shape::Text,
    source: String = Entry::path => Shape::Path,
    git_ref ("ref"): String = |entry| entry.word(check_ref) => Shape::Text,
    build_keep: Vec<String> = Entry::strings => Shape::Patterns,
    exclude: Vec<String> = Entry::strings => Shape::Patterns,
    gitignore: bool = Entry::boolean => Shape::Boolean,
    revision_file: bool = Entry::boolean => Shape::Boolean,
    keep_releases: u32 = |entry| entry.number("a whole number of at least 1") => Shape::Number(1, u32::MAX),
    keep_manifests: u32 = Entry::count => Shape::Number(0, u32::MAX),
    grace: Duration = Entry::duration => Shape::Duration,
    spare: bool = Entry::boolean => Shape::Boolean,
    shared_dirs: Vec<Located<SharedPath>> = Entry::shared_dirs => shared_keys::DIRECTORIES,
    shared_files: Vec<Located<SharedPath>> = Entry::shared_files => shared_keys::FILES,
    auto_shared: bool = Entry::boolean => Shape::Boolean,
    copy_paths: Vec<String> = Entry::strings => Shape::Patterns,
    link: Link = |entry| entry.one_of(&entry::LINKS) => Shape::OneOf(&entry::LINK_WORDS),
    hook_edits: HookEdits = |entry| entry.one_of(&entry::HOOK_EDITS) => Shape::OneOf(&entry::HOOK_EDIT_WORDS),
    carry_over: Vec<String> = Entry::strings => Shape::Patterns,
    writable_dirs: Vec<RelativePath> = Entry::release_paths => Shape::Texts,
    writable_mode: u32 = Entry::directory_mode => Shape::Text,
    writable_group: String = Entry::account => Shape::Text,
    min_free: MinFree = Entry::min_free => Shape::Text,
    hooks: Vec<Located<Hook>> = Entry::hooks => Shape::Tables(&HOOKS),
    checks: Vec<Located<Check>> = Entry::checks => Shape::Tables(&CHECKS),
    confirm: Duration = Entry::time_limit => Shape::Duration,
    logs: Vec<String> = Entry::log_paths => Shape::Texts,
    secrets: Vec<String> = Entry::secret_names => Shape::Texts,
    webhook: String = |entry| entry.secret_word(check_webhook).map_err(|mistake| mistake.hint(WEBHOOK_HINT)) => Shape::Text,
    webhook_secret: String = Entry::secret => Shape::Secret,
    zstd_level: i32 = Entry::zstd_level => Shape::Number(1, 19),
}

/// The keys whose values are tables, one behind another.
pub(crate) const TABLES: [&str; 2] = ["hooks", "checks"];

/// The next step after a `webhook` that is no address.
const WEBHOOK_HINT: &str = "Write it such as `https://hooks.example.com/deploys`";

/// Returns the reason that an address cannot be that of a webhook.
fn check_webhook(url: &str) -> Result<(), String> {
    url::check(url, "a webhook logs in nowhere; `webhook_secret` signs its notices")
}

/// Reads the name of a commit from the command line.
pub(crate) fn git_ref(name: &str) -> Result<String, String> {
    check_ref(name).map(|()| name.to_owned())
}

/// Checks the name of a commit. Git decides whether there is one.
fn check_ref(name: &str) -> Result<(), String> {
    match name {
        "" => Err("must be the name of a branch, a tag or a commit, and is empty".to_owned()),
        name if name.starts_with('-') => {
            Err("must be the name of a branch, a tag or a commit, and begins with `-`".to_owned())
        }
        name if name.contains(|character: char| character.is_control()) => {
            Err("must be the name of a branch, a tag or a commit, and has a control character".to_owned())
        }
        _ => Ok(()),
    }
}

/// Returns whether `name` is a key.
pub(crate) fn is_key(name: &str) -> bool {
    Keys::NAMES.contains(&name)
}

impl Keys {
    /// Puts the defaults behind the keys of a stage. A list replaces a list, but hooks and checks of a stage come
    /// behind those at the top.
    pub(crate) fn with_defaults(self, defaults: &Keys) -> Keys {
        let hooks = joined(defaults.hooks.as_ref(), self.hooks.as_ref());
        let checks = joined(defaults.checks.as_ref(), self.checks.as_ref());
        Keys { hooks, checks, ..self.or(defaults) }
    }

    /// Refuses a shared path that is named twice or is within another one: each path is one link in a release, and a
    /// link within a link would be made in `shared/`.
    pub(crate) fn check_shared(&self) -> Result<(), Mistake> {
        let lists = [&self.shared_dirs, &self.shared_files];
        let mut earlier: Vec<&Located<SharedPath>> = Vec::new();
        for path in lists.into_iter().flatten().flat_map(|list| &list.value) {
            for other in &earlier {
                let (inner, outer) = (&path.value.path, &other.value.path);
                let place = format!("({})", other.line);
                let reason = if inner == outer {
                    format!("the shared path `{inner}` is named twice {place}")
                } else if inner.is_within(outer) {
                    format!("the shared path `{inner}` lies within `{outer}` {place}")
                } else if outer.is_within(inner) {
                    format!("the shared path `{inner}` holds `{outer}` {place}")
                } else {
                    continue;
                };
                let mistake = Mistake::new(path.line, reason);
                return Err(mistake.hint("Name the outer one only: all that is in it is shared with it"));
            }
            earlier.push(path);
        }
        Ok(())
    }

    /// Refuses two hooks of one name, and two checks.
    pub(crate) fn check_names(&self) -> Result<(), Mistake> {
        let hooks = self.hooks.iter().flat_map(|hooks| &hooks.value);
        let checks = self.checks.iter().flat_map(|checks| &checks.value);
        check_names("hooks", hooks.map(|hook| (hook.value.name.as_str(), hook.line)))?;
        check_names("checks", checks.map(|check| (check.value.name.as_str(), check.line)))
    }
}

fn joined<T: Clone>(first: Option<&Located<Vec<T>>>, second: Option<&Located<Vec<T>>>) -> Option<Located<Vec<T>>> {
    match (first, second) {
        (Some(first), Some(second)) => {
            let value = first.value.iter().chain(&second.value).cloned().collect();
            Some(Located { value, line: second.line })
        }
        (first, second) => second.or(first).cloned(),
    }
}

fn check_names<'a>(what: &str, named: impl Iterator<Item = (&'a str, Line)>) -> Result<(), Mistake> {
    let mut earlier = BTreeMap::new();
    for (name, line) in named {
        if let Some(first) = earlier.insert(name, line) {
            let reason = format!("two {what} are called `{name}`, and the first is on {first}");
            return Err(Mistake::new(line, reason).hint("Give one of them another name"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_docs() {
        let docs = include_str!("../../docs/configuration.md");
        for name in Keys::NAMES {
            assert!(docs.contains(&format!("\n| `{name}` |")), "{name}");
        }
    }
}
