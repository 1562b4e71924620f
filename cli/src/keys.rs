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
use engine::path::RelativePath;
use engine::shared_path::SharedPath;
use engine::target::{HookEdits, Transport};

use crate::destination;
use crate::entry::Entry;
use crate::key_list::keys;
use crate::mistake::{Line, Located, Mistake};
use crate::url;

keys! {
    Keys or Keys =>
    deploy_path: String = Entry::path,
    current_path: String = Entry::absolute_path,
    host: String = |entry| entry.word(destination::check_host),
    user: String = |entry| entry.word(|word| destination::check_word("user", word)),
    port: u16 = |entry| entry.number("a port from 1 to 65535"),
    identity_file: String = Entry::path,
    host_key: Vec<HostKey> = Entry::host_keys,
    ssh_config: String = Entry::path,
    transport: Transport = Entry::transport,
    agent_path: String = Entry::absolute_path,
    run_as: String = Entry::account,
    source: String = Entry::path,
    git_ref ("ref"): String = |entry| entry.word(check_ref),
    build_keep: Vec<String> = Entry::strings,
    exclude: Vec<String> = Entry::strings,
    gitignore: bool = Entry::boolean,
    revision_file: bool = Entry::boolean,
    keep_releases: u32 = |entry| entry.number("a whole number of at least 1"),
    keep_manifests: u32 = Entry::count,
    grace: Duration = Entry::duration,
    spare: bool = Entry::boolean,
    shared_dirs: Vec<Located<SharedPath>> = Entry::shared_dirs,
    shared_files: Vec<Located<SharedPath>> = Entry::shared_files,
    auto_shared: bool = Entry::boolean,
    copy_paths: Vec<String> = Entry::strings,
    link: Link = Entry::link,
    hook_edits: HookEdits = Entry::hook_edits,
    carry_over: Vec<String> = Entry::strings,
    writable_dirs: Vec<RelativePath> = Entry::release_paths,
    writable_mode: u32 = Entry::directory_mode,
    writable_group: String = Entry::account,
    hooks: Vec<Located<Hook>> = Entry::hooks,
    checks: Vec<Located<Check>> = Entry::checks,
    confirm: Duration = Entry::time_limit,
    logs: Vec<String> = Entry::log_paths,
    secrets: Vec<String> = Entry::secret_names,
    webhook: String = |entry| entry.secret_word(url::check).map_err(|mistake| mistake.hint(WEBHOOK_HINT)),
    webhook_secret: String = Entry::secret,
    zstd_level: i32 = Entry::zstd_level,
}

/// The keys whose values are tables, one behind another.
pub(crate) const TABLES: [&str; 2] = ["hooks", "checks"];

/// The next step after a `webhook` that is no address.
const WEBHOOK_HINT: &str = "Write it such as `https://hooks.example.com/deploys`";
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
