//! `cutover completions`: prints the script that completes verbs and flags in a shell.
//!
//! The script has all verbs and flags in it, so completing one runs nothing. It does not know the stages of a config: for
//! that, the shell would have to run `cutover` at each press of the key.

use clap_complete::aot::{self, Shell as Grammar};

use crate::args::{CompletionsArgs, Shell};
use crate::command_tree;
use crate::failure::Failure;
use crate::report;

pub(crate) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    report::print(&script(args.shell))
}

fn script(shell: Shell) -> String {
    let grammar = match shell {
        Shell::Bash => Grammar::Bash,
        Shell::Zsh => Grammar::Zsh,
        Shell::Fish => Grammar::Fish,
    };
    let mut script = Vec::new();
    aot::generate(grammar, &mut command_tree::visible(), "cutover", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
