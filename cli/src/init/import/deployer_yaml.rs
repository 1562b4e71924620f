//! Reads `deploy.yaml`.

use super::file::SourceFile;
use super::literal::Literal;
use super::recipe::{Event, Recipe, Steps, Target, Task, command, replaces_step};
use super::untranslated::Leftovers;
use super::yaml::{self, Node};
use crate::failure::Failure;

/// Reads a file.
pub(crate) fn read(file: &SourceFile, recipe: &mut Recipe, left: &mut Leftovers) -> Result<(), Failure> {
    for (name, line, node) in yaml::read(file)?.pairs() {
        match name.as_str() {
            "import" => {
                for item in node.items() {
                    let path = item.text().unwrap_or_default();
                    let name = path.strip_prefix("recipe/").and_then(|name| name.strip_suffix(".php"));
                    recipe.recipes.push((name.unwrap_or(&path).to_owned(), file.found(item.line)));
                }
            }
            "config" => read_settings(file, node, &mut recipe.settings),
            "hosts" => {
                for (alias, line, node) in node.pairs() {
                    let is_local = node.get("local").is_some_and(|local| local.literal() == Literal::Boolean(true));
                    let found = file.found(*line);
                    let mut host = Target { alias: alias.clone(), is_local, settings: Default::default(), found };
                    read_settings(file, node, &mut host.settings);
                    host.settings.remove("local");
                    recipe.hosts.push(host);
                }
            }
            "tasks" => node.pairs().iter().for_each(|(name, line, node)| {
                if replaces_step(name) {
                    left.add(file, *line, "It takes the place of a step of Deployer: look whether a hook is needed");
                }
                if !read_task(file, name, node, recipe) {
                    left.add(file, *line, "The task does more than run plain commands");
                }
            }),
            "before" | "after" => {
                for (task, line, node) in node.pairs() {
                    let runs: Vec<String> = node.items().into_iter().filter_map(Node::text).collect();
                    if runs.len() < node.items().len() {
                        left.add(file, *line, "A task in it was not read");
                    }
                    recipe.events.extend(runs.into_iter().map(|runs| Event {
                        is_before: name == "before",
                        task: task.clone(),
                        runs,
                        found: file.found(*line),
                    }));
                }
            }
            _ => left.add(file, *line, "It was not read"),
        }
    }
    Ok(())
}

fn read_settings(
    file: &SourceFile,
    node: &Node,
    settings: &mut std::collections::BTreeMap<String, super::recipe::Changes>,
) {
    for (name, line, node) in node.pairs() {
        settings.entry(name.clone()).or_default().set(node.literal(), file.found(*line));
    }
}

/// Reads a task: its steps, or the tasks that it runs. Returns false if it does something else too.
fn read_task(file: &SourceFile, name: &str, node: &Node, recipe: &mut Recipe) -> bool {
    let steps = node.items();
    let names: Option<Vec<String>> = steps.iter().map(|step| step.text()).collect();
    if let Some(tasks) = names.filter(|names| !names.is_empty()) {
        recipe.groups.insert(name.to_owned(), (tasks, file.found(node.line)));
        return true;
    }
    let task = task(&steps);
    let is_plain = task.is_some();
    recipe.tasks.insert(name.to_owned(), task);
    is_plain
}

fn task(steps: &[&Node]) -> Option<Task> {
    let mut found = Steps::new(false);
    for step in steps {
        match step.pairs() {
            [(kind, _, text)] if kind == "run" || kind == "run_locally" => {
                found.run(command(&text.text()?)?, kind == "run_locally");
            }
            [(kind, _, path)] if kind == "cd" => found.cd(&command(&path.text()?)?),
            [(kind, ..)] if kind == "desc" => {}
            _ => return None,
        }
    }
    found.task()
}
