//! The keys that a verb uses. Only their variables must be set: a person who asks for the status of a stage need not have
//! the secrets of its hooks.

/// The keys that a verb uses. Each case includes the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Uses {
    /// The target, the connection, and what is kept and shared: a verb that asks the server.
    Server,
    /// The source too.
    Source,
    /// Everything: a verb that makes a release, or may run hooks. Those that take the lock may have to take back a
    /// release that nobody confirmed, with its hooks.
    Everything,
}

/// The keys of the source.
const OF_SOURCE: [&str; 6] = ["source", "ref", "build_keep", "exclude", "gitignore", "revision_file"];

/// The keys of a run. A key that is in neither list is used by every verb.
const OF_RUN: [&str; 15] = [
    "copy_paths",
    "link",
    "hook_edits",
    "carry_over",
    "writable_dirs",
    "writable_mode",
    "writable_group",
    "hooks",
    "checks",
    "confirm",
    "logs",
    "secrets",
    "webhook",
    "webhook_secret",
    "zstd_level",
];

impl Uses {
    /// Returns whether the verb uses a key.
    pub(crate) fn key(self, name: &str) -> bool {
        let least = match name {
            name if OF_RUN.contains(&name) => Uses::Everything,
            name if OF_SOURCE.contains(&name) => Uses::Source,
            _ => Uses::Server,
        };
        self >= least
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::is_key;

    #[test]
    fn each_verb_uses_the_target_and_few_use_all_keys() {
        assert!(OF_SOURCE.iter().chain(&OF_RUN).all(|name| is_key(name)));
        let check = |name: &str, expected: [bool; 3]| {
            assert_eq!([Uses::Server, Uses::Source, Uses::Everything].map(|uses| uses.key(name)), expected, "{name}");
        };
        check("host", [true, true, true]);
        check("current_path", [true, true, true]);
        check("exclude", [false, true, true]);
        check("webhook_secret", [false, false, true]);
    }
}
