//! The docs: the tests that they name exist, and their links lead somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the words between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Returns the tests that a page names, each with a file: the names before it, as in "`name`, `name` (`file`)".
fn tests_of(page: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for cell in page.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit(" | ").next()) {
        for (names, files) in cell.split(')').filter_map(|part| part.rsplit_once('(')) {
            for file in quoted(files).filter(|file| file.ends_with(".rs")) {
                found.extend(quoted(names).map(|name| (name.to_owned(), file.to_owned())));
            }
        }
    }
    found
}

#[test]
fn every_test_that_the_docs_name_is_in_the_file_that_they_name() {
    let mut files = BTreeSet::new();
    for (page, least) in [("docs/guarantees.md", 300), ("docs/features.md", 50), ("docs/parity.md", 40)] {
        let tests = tests_of(&read(&root().join(page)));
        assert!(tests.len() >= least, "{page} names {} tests", tests.len());
        for (name, file) in tests {
            let code = read(&root().join(&file));
            let place = code.find(&format!("fn {name}("));
            let place = place.unwrap_or_else(|| panic!("{page} names `{name}`, which is not in {file}"));
            let before = code[..place].trim_end().rsplit("\n\n").next().unwrap();
            assert!(before.contains("#[test]"), "{page} names `{name}` of {file}, which is no test");
            files.insert(file);
        }
    }
    assert!(files.len() > 50, "{files:?}");
}

#[test]
fn every_module_of_the_tests_is_part_of_the_program() {
    let main = read(&root().join("tests/main.rs"));
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(module) = name.strip_suffix(".rs").filter(|name| !["main", "slow"].contains(name)) else { continue };
        assert!(main.contains(&format!("\nmod {module};\n")), "tests/main.rs has no `mod {module};`");
    }
}

/// Returns the pages: the README, and all of `docs/`.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    let mut waiting = vec![root().join("docs")];
    while let Some(directory) = waiting.pop() {
        for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { waiting.push(path) } else { pages.push(path) }
        }
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    assert!(pages.len() > 50, "{pages:?}");
    pages
}

#[test]
fn no_page_has_a_gap_that_is_still_to_be_filled() {
    for page in pages() {
        let text = read(&page);
        for mark in ["FIXME", "FIGURES", "TODO", "TBD"] {
            assert!(!text.split(|c: char| !c.is_alphanumeric()).any(|word| word == mark), "{}: {mark}", page.display());
        }
    }
}

/// Returns the anchor that a heading has on a page, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let letters = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = letters.chars().filter(|c| c.is_alphanumeric() || ['-', '_', ' '].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Returns the text without blocks of code, in which brackets are no links and `#` is no heading.
fn prose(page: &str) -> String {
    page.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_link_of_the_docs_leads_to_a_page_and_a_section() {
    let mut count = 0;
    for page in pages() {
        let text = prose(&read(&page));
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") {
                continue;
            }
            let (path, section) = link.split_once('#').unwrap_or((link, ""));
            let goal = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(goal.exists(), "{}: `{link}` leads nowhere", page.display());
            if !section.is_empty() && goal.extension().is_some_and(|extension| extension == "md") {
                let goal = prose(&read(&goal));
                let mut headings = goal.lines().filter(|line| line.starts_with('#')).map(anchor);
                assert!(headings.any(|heading| heading == section), "{}: no section `{link}`", page.display());
            }
            count += 1;
        }
    }
    assert!(count >= 100, "{count}");
}
