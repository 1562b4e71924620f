//! Tasks of Capistrano that only run plain commands, and the moments for which they are meant.
//!
//! ```ruby
//! namespace :deploy do
//!   task :restart do
//!     on roles(:app) do
//!       execute :sudo, :systemctl, :restart, 'shop'
//!     end
//!   end
//!   after :published, :restart
//! end
//! ```

use std::collections::BTreeMap;

use super::commands::{Place, Script};
use super::literal::Literal;
use super::ruby::{self, Statement, Word};
use super::untranslated::Leftovers;
use crate::init::draft::{Found, Untranslated};

/// The most moments of a file.
const EVENTS_MAX: usize = 1000;

/// The paths that tasks name.
const PATHS: [(&str, &str); 5] = [
    ("release_path", "$CUTOVER_RELEASE_PATH"),
    ("shared_path", "$CUTOVER_SHARED_PATH"),
    ("current_path", "$CUTOVER_CURRENT_PATH"),
    ("deploy_to", "$CUTOVER_DEPLOY_PATH"),
    ("deploy_path", "$CUTOVER_DEPLOY_PATH"),
];

/// The tasks and moments of a file.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    /// The commands of each task; none if it does something else too.
    tasks: BTreeMap<String, Option<Plain>>,
    /// The moments.
    pub(crate) events: Vec<Event>,
}

/// A task that only runs plain commands.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    /// The commands.
    pub(crate) commands: Vec<String>,
    /// The roles of the servers on which they run, for each `on`: one of them is enough.
    pub(crate) roles: Vec<Vec<String>>,
}

/// A task that runs before or after one of Capistrano.
#[derive(Debug)]
pub(crate) struct Event {
    /// Whether it runs before it.
    pub(crate) is_before: bool,
    /// The task of Capistrano.
    pub(crate) task: String,
    /// The task that runs.
    pub(crate) runs: String,
    /// The place.
    pub(crate) found: Found,
}

impl Tasks {
    /// Returns a task, if it only runs plain commands.
    pub(crate) fn plain(&self, task: &str) -> Option<&Plain> {
        self.tasks.get(task)?.as_ref().filter(|plain| !plain.commands.is_empty())
    }

    /// Reads a statement about tasks. Returns false if it is none.
    pub(crate) fn read(
        &mut self,
        statement: &Statement,
        namespace: &str,
        place: &dyn Fn(usize) -> Found,
        left: &mut Leftovers,
    ) -> bool {
        let found = place(statement.at());
        match (statement.name(), &statement.body) {
            _ if statement.is_conditional => false,
            ("desc", None) => true,
            ("namespace", Some(body)) => {
                let Some(name) = name_of(statement) else { return false };
                let inner = format!("{namespace}{name}:");
                for statement in body {
                    if !self.read(statement, &inner, place, left) {
                        let reason = "It was not read: it is no task of plain commands".to_owned();
                        left.push(Untranslated { found: place(statement.at()), reason });
                    }
                }
                true
            }
            ("task", Some(body)) => {
                let Some(name) = name_of(statement) else { return false };
                let plain = plain(body);
                if plain.is_none() {
                    let reason = "The task does more than run plain commands".to_owned();
                    left.push(Untranslated { found, reason });
                }
                let name = format!("{namespace}{name}");
                // A second task of a name runs behind the first.
                let is_known = self.tasks.contains_key(&name);
                self.tasks.insert(name, plain.filter(|_| !is_known));
                true
            }
            ("before" | "after", body) => self.read_event(statement, body.as_deref(), namespace, &found),
            _ => false,
        }
    }

    /// `after 'deploy:published', 'deploy:restart'`, and the same with a block of commands.
    fn read_event(
        &mut self,
        statement: &Statement,
        body: Option<&[Statement]>,
        namespace: &str,
        found: &Found,
    ) -> bool {
        let names: Option<Vec<String>> =
            statement.arguments().iter().map(|words| ruby::value(words)?.as_plain()).collect();
        let Some((task, others)) = names.as_deref().and_then(|names| names.split_first()) else { return false };
        let own = |name: &str| if name.contains(':') { name.to_owned() } else { format!("{namespace}{name}") };
        if self.events.len() + others.len() > EVENTS_MAX {
            return false;
        }
        let is_before = statement.name() == "before";
        let event = |runs: String| Event { is_before, task: own(task), runs, found: found.clone() };
        match body {
            Some(body) => {
                let runs = others.first().map_or_else(|| format!("{} {task}", statement.name()), |name| own(name));
                self.tasks.insert(runs.clone(), plain(body));
                self.events.push(event(runs));
            }
            None => self.events.extend(others.iter().map(|name| event(own(name)))),
        }
        true
    }
}

fn name_of(statement: &Statement) -> Option<String> {
    let words = *statement.arguments().first()?;
    // `task restart: :environment do` runs another task before.
    ruby::value(words)?.as_plain()
}

/// Returns a task of plain commands. None if it does something else too.
fn plain(body: &[Statement]) -> Option<Plain> {
    let (mut script, mut roles) = (Script::new(), Vec::new());
    collect(body, None, &mut script, &mut roles)?;
    Some(Plain { commands: script.finish(), roles })
}

/// Collects commands, and roles. None if something else stands there too. `place` is none outside `on`, where nothing runs on a
/// server.
fn collect(body: &[Statement], place: Option<Place>, script: &mut Script, roles: &mut Vec<Vec<String>>) -> Option<()> {
    for statement in body {
        match (statement.name(), &statement.body) {
            _ if statement.is_conditional => return None,
            ("execute", None) => {
                let place = if is_mapped(statement) { place? } else { place.map(|_| Place::Home)? };
                script.run(command(statement)?, place);
            }
            ("on", Some(inner)) => {
                roles.push(roles_of(statement)?);
                collect(inner, Some(Place::Home), script, roles)?;
            }
            ("within", Some(inner)) if is_in_release(statement) => {
                place?;
                collect(inner, Some(Place::Release), script, roles)?;
            }
            ("info" | "puts", None) => {}
            _ => return None,
        }
    }
    Some(())
}

/// Returns the roles of `on roles(:app), in: :sequence`. None if `on` is about others than the servers that are deployed to:
/// `on :local` is this machine, and `on "host"` any other one.
fn roles_of(statement: &Statement) -> Option<Vec<String>> {
    let arguments = statement.arguments();
    let (servers, options) = arguments.split_first()?;
    let (name, rest) = servers.split_first()?;
    let roles = match rest {
        [open, inner @ .., close] if open.is("(") && close.is(")") => inner,
        rest => rest,
    };
    let is_known = ["roles", "release_roles", "primary"].contains(&name.name()?);
    let is_order =
        |words: &&[Word]| ruby::pair(words).is_some_and(|(name, _)| ["in", "wait", "limit"].contains(&name.as_str()));
    if !is_known || !options.iter().all(is_order) {
        return None;
    }
    let lists: Vec<Literal> = ruby::split(roles).into_iter().map(ruby::value).collect::<Option<_>>()?;
    lists.iter().flat_map(Literal::items).map(Literal::as_plain).collect()
}

/// Returns whether `within` names the release.
fn is_in_release(statement: &Statement) -> bool {
    let place = statement.head.get(1).and_then(Word::name).unwrap_or_default();
    place == "release_path" && statement.head.len() == 2
}

/// Returns whether `within` has an effect on a command: SSHKit leaves a text with spaces as it is.
fn is_mapped(statement: &Statement) -> bool {
    let first = statement.arguments().first().and_then(|words| ruby::value(words));
    first.is_none_or(|first| !first.text(&|_| Some(String::new())).unwrap_or_default().contains(char::is_whitespace))
}

/// Returns the command of `execute`: its words, if each stands there as it is.
fn command(statement: &Statement) -> Option<String> {
    // SSHKit drops what follows a text with spaces.
    if !is_mapped(statement) && statement.arguments().len() > 1 {
        return None;
    }
    let words: Vec<String> = statement.arguments().into_iter().map(word).collect::<Option<_>>()?;
    (!words.is_empty()).then(|| words.join(" "))
}

fn word(words: &[Word]) -> Option<String> {
    if let Some(value) = ruby::value(words) {
        return match &value {
            Literal::Number(number) => Some(number.to_string()),
            value => value.text(&|code| path_of(code).map(str::to_owned)),
        };
    }
    match words {
        [name] => path_of(name.name()?).map(str::to_owned),
        // `release_path.join('tmp/restart.txt')`
        [name, dot, join, open, inner, close]
            if dot.is(".") && join.name() == Some("join") && open.is("(") && close.is(")") =>
        {
            let below = ruby::value(std::slice::from_ref(inner))?.as_plain()?;
            Some(format!("{}/{below}", path_of(name.name()?)?))
        }
        _ => None,
    }
}

fn path_of(name: &str) -> Option<&'static str> {
    PATHS.iter().find(|(known, _)| *known == name).map(|(_, path)| *path)
}
