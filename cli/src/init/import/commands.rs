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

/// Returns the phase for what Capistrano runs before or after a task of its own.
pub(crate) fn phase_of_capistrano(is_before: bool, task: &str) -> Option<&'static str> {
    Some(match (task.trim_start_matches("deploy:"), is_before) {
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
    Some(match (task.trim_start_matches("deploy:"), is_before) {
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
    fn a_task_has_a_phase_or_none() {
        assert_eq!(phase_of_capistrano(false, "deploy:published"), Some("after_switch"));
        assert_eq!(phase_of_capistrano(true, "deploy:publishing"), Some("before_switch"));
        assert_eq!(phase_of_capistrano(false, "puma:restart"), None);
        assert_eq!(phase_of_deployer(true, "deploy:symlink"), Some("before_switch"));
        assert_eq!(phase_of_deployer(false, "deploy"), Some("after_deploy"));
        assert_eq!(phase_of_deployer(false, "deploy:failed"), Some("on_failure"));
        assert_eq!(phase_of_deployer(false, "test"), None);
    }
}
