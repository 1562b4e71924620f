//! `cutover explain`: prints what the docs say of an error or of a finding, by its id.
//!
//! The sections are those of `docs/troubleshooting.md` and `docs/doctor.md`, which the program has in it. They are
//! paragraphs alone, and are wrapped to the width of the terminal. If an error and a finding share an id, they are
//! the same situation, and both sections are printed.

use std::io;

use crate::args::ExplainArgs;
use crate::color;
use crate::docs::{self, Link};
use crate::failure::{Failure, one_line};
use crate::mistake::nearest;
use crate::report;
use crate::wrap;

/// The longest line, as in the help.
const COLUMNS_MAX: usize = 100;

/// A page with sections.
struct Page {
    /// Its name in the docs.
    name: &'static str,
    text: &'static str,
    /// The kind of its sections.
    kind: &'static str,
}

const PAGES: [Page; 2] = [
    Page { name: "troubleshooting.md", text: docs::TROUBLESHOOTING, kind: "an error" },
    Page { name: "doctor.md", text: docs::DOCTOR, kind: "a finding of `cutover doctor`" },
];

impl Page {
    /// Returns the ids that have a section.
    fn ids(&self) -> impl Iterator<Item = &'static str> {
        self.text.lines().filter_map(|line| line.strip_prefix("### "))
    }
}

pub(crate) fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let word = args.word.trim_matches(['[', ']']);
    let columns = color::columns(io::stdout()).unwrap_or(COLUMNS_MAX).min(COLUMNS_MAX);
    match text(word, columns) {
        Some(text) => report::print(&text),
        None => Err(unknown(word)),
    }
}

/// Returns the sections of an id.
fn text(word: &str, columns: usize) -> Option<String> {
    let section = |page: &Page| {
        let section = docs::section(page.text, &format!("### {word}"));
        let section = (!section.is_empty()).then(|| with_targets(section, page.name))?;
        let paragraphs =
            section.trim().split("\n\n").map(|paragraph| wrap::lines(paragraph, columns).join("\n") + "\n");
        Some(format!("{word}: {}\n\n{}", page.kind, paragraphs.collect::<Vec<_>>().join("\n")))
    };
    let sections: Vec<String> = PAGES.iter().filter_map(section).collect();
    (!sections.is_empty()).then(|| sections.join("\n"))
}

fn unknown(word: &str) -> Failure {
    let hint = match nearest(word, PAGES.iter().flat_map(Page::ids)) {
        Some(nearest) => format!("Did you mean `{nearest}`?"),
        None => "The id of an error is the word in brackets: `Error [shared-missing]: …`. `cutover doctor` prints the id of a \
                 finding in its first line"
            .to_owned(),
    };
    Failure::usage(format!("There is no error or finding `{}`", one_line(word))).hint(hint)
}

/// Returns a text whose links name their pages: `([more](guides/teams.md))` becomes `(more: docs/guides/teams.md)`.
fn with_targets(text: &str, page: &str) -> String {
    docs::map_links(text, |&Link { label, target, is_alone }| {
        let target = match target.split_at_checked(1) {
            Some(("#", section)) => format!("docs/{page}#{section}"),
            _ => target.strip_prefix("../").map_or_else(|| format!("docs/{target}"), str::to_owned),
        };
        if is_alone { format!("{label}: {target}") } else { format!("{label} ({target})") }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use engine::error::ErrorId;

    use super::*;

    /// The ids of errors that are those of findings too: the same situation, found by a run or by an examination.
    const SHARED: [&str; 25] = [
        "adoption-unfinished",
        "host-unreachable",
        "login-refused",
        "ssh-config",
        "config",
        "agent-noexec",
        "read-only",
        "others-may-write",
        "other-owner",
        "deploy-path-not-empty",
        "store-damaged",
        "no-reflinks",
        "disk-full",
        "not-enough-space",
        "not-enough-inodes",
        "current-not-a-link",
        "current-leads-elsewhere",
        "current-path-changed",
        "another-run",
        "hook-still-runs",
        "deploys-locked",
        "release-damaged",
        "release-edited",
        "shared-missing",
        "database-not-writable",
    ];

    #[test]
    fn each_error_has_a_section_and_each_section_an_error() {
        let headings: Vec<&str> = PAGES[0].ids().collect();
        let ids: BTreeSet<&str> = ErrorId::ALL.iter().map(|id| id.word()).collect();
        assert_eq!(headings.iter().copied().collect::<BTreeSet<_>>(), ids);
        assert_eq!(headings.len(), ids.len(), "a heading is there twice");
    }

    /// Another name for one situation, or one name for two, is a mistake: a new name in this list needs a look at both
    /// sections.
    #[test]
    fn an_error_and_a_finding_share_an_id_only_if_they_are_one_situation() {
        let errors: BTreeSet<&str> = PAGES[0].ids().collect();
        let shared: Vec<&str> = PAGES[1].ids().filter(|id| errors.contains(id)).collect();
        assert_eq!(shared.iter().copied().collect::<BTreeSet<_>>(), BTreeSet::from(SHARED));
    }

    #[test]
    fn an_id_of_an_error_and_a_finding_has_both_sections() {
        let both = text("shared-missing", 80).unwrap();
        let heads: Vec<&str> = both.lines().filter(|line| line.starts_with("shared-missing: ")).collect();
        assert_eq!(heads, ["shared-missing: an error", "shared-missing: a finding of `cutover doctor`"]);
        let parts: Vec<&str> = both.split("shared-missing: a finding").collect();
        assert!(parts.iter().all(|part| part.len() > 100), "{both}");
        for (id, kind) in [("usage", "an error"), ("trash-stuck", "a finding of `cutover doctor`")] {
            let text = text(id, 80).unwrap();
            assert!(
                text.starts_with(&format!("{id}: {kind}\n\n")) && text.matches(&format!("{id}: ")).count() == 1,
                "{text}"
            );
        }
    }

    #[test]
    fn each_section_is_paragraphs_that_fit_the_terminal() {
        for page in PAGES {
            for word in page.ids() {
                let text = text(word, 80).unwrap();
                assert!(text.len() > word.len() + 20, "{word}: {text}");
                assert!(!text.contains("](") && !text.contains("```") && !text.contains("\n|"), "{word}: {text}");
                let fits = |line: &&str| line.chars().count() <= 80 || !line.contains(' ');
                assert!(text.lines().all(|line| fits(&line)), "{text}");
            }
        }
    }

    #[test]
    fn a_link_names_its_page() {
        let check = |text: &str, expected: &str| assert_eq!(with_targets(text, "a.md"), expected);
        check("See ([more](guides/b.md#c)).", "See (more: docs/guides/b.md#c).");
        check("See [that](#c) and [it](../README.md)", "See that (docs/a.md#c) and it (README.md)");
        check("`[[hooks]]`, see [a hook](#c)", "`[[hooks]]`, see a hook (docs/a.md#c)");
    }

    #[test]
    fn a_misspelt_id_has_a_proposal() {
        let check = |word: &str, message: &str, hint: &str| {
            assert!(text(word, 80).is_none());
            let failure = unknown(word);
            assert_eq!((failure.message.as_str(), failure.hint.as_deref()), (message, Some(hint)));
        };
        let message = "There is no error or finding `not-enough-spaces`";
        check("not-enough-spaces", message, "Did you mean `not-enough-space`?");
        // A finding that is no error.
        check("trash-stucked", "There is no error or finding `trash-stucked`", "Did you mean `trash-stuck`?");
    }
}
