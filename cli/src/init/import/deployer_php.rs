//! Reads `deploy.php`: calls whose arguments stand there as they are.

use super::file::SourceFile;
use super::literal::Literal;
use super::php::{self, Call, Statement};
use super::recipe::{Event, Recipe, Target, Task, command};
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
const WITHOUT_MEANING: [&str; 8] =
    ["roles", "desc", "once", "oncePerNode", "hidden", "verbose", "addOption", "addSshOption"];

/// Reads a file.
pub(crate) fn read(file: &SourceFile, recipe: &mut Recipe, left: &mut Leftovers) {
    for statement in php::statements(&file.text) {
        let line = file.line_of(statement.at());
        if !read_statement(file, &statement, recipe, left) {
            left.add(file, line, "It was not read: it is no setting that stands there as it is");
        }
    }
}

fn read_statement(file: &SourceFile, statement: &Statement, recipe: &mut Recipe, left: &mut Leftovers) -> bool {
    match statement.name() {
        "namespace" | "use" | "declare" => return true,
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
        ("host" | "server" | "localhost", Some(names)) => read_hosts(file, first, names, chain, recipe, left),
        ("before" | "after", Some([task, runs])) => {
            let Some(task) = task.as_plain() else { return false };
            for runs in runs.items() {
                let Some(runs) = runs.as_plain() else { return false };
                let is_before = first.name == "before";
                recipe.events.push(Event { is_before, task: task.clone(), runs, found: found.clone() });
            }
        }
        ("fail", Some([_, runs])) => {
            let Some(runs) = runs.as_plain() else { return false };
            recipe.events.push(Event { is_before: false, task: "deploy:failed".to_owned(), runs, found });
        }
        ("task", _) => return read_task(file, first, recipe, left),
        _ => return false,
    }
    true
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
) {
    let found = file.found(file.line_of(first.at));
    let aliases: Vec<String> = match (first.name, names) {
        ("localhost", []) => vec!["localhost".to_owned()],
        ("server", [alias, ..]) => alias.as_plain().into_iter().collect(),
        (_, names) => names.iter().filter_map(Literal::as_plain).collect(),
    };
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
        recipe.hosts.push(host);
    }
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
        (_, None) => return false,
    }
    true
}

/// `task('name', function () { run('…'); })`, and `task('name', ['a', 'b'])`
fn read_task(file: &SourceFile, call: &Call<'_>, recipe: &mut Recipe, left: &mut Leftovers) -> bool {
    let [name, body] = &call.arguments[..] else { return false };
    let Some(name) = php::value(name).and_then(|name| name.as_plain()) else { return false };
    let found = file.found(file.line_of(call.at));
    match php::value(body) {
        Some(Literal::List(tasks)) => {
            let tasks = tasks.iter().filter_map(Literal::as_plain).collect();
            recipe.groups.insert(name, (tasks, found));
        }
        // `task('name', 'command')` of an earlier version
        Some(text) => {
            let commands = text.as_plain().and_then(|text| command(&text)).into_iter().collect();
            recipe.tasks.insert(name, Some(Task { commands, is_local: false }));
        }
        None => {
            let task = php::body(body).and_then(|statements| commands(&statements));
            if task.is_none() {
                left.add(file, found.line, "The task does more than run plain commands");
            }
            recipe.tasks.insert(name, task);
        }
    }
    true
}

/// Returns the commands of a task. None if it does something else too.
fn commands(statements: &[Statement]) -> Option<Task> {
    let (mut commands, mut local) = (Vec::new(), 0);
    for statement in statements {
        let calls = statement.calls()?;
        let [call] = &calls[..] else { return None };
        match (call.name, call.values().as_deref()) {
            ("run" | "runLocally", Some([text])) => {
                local += usize::from(call.name == "runLocally");
                commands.push(command(&text.as_plain()?)?);
            }
            ("cd", Some([path])) => commands.push(format!("cd {}", command(&path.as_plain()?)?)),
            ("writeln" | "info", Some([_])) => {}
            _ => return None,
        }
    }
    let runs = commands.iter().filter(|command| !command.starts_with("cd ")).count();
    // Some on this machine and some on the server are no one hook.
    (local == 0 || local == runs).then_some(Task { commands, is_local: local > 0 })
}
