//! Finds programs that hooks of the server name and that are not there: in the shell of the hook, with its variables.
//!
//! The command of a hook is not run. Its first words are taken, and the shell is asked where they lead (`command -v`). A
//! word that is more than a plain name is left out: a path may be made by the deploy, and a variable has no value yet.

use std::path::Path;
use std::time::Duration;

use crate::command::{Invocation, Mask};
use crate::error::Error;
use crate::hook::{Command, Hook, Shell};
use crate::report::Finding;
use crate::shell::quoted;

use super::look::Look;
use super::place::{Ours, Place, nearest};

/// The longest time that the shell may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The words behind which another command begins.
const PREFIXES: [&str; 14] =
    ["if", "then", "else", "elif", "while", "until", "do", "exec", "time", "nice", "nohup", "command", "!", "{"];

pub(super) fn look(place: &Place<'_>, ours: Option<&Ours>) -> Result<Look, Error> {
    let mut look = Look::default();
    let live = ours.and_then(|ours| {
        let live = ours.layout.current.live().ok()??;
        Some(ours.layout.releases.path_of(live.as_str().as_bytes()))
    });
    let directory = live.unwrap_or_else(|| nearest(place.path).to_owned());
    let hooks = place.hello.procedure.hooks.iter().filter(|hook| !hook.phase.is_local());
    for hook in hooks {
        let programs = programs_of(&hook.command.run);
        let missing = find_missing(hook, &hook.command.shell, &programs, &directory)?;
        let in_login_shell = match (&hook.command.shell, missing.is_empty()) {
            (Shell::Plain, false) => find_missing(hook, &Shell::Login, &missing, &directory)?,
            _ => missing.clone(),
        };
        for program in missing {
            let is_in_login_shell = !in_login_shell.contains(&program);
            let (hook, user) = (hook.name.clone(), place.user.clone());
            look.find(Finding::ProgramMissing { hook, program, user, is_in_login_shell });
        }
    }
    Ok(look)
}

/// Returns those of the programs that the shell does not find.
fn find_missing(hook: &Hook, shell: &Shell, programs: &[String], directory: &Path) -> Result<Vec<String>, Error> {
    if programs.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<String> = programs.iter().map(|program| quoted(program)).collect();
    let run = format!(
        "for program in {}; do command -v \"$program\" > /dev/null || echo \"missing:$program\"; done",
        names.join(" ")
    );
    let command =
        Command { run, shell: shell.clone(), cwd: None, env: hook.command.env.clone(), timeout: Some(TIMEOUT) };
    let mask = Mask::new(&[]);
    let mut missing = Vec::new();
    let take = |line: String| missing.extend(line.strip_prefix("missing:").map(str::to_owned));
    Invocation { command: &command, directory, variables: &[], mask: &mask }.run(take, || false)?;
    // Whatever else a login prints is no program of the hook.
    missing.retain(|program| programs.contains(program));
    Ok(missing)
}

/// Returns the programs that a command of a hook names, each once.
fn programs_of(run: &str) -> Vec<String> {
    let mut programs: Vec<String> = Vec::new();
    for command in simple_part(run).split(['\n', ';', '|', '&']) {
        let mut words =
            command.split_ascii_whitespace().skip_while(|word| PREFIXES.contains(word) || is_variable(word));
        if let Some(word) = words.next().filter(|word| is_plain(word))
            && programs.iter().all(|known| known != word)
        {
            programs.push(word.to_owned());
        }
    }
    programs
}

/// Returns the part of a command up to the first quote, substitution, function or comment, with that sign: behind it, the
/// separators may mean something else.
fn simple_part(run: &str) -> &str {
    let sign = run.find(['\'', '"', '`', '(', '#', '\\', '<']);
    sign.map_or(run, |at| &run[..=at])
}

fn is_variable(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

fn is_plain(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_alphabetic())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_of_commands_are_programs() {
        let check = |run: &str, expected: &[&str]| assert_eq!(programs_of(run), expected, "{run}");
        check("php artisan migrate --force", &["php"]);
        check("cd public && composer install; php -v | grep x || true", &["cd", "composer", "php", "grep", "true"]);
        check("APP_ENV=prod php a\nif test -f b; then node c; fi", &["php", "test", "node", "fi"]);
        check("./bin/migrate", &[]);
        check("$PHP artisan", &[]);
        check("/usr/bin/php a", &[]);
        check("php a > b 2>&1", &["php"]);
        // The separators may stand in quotes.
        check("true; curl -d 'a; b' x; php", &["true", "curl"]);
        check("f() { a; }; b", &[]);
        check("a\"b\" c", &[]);
        check("php a # php; node", &["php"]);
    }
}
