//! Commands of other tools as hooks: their names, and the moments of their tasks. Names of stages.

use crate::init::draft::HookDraft;
use crate::words::check_stage;

/// The longest name of a hook, which has room for a number behind it.
const NAME_CHARACTERS_MAX: usize = 58;

/// Returns a name that a hook may have.
pub(crate) fn hook_name(text: &str) -> String {
    let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let name: String = printable.take(NAME_CHARACTERS_MAX).collect();
    let name = name.trim().trim_start_matches('-').trim();
    if name.is_empty() { "command".to_owned() } else { name.to_owned() }
}

/// Returns a name that a stage may have.
pub(crate) fn stage_name(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' });
    let plain: String = plain.collect();
    let plain = plain.trim_matches('-');
    match check_stage(plain) {
        Ok(()) => plain.to_owned(),
        Err(_) => format!("stage-{plain}").trim_end_matches('-').to_owned(),
    }
}

/// Makes a hook of commands that run one after another, until one fails.
pub(crate) fn hook(name: &str, phase: &str, commands: &[String]) -> HookDraft {
    let run = match commands {
        [only] => only.clone(),
        // A shell of several lines would go on behind a command that failed.
        several => format!("set -e\n{}\n", several.join("\n")),
    };
    HookDraft::new(&hook_name(name), phase, &run)
}

/// The directory in which another tool runs a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The release, in which a hook begins too.
    Release,
    /// The home directory of the user.
    Home,
    /// The one that a command before it named.
    Named,
}

/// The lines of a hook that does what commands of another tool do, each in its own directory.
#[derive(Debug)]
pub(crate) struct Script {
    /// The lines, and whether each is a command, or changes the directory of those behind it.
    lines: Vec<(String, bool)>,
    at: Place,
}

impl Script {
    /// Begins in the release.
    pub(crate) fn new() -> Script {
        Script { lines: Vec::new(), at: Place::Release }
    }

    /// Adds a command.
    pub(crate) fn run(&mut self, command: String, place: Place) {
        self.go_to(&command, place);
        self.lines.push((command, true));
    }

    /// Adds a change of directory for all commands behind it.
    pub(crate) fn cd(&mut self, path: &str, place: Place) {
        let line = format!("cd {path}");
        self.go_to(&line, place);
        self.lines.push((line, false));
        self.at = Place::Named;
    }

    fn go_to(&mut self, command: &str, place: Place) {
        if place == self.at || !needs_directory(command) {
            return;
        }
        let path = match place {
            Place::Release => "\"$CUTOVER_RELEASE_PATH\"",
            Place::Home => "\"$HOME\"",
            Place::Named => return,
        };
        self.lines.push((format!("cd {path}"), false));
        self.at = place;
    }

    /// Returns the lines. Each command gets a shell of its own, as the other tools give it one.
    pub(crate) fn finish(self) -> Vec<String> {
        let is_alone = self.lines.len() == 1;
        let is_plain = |line: &str| {
            let first = line.split_whitespace().next().unwrap_or_default();
            !line.contains(['|', '&', ';', '#', '\n', '`', '('])
                && !["cd", "exit", "export", "set", "umask", ".", "exec", "unset"].contains(&first)
        };
        let line = |(line, is_command): (String, bool)| match is_command && !is_alone && !is_plain(&line) {
            true => format!("(\n{line}\n)"),
            false => line,
        };
        self.lines.into_iter().map(line).collect()
    }
}

/// Returns whether the directory in which a command runs may matter to it.
fn needs_directory(command: &str) -> bool {
    /// Programs for which it never matters, if their output goes nowhere else.
    const ANYWHERE: [&str; 7] = ["date", "echo", "kill", "killall", "service", "sleep", "systemctl"];
    /// Programs whose arguments are paths.
    const OF_PATHS: [&str; 8] = ["cat", "cp", "ln", "ls", "mkdir", "mv", "rm", "touch"];
    let is_absolute = |word: &str| word.trim_start_matches(['"', '\'']).starts_with(['/', '$', '~']);
    let mut words = command.split_whitespace().skip_while(|word| *word == "sudo");
    let program = words.next().unwrap_or_default();
    if program == "cd" {
        return !words.next().is_some_and(is_absolute);
    }
    if command.contains(['|', '&', ';', '<', '>', '`', '(', '\n']) {
        return true;
    }
    let mut paths = words.filter(|word| !word.starts_with('-'));
    !(ANYWHERE.contains(&program) || OF_PATHS.contains(&program) && paths.all(is_absolute))
}

/// Returns whether a command names the new release at a moment at which there is none, so that the name would be empty.
pub(crate) fn lacks_release(phase: &str, commands: &[String]) -> bool {
    ["before_upload", "on_failure"].contains(&phase)
        && commands.iter().any(|command| command.contains("CUTOVER_RELEASE_PATH"))
}

/// Returns the phase for what Capistrano runs before or after a task of its own.
pub(crate) fn phase_of_capistrano(is_before: bool, task: &str) -> Option<&'static str> {
    Some(match (task.strip_prefix("deploy:")?, is_before) {
        ("started", true) | ("starting" | "check" | "started", _) | ("updating", true) => "before_upload",
        ("updating", false) | ("updated", _) | ("publishing", true) => "before_switch",
        ("publishing", false) | ("published", _) | ("restart", _) => "after_switch",
        ("finishing" | "finished" | "cleanup", _) => "after_deploy",
        ("failed", _) => "on_failure",
        ("reverting" | "revert_release", true) => "before_rollback",
        ("reverting" | "revert_release", false) | ("reverted" | "finishing_rollback", _) => "after_rollback",
        _ => return None,
    })
}

/// Returns the phase for what Deployer runs before or after a task of its own.
pub(crate) fn phase_of_deployer(is_before: bool, task: &str) -> Option<&'static str> {
    // Other names without the prefix are of tasks that a deploy does not run.
    let own = ["deploy", "rollback", "cleanup", "success"].into_iter().find(|own| *own == task);
    Some(match (own.or_else(|| task.strip_prefix("deploy:"))?, is_before) {
        ("deploy", true) | ("prepare" | "info" | "setup" | "lock" | "release", true) => "before_upload",
        ("info" | "setup" | "lock" | "release", false) | ("update_code", true) => "before_upload",
        ("prepare" | "update_code" | "env" | "shared" | "vendors" | "writable" | "clear_paths", _)
        | ("symlink" | "publish", true) => "before_switch",
        ("symlink", false) | ("unlock" | "cleanup", true) => "after_switch",
        ("publish" | "unlock" | "cleanup" | "deploy", false) | ("success", _) => "after_deploy",
        ("failed", _) => "on_failure",
        ("rollback", true) => "before_rollback",
        ("rollback", false) => "after_rollback",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_has_a_name_that_is_accepted() {
        let check = |text: &str, expected: &str| assert_eq!(hook_name(text), expected, "{text:?}");
        check("build: assets", "build: assets");
        check("--x\n", "x");
        check(" \u{1b} ", "command");
        check(&"é".repeat(70), &"é".repeat(58));
    }

    #[test]
    fn a_stage_has_a_name_that_is_accepted() {
        let check = |text: &str, expected: &str| {
            assert_eq!(stage_name(text), expected, "{text:?}");
            assert_eq!(check_stage(&stage_name(text)), Ok(()), "{text:?}");
        };
        check("production", "production");
        check("Production Web", "Production-Web");
        check("eu.b_1", "eu.b_1");
        check("2026", "stage-2026");
        check("live", "stage-live");
        check("source", "stage-source");
        check(" é ", "stage");
        check("", "stage");
    }

    #[test]
    fn a_command_runs_where_the_other_tool_runs_it() {
        let check = |commands: &[(&str, Place)], expected: &[&str]| {
            let mut script = Script::new();
            commands.iter().for_each(|(command, place)| script.run((*command).to_owned(), *place));
            assert_eq!(script.finish(), expected);
        };
        check(&[("./bin/report", Place::Home)], &["cd \"$HOME\"", "./bin/report"]);
        check(&[("rm -rf storage", Place::Home)], &["cd \"$HOME\"", "rm -rf storage"]);
        check(&[("./bin/report", Place::Release)], &["./bin/report"]);
        check(&[("cd $CUTOVER_RELEASE_PATH && ./a", Place::Home)], &["cd $CUTOVER_RELEASE_PATH && ./a"]);
        for anywhere in ["sudo systemctl restart shop", "rm -rf /srv/cache $CUTOVER_RELEASE_PATH/tmp", "echo done"] {
            check(&[(anywhere, Place::Home)], &[anywhere]);
        }
        for relative in ["echo done > log", "cp /srv/a b", "cd sub && ./a", "php artisan up"] {
            check(
                &[(relative, Place::Home)],
                &["cd \"$HOME\"", relative]
                    .map(|line| if line == "cd sub && ./a" { "(\ncd sub && ./a\n)" } else { line }),
            );
        }
        check(
            &[("cd $A && ./a", Place::Home), ("./b", Place::Home), ("./c", Place::Release)],
            &["(\ncd $A && ./a\n)", "cd \"$HOME\"", "./b", "cd \"$CUTOVER_RELEASE_PATH\"", "./c"],
        );
        let mut script = Script::new();
        script.cd("$CUTOVER_RELEASE_PATH", Place::Home);
        script.run("npm ci".into(), Place::Named);
        assert_eq!(script.finish(), ["cd $CUTOVER_RELEASE_PATH", "npm ci"]);
    }

    #[test]
    fn a_task_has_a_phase_or_none() {
        assert_eq!(phase_of_deployer(false, "setup"), None, "it is a task of somebody's own");
        assert_eq!(phase_of_capistrano(false, "restart"), None);
        assert_eq!(phase_of_capistrano(false, "deploy:published"), Some("after_switch"));
        assert_eq!(phase_of_capistrano(true, "deploy:publishing"), Some("before_switch"));
        assert_eq!(phase_of_capistrano(false, "puma:restart"), None);
        assert_eq!(phase_of_deployer(true, "deploy:symlink"), Some("before_switch"));
        assert_eq!(phase_of_deployer(false, "deploy"), Some("after_deploy"));
        assert_eq!(phase_of_deployer(false, "deploy:failed"), Some("on_failure"));
        assert_eq!(phase_of_deployer(false, "test"), None);
    }
}
