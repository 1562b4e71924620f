//! The settings and servers of one file of Capistrano, and the values that count for a stage.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::capistrano_tasks::Tasks;
use super::literal::{Literal, Lookups};
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
    /// It sets it if nothing did before.
    Default,
}

/// Settings in their order, from the top to a stage.
type Changes<'a> = Vec<&'a (Change, Literal, Found)>;

/// A list, and the items that are not in it because they have code.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// The items.
    pub(crate) items: Vec<Value>,
    /// The places of those that have code.
    pub(crate) left: Vec<Found>,
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
    /// Its roles. None are known: it may have any.
    pub(crate) roles: Vec<String>,
    /// Whether it gets releases.
    pub(crate) gets_releases: bool,
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
            "set" => read_set(statement, Change::Set, found, self),
            "set_if_empty" => read_set(statement, Change::Default, found, self),
            "append" | "push" => read_list(statement, Change::Append, found, self),
            "remove" => read_list(statement, Change::Remove, found, self),
            "server" => read_server(statement, found, self),
            "role" => read_role(statement, found, self),
            _ => return None,
        })
    }
}

impl Server {
    /// Returns whether a task runs on the server: one role of each list is enough.
    pub(crate) fn has_roles(&self, lists: &[Vec<String>]) -> bool {
        lists.iter().all(|roles| roles.is_empty() || roles.iter().any(|role| self.has_role(role)))
    }

    /// Returns whether tasks for a role run on the server.
    pub(crate) fn has_role(&self, role: &str) -> bool {
        let is_in = |wanted: &str| self.roles.iter().any(|role| role == wanted);
        self.roles.is_empty() || role == "all" || is_in("all") || is_in(role)
    }
}

impl Scope {
    /// Returns the server of the stage, and the other ones. Of several it is one of the application.
    pub(crate) fn servers(&self) -> Option<(&Server, Vec<&Server>)> {
        let is_of_application =
            |server: &&Server| server.gets_releases && ["app", "web"].iter().any(|role| server.has_role(role));
        let chosen = self.servers.iter().find(is_of_application);
        let chosen = chosen.or_else(|| self.servers.iter().find(|server| server.gets_releases))?;
        Some((chosen, self.servers.iter().filter(|server| !std::ptr::eq(*server, chosen)).collect()))
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
        if self.is_unread(name) {
            return None;
        }
        let changes = self.changes(name);
        let last = changes.iter().rfind(|(change, ..)| *change != Change::Default).or(changes.first());
        last.map(|(_, value, found)| (value, found))
    }

    fn changes(&self, name: &str) -> Changes<'_> {
        let scopes = [Some(self.top), self.stage].into_iter().flatten();
        scopes.filter_map(|scope| scope.settings.get(name)).flatten().collect()
    }

    /// Returns whether code sets a setting.
    pub(crate) fn is_unread(&self, name: &str) -> bool {
        let scopes = [self.stage, Some(self.top)].into_iter().flatten();
        let says = |scope: &&Scope| scope.unread.contains(name) || scope.settings.contains_key(name);
        scopes.into_iter().find(says).is_some_and(|scope| scope.unread.contains(name))
    }

    /// Returns a text, with settings that are texts in the place of `fetch(:name)`.
    pub(crate) fn text(&self, value: &Literal) -> Option<String> {
        self.text_within(value, &Lookups::default())
    }

    fn text_within(&self, value: &Literal, lookups: &Lookups) -> Option<String> {
        let replace = |code: &str| {
            let name = code.strip_prefix("fetch(:").and_then(|rest| rest.strip_suffix(')'))?;
            lookups.take()?;
            self.last(name).and_then(|(value, _)| self.text_within(value, lookups))
        };
        value.text(&replace)
    }

    /// Returns a list after all that was appended to it and removed from it.
    pub(crate) fn list(&self, name: &str) -> List {
        let (mut list, mut left): (Vec<String>, Vec<Found>) = (Vec::new(), Vec::new());
        for (number, (change, value, found)) in self.changes(name).into_iter().enumerate() {
            if *change == Change::Default && number > 0 {
                continue;
            }
            let texts: Vec<Option<String>> = value.items().into_iter().map(|item| self.text(item)).collect();
            if *change == Change::Set {
                left.clear();
            }
            left.extend(texts.iter().filter(|text| text.is_none()).map(|_| found.clone()));
            let items = texts.into_iter().flatten();
            match change {
                Change::Set | Change::Default => list = items.collect(),
                Change::Append => list.extend(items),
                Change::Remove => {
                    let items = BTreeSet::from_iter(items);
                    list.retain(|item| !items.contains(item));
                }
            }
        }
        let mut known = BTreeSet::new();
        left.dedup();
        List { items: list.into_iter().filter(|item| known.insert(item.clone())).map(Value::from).collect(), left }
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

/// Returns the texts of a list.
fn names_in(value: &Literal) -> Vec<String> {
    value.items().into_iter().filter_map(Literal::as_plain).collect()
}

fn name_of(statement: &Statement) -> Option<String> {
    ruby::value(statement.arguments().first()?)?.as_plain()
}

/// `set :name, value`, and the older `set :name, fetch(:name, []).push('a')`.
fn read_set(statement: &Statement, change: Change, found: &Found, scope: &mut Scope) -> bool {
    let Some(name) = name_of(statement) else { return false };
    let arguments = statement.arguments();
    let read = match &arguments[1..] {
        [words] => match ruby::value(words) {
            Some(value) => Some((change, value)),
            None => pushed(words, &name).filter(|_| change == Change::Set).map(|(usual, value)| {
                let usual = (Change::Default, usual, found.clone());
                scope.settings.entry(name.clone()).or_default().push(usual);
                (Change::Append, value)
            }),
        },
        // `set :ssh_options, user: 'a', port: 2222`
        [] => None,
        several => several
            .iter()
            .map(|words| ruby::pair(words))
            .collect::<Option<Vec<_>>>()
            .map(|pairs| (change, Literal::Map(pairs))),
    };
    let read = read.or_else(|| {
        let [words] = &arguments[1..] else { return None };
        ruby::pair(words).map(|pair| (change, Literal::Map(vec![pair])))
    });
    let Some((change, value)) = read else {
        scope.unread.insert(name);
        return false;
    };
    if change == Change::Set {
        scope.unread.remove(&name);
    }
    scope.settings.entry(name).or_default().push((change, value, found.clone()));
    true
}

/// `fetch(:name, []).push('a', 'b')`, `.concat(%w[a b])` and `+ %w[a b]`. Returns what `fetch` gives if nothing was set, and the
/// items that are added.
fn pushed(words: &[ruby::Word], name: &str) -> Option<(Literal, Literal)> {
    if words.first()?.name() != Some("fetch") {
        return None;
    }
    let close = ruby::closing(words, 1)?;
    let usual = match &ruby::split(words.get(2..close)?)[..] {
        [fetched] if ruby::value(fetched)?.as_plain()? == name => Literal::List(Vec::new()),
        [fetched, usual] if ruby::value(fetched)?.as_plain()? == name => ruby::value(usual)?,
        _ => return None,
    };
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
    Some((usual, Literal::List(values.iter().flat_map(|value| value.items()).cloned().collect())))
}

/// `append :name, 'a', 'b'`
fn read_list(statement: &Statement, change: Change, found: &Found, scope: &mut Scope) -> bool {
    let Some(name) = name_of(statement) else { return false };
    let values: Option<Vec<Literal>> = statement.arguments()[1..].iter().map(|words| ruby::value(words)).collect();
    let Some(values) = values else {
        // A part of the list is not known: the line is listed.
        return false;
    };
    let items = values.iter().flat_map(|value| value.items()).cloned().collect();
    scope.settings.entry(name).or_default().push((change, Literal::List(items), found.clone()));
    true
}

/// `server 'host', user: 'deploy', roles: %w[app], ssh_options: { … }`
fn read_server(statement: &Statement, found: &Found, scope: &mut Scope) -> bool {
    let arguments = statement.arguments();
    let Some(host) = arguments.first().and_then(|words| ruby::value(words)) else { return false };
    let mut server = Server {
        host,
        user: None,
        port: None,
        options: None,
        roles: Vec::new(),
        gets_releases: true,
        found: found.clone(),
    };
    for words in &arguments[1..] {
        match ruby::pair(words) {
            Some((name, value)) if name == "user" => server.user = Some(value),
            Some((name, value)) if name == "port" => server.port = value.as_number(),
            Some((name, value)) if name == "ssh_options" => server.options = Some(value),
            Some((name, value)) if name == "roles" || name == "role" => server.roles.extend(names_in(&value)),
            Some((name, value)) if name == "no_release" => server.gets_releases = value != Literal::Boolean(true),
            // Marks of tasks.
            Some(_) => {}
            // `:app, :web` of an older version
            None => match ruby::value(words) {
                Some(role) => server.roles.extend(names_in(&role)),
                None => return false,
            },
        }
    }
    let has_room = scope.servers.len() < SERVERS_MAX;
    match scope.servers.iter_mut().find(|known| known.host == server.host) {
        // What another line says of it counts too.
        Some(known) => {
            known.user = server.user.or(known.user.take());
            known.port = server.port.or(known.port);
            known.options = server.options.or(known.options.take());
            known.gets_releases &= server.gets_releases;
            let new = server.roles.into_iter().filter(|role| !known.roles.contains(role));
            let new: Vec<String> = new.collect();
            known.roles.extend(new);
        }
        None if has_room => scope.servers.push(server),
        None => return false,
    }
    true
}

/// `role :app, %w[deploy@host], user: 'deploy'`
fn read_role(statement: &Statement, found: &Found, scope: &mut Scope) -> bool {
    let arguments = statement.arguments();
    let Some(role) = name_of(statement) else { return false };
    let (mut hosts, mut user, mut gets_releases) = (Vec::new(), None, true);
    for words in arguments.iter().skip(1) {
        match (ruby::value(words), ruby::pair(words)) {
            (Some(value), _) => hosts.extend(value.items().into_iter().cloned()),
            (None, Some((name, value))) if name == "user" => user = Some(value),
            (None, Some((name, value))) if name == "no_release" => gets_releases = value != Literal::Boolean(true),
            (None, Some(_)) => {}
            (None, None) => return false,
        }
    }
    for host in hosts {
        let has_room = scope.servers.len() < SERVERS_MAX;
        match scope.servers.iter_mut().find(|server| server.host == host) {
            // It has one role more. Its options are those of the first line.
            Some(known) if known.roles.contains(&role) => {}
            Some(known) => known.roles.push(role.clone()),
            None if has_room => scope.servers.push(Server {
                host,
                user: user.clone(),
                port: None,
                options: None,
                roles: vec![role.clone()],
                gets_releases,
                found: found.clone(),
            }),
            None => return false,
        }
    }
    true
}
