//! The verbs and flags as a tree, without the verbs that are hidden: for scripts of shells and for pages.

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};

use crate::args::Args;

/// A part of the long help behind the flags, such as its examples.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    /// The heading, without its colon.
    pub(crate) heading: &'a str,
    /// The lines, without their common indent.
    pub(crate) lines: Vec<&'a str>,
}

/// Returns the command with the verbs that people use.
///
/// The parser can hide a verb from its help alone, so the command is made again without them.
pub(crate) fn visible() -> Command {
    let whole = Args::command();
    let verbs: Vec<Command> = whole.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    let text = |found: Option<&StyledStr>| found.cloned().unwrap_or_default();
    Command::new("cutover")
        .version(env!("CARGO_PKG_VERSION"))
        .about(text(whole.get_about()))
        .long_about(text(whole.get_long_about()))
        .after_long_help(text(whole.get_after_long_help()))
        .args(whole.get_arguments().cloned())
        .subcommand_required(true)
        .subcommand_value_name("VERB")
        .subcommand_help_heading("Verbs")
        .subcommands(verbs)
}

/// Returns the command, each verb and each verb below one, in the order of the help.
pub(crate) fn all() -> Vec<Command> {
    fn add(command: &Command, all: &mut Vec<Command>) {
        all.push(command.clone());
        command.get_subcommands().for_each(|below| add(below, all));
    }
    let mut command = visible().disable_help_subcommand(true);
    command.build();
    let mut all = Vec::new();
    add(&command, &mut all);
    all
}

/// Returns the words of a command: `cutover shared push`.
pub(crate) fn words(command: &Command) -> &str {
    command.get_bin_name().unwrap_or_else(|| command.get_name())
}

/// Returns the usage of a command on one line.
pub(crate) fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage:").trim().to_owned()
}

/// Returns an argument as it is written: `-m, --message TEXT`, or `STAGE`.
pub(crate) fn written(argument: &Arg) -> String {
    let value = argument.get_value_names().map(|names| names.join(" "));
    let name = || argument.get_id().as_str().to_uppercase();
    let Some(long) = argument.get_long() else { return value.unwrap_or_else(name) };
    let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let takes = argument.get_num_args().filter(clap::builder::ValueRange::takes_values);
    let value = match takes {
        None => String::new(),
        Some(number) if number.min_values() == 0 => format!("[={}]", value.unwrap_or_else(name)),
        Some(_) => format!(" {}", value.unwrap_or_else(name)),
    };
    format!("{short}--{long}{value}")
}

/// Returns the help of an argument, the long one if there are two, with the words that it takes.
pub(crate) fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default().replace("\n\n", ". ");
    let words = match argument.is_hide_possible_values_set() || !argument.get_action().takes_values() {
        true => Vec::new(),
        false => argument.get_possible_values(),
    };
    let words: Vec<String> = words.iter().map(|word| format!("`{}`", word.get_name())).collect();
    if words.is_empty() { help } else { format!("{help} (one of {})", words.join(", ")) }
}

/// Returns the parts of the long help behind the flags. A heading begins its line and ends with a colon.
pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    for line in text.lines() {
        match line.strip_suffix(':').filter(|heading| !heading.starts_with(' ')) {
            Some(heading) => blocks.push(Block { heading, lines: Vec::new() }),
            None => {
                let line = line.strip_prefix("  ").unwrap_or(line);
                blocks.iter_mut().last().into_iter().for_each(|block| block.lines.push(line));
            }
        }
    }
    for block in &mut blocks {
        while block.lines.last().is_some_and(|line| line.is_empty()) {
            block.lines.pop();
        }
    }
    blocks
}

/// Returns the text behind the flags in the long help of a command.
pub(crate) fn after_help(command: &Command) -> String {
    command.get_after_long_help().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_help_are_told_by_their_headings() {
        let found = blocks("Columns:\n  A  one\n     two\n\nExample:\n  cutover a\n\n  cutover b\n");
        let block = |heading, lines: &[&'static str]| Block { heading, lines: lines.to_vec() };
        assert_eq!(found, [block("Columns", &["A  one", "   two"]), block("Example", &["cutover a", "", "cutover b"])]);
    }

    #[test]
    fn each_verb_is_there_once_and_no_hidden_one() {
        let words: Vec<String> = all().iter().map(|command| words(command).to_owned()).collect();
        let count = |wanted: &str| words.iter().filter(|words| *words == wanted).count();
        assert_eq!(words[0], "cutover");
        assert_eq!((count("cutover deploy"), count("cutover shared push"), count("cutover agent")), (1, 1, 0));
    }

    #[test]
    fn an_argument_is_written_as_it_is_typed() {
        let all = all();
        let acquire = all.iter().find(|command| words(command) == "cutover lock acquire").unwrap();
        let written: Vec<String> = acquire.get_arguments().map(written).collect();
        for expected in ["STAGE", "--target DEST", "-m, --message TEXT", "--lock-wait[=DURATION]", "--json"] {
            assert!(written.iter().any(|written| written == expected), "{written:?}");
        }
    }

    #[test]
    fn each_line_of_a_help_belongs_to_a_part() {
        for command in all() {
            let text = after_help(&command);
            let blocks = blocks(&text);
            assert_eq!(text.is_empty(), blocks.is_empty(), "{}", words(&command));
            assert!(text.is_empty() || !text.starts_with(' '), "{}", words(&command));
        }
    }
}
