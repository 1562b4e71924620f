//! `--set KEY=VALUE`: keys on the command line, which replace those of the config.
//!
//! A value is TOML if it is TOML of the key's type, else it is a string: `--set port=2222`, `--set host=web1`,
//! `--set 'exclude=["a"]'`. The keys and their checks are those of the file.

use std::borrow::Cow;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use crate::config::Section;
use crate::entry::Entry;
use crate::keys::{Keys, TABLES};
use crate::mistake::{Line, Mistake, list};
use crate::page::Page;
use crate::variables::Variables;

/// Reads the keys of the command line. Of two values for a key, the later one counts.
pub(crate) fn read(given: &[String], variables: &Variables) -> Result<Section, Mistake> {
    let page = Page::new(None, variables);
    let mut keys = Keys::default();
    let mut values: Vec<(String, Value, Line)> = Vec::new();
    for word in given {
        let Some((name, text)) = word.split_once('=') else {
            let mistake = Mistake::new(Line::Flag, format!("`{}` has no `=`", word.escape_debug()));
            return Err(mistake.hint("Write `--set KEY=VALUE`, such as `--set keep_releases=5`"));
        };
        if TABLES.contains(&name) {
            let mistake = Mistake::new(Line::Flag, format!("{} cannot be set on the command line", list([name])));
            return Err(mistake.hint("Write the tables into `cutover.toml`"));
        }
        values.retain(|(earlier, ..)| earlier != name);
        values.push((name.to_owned(), set(&mut keys, &page, name, text)?, Line::Flag));
    }
    Ok(Section { line: Line::Flag, keys, notes: page.finish(), written: values })
}

/// Sets a key. Returns its value.
fn set<'a>(keys: &mut Keys, page: &'a Page<'a>, name: &'a str, text: &'a str) -> Result<Value, Mistake> {
    let mut set = |value: &Spanned<DeValue<'_>>| {
        let entry = Entry { page, root: name, name, at: 0, value };
        keys.set(&entry).map(|()| entry.written())
    };
    let as_text = || Spanned::new(0..text.len(), DeValue::String(Cow::Borrowed(text)));
    match DeValue::parse(text) {
        Ok(value) if matches!(value.get_ref(), DeValue::String(_) | DeValue::Array(_) | DeValue::Table(_)) => {
            set(&value)
        }
        Ok(value) => set(&value).or_else(|_| set(&as_text())),
        Err(_) => set(&as_text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(given: &[&str]) -> Result<Keys, String> {
        let given: Vec<String> = given.iter().map(|&word| word.to_owned()).collect();
        let variables = [("WEB".into(), "web1".into())].into_iter().collect();
        let failure = |mistake: Mistake| {
            let failure = mistake.failure(std::path::Path::new("/c"));
            format!("{} / {}", failure.message, failure.hint.unwrap_or_default())
        };
        read(&given, &variables).map(|section| section.keys).map_err(failure)
    }

    #[test]
    fn a_value_is_toml_of_the_type_of_its_key_or_a_string() {
        let keys = read_all(&[
            "host=web1",
            "user=7",
            "port=2222",
            "deploy_path=\"/srv/a b\"",
            "exclude=['a', 'b']",
            "grace=10m",
            "spare=false",
            "source=a=b",
            "keep_releases=4",
            "keep_releases=5",
        ])
        .unwrap();
        let text = |found: Option<crate::mistake::Located<String>>| found.unwrap().value;
        assert_eq!(text(keys.host), "web1");
        assert_eq!(text(keys.user), "7");
        assert_eq!(keys.port.unwrap().value, 2222);
        assert_eq!(text(keys.deploy_path), "/srv/a b");
        assert_eq!(keys.exclude.unwrap().value, ["a", "b"]);
        assert_eq!(keys.grace.unwrap().value.as_secs(), 600);
        assert!(!keys.spare.unwrap().value);
        assert_eq!(text(keys.source), "a=b");
        assert_eq!(keys.keep_releases.unwrap().value, 5);
        assert_eq!(text(read_all(&["host=${WEB}"]).unwrap().host), "web1");
    }

    #[test]
    fn a_mistake_names_the_flag() {
        let wrong = |word: &str, expected: &str| assert_eq!(read_all(&[word]), Err(expected.to_owned()));
        wrong("port", "`--set`: `port` has no `=` / Write `--set KEY=VALUE`, such as `--set keep_releases=5`");
        wrong("prot=22", "`--set`: there is no key `prot` / Did you mean `port`?");
        wrong("port=70000", "`--set`: `port` must be a port from 1 to 65535 / ");
        wrong("port=ssh", "`--set`: `port` must be a port from 1 to 65535 / ");
        wrong("user='-l'", "`--set`: `user` has a user that begins with `-` / ");
        wrong("host=$WEB", "`--set`: `$WEB` is not expanded / Write `${WEB}`");
        wrong("exclude=a", "`--set`: `exclude` must be a list of strings / ");
        wrong("source=\"\"", "`--set`: `source` must be a path, and is empty or has a control character / ");
        wrong("hooks=[]", "`--set`: `hooks` cannot be set on the command line / Write the tables into `cutover.toml`");
    }
}
