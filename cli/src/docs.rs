//! The pages of the docs that the program has in it: their sections, the rows of their tables, and their texts without
//! links.

/// The page of the keys and of all that a user can set.
pub(crate) const CONFIGURATION: &str = include_str!("../../docs/configuration.md");

/// The page of errors.
pub(crate) const TROUBLESHOOTING: &str = include_str!("../../docs/troubleshooting.md");

/// The page of findings.
pub(crate) const DOCTOR: &str = include_str!("../../docs/doctor.md");

/// The first row of a table of keys.
const KEY_HEAD: &str = "| key | type | default | meaning |";

/// Returns the part of a page below a heading, up to the next one of its level or above.
pub(crate) fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let level = heading.bytes().take_while(|&byte| byte == b'#').count();
    let Some((_, rest)) = page.split_once(&format!("\n{heading}\n")) else { return "" };
    let ends = |line: &str| {
        let marks = line.bytes().take_while(|&byte| byte == b'#').count();
        (1..=level).contains(&marks) && line.as_bytes().get(marks) == Some(&b' ')
    };
    let mut end = 0;
    for line in rest.split_inclusive('\n').take_while(|line| !ends(line)) {
        end += line.len();
    }
    &rest[..end]
}

/// Returns the rows of the table that begins with this row, each as its cells without links.
pub(crate) fn rows(section: &str, head: &str) -> Vec<Vec<String>> {
    let Some((_, table)) = section.split_once(head) else { return Vec::new() };
    table.lines().skip(2).take_while(|line| line.starts_with('|')).map(cells).collect()
}

/// Returns the tables of keys of a section, each with the heading above it.
pub(crate) fn key_tables(section: &str) -> Vec<(&str, Vec<Vec<String>>)> {
    let mut tables = Vec::new();
    for part in section.split("\n###").skip(1) {
        let heading = part.lines().next().unwrap_or_default().trim_start_matches('#').trim();
        let tables_of_keys = part.match_indices(KEY_HEAD);
        let keys: Vec<Vec<String>> = tables_of_keys.flat_map(|(at, _)| rows(&part[at..], KEY_HEAD)).collect();
        if !keys.is_empty() {
            tables.push((heading, keys));
        }
    }
    tables
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches("| ").trim_end_matches(" |");
    row.split(" | ").map(without_links).collect()
}

/// Returns a text with the labels of its links alone, and without the escapes of a table.
pub(crate) fn without_links(text: &str) -> String {
    map_links(text, |link| link.label.to_owned()).replace("\\|", "|")
}

/// A link in a text.
pub(crate) struct Link<'a> {
    pub(crate) label: &'a str,
    pub(crate) target: &'a str,
    /// Whether parentheses hold the link and nothing else.
    pub(crate) is_alone: bool,
}

/// Returns a text with other words in the place of its links.
pub(crate) fn map_links(text: &str, words: impl Fn(&Link<'_>) -> String) -> String {
    let (mut mapped, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once('[') {
        mapped += before;
        match behind.split_once("](") {
            Some((label, behind)) if !label.contains(['[', ']']) => {
                let (target, after) = behind.split_once(')').unwrap_or((behind, ""));
                let is_alone = before.ends_with('(') && after.starts_with(')');
                mapped += &words(&Link { label, target, is_alone });
                rest = after;
            }
            _ => {
                mapped.push('[');
                rest = behind;
            }
        }
    }
    mapped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_at_the_next_heading_of_its_level() {
        let page = "# A\n## B\none\n### C\ntwo\n## D\nthree\n";
        assert_eq!(section(page, "## B"), "one\n### C\ntwo\n");
        assert_eq!(section(page, "### C"), "two\n");
        assert_eq!(section(page, "## D"), "three\n");
        assert_eq!(section(page, "## E"), "");
    }

    #[test]
    fn a_link_becomes_its_label() {
        assert_eq!(
            without_links("`[[hooks]]`, see [a hook](#hooks), `a\\|b` [x]"),
            "`[[hooks]]`, see a hook, `a|b` [x]"
        );
    }

    #[test]
    fn each_table_of_keys_is_found_with_its_heading() {
        let tables = key_tables(section(CONFIGURATION, "## cutover.toml"));
        let of = |heading: &str| &tables.iter().find(|(found, _)| *found == heading).unwrap().1;
        assert_eq!(of("The target")[0][0], "`deploy_path`");
        assert_eq!(of("Webhook").len(), 2);
        assert!(of("Hooks").iter().any(|row| row[0] == "`phase`") && of("Hooks")[0][0] == "`hooks`");
    }
}
