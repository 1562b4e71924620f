//! `cutover.toml`: found here or above, parsed, and checked as a whole.
//!
//! Keys at the top are defaults; a table is a stage. A stage's key replaces the default, also if it is a list.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::entry::{self, Entry, entries};
use crate::environment::Environment;
use crate::exposure::{check_exposure, unreadable};
use crate::failure::Failure;
use crate::keys::{Keys, TABLES, is_key};
use crate::mistake::{Line, Mistake};
use crate::page::{Notes, Page, line_at};
use crate::variables::Variables;
use crate::words;

/// The file name of a config.
pub(crate) const NAME: &str = "cutover.toml";

/// A config.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The file, for messages.
    pub(crate) file: PathBuf,
    /// Its directory, absolute. Relative paths in it begin here.
    pub(crate) directory: PathBuf,
    /// Whether the user named the file, and so trusts everybody who can write it, and the programs in it.
    pub(crate) is_named: bool,
    /// The keys at the top.
    pub(crate) defaults: Section,
    /// The stages.
    pub(crate) stages: BTreeMap<String, Section>,
}

/// The keys at the top, of a stage, or of the command line.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    /// The place at which it begins.
    pub(crate) line: Line,
    /// The keys.
    pub(crate) keys: Keys,
    /// What their reader noted.
    pub(crate) notes: Notes,
    /// The keys with their values as they are written, and their places. A hook and a check stand for themselves.
    pub(crate) written: Vec<(String, Value, Line)>,
}

impl Config {
    /// Opens the named config, or the nearest one here or above, if there is one. A config that was found, and that
    /// others could change, is refused: it may name programs, and a checkout or `/tmp` may contain anybody's config.
    pub(crate) fn open(named: Option<&Path>, environment: &Environment) -> Result<Option<Config>, Failure> {
        if let Some(named) = named {
            let file = environment.absolute(named);
            let text = read(&file).map_err(|error| unreadable(&file, &error))?;
            return Config::parse(&file, &text, &environment.variables)
                .map(|config| Some(Config { is_named: true, ..config }));
        }
        for directory in environment.directory.ancestors() {
            let file = directory.join(NAME);
            match fs::symlink_metadata(&file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(unreadable(&file, &error)),
                Ok(_) => {}
            }
            check_exposure(&file, "--config")?;
            let text = read(&file).map_err(|error| unreadable(&file, &error))?;
            return Config::parse(&file, &text, &environment.variables).map(Some);
        }
        Ok(None)
    }

    /// Parses a config.
    pub(crate) fn parse(file: &Path, text: &str, variables: &Variables) -> Result<Config, Failure> {
        Config::parse_text(file, text, variables).map_err(|mistake| mistake.failure(file))
    }

    fn parse_text(file: &Path, text: &str, variables: &Variables) -> Result<Config, Mistake> {
        let table = DeTable::parse(text).map_err(|error| {
            Mistake::new(line_at(text, error.span().map_or(text.len(), |span| span.start)), error.message())
        })?;
        let page = Page::new(Some(text), variables);
        let (mut keys, mut stages, mut written) = (Keys::default(), BTreeMap::new(), Vec::new());
        for entry in entries(&page, None, table.get_ref()) {
            match entry.value.get_ref() {
                DeValue::Table(table) if !is_key(entry.name) => {
                    stages.insert(entry.name.to_owned(), stage(&entry, table)?);
                }
                _ => {
                    keys.set(&entry)?;
                    written.extend(as_written(&entry));
                }
            }
        }
        let defaults = Section { line: Line::Number(1), keys, notes: page.finish(), written };
        defaults.keys.check_names()?;
        for stage in stages.values() {
            stage.keys.clone().with_defaults(&defaults.keys).check_names()?;
        }
        let directory = file.parent().unwrap_or(Path::new("/")).to_owned();
        Ok(Config { file: file.to_owned(), directory, is_named: false, defaults, stages })
    }
}

fn stage(entry: &Entry<'_>, table: &DeTable<'_>) -> Result<Section, Mistake> {
    words::check_stage(entry.name)
        .map_err(|reason| entry.mistake(format!("`{}` cannot name a stage: {reason}", entry.name.escape_debug())))?;
    let (page, mut keys) = (entry.page.of_another_table(), Keys::default());
    let entries = entries(&page, None, table);
    entries.iter().try_for_each(|entry| keys.set(entry))?;
    let written = entries.iter().flat_map(as_written).collect();
    Ok(Section { line: entry.line(), keys, notes: page.finish(), written })
}

/// Returns a key with its value as it is written; of a list of tables, each table with its own place.
fn as_written(entry: &Entry<'_>) -> Vec<(String, Value, Line)> {
    let part = |value, line| (entry.name.to_owned(), value, line);
    match entry.value.get_ref().as_array().filter(|_| TABLES.contains(&entry.name)) {
        Some(tables) => {
            let place = |table: &Spanned<DeValue<'_>>| entry.page.line_at(table.span().start);
            tables.iter().map(|table| part(entry::written(table.get_ref()), place(table))).collect()
        }
        None => vec![part(entry.written(), entry.line())],
    }
}

fn read(file: &Path) -> io::Result<String> {
    let bytes = fs::read(file)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "It is not UTF-8 text"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::mistake::list;

    /// Returns an environment with two variables.
    pub(crate) fn variables() -> Variables {
        [("WEB", "web1"), ("TOKEN", "s3cret")].map(|(name, value)| (name.into(), value.into())).into_iter().collect()
    }

    /// Checks the mistake for which a text is refused, or that it is accepted.
    #[track_caller]
    pub(crate) fn check(text: &str, expected: Result<(), &str>) {
        let found = Config::parse(Path::new("/c/cutover.toml"), text, &variables()).map(|_| ());
        let found = found.map_err(|failure| match failure.hint {
            Some(hint) => format!("{} / {hint}", failure.message),
            None => failure.message,
        });
        let found = found.map_err(|message| message.replace("`/c/cutover.toml` ", ""));
        assert_eq!(found.as_ref().map_err(String::as_str).copied(), expected, "{text}");
    }

    #[test]
    fn every_key_is_known_at_the_top_and_in_a_stage() {
        const ALL: &str = r#"
            deploy_path = "/srv/shop"
            current_path = "/var/www/shop"
            host = "web1"
            user = "deploy"
            port = 2_222
            identity_file = "keys/deploy"
            ssh_config = "ssh_config"
            host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
            transport = "ssh2"
            agent_path = "/var/lib/cutover"
            source = "build"
            exclude = ["node_modules/"]
            revision_file = false
            keep_releases = 0x5
            keep_manifests = 0
            grace = "10m"
            spare = false
            shared_dirs = ["storage/"]
            shared_files = [".env"]
            auto_shared = false
            carry_over = ["/plugins/*"]
            writable_dirs = ["bootstrap/cache"]
            writable_mode = "2775"
            writable_group = "www-data"
            run_as = "deploy"
            copy_paths = ["*.sqlite"]
            zstd_level = 9
            hooks = [{ name = "migrate", phase = "before_switch", run = "php artisan migrate" }]
            checks = [{ name = "health", url = "https://shop.example.com" }]
            confirm = "60s"
            logs = ["storage/logs/laravel.log", "/var/log/php-fpm.log"]
            secrets = ["TOKEN"]
        "#;
        check(ALL, Ok(()));
        check(&format!("[shop]\n{ALL}"), Ok(()));
        check("shop.host = 'web1'\nblog = { host = 'web2' }", Ok(()));
        check("", Ok(()));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_right_one() {
        check("keep_release = 3", Err("line 1: there is no key `keep_release` / Did you mean `keep_releases`?"));
        check(
            "[shop]\nhost = 'a'\n\nshared_dir = []",
            Err("line 4: there is no key `shared_dir` / Did you mean `shared_dirs`?"),
        );
        let all = list(Keys::NAMES.iter().copied());
        let expected = format!("line 2: there is no key `before_upload` / The keys are {all}");
        check("[shop]\nbefore_upload.x = 1", Err(&expected));
        check("[[sharedfiles]]", Err("line 1: there is no key `sharedfiles` / Did you mean `shared_files`?"));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_its_line() {
        const DURATION: &str =
            "line 1: `grace` must be a string: a number and a unit, such as `60s`, `10m`, `1h30m` or `7d`";
        check("host = 1", Err("line 1: `host` must be a string"));
        check("[host]\nshop = 1", Err("line 1: `host` must be a string"));
        check("keep_releases = '3'", Err("line 1: `keep_releases` must be a whole number of at least 1"));
        check("keep_releases = 0", Err("line 1: `keep_releases` must be a whole number of at least 1"));
        check("keep_manifests = -1", Err("line 1: `keep_manifests` must be a whole number"));
        check("keep_releases = -1", Err("line 1: `keep_releases` must be a whole number of at least 1"));
        check("port = 65536", Err("line 1: `port` must be a port from 1 to 65535"));
        check("zstd_level = 0", Err("line 1: `zstd_level` must be a level from 1 to 19"));
        check("zstd_level = 20", Err("line 1: `zstd_level` must be a level from 1 to 19"));
        check("grace = 60", Err(DURATION));
        check("grace = 'soon'", Err(DURATION));
        check("auto_shared = 'no'", Err("line 1: `auto_shared` must be `true` or `false`"));
        check("exclude = 'a'", Err("line 1: `exclude` must be a list of strings"));
        check("exclude = [\n'a',\n1]", Err("line 3: `exclude` must be a list of strings"));
        check(
            "transport = 'ssh'",
            Err("line 1: `transport` must be `\"auto\"`, `\"ssh2\"` or `\"openssh\"` / Did you mean `ssh2`?"),
        );
        check(
            "confirm = '0s'",
            Err(concat!(
                "line 1: `confirm` must be longer than 0: a number and a unit, ",
                "such as `60s`, `10m`, `1h30m` or `7d`"
            )),
        );
        check("logs = 'a.log'", Err("line 1: `logs` must be a list of paths"));
        check("logs = ['a.log',\n '']", Err("line 2: `` cannot be a log: it is empty or has a control character"));
        check("current_path = 'current'", Err("line 1: `current_path` must be an absolute path"));
        check("agent_path = 'bin'", Err("line 1: `agent_path` must be an absolute path"));
        check("deploy_path = ''", Err("line 1: `deploy_path` must be a path, and is empty or has a control character"));
        check("host = '-oProxyCommand=x'", Err("line 1: `host` has a host that begins with `-`"));
        check(
            "host = 'me@web1'",
            Err("line 1: `host` has a user in its host: write `user = \"me\"` and `host = \"web1\"`"),
        );
        check("user = '-l'", Err("line 1: `user` has a user that begins with `-`"));
    }

    #[test]
    fn a_bare_variable_is_refused_where_it_would_be_taken_as_it_stands() {
        let refused = |text: &str, name: &str, itself: &str| {
            check(text, Err(&format!("line 1: `${name}` is not expanded / Write `${{{name}}}`{itself}")));
        };
        const ITSELF: &str = ", or `[$]` for the character itself";
        refused("deploy_path = '/srv/$APP'", "APP", "");
        refused("host = '$HOST'", "HOST", "");
        refused("ssh_config = '$HOME/ssh_config'", "HOME", "");
        refused("transport = '$SSH'", "SSH", "");
        refused("grace = '$GRACE'", "GRACE", "");
        refused("shared_files = ['$ENV']", "ENV", "");
        refused("exclude = ['$RECYCLE.BIN/']", "RECYCLE", ITSELF);
        check("exclude = ['[$]RECYCLE.BIN/', '\\$x', '*$', '$', 'a$1', '$ {a}', '$${a}', '[$]{a}']", Ok(()));
        check("deploy_path = '/srv/a$'", Ok(()));
    }

    #[test]
    fn a_text_that_begins_no_variable_is_refused_in_every_stage() {
        const HINT: &str = "Write `${NAME}` or `${NAME:-default}`; `$${` writes the characters themselves";
        for text in ["host = '${'", "exclude = ['${}']", "checks = [{ name = 'x', url = 'http://${1}' }]"] {
            check(&format!("[shop]\n{text}"), Err(&format!("line 2: `${{` begins no variable / {HINT}")));
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_no_mistake_where_it_is_not_used() {
        check("[shop]\nhost = '${NONE}'\nport = '${NONE}'\nshared_dirs = ['a', '${NONE}']\nsecrets = ['NONE']", Ok(()));
        check("[[shop.hooks]]\nname = 'x'\nphase = '${NONE}'\nrun = 'make'\nenv = { A = '${NONE}' }", Ok(()));
        check("[[shop.checks]]\nname = 'x'\nurl = 'https://${NONE}/'", Ok(()));
        // A mistake that no environment can mend.
        check("[shop]\nhost = '${NONE}'\nport = 0", Err("line 3: `port` must be a port from 1 to 65535"));
        check(
            "[[shop.hooks]]\nname = 'x'\nenv = { A = '${NONE}', 'B-' = 'x' }",
            Err(concat!(
                "line 3: `B-` cannot name an environment variable / ",
                "Use letters, digits and `_`, and begin with a letter or `_`, such as `APP_ENV`"
            )),
        );
    }

    #[test]
    fn a_wrong_host_key_is_refused_with_its_line() {
        const HINT: &str =
            "Write the content of `/etc/ssh/ssh_host_ed25519_key.pub` on the server: `ssh-ed25519 AAAA…`";
        let wrong = |text: &str, line: usize, reason: &str| {
            let expected = format!("line {line}: `host_key` has no host key: {reason} / {HINT}");
            check(&format!("host_key = {text}"), Err(&expected));
        };
        wrong("'SHA256:+DiY3'", 1, "it is a fingerprint, and the whole key is needed");
        wrong("'web1 ssh-ed25519 AAAA'", 1, "it does not begin with a kind of key, such as `ssh-ed25519`");
        wrong("[\n 'ssh-ed25519 AAAA',\n]", 2, "its key is cut off or damaged");
        const EXPECTED: &str =
            "line 1: `host_key` must be a host key, such as `\"ssh-ed25519 AAAA…\"`, or a list of them";
        check("host_key = []", Err(EXPECTED));
        check("host_key = 1", Err(EXPECTED));
    }

    #[test]
    fn a_secret_is_named_by_its_variable() {
        check("secrets = ['TOKEN']", Ok(()));
        check(
            "secrets = ['${TOKEN}']",
            Err("line 1: `${TOKEN}` cannot name an environment variable / Write the name alone, such as `APP_KEY`"),
        );
        check("secrets = 'TOKEN'", Err("line 1: `secrets` must be a list of names of environment variables"));
        check("secrets = [1]", Err("line 1: `secrets` must be a list of names of environment variables"));
    }

    #[test]
    fn a_shared_path_stays_in_the_release() {
        const HINT: &str = "Write it as it stands in a release, such as `storage/app`";
        let shared = |path: &str, why: &str| {
            let text = format!("shared_dirs = [\n  \"{path}\",\n]");
            check(&text, Err(&format!("line 2: `{path}` cannot be a shared path: {why} / {HINT}")));
        };
        check("shared_files = ['.env', { path = 'a', conflict = 'keep', missing = 'create' }]", Ok(()));
        check(
            "shared_dirs = [1]",
            Err("line 1: `shared_dirs` must be a list of paths, each a string or a table with a `path`"),
        );
        check(
            "shared_dirs = [{ conflict = 'seed' }]",
            Err("line 1: a table in `shared_dirs` has no `path` / Write it as `{ path = \"storage\" }`"),
        );
        check(
            "shared_dirs = [{ path = 'a', rule = 'seed' }]",
            Err("line 1: a path of `shared_dirs` has no key `rule` / Its keys are `path`, `conflict` and `missing`"),
        );
        check(
            "shared_dirs = [{ path = 'a', conflict = 'copy' }]",
            Err("line 1: `conflict` must be `\"link\"`, `\"seed\"`, `\"merge\"`, `\"keep\"` or `\"error\"`"),
        );
        check(
            "shared_dirs = [{ path = 'a', missing = true }]",
            Err("line 1: `missing` must be `\"required\"`, `\"optional\"` or `\"create\"`"),
        );
        check(
            "shared_files = [{ path = 'a', conflict = 'merge' }]",
            Err(
                "line 1: the shared file `a` cannot be merged: `merge` is for directories / For a file, `conflict` is one of `link`, `seed`, `keep` and `error`",
            ),
        );
        check(
            "shared_dirs = [{ path = '../a' }]",
            Err(&format!("line 1: `../a` cannot be a shared path: it holds `.` or `..` / {HINT}")),
        );
        check(
            "writable_dirs = ['/a']",
            Err(&format!("line 1: `/a` cannot be a path in a release: it is absolute / {HINT}")),
        );
        for mode in ["775", "0775", "2775", "0700"] {
            check(&format!("writable_mode = '{mode}'"), Ok(()));
        }
        for mode in ["0575", "4775", "99", "07755", "rwx", ""] {
            check(
                &format!("writable_mode = '{mode}'"),
                Err(
                    "line 1: `writable_mode` must be an octal mode in which the owner has all rights, such as `\"0775\"` or `\"2775\"`",
                ),
            );
        }
        shared("/var/log", "it is absolute");
        shared("../log", "it holds `.` or `..`");
        shared("log/./a", "it holds `.` or `..`");
        shared("", "a part of it is empty");
    }

    #[test]
    fn a_stage_has_a_name_that_a_word_can_be() {
        check("[live]", Err("line 1: `live` cannot name a stage: the word is reserved"));
        check("\n[1st]", Err("line 2: `1st` cannot name a stage: it does not begin with a letter"));
        check(
            "['a b']",
            Err("line 1: `a b` cannot name a stage: it holds other than letters, digits, `.`, `_` and `-`"),
        );
    }

    #[test]
    fn what_is_not_toml_is_refused_with_its_line() {
        check("host = 'a'\nhost = 'b'", Err("line 2: duplicate key"));
        check("host = web1", Err("line 1: string values must be quoted, expected literal string"));
    }
}
