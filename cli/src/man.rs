//! `cutover man`: writes the manual pages, one for the command, one for each verb, and one for `cutover.toml`.
//!
//! ```text
//! DIRECTORY/man1/cutover.1  cutover-deploy.1  cutover-shared-push.1 …
//! DIRECTORY/man5/cutover.toml.5
//! ```
//!
//! Their texts are those of the help. The variables of the environment and the keys come from the docs that the program
//! has in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, builder::StyledStr};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use engine::error::ErrorId;

use crate::args::ManArgs;
use crate::command_tree::{self, Block};
use crate::docs;
use crate::failure::Failure;

/// The name of the manual, at the top of each page.
const MANUAL: &str = "Cutover Manual";

/// The day of this version, at the foot of each page. It changes with the version.
const DATE: &str = "2026-11-30";

/// The files of the command: each name and its meaning.
const FILES: [(&str, &str); 5] = [
    ("cutover.toml", "The configuration, in the working directory or above it; see cutover.toml(5)."),
    (".deployignore", "What is not deployed, in the grammar of .gitignore, in any directory of the source."),
    ("~/.cache/cutover", "Caches, worktrees and logs of this machine. It can be removed while no command runs."),
    ("~/.ssh/config, ~/.ssh/known_hosts", "As for ssh(1)."),
    (
        "releases/, shared/, current, .cutover/",
        "On the server, in the deploy path: the releases, the files that outlive them, the link to the live one, and what belongs to Cutover alone.",
    ),
];

pub(crate) fn run(args: &ManArgs) -> Result<(), Failure> {
    write_all(&args.directory).map_err(|(path, error)| {
        Failure::refused(ErrorId::OutputFailed, format!("Could not write `{}`", path.display())).because(&error)
    })
}

fn write_all(directory: &Path) -> Result<(), (PathBuf, io::Error)> {
    for (name, page) in pages() {
        let path = directory.join(format!("man{}", &name[name.len() - 1..])).join(name);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, page));
        written.map_err(|error| (path, error))?;
    }
    Ok(())
}

/// Returns the pages, each with its file name.
fn pages() -> Vec<(String, String)> {
    let all = command_tree::all();
    let mut pages: Vec<(String, String)> =
        all.iter().map(|command| (file_name(command), page(command, &all))).collect();
    pages.push(("cutover.toml.5".to_owned(), page_of_keys()));
    pages
}

fn file_name(command: &Command) -> String {
    format!("{}.1", page_name(command))
}

fn page_name(command: &Command) -> String {
    command_tree::words(command).replace(' ', "-")
}

/// Returns the page of a command.
fn page(command: &Command, all: &[Command]) -> String {
    let is_top = command_tree::words(command) == "cutover";
    let shown = command
        .clone()
        .override_usage(StyledStr::from(command_tree::usage(command)))
        .display_name(page_name(command))
        .subcommand_help_heading("VERBS")
        .mut_args(|argument| {
            let meaning = command_tree::meaning(&argument);
            argument.help(meaning.clone()).long_help(meaning).hide_possible_values(true)
        });
    let man =
        Man::new(shown.clone()).title(page_name(command).to_uppercase()).date(DATE).source(source()).manual(MANUAL);
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let parts =
        [Man::render_title, Man::render_name_section, Man::render_synopsis_section, Man::render_description_section];
    parts.iter().for_each(|part| drop(part(&man, &mut text)));
    drop(man.render_options_section(&mut text));
    if shown.has_subcommands() {
        drop(man.render_subcommands_section(&mut text));
    }
    let mut more = Roff::new();
    for block in command_tree::blocks(&command_tree::after_help(command)) {
        add_block(&mut more, &block);
    }
    if is_top {
        add_files(&mut more);
        add_environment(&mut more);
    }
    add_see_also(&mut more, command, all);
    text.extend_from_slice(more.to_roff().as_bytes());
    ascii(&String::from_utf8_lossy(&text))
}

/// Writes letters beyond ASCII as roff names them: not every reader of pages knows UTF-8.
fn ascii(page: &str) -> String {
    let letter = |letter: char| match letter.is_ascii() {
        true => letter.to_string(),
        false => format!("\\[u{:04X}]", u32::from(letter)),
    };
    page.chars().map(letter).collect()
}

fn source() -> String {
    format!("Cutover {}", env!("CARGO_PKG_VERSION"))
}

/// Adds a part of the help as it stands there.
fn add_block(roff: &mut Roff, block: &Block<'_>) {
    let heading = match block.heading {
        "Example" => "EXAMPLES".to_owned(),
        "Exit codes" => "EXIT STATUS".to_owned(),
        heading => heading.to_uppercase(),
    };
    roff.control("SH", [heading.as_str()]);
    roff.control("nf", []);
    for line in &block.lines {
        roff.text([roman(*line)]);
    }
    roff.control("fi", []);
}

fn add_files(roff: &mut Roff) {
    roff.control("SH", ["FILES"]);
    for (name, meaning) in FILES {
        add_entry(roff, name, meaning);
    }
}

fn add_environment(roff: &mut Roff) {
    roff.control("SH", ["ENVIRONMENT"]);
    let section = docs::section(docs::CONFIGURATION, "## Environment variables");
    for row in docs::rows(section, "| variable | meaning |") {
        if let [name, meaning] = &row[..] {
            add_entry(roff, &name.replace('`', ""), meaning);
        }
    }
}

/// Adds a name, and its meaning below it.
fn add_entry(roff: &mut Roff, name: &str, meaning: &str) {
    roff.control("TP", []);
    roff.text([bold(name)]);
    roff.text([roman(meaning)]);
}

/// Adds the pages near this one: that of the verb above, those of the verbs below, and that of the config.
fn add_see_also(roff: &mut Roff, command: &Command, all: &[Command]) {
    let words = command_tree::words(command);
    let is_near = |other: &str| {
        let is_below = other.strip_prefix(words).is_some_and(|rest| rest.starts_with(' '));
        let is_above = words.strip_prefix(other).is_some_and(|rest| rest.starts_with(' '));
        is_above || is_below && (words == "cutover") == (other.matches(' ').count() == 1)
    };
    let near = all.iter().filter(|other| is_near(command_tree::words(other)));
    let mut names: Vec<String> = near.map(|other| format!("{}(1)", page_name(other))).collect();
    names.push("cutover.toml(5)".to_owned());
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(names.join(", "))]);
}

/// Returns the page of the keys of the config.
fn page_of_keys() -> String {
    let mut roff = Roff::new();
    let source = source();
    roff.control("TH", ["CUTOVER.TOML", "5", DATE, source.as_str(), MANUAL]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("cutover.toml - how Cutover deploys an application")]);
    roff.control("SH", ["DESCRIPTION"]);
    for paragraph in docs::section(docs::CONFIGURATION, "## cutover.toml").split("\n\n").take(2) {
        roff.text([roman(docs::without_links(&paragraph.trim().replace('\n', " ")))]);
        roff.control("PP", []);
    }
    roff.text([roman(
        "Each key is followed by its type and its default. The documentation of Cutover has more about each.",
    )]);
    for (heading, keys) in docs::key_tables(docs::section(docs::CONFIGURATION, "## cutover.toml")) {
        roff.control("SH", [heading.to_uppercase().as_str()]);
        for row in keys {
            if let [name, kind, usual, meaning] = &row[..] {
                roff.control("TP", []);
                roff.text([bold(name.replace('`', "")), roman(format!(" ({kind}; default: {usual})"))]);
                roff.text([roman(meaning.as_str())]);
            }
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("cutover(1), cutover-config-show(1), cutover-init(1)")]);
    ascii(&roff.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_has_a_page_with_all_its_flags() {
        let all = command_tree::all();
        let pages = pages();
        assert_eq!(pages.len(), all.len() + 1);
        for command in &all {
            let (_, page) = pages.iter().find(|(name, _)| *name == file_name(command)).unwrap();
            for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
                let written = format!("\\-\\-{}", flag.replace('-', "\\-"));
                assert!(page.contains(&written), "{}: {flag}", file_name(command));
            }
        }
    }

    #[test]
    fn each_key_is_in_the_page_of_the_config() {
        let page = page_of_keys();
        for name in crate::keys::Keys::NAMES {
            assert!(page.contains(&format!("\\fB{name}")), "{name}");
        }
    }
}
