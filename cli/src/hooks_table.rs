//! The tables `[[hooks]]`: the keys of a hook, and the combinations of them that have no meaning.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::fastcgi::{BadFpmAddress, FpmAddress};
use engine::hook::{Command, Hook, HookPhase, OnError, Shell, When};
use engine::pattern::is_pattern;

use crate::entry::Entry;
use crate::key_list::keys;
use crate::mistake::{Line, Located, Mistake};
use crate::shape::{Shape, Table, words};
use crate::variables::Grammar;

const WHEN: [(&str, When); 3] = [("all", When::All), ("first", When::First), ("after_first", When::AfterFirst)];
const WHEN_WORDS: [&str; 3] = words(&WHEN);
const ON_ERROR: [(&str, OnError); 2] = [("rollback", OnError::Rollback), ("keep", OnError::Keep)];
const ON_ERROR_WORDS: [&str; 2] = words(&ON_ERROR);
const PHASES: [(&str, HookPhase); HookPhase::ALL.len()] = {
    let (mut phases, mut at) = ([("", HookPhase::Build); HookPhase::ALL.len()], 0);
    while at < phases.len() {
        phases[at] = (HookPhase::ALL[at].name(), HookPhase::ALL[at]);
        at += 1;
    }
    phases
};
const PHASE_WORDS: [&str; PHASES.len()] = words(&PHASES);

/// The shape of a hook.
pub(crate) const HOOKS: Table = Table {
    section: "### Hooks\n",
    keys: HookKeys::SHAPES,
    required: &["name", "phase"],
    either: &["run", "opcache_reset"],
};

keys! {
    HookKeys =>
    name: String = Entry::title => Shape::Text,
    phase: HookPhase = Entry::phase => Shape::OneOf(&PHASE_WORDS),
    run: String = Entry::command => Shape::Command,
    opcache_reset: FpmAddress = Entry::fpm_address => Shape::Text,
    when: When = |entry| entry.one_of(&WHEN) => Shape::OneOf(&WHEN_WORDS),
    timeout: Duration = Entry::time_limit => Shape::Duration,
    halt_on_error: bool = Entry::boolean => Shape::Boolean,
    on_error: OnError = |entry| entry.one_of(&ON_ERROR) => Shape::OneOf(&ON_ERROR_WORDS),
    cwd: String = Entry::working_directory => Shape::Path,
    env: BTreeMap<String, String> = Entry::variables => Shape::Map,
    shell: Shell = Entry::shell => Shape::Text,
    on_rollback: bool = Entry::boolean => Shape::Boolean,
    if_changed: Vec<String> = Entry::path_patterns => Shape::Patterns,
    migration: bool = Entry::boolean => Shape::Boolean,
    once: bool = Entry::boolean => Shape::Boolean,
}

impl Entry<'_> {
    /// Reads the hooks of a table.
    pub(crate) fn hooks(&self) -> Result<Vec<Located<Hook>>, Mistake> {
        let mut hooks = Vec::new();
        for table in self.tables()? {
            let (mut keys, before) = (HookKeys::default(), self.page.mistakes());
            table.value.iter().try_for_each(|entry| keys.set(entry))?;
            // A key may be missing only because its variable is not set.
            if self.page.mistakes() == before {
                hooks.push(Located { value: keys.hook(table.line)?, line: table.line });
            }
        }
        Ok(hooks)
    }

    fn fpm_address(&self) -> Result<FpmAddress, Mistake> {
        let text = self.string("a string: a socket of PHP-FPM")?;
        text.parse().map_err(|error: BadFpmAddress| {
            self.mistake(format!("`opcache_reset` {error}")).hint("Write what `listen` of the pool says")
        })
    }

    fn phase(&self) -> Result<HookPhase, Mistake> {
        self.one_of(&PHASES)
    }

    /// Reads patterns of which each can match a path.
    fn path_patterns(&self) -> Result<Vec<String>, Mistake> {
        const WHAT: &str = "a list of patterns";
        let patterns = self.list_of(WHAT, |item| {
            let pattern = item.expanded(WHAT, (Grammar::Pattern, false))?;
            if is_pattern(&pattern) {
                return Ok(pattern);
            }
            let reason = format!("no path can match the pattern `{}`", pattern.escape_debug());
            Err(item.mistake(reason).hint("Write it as in `.gitignore`, such as `composer.lock` or `assets/**/*.js`"))
        })?;
        if patterns.is_empty() {
            return Err(self.expected("a list of at least one pattern"));
        }
        Ok(patterns)
    }
}

impl HookKeys {
    fn hook(self, line: Line) -> Result<Hook, Mistake> {
        let missing = |key: &str| {
            let name = self.name.as_ref().map_or("a hook".to_owned(), |name| format!("the hook `{}`", name.value));
            Mistake::new(line, format!("{name} has no `{key}`"))
        };
        let name = self.name.as_ref().ok_or_else(|| missing("name"))?.value.clone();
        let phase = self.phase.as_ref().ok_or_else(|| {
            missing("phase").hint("Name the moment at which it runs, such as `phase = \"before_switch\"`")
        })?;
        let phase = phase.value;
        self.check_meaning(phase)?;
        self.check_reset(phase)?;
        let run = match (&self.run, &self.opcache_reset) {
            (Some(run), None) => run.value.clone(),
            (None, Some(_)) => String::new(),
            (Some(run), Some(_)) => {
                let reason = format!("the hook `{name}` has both `run` and `opcache_reset`");
                return Err(Mistake::new(run.line, reason).hint("Make two hooks of it"));
            }
            (None, None) => return Err(missing("run")),
        };
        let migration = is_true(self.migration.as_ref());
        let after_switch = phase == HookPhase::AfterSwitch;
        Ok(Hook {
            name,
            phase,
            command: Command {
                run,
                shell: self.shell.map(|shell| shell.value).unwrap_or_default(),
                cwd: self.cwd.map(|cwd| cwd.value),
                env: self.env.map(|env| env.value).unwrap_or_default(),
                timeout: self.timeout.map(|timeout| timeout.value),
            },
            opcache_reset: self.opcache_reset.map(|address| address.value),
            when: self.when.map(|when| when.value).unwrap_or_default(),
            halt_on_error: self.halt_on_error.is_none_or(|halt| halt.value),
            on_error: self.on_error.map(|policy| policy.value).unwrap_or_default(),
            on_rollback: self.on_rollback.map_or(after_switch && !migration, |on_rollback| on_rollback.value),
            if_changed: self.if_changed.map(|patterns| patterns.value).unwrap_or_default(),
            migration,
            once: self.once.is_some_and(|once| once.value),
        })
    }

    /// Refuses keys that have no meaning in the phase or beside each other: their author expects an effect.
    fn check_meaning(&self, phase: HookPhase) -> Result<(), Mistake> {
        use HookPhase::{
            AfterDeploy, AfterRollback, AfterSwitch, AfterUpload, BeforeRollback, BeforeSwitch, BeforeUpload, OnFailure,
        };
        let name = phase.name();
        let of_rollback = matches!(phase, BeforeRollback | AfterRollback);
        let refuse = |line: Line, key: &str, reason: String| {
            let mistake = Mistake::new(line, format!("`{key}` has no meaning here: {reason}"));
            Err(mistake.hint(format!("Leave `{key}` out, or choose another phase")))
        };
        if let Some(Located { line, value: true }) = self.on_rollback {
            if !matches!(phase, BeforeSwitch | AfterSwitch | AfterDeploy) {
                let reason = match phase {
                    BeforeRollback | AfterRollback => format!("a hook of `{name}` runs on rollbacks only"),
                    _ => format!("a rollback has no phase `{name}`"),
                };
                return refuse(line, "on_rollback", reason);
            }
            if matches!(self.when, Some(Located { value: When::First, .. })) {
                return refuse(
                    line,
                    "on_rollback",
                    "with `when = \"first\"`, and a first deploy has no rollback".into(),
                );
            }
        }
        if let Some(Located { line, value: true }) = self.once
            && phase.is_local()
        {
            return refuse(line, "once", format!("a hook of `{name}` runs on this machine, once for all servers"));
        }
        if let Some(Located { line, value: true }) = self.migration
            && !matches!(phase, AfterUpload | BeforeSwitch | AfterSwitch | AfterDeploy)
        {
            return refuse(line, "migration", format!("`{name}` is no phase of a release that is about to go live"));
        }
        if let Some(Located { line, .. }) = self.on_error {
            if phase != AfterSwitch {
                return refuse(line, "on_error", format!("a failure in `{name}` never switches back"));
            }
            if matches!(self.halt_on_error, Some(Located { value: false, .. })) {
                return refuse(line, "on_error", "with `halt_on_error = false`, a failure is a warning".into());
            }
        }
        match &self.when {
            Some(Located { line, value: When::First }) if of_rollback => {
                return refuse(*line, "when", "a first deploy has no rollback".into());
            }
            _ => {}
        }
        match &self.if_changed {
            Some(Located { line, .. }) if of_rollback => {
                refuse(*line, "if_changed", format!("`{name}` is no phase of a deploy, which changes files"))
            }
            Some(Located { line, .. }) if matches!(phase, BeforeUpload | OnFailure) => {
                let reason = format!("in `{name}`, the server may not know yet which files change");
                refuse(*line, "if_changed", reason)
            }
            _ => Ok(()),
        }
    }
}

impl HookKeys {
    /// Refuses keys that have no meaning beside `opcache_reset`: no command runs.
    fn check_reset(&self, phase: HookPhase) -> Result<(), Mistake> {
        let Some(reset) = &self.opcache_reset else { return Ok(()) };
        let refuse = |line: Line, key: &str, reason: &str| {
            let mistake = Mistake::new(line, format!("`{key}` has no meaning here: {reason}"));
            Err(mistake.hint(format!("Leave `{key}` out")))
        };
        if phase.is_local() {
            let reason = format!("a hook of `{}` runs on this machine", phase.name());
            return refuse(reset.line, "opcache_reset", &reason);
        }
        let lines = [
            ("cwd", self.cwd.as_ref().map(|cwd| cwd.line)),
            ("env", self.env.as_ref().map(|env| env.line)),
            ("shell", self.shell.as_ref().map(|shell| shell.line)),
            ("migration", self.migration.as_ref().filter(|migration| migration.value).map(|found| found.line)),
        ];
        let found = lines.into_iter().find_map(|(key, line)| line.map(|line| (key, line)));
        found.map_or(Ok(()), |(key, line)| refuse(line, key, "`opcache_reset` runs no command"))
    }
}

fn is_true(found: Option<&Located<bool>>) -> bool {
    found.is_some_and(|found| found.value)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::config::tests::{check, variables};

    fn hooks(text: &str) -> Vec<Hook> {
        let keys = Config::parse(Path::new("/c/cutover.toml"), text, &variables()).unwrap().defaults.keys;
        keys.hooks.unwrap().value.into_iter().map(|hook| hook.value).collect()
    }

    /// Checks the mistake of a hook with these further keys, each on a line from 5.
    #[track_caller]
    fn refused(phase: &str, keys: &str, expected: &str) {
        check(&format!("[[hooks]]\nname = 'x'\nphase = '{phase}'\nrun = 'true'\n{keys}"), Err(expected));
    }

    #[test]
    fn a_hook_has_its_defaults() {
        let hook = Hook {
            name: "migrate".into(),
            phase: HookPhase::BeforeSwitch,
            command: Command { run: "php artisan migrate".into(), ..Command::default() },
            opcache_reset: None,
            when: When::All,
            halt_on_error: true,
            on_error: OnError::Rollback,
            on_rollback: false,
            if_changed: Vec::new(),
            migration: false,
            once: false,
        };
        let text = "[[hooks]]\nname = 'migrate'\nphase = 'before_switch'\nrun = 'php artisan migrate'";
        assert_eq!(hooks(text), [hook]);
        let on_rollback = |keys: &str| hooks(&format!("[[hooks]]\nname = 'x'\nrun = 'true'\n{keys}"))[0].on_rollback;
        assert!(on_rollback("phase = 'after_switch'"));
        assert!(!on_rollback("phase = 'after_switch'\nmigration = true"));
        assert!(!on_rollback("phase = 'after_switch'\non_rollback = false"));
        assert!(!on_rollback("phase = 'after_deploy'"));
        assert!(on_rollback("phase = 'before_switch'\non_rollback = true"));
    }

    #[test]
    fn each_key_of_a_hook_is_read() {
        let text = r#"
            [[hooks]]
            name = "clear caches"
            phase = "after_switch"
            run = """
              php artisan cache:clear $FLAG ${FLAG}
            """
            when = "after_first"
            timeout = "2m"
            halt_on_error = true
            on_error = "keep"
            cwd = "web"
            env = { APP_ENV = "production", _1 = "" }
            shell = "/bin/bash"
            on_rollback = true
            if_changed = ["composer.*", "!*.md"]
            migration = true
            once = true
        "#;
        let hook = Hook {
            name: "clear caches".into(),
            phase: HookPhase::AfterSwitch,
            command: Command {
                run: "              php artisan cache:clear $FLAG ${FLAG}\n            ".into(),
                shell: Shell::Path("/bin/bash".into()),
                cwd: Some("web".into()),
                env: [("APP_ENV".into(), "production".into()), ("_1".into(), String::new())].into(),
                timeout: Some(Duration::from_secs(120)),
            },
            opcache_reset: None,
            when: When::AfterFirst,
            halt_on_error: true,
            on_error: OnError::Keep,
            on_rollback: true,
            if_changed: vec!["composer.*".into(), "!*.md".into()],
            migration: true,
            once: true,
        };
        assert_eq!(hooks(text), [hook]);
    }

    #[test]
    fn a_hook_without_what_it_needs_is_refused_at_its_table() {
        check("\n[[hooks]]\nphase = 'build'\nrun = 'make'", Err("line 2: a hook has no `name`"));
        check(
            "\n[[hooks]]\nname = 'x'\nrun = 'make'",
            Err(
                "line 2: the hook `x` has no `phase` / Name the moment at which it runs, such as `phase = \"before_switch\"`",
            ),
        );
        check("[shop]\n[[shop.hooks]]\nname = 'x'\nphase = 'build'", Err("line 2: the hook `x` has no `run`"));
        const TABLES: &str = "line 1: `hooks` must be a list of tables / Begin each with `[[hooks]]`, or with `[[STAGE.hooks]]` in a stage";
        check("[hooks]\nname = 'x'", Err(TABLES));
        check("hooks = ['make']", Err(TABLES));
    }

    #[test]
    fn a_hook_resets_opcache_instead_of_running_a_command() {
        let text = "[[hooks]]\nname = 'x'\nphase = 'after_switch'\nopcache_reset = '/run/php.sock'\ntimeout = '5s'";
        let hook = &hooks(text)[0];
        assert_eq!(hook.opcache_reset, Some("/run/php.sock".parse().unwrap()));
        assert_eq!((&hook.command.run[..], hook.command.timeout), ("", Some(Duration::from_secs(5))));
        let refused = |phase: &str, keys: &str, expected: &str| {
            let head = format!("[[hooks]]\nname = 'x'\nphase = '{phase}'\nopcache_reset = '127.0.0.1:9000'\n");
            check(&format!("{head}{keys}"), Err(expected));
        };
        refused(
            "build",
            "",
            "line 4: `opcache_reset` has no meaning here: a hook of `build` runs on this machine / Leave `opcache_reset` out",
        );
        let both = "line 5: the hook `x` has both `run` and `opcache_reset` / Make two hooks of it";
        refused("after_switch", "run = 'true'", both);
        for (key, value) in [("cwd", "'a'"), ("env", "{ A = 'b' }"), ("shell", "'login'"), ("migration", "true")] {
            refused(
                "after_switch",
                &format!("{key} = {value}"),
                &format!("line 5: `{key}` has no meaning here: `opcache_reset` runs no command / Leave `{key}` out"),
            );
        }
        check(
            "[[hooks]]\nname = 'x'\nphase = 'after_switch'\nopcache_reset = 'php.sock'",
            Err("line 4: `opcache_reset` must be the absolute path of a socket, or a host and a port such as \
                 `127.0.0.1:9000` / Write what `listen` of the pool says"),
        );
    }

    #[test]
    fn unknown_keys_and_phases_are_refused_with_the_nearest_right_one() {
        refused("build", "timout = '1m'", "line 5: there is no key `timout` / Did you mean `timeout`?");
        refused(
            "build",
            "user = 'x'",
            "line 5: there is no key `user` / The keys are `name`, `phase`, `run`, `opcache_reset`, `when`, `timeout`, `halt_on_error`, \
             `on_error`, `cwd`, `env`, `shell`, `on_rollback`, `if_changed`, `migration` and `once`",
        );
        const PHASES: &str = "line 3: `phase` must be `\"before_build\"`, `\"build\"`, `\"after_build\"`, \
             `\"before_upload\"`, `\"after_upload\"`, `\"before_switch\"`, `\"after_switch\"`, `\"after_deploy\"`, \
             `\"on_failure\"`, `\"before_rollback\"` or `\"after_rollback\"`";
        refused("beforeswitch", "", &format!("{PHASES} / Did you mean `before_switch`?"));
        refused("publish", "", PHASES);
    }

    #[test]
    fn a_wrong_value_of_a_hook_is_refused_with_its_line() {
        let wrong = |keys: &str, expected: &str| refused("after_switch", keys, &format!("line 5: {expected}"));
        wrong("when = 'never'", "`when` must be `\"all\"`, `\"first\"` or `\"after_first\"`");
        wrong("on_error = 'ignore'", "`on_error` must be `\"rollback\"` or `\"keep\"`");
        wrong("halt_on_error = 'no'", "`halt_on_error` must be `true` or `false`");
        wrong(
            "timeout = '0s'",
            "`timeout` must be longer than 0: a number and a unit, such as `60s`, `10m`, `1h30m` or `7d`",
        );
        wrong("env = 'A=1'", "`env` must be a table");
        wrong("env.A = 1", "`A` must be a string");
        wrong(
            "env = { 'A-B' = '1' }",
            "`A-B` cannot name an environment variable / Use letters, digits and `_`, and begin with a letter or `_`, \
             such as `APP_ENV`",
        );
        wrong(
            "env.CUTOVER_RELEASE = '1'",
            "`CUTOVER_RELEASE` cannot be set: Cutover sets the variables that begin with `CUTOVER_` / Give it another name",
        );
        wrong("shell = 'bash'", "`shell` must be `\"plain\"`, `\"login\"` or the absolute path of a shell");
        wrong("cwd = '~/x'", "`cwd` must be an absolute path, or a path from the usual directory: `~` is not expanded");
        wrong("if_changed = 'a'", "`if_changed` must be a list of patterns");
        wrong("if_changed = []", "`if_changed` must be a list of at least one pattern");
        for pattern in ["[a", "", "#x", "/", "!"] {
            wrong(
                &format!("if_changed = ['{pattern}']"),
                &format!(
                    "no path can match the pattern `{pattern}` / Write it as in `.gitignore`, such as `composer.lock` or \
                     `assets/**/*.js`"
                ),
            );
        }
        let name = "line 2: `name` must be a name of 1 to 64 printable characters that does not begin with `-`";
        for wrong in ["''", "' x'", "'-x'", "\"a\\nb\"", "1"] {
            check(&format!("[[hooks]]\nname = {wrong}\nphase = 'build'\nrun = 'make'"), Err(name));
        }
        for wrong in ["' '", "\"a\\u0000\""] {
            let expected = "line 4: `run` must be a command, and is empty or has a NUL character";
            check(&format!("[[hooks]]\nname = 'x'\nphase = 'build'\nrun = {wrong}"), Err(expected));
        }
    }

    #[test]
    fn keys_that_have_no_meaning_in_a_phase_are_refused() {
        let senseless = |phase: &str, keys: &str, reason: &str| {
            let key = keys.split(' ').next().unwrap();
            let hint = format!("Leave `{key}` out, or choose another phase");
            refused(phase, keys, &format!("line 5: `{key}` has no meaning here: {reason} / {hint}"));
        };
        senseless("build", "on_rollback = true", "a rollback has no phase `build`");
        senseless("after_upload", "on_rollback = true", "a rollback has no phase `after_upload`");
        senseless("after_rollback", "on_rollback = true", "a hook of `after_rollback` runs on rollbacks only");
        senseless(
            "after_switch",
            "on_rollback = true\nwhen = 'first'",
            "with `when = \"first\"`, and a first deploy has no rollback",
        );
        senseless("after_build", "once = true", "a hook of `after_build` runs on this machine, once for all servers");
        for phase in ["before_build", "before_upload", "on_failure", "before_rollback"] {
            let reason = format!("`{phase}` is no phase of a release that is about to go live");
            senseless(phase, "migration = true", &reason);
        }
        senseless("before_switch", "on_error = 'keep'", "a failure in `before_switch` never switches back");
        senseless("after_deploy", "on_error = 'keep'", "a failure in `after_deploy` never switches back");
        senseless(
            "after_switch",
            "on_error = 'keep'\nhalt_on_error = false",
            "with `halt_on_error = false`, a failure is a warning",
        );
        senseless("before_rollback", "when = 'first'", "a first deploy has no rollback");
        senseless(
            "after_rollback",
            "if_changed = ['a']",
            "`after_rollback` is no phase of a deploy, which changes files",
        );
        for phase in ["before_upload", "on_failure"] {
            let reason = format!("in `{phase}`, the server may not know yet which files change");
            senseless(phase, "if_changed = ['a']", &reason);
        }
        let accepted = "[[hooks]]\nname = 'x'\nphase = 'build'\nrun = 'true'\non_rollback = false\nonce = false";
        check(accepted, Ok(()));
    }

    #[test]
    fn two_hooks_of_one_name_are_refused_also_across_top_and_stage() {
        const X: &str = "name = 'x'\nphase = 'build'\nrun = 'make'\n";
        const HINT: &str = "Give one of them another name";
        let twice = |line: usize| format!("line {line}: two hooks are called `x`, and the first is on line 1 / {HINT}");
        check(&format!("[[hooks]]\n{X}[[hooks]]\n{X}"), Err(&twice(5)));
        check(&format!("[[hooks]]\n{X}[shop]\n[[shop.hooks]]\n{X}"), Err(&twice(6)));
        check(&format!("[[shop.hooks]]\n{X}[[blog.hooks]]\n{X}"), Ok(()));
    }

    #[test]
    fn every_key_of_a_hook_is_in_the_docs() {
        let docs = include_str!("../../docs/configuration.md");
        let (_, rest) = docs.split_once("### Hooks\n").unwrap();
        let rows = rest.split("\n### ").next().unwrap();
        for name in HookKeys::NAMES {
            assert!(rows.contains(&format!("\n| `{name}` |")), "{name}");
        }
    }
}
