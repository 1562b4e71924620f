//! `cutover reference`: prints the page of all verbs and flags, `docs/reference.md`, from their help texts.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::command_tree::{self, Block};
use crate::failure::Failure;
use crate::report;

/// The beginning of the page.
const HEAD: &str = "\
# Reference

All verbs and flags, as `cutover help VERB` shows them. The program writes this page (`cutover reference`), and a test
compares them. The keys of `cutover.toml`, what a verb prints as JSON, and more about some flags are in
[configuration.md](configuration.md); what to do after an error is in [troubleshooting.md](troubleshooting.md).
";

pub(crate) fn run() -> Result<(), Failure> {
    report::print(&page())
}

/// Returns the page.
fn page() -> String {
    let all = command_tree::all();
    let mut page = HEAD.to_owned();
    for command in &all {
        page += &section(command);
    }
    page
}

/// Returns the section of a verb. That of the command has the flags of every verb.
fn section(command: &Command) -> String {
    let is_top = command_tree::words(command) == "cutover";
    let mut text = format!("\n## {}\n\n", command_tree::words(command));
    text += &format!("{}\n\n```text\n{}\n```\n", description(command), command_tree::usage(command));
    let verbs: Vec<&Command> = command.get_subcommands().collect();
    if !verbs.is_empty() {
        text += "\n| verb | what it does |\n|---|---|\n";
        verbs.iter().for_each(|verb| text += &verb_row(verb));
    }
    let is_own = |argument: &&Arg| argument.get_id() != "help" && (is_top || !argument.is_global_set());
    let arguments: Vec<&Arg> = command.get_arguments().filter(is_own).collect();
    if !arguments.is_empty() {
        let head = if is_top { "flag of every verb" } else { "argument" };
        let _ = write!(text, "\n| {head} | meaning |\n|---|---|\n");
        arguments.iter().for_each(|argument| text += &argument_row(argument));
    }
    for block in command_tree::blocks(&command_tree::after_help(command)) {
        text += &block_text(&block);
    }
    text
}

fn verb_row(verb: &Command) -> String {
    let words = command_tree::words(verb);
    let anchor = words.replace(' ', "-");
    let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
    format!("| [`{words}`](#{anchor}) | {about} |\n")
}

fn argument_row(argument: &Arg) -> String {
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    format!("| `{}` | {} |\n", cell(&command_tree::written(argument)), cell(&command_tree::meaning(argument)))
}

/// Returns a part of the help as it stands there.
fn block_text(block: &Block<'_>) -> String {
    format!("\n{}:\n\n```text\n{}\n```\n", block.heading, block.lines.join("\n"))
}

/// Returns the description of a verb. Its first paragraph is the line in the list of verbs, which has no full stop.
fn description(command: &Command) -> String {
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let (first, rest) = about.trim().split_once("\n\n").unwrap_or((about.trim(), ""));
    let rest = if rest.is_empty() { String::new() } else { format!("\n\n{rest}") };
    format!("{}.{rest}", first.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_the_docs_is_that_of_the_program() {
        let known = include_str!("../../docs/reference.md");
        assert!(known == page(), "write it anew: `cutover reference > docs/reference.md`");
    }
}
