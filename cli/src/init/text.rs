//! Writes a draft as text: `cutover.toml` with a comment above each part, and `.deployignore`.
//!
//! Texts that come from another tool's files are escaped: a comment stays on its line, whatever is in it.

use toml::Value;

use super::draft::{Draft, Found, HookDraft, IgnoreLine, Setting, Untranslated};
use crate::checks_table::CheckKeys;
use crate::failure::one_line;
use crate::hooks_table::HookKeys;
use crate::toml_string::toml_string;
use crate::wrap;

/// The longest line. A longer list has one item a line, and a longer comment goes on in the next one.
const LINE_MAX: usize = 100;

/// The start of a line of a comment.
const COMMENT: &str = "# ";

/// Returns the text of `cutover.toml`. `intro` are the sentences at its top.
pub(crate) fn config(draft: &Draft, intro: &[String]) -> String {
    let mut text: String = intro.iter().map(|sentence| comment(sentence)).collect();
    push(&mut text, "\n");
    push_settings(&mut text, &draft.settings);
    for hook in &draft.hooks {
        push_table(&mut text, hook, "hooks", HookKeys::NAMES);
    }
    for check in &draft.checks {
        push_table(&mut text, check, "checks", CheckKeys::NAMES);
    }
    for stage in &draft.stages {
        let name = if stage.name.contains('.') { format!("\"{}\"", stage.name) } else { stage.name.clone() };
        let gap = if text.ends_with("\n\n") { "" } else { "\n" };
        push(&mut text, format!("{gap}[{name}]\n"));
        push_settings(&mut text, &stage.settings);
        for hook in &stage.hooks {
            push_table(&mut text, hook, &format!("{name}.hooks"), HookKeys::NAMES);
        }
    }
    push_untranslated(&mut text, &draft.untranslated);
    text
}

/// Returns the text of `.deployignore`.
pub(crate) fn ignore(lines: &[IgnoreLine]) -> String {
    let mut text = String::new();
    for IgnoreLine { pattern, why } in lines {
        if let Some(why) = why {
            push(&mut text, comment(why));
        }
        push(&mut text, format!("{pattern}\n"));
    }
    text
}

fn push(text: &mut String, part: impl AsRef<str>) {
    text.push_str(part.as_ref());
}

/// Adds settings. One without a reason stands right below the one before it.
fn push_settings(text: &mut String, settings: &[Setting]) {
    for (at, setting) in settings.iter().enumerate() {
        if let Some(why) = &setting.why {
            push(text, if at == 0 { "" } else { "\n" });
            push(text, comment(why));
        }
        push(text, code(&assignment(&setting.name, &setting.value), setting.is_proposal));
    }
}

/// Adds a hook or a check, with its keys in the usual order.
fn push_table(text: &mut String, hook: &HookDraft, table: &str, names: &[&str]) {
    push(text, if text.ends_with("\n\n") { "" } else { "\n" });
    if let Some(why) = &hook.why {
        push(text, comment(why));
    }
    let mut lines = format!("[[{table}]]\n");
    let known = |name: &&&str| hook.keys.contains_key(**name);
    for name in names.iter().filter(known) {
        lines += &assignment(name, &hook.keys[*name]);
    }
    push(text, code(&lines, hook.is_proposal));
}

fn push_untranslated(text: &mut String, parts: &[Untranslated]) {
    if parts.is_empty() {
        return;
    }
    push(text, "\n# Not translated:\n");
    for Untranslated { found: Found { file, line, text: found }, reason } in parts {
        push(text, format!("#   {}:{line}: {}\n", one_line(file), one_line(found)));
        push(text, format!("#     {}\n", one_line(reason)));
    }
}

/// Returns `name = value`, on several lines if it is a long list.
fn assignment(name: &str, value: &Value) -> String {
    let line = format!("{name} = {}\n", inline(value));
    match value {
        Value::Array(values) if line.chars().count() > LINE_MAX => {
            let items: String = values.iter().map(|value| format!("    {},\n", inline(value))).collect();
            format!("{name} = [\n{items}]\n")
        }
        _ => line,
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) if text.contains('\n') && is_plain(text) => format!("\"\"\"\n{text}\"\"\""),
        Value::String(text) => toml_string(text),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(inline).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Table(table) => {
            // A path comes before its rules.
            let mut names: Vec<&String> = table.keys().collect();
            names.sort_by_key(|name| (*name != "path", *name));
            let pairs: Vec<String> =
                names.into_iter().map(|name| format!("{} = {}", key(name), inline(&table[name]))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

/// Returns whether a text of several lines can stand in the file as it is.
fn is_plain(text: &str) -> bool {
    text.ends_with('\n')
        && !text.contains('\\')
        && !text.contains("\"\"")
        && !text.contains(|c: char| c.is_control() && c != '\n')
}

fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_bare { name.to_owned() } else { toml_string(name) }
}

/// Returns lines of code, or a comment of them.
fn code(lines: &str, is_proposal: bool) -> String {
    if !is_proposal {
        return lines.to_owned();
    }
    lines.lines().map(|line| format!("{COMMENT}{line}\n")).collect()
}

/// Returns a comment of lines that are not too long.
fn comment(sentence: &str) -> String {
    let lines = wrap::lines(sentence, LINE_MAX - COMMENT.len());
    lines.iter().map(|line| format!("{COMMENT}{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads_back(value: &Value) {
        let text = assignment("key", value);
        let table: toml::Table = toml::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(table["key"], *value, "{text}");
    }

    #[test]
    fn every_value_reads_back() {
        let long: Vec<String> = (0..40).map(|number| format!("directory-{number}")).collect();
        for value in [
            Value::from("plain"),
            Value::from("a \"b\" 'c' \\ \t \u{1b}[2J \u{7f} é"),
            Value::from("echo \"$A\" \\"),
            Value::from("two\nlines\n"),
            Value::from("two\nlines"),
            Value::from("\n"),
            Value::from("a\n\"\"\"\n"),
            Value::from("a\\\nb\n"),
            Value::from("a\r\nb\n"),
            Value::from(""),
            Value::from(7),
            Value::from(true),
            Value::from(long),
            Value::from(vec![Value::from("a"), toml::toml! { path = "b" "odd key" = "c" }.into()]),
        ] {
            reads_back(&value);
        }
    }

    #[test]
    fn a_proposal_and_a_foreign_text_are_comments() {
        let mut draft = Draft::default();
        draft.set(Setting { is_proposal: true, ..Setting::new("source", "dist").because("If a build makes it.") });
        draft.hooks.push(HookDraft { is_proposal: true, ..HookDraft::new("x", "build", "a\nb\n") });
        let found = Found { file: "a\nb".into(), line: 3, text: "x\n[evil]\u{1b}".into() };
        draft.untranslated.push(Untranslated { found, reason: "c".into() });
        let text = config(&draft, &["Top.".into()]);
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
        assert_eq!(toml::from_str::<toml::Table>(&text).unwrap(), toml::Table::new());
        assert!(text.contains("\n# If a build makes it.\n# source = \"dist\"\n"), "{text}");
    }

    #[test]
    fn a_long_comment_goes_on_in_the_next_line() {
        let text = comment(&"word ".repeat(50));
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().all(|line| line.starts_with("# word") && line.len() <= LINE_MAX), "{text}");
        let text = comment(&format!("{} `cutover shared push` is one.", "word ".repeat(18)));
        assert!(text.ends_with("\n# `cutover shared push` is one.\n"), "{text}");
    }
}
