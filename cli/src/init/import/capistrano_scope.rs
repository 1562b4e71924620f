//! The settings and servers of one file of Capistrano, and the values that count for a stage.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::capistrano_tasks::Tasks;
use super::literal::Literal;
use super::ruby::{self, Statement};
use crate::init::draft::Found;

/// The most servers of a stage that are looked at.
const SERVERS_MAX: usize = 100;

/// Settings of one file.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// The stage. None: the top.
    pub(crate) stage: Option<String>,
    /// All that is said of each setting.
    pub(crate) settings: BTreeMap<String, Vec<(Change, Literal, Found)>>,
    /// The settings whose last value has code.
    pub(crate) unread: BTreeSet<String>,
    /// The servers.
    pub(crate) servers: Vec<Server>,
    /// The tasks.
    pub(crate) tasks: Tasks,
    /// The first line of the file.
    pub(crate) found: Option<Found>,
}

/// What a line does to a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It sets it.
    Set,
    /// It adds items.
    Append,
    /// It removes items.
    Remove,
}

/// A server.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// The host, perhaps as `user@host:port`.
    pub(crate) host: Literal,
    /// The user.
    pub(crate) user: Option<Literal>,
    /// The port.
    pub(crate) port: Option<i64>,
    /// Its options of SSH.
    pub(crate) options: Option<Literal>,
    /// The place.
    pub(crate) found: Found,
}

impl Scope {
    /// Reads a statement about settings or servers. None if it is of another kind; false if it could not be read.
    pub(crate) fn read(&mut self, statement: &Statement, found: &Found) -> Option<bool> {
        if statement.body.is_some() {
            return None;
        }
        Some(match statement.name() {
            "lock" => true,
            "set" | "set_if_empty" => read_set(statement, found, self),
            "append" | "push" => read_list(statement, Change::Append, found, self),
            "remove" => read_list(statement, Change::Remove, found, self),
            "server" => read_server(statement, found, self),
            "role" => read_role(statement, found, self),
            _ => return None,
        })
    }
}

/// The settings that count for a stage.
pub(crate) struct Names<'a> {
    /// Those at the top.
    pub(crate) top: &'a Scope,
    /// Those of the stage, if it is about one.
    pub(crate) stage: Option<&'a Scope>,
}

impl Names<'_> {
    /// Returns the last value of a setting, and its place. None if nothing sets it, or code does.
    pub(crate) fn last(&self, name: &str) -> Option<(&Literal, &Found)> {
        let says = |scope: &&Scope| scope.unread.contains(name) || scope.settings.contains_key(name);
        let scope = self.stage.filter(says).unwrap_or(self.top);
        let last = scope.settings.get(name)?.last().filter(|_| !scope.unread.contains(name));
        last.map(|(_, value, found)| (value, found))
    }

    /// Returns whether code sets a setting.
    pub(crate) fn is_unread(&self, name: &str) -> bool {
        let scopes = [self.stage, Some(self.top)].into_iter().flatten();
        let says = |scope: &&Scope| scope.unread.contains(name) || scope.settings.contains_key(name);
        scopes.into_iter().find(says).is_some_and(|scope| scope.unread.contains(name))
    }

    /// Returns a text, with settings that are texts in the place of `fetch(:name)`.
    pub(crate) fn text(&self, value: &Literal) -> Option<String> {
        self.text_at(value, 0)
    }

    fn text_at(&self, value: &Literal, depth: usize) -> Option<String> {
        // Settings that name each other have no value.
        let replace = |code: &str| {
            let name = code.strip_prefix("fetch(:").and_then(|rest| rest.strip_suffix(')'))?;
            let is_next = depth < 8;
            self.last(name).filter(|_| is_next).and_then(|(value, _)| self.text_at(value, depth + 1))
        };
        value.text(&replace)
    }

    /// Returns a list after all that was appended to it and removed from it.
    pub(crate) fn list(&self, name: &str) -> Vec<Value> {
        let mut list: Vec<String> = Vec::new();
        let scopes = [Some(self.top), self.stage].into_iter().flatten();
        for (change, value, _) in scopes.filter_map(|scope| scope.settings.get(name)).flatten() {
            let items: Vec<String> = value.items().into_iter().filter_map(|item| self.text(item)).collect();
            match change {
                Change::Set => list = items,
                Change::Append => list.extend(items),
                Change::Remove => {
                    let items = BTreeSet::from_iter(items);
                    list.retain(|item| !items.contains(item));
                }
            }
        }
        let mut known = BTreeSet::new();
        list.into_iter().filter(|item| known.insert(item.clone())).map(Value::from).collect()
    }
}

/// Splits `user@host:port`.
pub(crate) fn parts_of(host: &str) -> (Option<String>, String, Option<i64>) {
    let (user, host) = match host.rsplit_once('@') {
        Some((user, host)) => (Some(user.to_owned()), host),
        None => (None, host),
    };
    match host.rsplit_once(':').map(|(name, port)| (name, port.parse())) {
        Some((name, Ok(port))) if !name.contains(':') => (user, name.to_owned(), Some(port)),
        _ => (user, host.to_owned(), None),
    }
}

fn name_of(statement: &Statement) -> Option<String> {
    ruby::value(statement.arguments().first()?)?.as_plain()
}

/// `set :name, value`, and the older `set :name, fetch(:name, []).push('a')`.
fn read_set(statement: &Statement, found: &Found, scope: &mut Scope) -> bool {
    let Some(name) = name_of(statement) else { return false };
    let arguments = statement.arguments();
    let read = match &arguments[1..] {
        [words] => match ruby::value(words) {
            Some(value) => Some((Change::Set, value)),
            None => pushed(words).map(|value| (Change::Append, value)),
        },
        // `set :ssh_options, user: 'a', port: 2222`
        [] => None,
        several => several
            .iter()
            .map(|words| ruby::pair(words))
            .collect::<Option<Vec<_>>>()
            .map(|pairs| (Change::Set, Literal::Map(pairs))),
    };
    let read = read.or_else(|| {
        let [words] = &arguments[1..] else { return None };
        ruby::pair(words).map(|pair| (Change::Set, Literal::Map(vec![pair])))
    });
    let Some((change, value)) = read else {
        scope.unread.insert(name);
        return false;
    };
    scope.unread.remove(&name);
    scope.settings.entry(name).or_default().push((change, value, found.clone()));
    true
}

/// `fetch(:name, []).push('a', 'b')`, `.concat(%w[a b])` and `+ %w[a b]`
fn pushed(words: &[ruby::Word]) -> Option<Literal> {
    if words.first()?.name() != Some("fetch") {
        return None;
    }
    let close = ruby::closing(words, 1)?;
    let rest = words.get(close + 1..)?;
    let inner = match rest {
        [dot, method, open, inner @ .., end]
            if dot.is(".") && ["push", "concat"].contains(&method.name()?) && open.is("(") && end.is(")") =>
        {
            inner
        }
        [plus, inner @ ..] if plus.is("+") => inner,
        _ => return None,
    };
    let values: Vec<Literal> = ruby::split(inner).into_iter().map(ruby::value).collect::<Option<_>>()?;
    Some(Literal::List(values.iter().flat_map(|value| value.items()).cloned().collect()))
}

/// `append :name, 'a', 'b'`
fn read_list(statement: &Statement, change: Change, found: &Found, scope: &mut Scope) -> bool {
    let Some(name) = name_of(statement) else { return false };
    let values: Option<Vec<Literal>> = statement.arguments()[1..].iter().map(|words| ruby::value(words)).collect();
    let Some(values) = values else { return false };
    let items = values.iter().flat_map(|value| value.items()).cloned().collect();
    scope.settings.entry(name).or_default().push((change, Literal::List(items), found.clone()));
    true
}

/// `server 'host', user: 'deploy', roles: %w[app], ssh_options: { … }`
fn read_server(statement: &Statement, found: &Found, scope: &mut Scope) -> bool {
    let arguments = statement.arguments();
    let Some(host) = arguments.first().and_then(|words| ruby::value(words)) else { return false };
    let mut server = Server { host, user: None, port: None, options: None, found: found.clone() };
    for words in &arguments[1..] {
        match ruby::pair(words) {
            Some((name, value)) if name == "user" => server.user = Some(value),
            Some((name, value)) if name == "port" => server.port = value.as_number(),
            Some((name, value)) if name == "ssh_options" => server.options = Some(value),
            // Roles and marks of tasks.
            Some(_) => {}
            // `:app, :web` of an older version
            None if ruby::value(words).is_some() => {}
            None => return false,
        }
    }
    scope.servers.push(server);
    true
}

/// `role :app, %w[deploy@host], user: 'deploy'`
fn read_role(statement: &Statement, found: &Found, scope: &mut Scope) -> bool {
    let arguments = statement.arguments();
    let mut hosts = Vec::new();
    let mut user = None;
    for words in arguments.iter().skip(1) {
        match (ruby::value(words), ruby::pair(words)) {
            (Some(value), _) => hosts.extend(value.items().into_iter().cloned()),
            (None, Some((name, value))) if name == "user" => user = Some(value),
            (None, Some(_)) => {}
            (None, None) => return false,
        }
    }
    let server = |host: Literal| Server { host, user: user.clone(), port: None, options: None, found: found.clone() };
    let known: Vec<Literal> = scope.servers.iter().map(|server| server.host.clone()).collect();
    let hosts = hosts.into_iter().take(SERVERS_MAX.saturating_sub(known.len()));
    scope.servers.extend(hosts.filter(|host| !known.contains(host)).map(server));
    true
}
