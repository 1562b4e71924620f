//! The words of a command line beside its flags: stages, releases, `live` and `source`.
//!
//! The order of words is free, because one word is never both a stage and a release. A release has a digit. So a word
//! without one is a stage, and a word that begins with a digit is a release. Of any other word, such as `web1` or `v1.2`, the
//! config decides: it is a stage if the config has a stage of that name, and else a release. A deploy refuses a release of
//! the name of a stage.

use std::collections::BTreeSet;

use engine::release::{NOTED_BYTES_MAX, ReleaseId};
use engine::rollback::RollbackTo;

use crate::failure::Failure;

/// The names of the stages of the config.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stages(BTreeSet<String>);

impl<T: Into<String>> FromIterator<T> for Stages {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Stages {
        Stages(names.into_iter().map(Into::into).collect())
    }
}

impl Stages {
    /// Returns the parse of one word.
    pub(crate) fn parse(&self, text: &str) -> Result<Word, Failure> {
        let begins_with_letter = text.starts_with(|first: char| first.is_ascii_alphabetic());
        match text.parse() {
            Ok(id) if begins_with_letter && !self.0.contains(text) => Ok(Word::Side(Side::Release(id))),
            _ => parse(text),
        }
    }

    /// Refuses the name of a stage as the name of a new release: nobody could name the release on a command line.
    pub(crate) fn check_new_release(&self, id: &ReleaseId) -> Result<(), Failure> {
        if !self.0.contains(id.as_str()) {
            return Ok(());
        }
        let message = format!("A release cannot be called `{id}`: the config has a stage of that name");
        Err(Failure::usage(message).hint("Give the release another name"))
    }

    /// Sorts words into a stage and the others.
    fn sort(&self, words: &[&str]) -> Result<(Option<String>, Vec<Side>), Failure> {
        let mut stage: Option<String> = None;
        let mut sides = Vec::new();
        for word in words {
            match self.parse(word)? {
                Word::Side(side) => sides.push(side),
                Word::Stage(second) => {
                    if let Some(first) = &stage {
                        let message = format!("Two stages are named, `{first}` and `{second}`: name one");
                        return Err(Failure::usage(message));
                    }
                    stage = Some(second);
                }
            }
        }
        Ok((stage, sides))
    }
}

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// A table in the config.
    Stage(String),
    /// A side of `diff`.
    Side(Side),
}

/// A side of `diff`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Side {
    /// A release.
    Release(ReleaseId),
    /// The live release.
    Live,
    /// The source.
    Source,
}

/// The pattern of the name of a stage.
pub(crate) const STAGE_PATTERN: &str = "^[A-Za-z][A-Za-z0-9._-]*$";

/// Words that name no stage.
pub(crate) const RESERVED: [&str; 2] = ["live", "source"];

/// Parses one word of which the config says nothing.
fn parse(text: &str) -> Result<Word, Failure> {
    match text {
        "live" => Ok(Word::Side(Side::Live)),
        "source" => Ok(Word::Side(Side::Source)),
        _ if text.starts_with(|first: char| first.is_ascii_digit()) => text
            .parse()
            .map(|id| Word::Side(Side::Release(id)))
            .map_err(|error| Failure::usage(capital(&error.to_string()))),
        _ => check_stage(text).map(|()| Word::Stage(text.to_owned())).map_err(|why| {
            Failure::usage(format!("`{}` cannot name a stage: {why}", text.escape_debug()))
                .hint("A target that is not in cutover.toml is named with `--target DEST`")
        }),
    }
}

/// Returns the reason that `text` cannot name a stage.
pub(crate) fn check_stage(text: &str) -> Result<(), &'static str> {
    if RESERVED.contains(&text) {
        return Err("the word is reserved");
    }
    if !text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Err("it does not begin with a letter");
    }
    let holds = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !text.bytes().all(holds) {
        return Err("it holds other than letters, digits, `.`, `_` and `-`");
    }
    Ok(())
}

/// Parses the word of a verb that accepts only a stage.
pub(crate) fn stage(word: Option<&str>) -> Result<Option<String>, Failure> {
    let Some(text) = word else {
        return Ok(None);
    };
    match parse(text)? {
        Word::Stage(stage) => Ok(Some(stage)),
        Word::Side(Side::Release(id)) => Err(Failure::usage(format!("Expected a stage, and `{id}` is a release"))),
        Word::Side(_) => Err(Failure::usage(format!("`{text}` cannot name a stage: the word is reserved"))),
    }
}

/// The way to name a release.
const ONE_RELEASE: &str = "Name one of those that `cutover releases` lists";

/// Parses the words of `switch`: one release and at most one stage.
pub(crate) fn switch(words: &[&str], stages: &Stages) -> Result<(ReleaseId, Option<String>), Failure> {
    one_release(words, stages, "No release to switch to is named", "A switch goes to one release")
}

/// Parses the words of a verb that takes one release and at most one stage.
pub(crate) fn one_release(
    words: &[&str],
    stages: &Stages,
    none: &str,
    other: &str,
) -> Result<(ReleaseId, Option<String>), Failure> {
    let (stage, sides) = stages.sort(words)?;
    match &sides[..] {
        [Side::Release(id)] => Ok((id.clone(), stage)),
        [] => Err(Failure::usage(none).hint(ONE_RELEASE)),
        _ => Err(Failure::usage(other).hint(ONE_RELEASE)),
    }
}

/// Parses the words of `rollback`: at most one release, which a flag may name instead, and at most one stage.
pub(crate) fn rollback(
    words: &[&str],
    stages: &Stages,
    flag: Option<RollbackTo>,
) -> Result<(RollbackTo, Option<String>), Failure> {
    let (stage, sides) = stages.sort(words)?;
    let named = match &sides[..] {
        [] => None,
        [Side::Release(id)] => Some(rollback_to(id.as_str())?),
        _ => return Err(one_goal()),
    };
    match (named, flag) {
        (Some(named), Some(flag)) if named != flag => Err(one_goal()),
        (named, flag) => Ok((named.or(flag).unwrap_or_default(), stage)),
    }
}

fn one_goal() -> Failure {
    Failure::usage("A rollback goes to one release").hint("See `cutover releases`")
}

/// Parses the value of `--to`: a release, a commit or `-N`.
pub(crate) fn rollback_to(text: &str) -> Result<RollbackTo, Failure> {
    const GOALS: &str =
        "Name a release, at least 7 digits of its commit, or how many good releases to go back by, as `-2`";
    let steps = text.strip_prefix('-').and_then(|steps| steps.parse().ok()).filter(|&steps| steps > 0);
    match steps {
        Some(steps) => Ok(RollbackTo::Back(steps)),
        None => text
            .parse()
            .map(RollbackTo::Release)
            .map_err(|_| Failure::usage(format!("A rollback cannot go to `{}`", text.escape_debug())).hint(GOALS)),
    }
}

/// Parses a note or a reason, which each list of releases shows.
pub(crate) fn note(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty".into()),
        note if note.chars().any(char::is_control) => Err("it has a line break or another control character".into()),
        note if note.len() > NOTED_BYTES_MAX => Err(format!("it has more than {NOTED_BYTES_MAX} bytes")),
        note => Ok(note.to_owned()),
    }
}

/// Parses the words of `log`: at most one number of a run, and at most one stage.
pub(crate) fn log(words: &[&str]) -> Result<(Option<u64>, Option<String>), Failure> {
    // A run has a number, so every word that begins with a letter is a stage.
    let letters = words.iter().copied().filter(|word| word.starts_with(|first: char| first.is_ascii_alphabetic()));
    let (stage, sides) = letters.collect::<Stages>().sort(words)?;
    let hint = "Name one run as `cutover log` lists them: by its number";
    match &sides[..] {
        [] => Ok((None, stage)),
        [Side::Release(id)] => match id.as_str().parse() {
            Ok(number) => Ok((Some(number), stage)),
            Err(_) => Err(Failure::usage(format!("`{id}` is no number of a run")).hint(hint)),
        },
        _ => Err(Failure::usage("A log is of one run").hint(hint)),
    }
}

/// Parses the words of `diff`: at most one stage, and the two sides.
pub(crate) fn diff(words: &[&str], stages: &Stages) -> Result<(Option<String>, Side, Side), Failure> {
    let (stage, sides) = stages.sort(words)?;
    let mut sides = sides.into_iter();
    match (sides.next(), sides.next(), sides.next()) {
        (None, ..) => Ok((stage, Side::Live, Side::Source)),
        (Some(Side::Live), None, _) => Ok((stage, Side::Live, Side::Source)),
        (Some(before), None, _) => Ok((stage, before, Side::Live)),
        (Some(before), Some(after), None) => Ok((stage, before, after)),
        _ => Err(Failure::usage("A diff compares two sides, not three")),
    }
}

/// Parses the words of `diff --on-disk`: at most one stage, and at most one release. None: the live one.
pub(crate) fn on_disk(words: &[&str], stages: &Stages) -> Result<(Option<String>, Option<ReleaseId>), Failure> {
    let (stage, sides) = stages.sort(words)?;
    match &sides[..] {
        [] | [Side::Live] => Ok((stage, None)),
        [Side::Release(id)] => Ok((stage, Some(id.clone()))),
        [Side::Source] => Err(Failure::usage("`--on-disk` is of a release on the server, and not of the source")),
        _ => Err(Failure::usage("`--on-disk` is of one release")),
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages() -> Stages {
        ["shop", "blog", "web1", "v2"].into_iter().collect()
    }

    fn split(words: &str) -> Vec<&str> {
        words.split_whitespace().collect()
    }

    #[test]
    fn a_switch_takes_its_words_in_any_order() {
        let check = |words: &str, expected: Result<(&str, Option<&str>), &str>| {
            let found = switch(&split(words), &stages()).map_err(|failure| failure.message);
            let expected =
                expected.map(|(id, stage)| (id.parse().unwrap(), stage.map(str::to_owned))).map_err(str::to_owned);
            assert_eq!(found, expected, "{words:?}");
        };
        check("20260325140000", Ok(("20260325140000", None)));
        check("20260325140000 shop", Ok(("20260325140000", Some("shop"))));
        check("shop 20260325140000", Ok(("20260325140000", Some("shop"))));
        check("shop", Err("No release to switch to is named"));
        check("1 2", Err("A switch goes to one release"));
        check("v1.2", Ok(("v1.2", None)));
        check("v1.2 shop", Ok(("v1.2", Some("shop"))));
        check("web1 v1.2", Ok(("v1.2", Some("web1"))));
        check("v1.2 v2", Ok(("v1.2", Some("v2"))));
        check("web1", Err("No release to switch to is named"));
        check("v1.2 web9", Err("A switch goes to one release"));
        check("prodution", Err("No release to switch to is named"));
        check("live", Err("A switch goes to one release"));
        check("shop blog", Err("Two stages are named, `shop` and `blog`: name one"));
        check(
            "1/../2",
            Err(
                "`1/../2` cannot name a release: a letter or a digit, then at most 63 letters, digits, `.`, `_` or `-`, \
                 with a digit in it",
            ),
        );
        check("./shop", Err("`./shop` cannot name a stage: it does not begin with a letter"));
        check(
            "web1:/srv",
            Err("`web1:/srv` cannot name a stage: it holds other than letters, digits, `.`, `_` and `-`"),
        );
    }

    #[test]
    fn a_rollback_takes_a_release_as_a_word_or_a_flag() {
        let release = |text: &str| RollbackTo::Release(text.parse().unwrap());
        let check = |words: &str, to: Option<&str>, expected: Result<(Option<&str>, Option<&str>), &str>| {
            let to = to.map(|to| rollback_to(to).unwrap());
            let found = rollback(&split(words), &stages(), to).map_err(|failure| failure.message);
            let to = |id: Option<&str>| id.map_or(RollbackTo::Back(1), release);
            let expected = expected.map(|(id, stage)| (to(id), stage.map(str::to_owned)));
            assert_eq!(found, expected.map_err(str::to_owned), "{words:?}");
        };
        check("", None, Ok((None, None)));
        check("shop", None, Ok((None, Some("shop"))));
        check("1", None, Ok((Some("1"), None)));
        check("1 shop", None, Ok((Some("1"), Some("shop"))));
        check("shop 1", None, Ok((Some("1"), Some("shop"))));
        check("shop", Some("1"), Ok((Some("1"), Some("shop"))));
        check("1 shop", Some("1"), Ok((Some("1"), Some("shop"))));
        check("1", Some("2"), Err("A rollback goes to one release"));
        check("1 2", None, Err("A rollback goes to one release"));
        check("live", None, Err("A rollback goes to one release"));
        check("shop blog", None, Err("Two stages are named, `shop` and `blog`: name one"));
    }

    #[test]
    fn a_goal_is_a_release_a_commit_or_a_number_of_steps() {
        let check = |text: &str, expected: Option<RollbackTo>| {
            let found = rollback_to(text).map_err(|failure| failure.message);
            assert_eq!(found, expected.ok_or(format!("A rollback cannot go to `{text}`")), "{text:?}");
        };
        check("-1", Some(RollbackTo::Back(1)));
        check("-12", Some(RollbackTo::Back(12)));
        for name in ["20260325140000", "abcdef0", "1.2"] {
            check(name, Some(RollbackTo::Release(name.parse().unwrap())));
        }
        for text in ["-0", "--2", "-", "abcdef", "shop", "-1.5", "-99999999999", "HEAD~1", ""] {
            check(text, None);
        }
    }

    #[test]
    fn a_note_is_one_short_line() {
        assert_eq!(note(" the year-end report "), Ok("the year-end report".to_owned()));
        for text in ["", " ", "two\nlines", "\u{1b}[2J", &"x".repeat(NOTED_BYTES_MAX + 1)] {
            assert!(note(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_diff_is_what_a_deploy_would_change_unless_sides_are_named() {
        let release = |id: &str| Side::Release(id.parse().unwrap());
        let check = |words: &str, stage: Option<&str>, before: Side, after: Side| {
            let found = diff(&split(words), &stages()).map_err(|failure| failure.message);
            assert_eq!(found, Ok((stage.map(str::to_owned), before, after)), "{words:?}");
        };
        check("", None, Side::Live, Side::Source);
        check("shop", Some("shop"), Side::Live, Side::Source);
        check("1", None, release("1"), Side::Live);
        check("live", None, Side::Live, Side::Source);
        check("source", None, Side::Source, Side::Live);
        check("shop 1 2", Some("shop"), release("1"), release("2"));
        check("1 shop 2", Some("shop"), release("1"), release("2"));
        check("v1 v2 web1x0", Some("v2"), release("v1"), release("web1x0"));
        check("2 source shop", Some("shop"), release("2"), Side::Source);
        let failure = diff(&split("1 2 3"), &stages()).unwrap_err();
        assert_eq!(failure.message, "A diff compares two sides, not three");
    }

    #[test]
    fn a_comparison_with_the_disk_is_of_one_release() {
        let check = |words: &str, expected: Result<(Option<&str>, Option<&str>), &str>| {
            let found = on_disk(&split(words), &stages()).map_err(|failure| failure.message);
            let owned = |(stage, id): (Option<&str>, Option<&str>)| {
                (stage.map(str::to_owned), id.map(|id| id.parse().unwrap()))
            };
            assert_eq!(found, expected.map(owned).map_err(str::to_owned), "{words:?}");
        };
        check("", Ok((None, None)));
        check("shop live", Ok((Some("shop"), None)));
        check("1 shop", Ok((Some("shop"), Some("1"))));
        check("source", Err("`--on-disk` is of a release on the server, and not of the source"));
        check("1 2", Err("`--on-disk` is of one release"));
    }

    #[test]
    fn a_new_release_has_not_the_name_of_a_stage() {
        let check = |name: &str| stages().check_new_release(&name.parse().unwrap()).is_ok();
        assert!(check("v1") && check("1") && !check("web1"));
    }

    #[test]
    fn a_run_of_a_log_is_a_number_and_every_other_word_a_stage() {
        let check = |words: &str, expected: Option<(Option<u64>, Option<&str>)>| {
            let expected = expected.map(|(run, stage)| (run, stage.map(str::to_owned)));
            assert_eq!(log(&split(words)).ok(), expected, "{words:?}");
        };
        check("17 web7", Some((Some(17), Some("web7"))));
        check("web7", Some((None, Some("web7"))));
        check("web7 web8", None);
        check("1.2", None);
    }

    #[test]
    fn a_stage_is_no_release_and_no_reserved_word() {
        let check = |word: &str, expected: Result<&str, &str>| {
            let found = stage(Some(word)).map_err(|failure| failure.message);
            let expected = expected.map(|stage| Some(stage.to_owned())).map_err(str::to_owned);
            assert_eq!(found, expected, "{word:?}");
        };
        check("shop", Ok("shop"));
        check("eu-west_1.b", Ok("eu-west_1.b"));
        check("1", Err("Expected a stage, and `1` is a release"));
        check("live", Err("`live` cannot name a stage: the word is reserved"));
        check("", Err("`` cannot name a stage: it does not begin with a letter"));
    }
}
