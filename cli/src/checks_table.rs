//! The tables `[[checks]]`: the keys of a check, and the combinations of them that have no meaning.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::check::{Check, CheckFrom, HttpProbe, Probe};
use engine::hook::{Command, Shell};

use crate::entry::Entry;
use crate::key_list::keys;
use crate::mistake::{Line, Located, Mistake};
use crate::shape::{Shape, Table, words};
use crate::url;

const FROM: [(&str, CheckFrom); 2] = [("client", CheckFrom::Client), ("server", CheckFrom::Server)];
const FROM_WORDS: [&str; 2] = words(&FROM);

/// What to do instead of writing a user into an address.
const AS_HEADER: &str = "give it as a header, `headers = { Authorization = \"…\" }`";

/// The shape of a check.
pub(crate) const CHECKS: Table =
    Table { section: "### Checks\n", keys: CheckKeys::SHAPES, required: &["name"], either: &["url", "run"] };

keys! {
    CheckKeys =>
    name: String = Entry::title => Shape::Text,
    url: String = Entry::url => Shape::Text,
    run: String = Entry::command => Shape::Command,
    from: CheckFrom = |entry| entry.one_of(&FROM) => Shape::OneOf(&FROM_WORDS),
    status: u16 = Entry::status => Shape::Number(100, 599),
    body: String = Entry::body => Shape::Text,
    header: (String, String) = Entry::answer_header => Shape::Text,
    headers: BTreeMap<String, String> = Entry::request_headers => Shape::Map,
    retries: u32 = Entry::tries => Shape::Number(0, 10_000),
    interval: Duration = Entry::duration => Shape::Duration,
    timeout: Duration = Entry::time_limit => Shape::Duration,
    shell: Shell = Entry::shell => Shape::Text,
    cwd: String = Entry::working_directory => Shape::Path,
    env: BTreeMap<String, String> = Entry::variables => Shape::Map,
}

/// The pause between two tries: a service that restarts is often back within seconds.
const INTERVAL: Duration = Duration::from_secs(1);

/// The longest time for one try. A health page that needs more is not healthy.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The status of a page that is as it should be.
const STATUS: u16 = 200;

impl Entry<'_> {
    /// Reads the checks of a table.
    pub(crate) fn checks(&self) -> Result<Vec<Located<Check>>, Mistake> {
        let mut checks = Vec::new();
        for table in self.tables()? {
            let (mut keys, before) = (CheckKeys::default(), self.page.mistakes());
            table.value.iter().try_for_each(|entry| keys.set(entry))?;
            // A key may be missing only because its variable is not set.
            if self.page.mistakes() == before {
                checks.push(Located { value: keys.check(table.line)?, line: table.line });
            }
        }
        Ok(checks)
    }

    fn url(&self) -> Result<String, Mistake> {
        let url = self.secret_string("a string: the address of a page")?;
        url::check(&url, AS_HEADER).map_err(|reason| {
            self.mistake(format!("`url` {reason}")).hint("Write it such as `https://shop.example.com/health`")
        })?;
        Ok(url)
    }

    fn status(&self) -> Result<u16, Mistake> {
        const WHAT: &str = "a status from 100 to 599";
        let status = self.number(WHAT)?;
        if (100..=599).contains(&status) { Ok(status) } else { Err(self.expected(WHAT)) }
    }

    fn body(&self) -> Result<String, Mistake> {
        let body = self.secret_string("a string: text that the page contains")?;
        if body.is_empty() { Err(self.expected("a text, and is empty")) } else { Ok(body) }
    }

    /// Reads a header of the answer.
    fn answer_header(&self) -> Result<(String, String), Mistake> {
        const WHAT: &str = "a string `Name: value`";
        let header = self.secret_string(WHAT)?;
        let (name, value) = header.split_once(':').ok_or_else(|| self.expected(WHAT))?;
        let value = value.trim();
        if !is_header_name(name) || !is_header_value(value) {
            return Err(self.expected(WHAT));
        }
        Ok((name.to_owned(), value.to_owned()))
    }

    /// Reads the headers of the request.
    fn request_headers(&self) -> Result<BTreeMap<String, String>, Mistake> {
        self.table_of(|entry| {
            if !is_header_name(entry.name) {
                return Err(entry.mistake(format!("`{}` cannot name a header", entry.name.escape_debug())));
            }
            let value = entry.secret_string("a string")?;
            if is_header_value(&value) { Ok(value) } else { Err(entry.expected("a string without control characters")) }
        })
    }
}

/// Returns whether `name` can name a header (a token of RFC 9110).
fn is_header_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

/// Returns whether `value` stays on one line, so that it cannot add a header.
fn is_header_value(value: &str) -> bool {
    !value.chars().any(char::is_control)
}

impl CheckKeys {
    fn check(self, line: Line) -> Result<Check, Mistake> {
        let at = |reason: String| Mistake::new(line, reason);
        let Some(name) = self.name.as_ref().map(|name| name.value.clone()) else {
            return Err(at("a check has no `name`".into()));
        };
        let from = self.from.as_ref().map(|from| from.value).unwrap_or_default();
        let timeout = self.timeout.as_ref().map_or(TIMEOUT, |timeout| timeout.value);
        let (retries, interval) = (self.retries.as_ref(), self.interval.as_ref());
        let (retries, interval) =
            (retries.map_or(0, |retries| retries.value), interval.map_or(INTERVAL, |interval| interval.value));
        let probe = match (&self.url, &self.run) {
            (None, None) => {
                let mistake = at(format!("the check `{name}` has neither `url` nor `run`"));
                return Err(mistake.hint("Give it the `url` of a page, or a command to `run`"));
            }
            (Some(_), Some(run)) => {
                let reason = format!("the check `{name}` has both `url` and `run`");
                return Err(Mistake::new(run.line, reason).hint("Make two checks of it"));
            }
            (Some(url), None) => self.http(url, from, timeout)?,
            (None, Some(run)) => self.command(run, timeout)?,
        };
        Ok(Check { name, probe, from, retries, interval })
    }

    fn http(&self, url: &Located<String>, from: CheckFrom, timeout: Duration) -> Result<Probe, Mistake> {
        refuse("run", [of("shell", &self.shell), of("cwd", &self.cwd), of("env", &self.env)])?;
        if from == CheckFrom::Server && url::is_https(&url.value) {
            let reason = "the agent on the server cannot ask an `https://` address".to_owned();
            let hint = "Ask it from here with `from = \"client\"`, or let the server's `curl` ask: `run = \"curl -fsS \
                        URL\"` instead of `url`";
            return Err(Mistake::new(url.line, reason).hint(hint));
        }
        Ok(Probe::Http(HttpProbe {
            url: url.value.clone(),
            headers: self.headers.as_ref().map(|headers| headers.value.clone()).unwrap_or_default(),
            status: self.status.as_ref().map_or(STATUS, |status| status.value),
            body: self.body.as_ref().map(|body| body.value.clone()),
            header: self.header.as_ref().map(|header| header.value.clone()),
            timeout,
        }))
    }

    fn command(&self, run: &Located<String>, timeout: Duration) -> Result<Probe, Mistake> {
        let of_answer = [of("status", &self.status), of("body", &self.body)];
        refuse("url", of_answer)?;
        refuse("url", [of("header", &self.header), of("headers", &self.headers)])?;
        Ok(Probe::Command(Command {
            run: run.value.clone(),
            shell: self.shell.as_ref().map(|shell| shell.value.clone()).unwrap_or_default(),
            cwd: self.cwd.as_ref().map(|cwd| cwd.value.clone()),
            env: self.env.as_ref().map(|env| env.value.clone()).unwrap_or_default(),
            timeout: Some(timeout),
        }))
    }
}

fn of<T>(key: &'static str, found: &Option<Located<T>>) -> Option<(&'static str, Line)> {
    found.as_ref().map(|found| (key, found.line))
}

/// Refuses keys that belong to the other kind of check.
fn refuse<const N: usize>(kind: &str, keys: [Option<(&'static str, Line)>; N]) -> Result<(), Mistake> {
    match keys.into_iter().flatten().min_by_key(|(_, line)| *line) {
        None => Ok(()),
        Some((key, line)) => {
            let mistake =
                Mistake::new(line, format!("`{key}` has no meaning here: it belongs to a check with `{kind}`"));
            Err(mistake.hint(format!("Leave `{key}` out")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::config::tests::{check, variables};

    fn checks(text: &str) -> Vec<Check> {
        let keys = Config::parse(Path::new("/c/cutover.toml"), text, &variables()).unwrap().defaults.keys;
        keys.checks.unwrap().value.into_iter().map(|check| check.value).collect()
    }

    /// Checks the mistake of a check with these keys, each on a line from 3.
    #[track_caller]
    fn refused(keys: &str, expected: &str) {
        check(&format!("[[checks]]\nname = 'x'\n{keys}"), Err(expected));
    }

    #[test]
    fn a_check_has_its_defaults() {
        let seconds = Duration::from_secs;
        let page = HttpProbe {
            url: "https://shop.example.com/health".into(),
            headers: BTreeMap::new(),
            status: 200,
            body: None,
            header: None,
            timeout: seconds(10),
        };
        let of_page = Check {
            name: "health".into(),
            probe: Probe::Http(page),
            from: CheckFrom::Client,
            retries: 0,
            interval: seconds(1),
        };
        let queue =
            Command { run: "systemctl is-active queue".into(), timeout: Some(seconds(10)), ..Command::default() };
        let of_command =
            Check { name: "queue".into(), probe: Probe::Command(queue), from: CheckFrom::Server, ..of_page.clone() };
        let text = "
            [[checks]]
            name = 'health'
            url = 'https://shop.example.com/health'
            [[checks]]
            name = 'queue'
            run = 'systemctl is-active queue'
            from = 'server'
        ";
        assert_eq!(checks(text), [of_page, of_command]);
    }

    #[test]
    fn each_key_of_a_check_is_read() {
        let text = r#"
            [[checks]]
            name = "health"
            url = "http://127.0.0.1/health"
            from = "server"
            status = 204
            body = "ok"
            header = "X-Release: 7"
            headers = { Host = "shop.example.com", Accept = "*/*" }
            retries = 5
            interval = "0s"
            timeout = "3s"
        "#;
        let page = HttpProbe {
            url: "http://127.0.0.1/health".into(),
            headers: [("Host".into(), "shop.example.com".into()), ("Accept".into(), "*/*".into())].into(),
            status: 204,
            body: Some("ok".into()),
            header: Some(("X-Release".into(), "7".into())),
            timeout: Duration::from_secs(3),
        };
        let check = Check {
            name: "health".into(),
            probe: Probe::Http(page),
            from: CheckFrom::Server,
            retries: 5,
            interval: Duration::ZERO,
        };
        assert_eq!(checks(text), [check]);
        let text = "[[checks]]\nname = 'x'\nrun = 'a'\nshell = 'login'\ncwd = '/srv'\nenv = { A = 'b' }";
        let command = Command {
            run: "a".into(),
            shell: Shell::Login,
            cwd: Some("/srv".into()),
            env: [("A".into(), "b".into())].into(),
            timeout: Some(Duration::from_secs(10)),
        };
        assert_eq!(checks(text)[0].probe, Probe::Command(command));
    }

    #[test]
    fn a_check_asks_one_question() {
        check("\n[[checks]]\nurl = 'http://shop'", Err("line 2: a check has no `name`"));
        check(
            "\n[[checks]]\nname = 'x'",
            Err(
                "line 2: the check `x` has neither `url` nor `run` / Give it the `url` of a page, or a command to `run`",
            ),
        );
        refused(
            "url = 'http://shop'\nrun = 'true'",
            "line 4: the check `x` has both `url` and `run` / Make two checks of it",
        );
        let other = |keys: &str, line: usize, key: &str, kind: &str| {
            let why = format!("`{key}` has no meaning here: it belongs to a check with `{kind}` / Leave `{key}` out");
            refused(keys, &format!("line {line}: {why}"));
        };
        for (key, value) in [("shell", "'login'"), ("cwd", "'/srv'"), ("env", "{ A = 'b' }")] {
            other(&format!("url = 'http://shop'\n{key} = {value}"), 4, key, "run");
        }
        for (key, value) in [("status", "200"), ("body", "'ok'"), ("header", "'A: b'"), ("headers", "{ A = 'b' }")] {
            other(&format!("{key} = {value}\nrun = 'true'"), 3, key, "url");
        }
    }

    #[test]
    fn the_server_asks_no_https_address() {
        refused(
            "from = 'server'\nurl = 'https://shop/health'",
            "line 4: the agent on the server cannot ask an `https://` address / Ask it from here with `from = \
             \"client\"`, or let the server's `curl` ask: `run = \"curl -fsS URL\"` instead of `url`",
        );
        check("[[checks]]\nname = 'x'\nfrom = 'server'\nurl = 'http://shop/health'", Ok(()));
    }

    #[test]
    fn a_wrong_value_of_a_check_is_refused_with_its_line() {
        let wrong = |keys: &str, expected: &str| refused(keys, &format!("line 3: {expected}"));
        wrong(
            "url = 'shop/health'",
            "`url` must begin with `https://` or `http://` / Write it such as `https://shop.example.com/health`",
        );
        wrong("from = 'Server'", "`from` must be `\"client\"` or `\"server\"` / Did you mean `server`?");
        wrong("status = 99", "`status` must be a status from 100 to 599");
        wrong("status = 600", "`status` must be a status from 100 to 599");
        wrong("body = ''", "`body` must be a text, and is empty");
        wrong("header = 'X-Release'", "`header` must be a string `Name: value`");
        wrong("header = 'X Release: 1'", "`header` must be a string `Name: value`");
        wrong("headers = ['A: b']", "`headers` must be a table");
        wrong("headers = { 'A b' = 'c' }", "`A b` cannot name a header");
        wrong("headers = { A = \"b\\r\\nC: d\" }", "`A` must be a string without control characters");
        wrong("retries = -1", "`retries` must be a whole number from 0 to 10000");
        wrong("retries = 10001", "`retries` must be a whole number from 0 to 10000");
        wrong(
            "interval = 1",
            "`interval` must be a string: a number and a unit, such as `60s`, `10m`, `1h30m` or `7d`",
        );
        wrong(
            "timeout = '0s'",
            "`timeout` must be longer than 0: a number and a unit, such as `60s`, `10m`, `1h30m` or `7d`",
        );
        wrong("retry = 1", "there is no key `retry` / Did you mean `retries`?");
    }

    #[test]
    fn two_checks_of_one_name_are_refused() {
        let text = "[[checks]]\nname = 'x'\nrun = 'a'\n[shop]\n[[shop.checks]]\nname = 'x'\nrun = 'a'";
        check(
            text,
            Err("line 5: two checks are called `x`, and the first is on line 1 / Give one of them another name"),
        );
    }

    #[test]
    fn every_key_of_a_check_is_in_the_docs() {
        let docs = include_str!("../../docs/configuration.md");
        let (_, rest) = docs.split_once("### Checks\n").unwrap();
        let rows = rest.split("\n### ").next().unwrap();
        for name in CheckKeys::NAMES {
            assert!(rows.contains(&format!("\n| `{name}` |")), "{name}");
        }
    }
}
