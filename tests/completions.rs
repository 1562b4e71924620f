//! `cutover completions`: the scripts in the real shells, at a real terminal.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::person::Person;
use crate::support::program;

/// A home with the script of a shell where the help says, and a `cutover` that prints its words.
struct Home {
    place: TempDir,
}

impl Home {
    fn new() -> Home {
        let home = Home { place: tempfile::tempdir().unwrap() };
        for (shell, file) in [("bash", "bash"), ("zsh", "functions/_cutover"), ("fish", "fish")] {
            let output = Command::new(env!("CARGO_BIN_EXE_cutover")).args(["completions", shell]).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
            let file = home.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, output.stdout).unwrap();
        }
        fs::create_dir(home.path().join("bin")).unwrap();
        program::write(&home.path().join("bin/cutover"), "#!/bin/sh\nprintf '<%s>' \"$@\"\necho\n");
        home
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    /// Returns a shell without any settings of a user.
    fn shell(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        let path = format!("{}:/usr/bin:/bin", self.path().join("bin").display());
        command.args(arguments).env_clear().env("PATH", path).env("HOME", self.path()).env("PS1", "$ ");
        command.current_dir(self.path());
        command
    }

    /// Runs a script, which prints nothing on stderr, and returns the lines of its stdout.
    fn run(&self, program: &str, arguments: &[&str]) -> Vec<String> {
        let output = self.shell(program, arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert_eq!((output.status.code(), text(output.stderr)), (Some(0), String::new()), "{arguments:?}");
        text(output.stdout).lines().map(str::to_owned).collect()
    }

    /// Types words with tabs into a shell at a terminal, and expects the words that `cutover` gets.
    fn check_typed(&self, shell: &Command) {
        let mut person = Person::run(shell);
        for (typed, words) in [
            ("cutover dep\t--no-sp\t", "<deploy><--no-space-check>"),
            ("cutover lock acq\tproduction", "<lock><acquire><production>"),
            ("cutover rollb\t--color nev\t", "<rollback><--color><never>"),
        ] {
            person.types(&format!("{typed}\n"));
            person.sees(words, 1);
        }
        person.types("exit\n");
        person.ends();
    }
}

/// Returns the verbs that the help lists.
fn verbs() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_cutover")).arg("-h").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let list = help.split_once("Verbs:\n").unwrap().1.split_once("\n\n").unwrap().0;
    list.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn bash_completes_verbs_flags_and_values() {
    let home = Home::new();
    let offered = |words: &str, at: usize| -> BTreeSet<String> {
        let script = format!(
            "set -u; . ./bash; COMP_WORDS=(cutover {words} ''); COMP_CWORD={at}; _cutover cutover '' cutover
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        home.run("bash", &["--norc", "-c", &script]).into_iter().collect()
    };
    let words = offered("", 1);
    assert!(words.is_superset(&verbs()), "{words:?}");
    assert!(!words.contains("agent"), "{words:?}");
    home.check_typed(&home.shell("bash", &["--noprofile", "--rcfile", "bash", "-i"]));
}

#[test]
fn zsh_completes_verbs_flags_and_values() {
    let home = Home::new();
    let start = "fpath=($HOME/functions $fpath); autoload -Uz compinit; compinit -u -D";
    home.run("zsh", &["-f", "-c", &format!("{start}; autoload +X _cutover")]);
    fs::write(home.path().join(".zshrc"), format!("{start}\n")).unwrap();
    home.check_typed(&home.shell("zsh", &["-d", "-i"]));
}

#[test]
fn fish_completes_verbs_flags_and_values() {
    let home = Home::new();
    let offered = home.run("fish", &["--no-config", "-c", "source fish; complete -C 'cutover '"]);
    let words: BTreeSet<String> = offered.iter().map(|line| line.split('\t').next().unwrap().to_owned()).collect();
    assert_eq!(words.intersection(&verbs()).cloned().collect::<BTreeSet<_>>(), verbs());
    assert!(!words.contains("agent"), "{words:?}");
    home.check_typed(&home.shell("fish", &["--no-config", "-i", "-C", "source fish"]));
}
