//! Reads `deploy.php`: calls whose arguments stand there as they are.

use super::file::SourceFile;
use super::literal::Literal;
use super::php::{self, Call, Statement};
use super::recipe::{EVENTS_MAX, Event, Recipe, Steps, Target, Task, command, replaces_step};
use super::untranslated::Leftovers;

/// Methods of a host that set one setting, of this version and of earlier ones.
const SETTERS: [(&str, &str); 18] = [
    ("setHostname", "hostname"),
    ("hostname", "hostname"),
    ("setRemoteUser", "remote_user"),
    ("user", "remote_user"),
    ("setPort", "port"),
    ("port", "port"),
    ("setIdentityFile", "identity_file"),
    ("identityFile", "identity_file"),
    ("setConfigFile", "config_file"),
    ("configFile", "config_file"),
    ("setDeployPath", "deploy_path"),
    ("setLabels", "labels"),
    ("setTag", "labels"),
    ("setForwardAgent", "forward_agent"),
    ("forwardAgent", "forward_agent"),
    ("setSshMultiplexing", "ssh_multiplexing"),
    ("multiplexing", "ssh_multiplexing"),
    ("stage", "stage"),
];

/// Methods of a host and a task that have no meaning for a deploy to one server.
const WITHOUT_MEANING: [&str; 3] = ["roles", "desc", "verbose"];

/// The most hosts that are looked at.
const HOSTS_MAX: usize = 200;

/// Methods of a task that do not say where or whether it runs.
const OF_ANY_TASK: [&str; 8] = ["desc", "once", "oncePerNode", "hidden", "setPrivate", "verbose", "shallow", "limit"];

/// Reads a file.
pub(crate) fn read(file: &SourceFile, recipe: &mut Recipe, left: &mut Leftovers) {
    for statement in php::statements(&file.text) {
        // `namespace Deployer { … }`
        let inner = statement.block_of("namespace").unwrap_or_else(|| vec![statement]);
        for statement in inner {
            let line = file.line_of(statement.at());
            if !read_statement(file, &statement, recipe, left) {
                left.add(file, line, "It was not read: it is no setting that stands there as it is");
            }
        }
    }
}

fn read_statement(file: &SourceFile, statement: &Statement, recipe: &mut Recipe, left: &mut Leftovers) -> bool {
    match statement.name() {
        "namespace" | "use" | "declare" => return !statement.words.iter().any(|word| word.is("{")),
        "require" | "require_once" | "include" | "include_once" => return read_require(file, statement, recipe),
        _ => {}
    }
    let Some(calls) = statement.calls() else { return false };
    let Some((first, chain)) = calls.split_first() else { return false };
    let found = file.found(file.line_of(first.at));
    match (first.name, first.values().as_deref()) {
        ("set", Some([name, value])) => {
            let Some(name) = name.as_plain() else { return false };
            recipe.settings.entry(name).or_default().set(value.clone(), found);
        }
        ("add", Some([name, value])) => {
            let Some(name) = name.as_plain() else { return false };
            recipe.settings.entry(name).or_default().add(value.clone(), found);
        }
        ("import", Some([path])) => return add_recipe(path, file, statement, recipe),
        ("desc", Some([_])) => {}
        ("host" | "server" | "localhost", Some(names)) => return read_hosts(file, first, names, chain, recipe, left),
        ("before" | "after", Some([task, runs])) => {
            let Some(task) = task.as_plain() else { return false };
            for runs in runs.items() {
                let Some(runs) = runs.as_plain().filter(|_| recipe.events.len() < EVENTS_MAX) else { return false };
                let is_before = first.name == "before";
                recipe.events.push(Event { is_before, task: task.clone(), runs, found: found.clone() });
            }
        }
        ("fail", Some([task, runs])) if task.as_plain().as_deref() == Some("deploy") => {
            let Some(runs) = runs.as_plain() else { return false };
            recipe.events.push(Event { is_before: false, task: "deploy:failed".to_owned(), runs, found });
        }
        ("task", _) => return read_task(file, first, chain, recipe, left),
        // Its value is code, and an earlier one counts no more.
        ("set", None) => {
            let name = first.arguments.first().and_then(|words| php::value(words)?.as_plain());
            if let Some(name) = name {
                recipe.settings.entry(name).or_default().set(Literal::Nothing, found);
            }
            return false;
        }
        _ => return false,
    }
    chain.is_empty() || ["host", "server", "localhost"].contains(&first.name)
}

/// `require 'recipe/laravel.php';`
fn read_require(file: &SourceFile, statement: &Statement, recipe: &mut Recipe) -> bool {
    let words = &statement.words[1..];
    let words = match words {
        [open, inner @ .., close] if open.is("(") && close.is(")") => inner,
        words => words,
    };
    php::value(words).is_some_and(|path| add_recipe(&path, file, statement, recipe))
}

fn add_recipe(path: &Literal, file: &SourceFile, statement: &Statement, recipe: &mut Recipe) -> bool {
    let Some(path) = path.as_plain() else { return false };
    let name = path.strip_prefix("recipe/").and_then(|name| name.strip_suffix(".php"));
    let found = file.found(file.line_of(statement.at()));
    match name {
        Some(name) => recipe.recipes.push((name.to_owned(), found)),
        // The program's own classes.
        None if path.ends_with("autoload.php") => {}
        None => recipe.recipes.push((path, found)),
    }
    true
}

/// `host('a', 'b')->set('x', 'y')`, and `server('name', 'host', 22)` of an earlier version.
fn read_hosts(
    file: &SourceFile,
    first: &Call<'_>,
    names: &[Literal],
    chain: &[Call<'_>],
    recipe: &mut Recipe,
    left: &mut Leftovers,
) -> bool {
    let found = file.found(file.line_of(first.at));
    let aliases: Option<Vec<String>> = match (first.name, names) {
        ("localhost", []) => Some(vec!["localhost".to_owned()]),
        ("server", [alias, ..]) => alias.as_plain().map(|alias| vec![alias]),
        (_, names) => names.iter().map(Literal::as_plain).collect(),
    };
    let Some(aliases) = aliases else { return false };
    for alias in aliases {
        let is_local = first.name == "localhost";
        let mut host = Target { alias, is_local, settings: Default::default(), found: found.clone() };
        if let ("server", [_, name, rest @ ..]) = (first.name, names) {
            host.settings.entry("hostname".into()).or_default().set(name.clone(), found.clone());
            if let [port, ..] = rest {
                host.settings.entry("port".into()).or_default().set(port.clone(), found.clone());
            }
        }
        for call in chain {
            if !read_setter(file, call, &mut host) {
                left.add(file, file.line_of(call.at), "It was not read: it is no setting that stands there as it is");
            }
        }
        if recipe.hosts.len() == HOSTS_MAX {
            return false;
        }
        recipe.hosts.push(host);
    }
    true
}

fn read_setter(file: &SourceFile, call: &Call<'_>, host: &mut Target) -> bool {
    let found = file.found(file.line_of(call.at));
    let values = call.values();
    match (call.name, values.as_deref()) {
        ("set", Some([name, value])) => {
            let Some(name) = name.as_plain() else { return false };
            host.settings.entry(name).or_default().set(value.clone(), found);
        }
        ("add", Some([name, value])) => {
            let Some(name) = name.as_plain() else { return false };
            host.settings.entry(name).or_default().add(value.clone(), found);
        }
        (name, _) if WITHOUT_MEANING.contains(&name) => {}
        (name, Some(values)) => {
            let Some((_, key)) = SETTERS.iter().find(|(setter, _)| *setter == name) else { return false };
            let value = match values {
                [value] => value.clone(),
                // `forwardAgent()`
                [] => Literal::Boolean(true),
                _ => return false,
            };
            host.settings.entry((*key).to_owned()).or_default().set(value, found);
        }
        // Its value is code, and that of all hosts does not count.
        (name, None) => {
            let setter = SETTERS.iter().find(|(setter, _)| *setter == name).map(|(_, key)| (*key).to_owned());
            let set = || call.arguments.first().and_then(|words| php::value(words)?.as_plain());
            let key = setter.or_else(|| set().filter(|_| name == "set"));
            if let Some(key) = key {
                host.settings.entry(key).or_default().set(Literal::Nothing, found);
            }
            return false;
        }
    }
    true
}

/// `task('name', function () { run('…'); })`, and `task('name', ['a', 'b'])`, each perhaps with `->once()` and the like. A task
/// that runs only on some hosts (`->select('stage=staging')`), or not at all, is no hook.
fn read_task(
    file: &SourceFile,
    call: &Call<'_>,
    chain: &[Call<'_>],
    recipe: &mut Recipe,
    left: &mut Leftovers,
) -> bool {
    let Some((name, body)) = call.arguments.split_first() else { return false };
    let Some(name) = php::value(name).and_then(|name| name.as_plain()) else { return false };
    let found = file.found(file.line_of(call.at));
    let is_local = chain.iter().any(|call| call.name == "local");
    if let Some(other) = chain.iter().find(|call| call.name != "local" && !OF_ANY_TASK.contains(&call.name)) {
        let reason = format!("The task `{name}` has conditions of its own: `{}`", other.name);
        left.add(file, file.line_of(other.at), reason);
        recipe.groups.remove(&name);
        recipe.tasks.insert(name, None);
        return true;
    }
    let [body] = body else {
        // `task('name')->once()`
        return body.is_empty() && !is_local;
    };
    if replaces_step(&name) {
        left.add(file, found.line, "It takes the place of a step of Deployer: look whether a hook is needed");
    }
    recipe.groups.remove(&name);
    let task = match php::value(body) {
        Some(Literal::List(tasks)) => {
            let tasks: Option<Vec<String>> = tasks.iter().map(Literal::as_plain).collect();
            let Some(tasks) = tasks.filter(|_| !is_local) else { return false };
            recipe.tasks.remove(&name);
            recipe.groups.insert(name, (tasks, found));
            return true;
        }
        // `task('name', 'command')` of an earlier version
        Some(text) => {
            text.as_plain().and_then(|text| command(&text)).map(|command| Task { commands: vec![command], is_local })
        }
        None => php::body(body).and_then(|statements| commands(&statements, is_local)),
    };
    if task.is_none() {
        left.add(file, found.line, "The task does more than run plain commands");
    }
    recipe.tasks.insert(name, task);
    true
}

/// Returns the commands of a task. None if it does something else too, or does some on this machine and some on the server.
fn commands(statements: &[Statement], is_local: bool) -> Option<Task> {
    let mut steps = Steps::new(is_local);
    for statement in statements {
        let calls = statement.calls()?;
        let [call] = &calls[..] else { return None };
        match (call.name, call.values().as_deref()) {
            ("run" | "runLocally", Some([text])) => {
                steps.run(command(&text.as_plain()?)?, is_local || call.name == "runLocally");
            }
            ("cd", Some([path])) => steps.cd(&command(&path.as_plain()?)?),
            ("writeln" | "info", Some([_])) => {}
            _ => return None,
        }
    }
    steps.task()
}
