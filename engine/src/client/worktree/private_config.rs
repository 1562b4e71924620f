//! The configuration of the private repository behind a worktree.
//!
//! It has only such values of the user's repository as decide on content or say where to fetch it. A repository can name
//! programs in many places (hooks, filters, a file monitor, commands for SSH and for credentials): none of them is here.
//! The user's own configuration applies as always, but Git LFS never leaves pointers in the place of files.

use crate::client::git::{ConfigValue, is_lfs, without_skip};

/// The keys that are taken over as they are.
const KEYS: [&str; 11] = [
    "core.autocrlf",
    "core.eol",
    "core.safecrlf",
    "core.symlinks",
    "core.ignorecase",
    "core.precomposeunicode",
    "extensions.partialclone",
    "lfs.url",
    "lfs.fetchinclude",
    "lfs.fetchexclude",
    "remote.lfsdefault",
];

/// The keys of a remote that are taken over.
const REMOTE_KEYS: [&str; 4] = ["url", "promisor", "partialclonefilter", "lfsurl"];

/// Returns the text of the configuration. `values` are those of the user's repository.
pub(super) fn private_config(format: &str, tree: &str, values: &[ConfigValue]) -> String {
    let mut text = String::new();
    let mut put = |key: &str, value: &str| {
        let (section, name) = key.rsplit_once('.').unwrap_or((key, ""));
        let section = match section.split_once('.') {
            Some((section, subsection)) => format!("{section} \"{}\"", escaped(subsection)),
            None => section.to_owned(),
        };
        text += &format!("[{section}]\n\t{name} = \"{}\"\n", escaped(value).replace('\n', "\\n"));
    };
    put("core.repositoryformatversion", "1");
    put("extensions.objectformat", format);
    put("core.bare", "false");
    put("core.worktree", tree);
    put("core.logallrefupdates", "false");
    put("gc.auto", "0");
    put("maintenance.auto", "false");
    for value in values {
        if let Some(without_skip) = without_skip(value) {
            put(&value.key, &without_skip);
        } else if value.is_own && is_taken_over(value) {
            put(&value.key, &value.value);
        }
    }
    text
}

fn is_taken_over(value: &ConfigValue) -> bool {
    let is_of_remote = || {
        let (_, key) = value.key.strip_prefix("remote.")?.rsplit_once('.')?;
        Some(REMOTE_KEYS.contains(&key))
    };
    KEYS.contains(&value.key.as_str()) || is_lfs(value) || is_of_remote() == Some(true)
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_that_name_no_program_are_taken_over() {
        let value = |key: &str, is_own| ConfigValue { key: key.to_owned(), value: "a\\\"b".to_owned(), is_own };
        let keys = [
            ("core.autocrlf", true),
            ("remote.a.\"b.url", true),
            ("core.hookspath", false),
            ("core.fsmonitor", false),
            ("core.sshcommand", false),
            ("core.worktree", false),
            ("credential.helper", false),
            ("credential.https://x.helper", false),
            ("filter.x.smudge", false),
            ("filter.lfs.smudge", false),
            ("lfs.customtransfer.x.path", false),
            ("remote.origin.uploadpack", false),
            ("remote.origin.vcs", false),
            ("include.path", false),
            ("url.ext::sh.insteadof", false),
        ];
        let without = private_config("sha1", "/tree", &[]);
        for (key, expected) in keys {
            let with = private_config("sha1", "/tree", &[value(key, true)]);
            assert_eq!(with != without, expected, "{key}");
            assert_eq!(private_config("sha1", "/tree", &[value(key, false)]), without, "{key}");
        }
        let text = private_config("sha1", "/tree", &[value("remote.a.\"b.url", true)]);
        assert!(text.ends_with("[remote \"a.\\\"b\"]\n\turl = \"a\\\\\\\"b\"\n"), "{text}");
    }
}
