//! A recipe of Deployer, as `deploy.php` and `deploy.yaml` say it.

use std::collections::{BTreeMap, BTreeSet};

use super::commands::{Place, Script, phase_of_deployer};
use super::literal::Literal;
use crate::init::draft::Found;

/// A recipe.
#[derive(Debug, Default)]
pub(crate) struct Recipe {
    /// The settings of all hosts.
    pub(crate) settings: BTreeMap<String, Changes>,
    /// The hosts.
    pub(crate) hosts: Vec<Target>,
    /// Deployer's own recipes that it builds on: `laravel` for `recipe/laravel.php`.
    pub(crate) recipes: Vec<(String, Found)>,
    /// The tasks with plain commands. None: a task that does something else too.
    pub(crate) tasks: BTreeMap<String, Option<Task>>,
    /// Tasks that run other tasks, in order.
    pub(crate) groups: BTreeMap<String, (Vec<String>, Found)>,
    /// The tasks that run before and after others.
    pub(crate) events: Vec<Event>,
}

/// A host.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its name in the recipe.
    pub(crate) alias: String,
    /// Whether it is this machine.
    pub(crate) is_local: bool,
    /// Its settings.
    pub(crate) settings: BTreeMap<String, Changes>,
    /// The place.
    pub(crate) found: Found,
}

/// All that is said of one setting.
#[derive(Debug, Default, Clone)]
pub(crate) struct Changes {
    values: Vec<(Literal, Found)>,
    /// Whether it is set anew, and not only added to.
    pub(crate) sets: bool,
}

/// The commands of a task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Task {
    /// The commands.
    pub(crate) commands: Vec<String>,
    /// Whether they run on this machine.
    pub(crate) is_local: bool,
}

/// The steps of a task while it is read.
#[derive(Debug)]
pub(crate) struct Steps {
    script: Script,
    place: Place,
    local: usize,
    remote: usize,
    moves: bool,
}

impl Steps {
    /// Begins. Those on a server run in the home directory of the user, until `cd` names another one.
    pub(crate) fn new(is_local: bool) -> Steps {
        let place = if is_local { Place::Release } else { Place::Home };
        Steps { script: Script::new(), place, local: 0, remote: 0, moves: false }
    }

    /// Adds a command.
    pub(crate) fn run(&mut self, command: String, is_local: bool) {
        *if is_local { &mut self.local } else { &mut self.remote } += 1;
        let place = if is_local { Place::Release } else { self.place };
        self.script.run(command, place);
    }

    /// Adds a change of directory.
    pub(crate) fn cd(&mut self, path: &str) {
        // Each path begins in the home directory.
        self.script.cd(path, Place::Home);
        self.place = Place::Named;
        self.moves = true;
    }

    /// Returns the task. None if some steps are on this machine, and some on a server.
    pub(crate) fn task(self) -> Option<Task> {
        let is_local = self.local > 0;
        // `cd` names a directory of the server.
        let is_one = !is_local || self.remote == 0 && !self.moves;
        is_one.then(|| Task { commands: self.script.finish(), is_local })
    }
}

/// A task that runs before or after another one.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// Whether it runs before it.
    pub(crate) is_before: bool,
    /// The other task.
    pub(crate) task: String,
    /// The task that runs.
    pub(crate) runs: String,
    /// The place.
    pub(crate) found: Found,
}

impl Changes {
    /// Sets the value anew.
    pub(crate) fn set(&mut self, value: Literal, found: Found) {
        self.values = vec![(value, found)];
        self.sets = true;
    }

    /// Adds to the value.
    pub(crate) fn add(&mut self, value: Literal, found: Found) {
        self.values.push((value, found));
    }

    /// Returns the value: a list of all items, if something was added.
    pub(crate) fn value(&self) -> Literal {
        match &self.values[..] {
            [(only, _)] => only.clone(),
            several => Literal::List(several.iter().flat_map(|(value, _)| value.items()).cloned().collect()),
        }
    }

    /// Returns the last place.
    pub(crate) fn found(&self) -> Option<Found> {
        self.values.last().map(|(_, found)| found.clone())
    }
}

impl Target {
    /// Returns a setting that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.settings.get(name)?.value().as_plain()
    }
}

/// The steps of Deployer's `deploy` that Cutover has by itself.
const OWN_STEPS: [&str; 15] = [
    "deploy:info",
    "deploy:setup",
    "deploy:prepare",
    "deploy:lock",
    "deploy:release",
    "deploy:update_code",
    "deploy:env",
    "deploy:shared",
    "deploy:writable",
    "deploy:clear_paths",
    "deploy:copy_dirs",
    "deploy:unlock",
    "deploy:cleanup",
    "deploy:success",
    "deploy:failed",
];

/// The most events of a recipe.
pub(crate) const EVENTS_MAX: usize = 1000;

/// Returns whether a task of this name takes the place of one of Deployer's, which a deploy runs by itself.
pub(crate) fn replaces_step(name: &str) -> bool {
    ["deploy:", "artisan:", "database:", "magento:"].iter().any(|begin| name.starts_with(begin))
}

/// The packages of PHP, as Deployer installs them.
const COMPOSER: &str =
    "composer install --verbose --prefer-dist --no-progress --no-interaction --no-dev --optimize-autoloader";

impl Recipe {
    /// Returns whether a deploy runs one of these tasks. A task that is restricted, or that has other commands, is none of them.
    pub(crate) fn runs_any(&self, tasks: &[&str]) -> bool {
        let is_own = |task: &str| tasks.contains(&task) && !self.tasks.contains_key(task);
        let is_of_deploy = |event: &&Event| {
            let phase = phase_of_deployer(event.is_before, &event.task);
            phase.is_some_and(|phase| !["on_failure", "before_rollback", "after_rollback"].contains(&phase))
        };
        self.steps_of_deploy().into_iter().any(is_own)
            || self.events.iter().filter(is_of_deploy).any(|event| is_own(&event.runs))
    }

    /// Returns the tasks that a deploy runs, and those that these run.
    fn steps_of_deploy(&self) -> BTreeSet<&str> {
        let (mut seen, mut open) = (BTreeSet::new(), vec!["deploy"]);
        while let Some(task) = open.pop() {
            let tasks = self.groups.get(task).map(|(tasks, _)| tasks.as_slice()).unwrap_or_default();
            open.extend(tasks.iter().map(String::as_str).filter(|task| seen.insert(*task)));
        }
        seen
    }

    /// Returns whether a name that commands have is not the usual one here, such as another PHP.
    pub(crate) fn has_own_programs(&self) -> bool {
        let is_of_command =
            |name: &String| name.starts_with("bin/") || name == "console_options" || name == "release_path";
        let tables = std::iter::once(&self.settings).chain(self.hosts.iter().map(|host| &host.settings));
        tables.into_iter().any(|settings| settings.keys().any(is_of_command))
    }

    /// Returns the commands of a task, if it only runs plain commands.
    pub(crate) fn task(&self, name: &str) -> Option<Task> {
        if let Some(task) = self.tasks.get(name) {
            return task.clone().filter(|task| !task.commands.is_empty());
        }
        let command = match name {
            "deploy:vendors" => COMPOSER.to_owned(),
            // Each is a command of the framework by the same name.
            name => format!("php artisan {}", name.strip_prefix("artisan:")?),
        };
        Some(Task { commands: vec![command], is_local: false })
    }

    /// Returns the tasks that run before and after others, and those that a recipe's own `deploy` names.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = self.events.clone();
        let Some((tasks, found)) = self.groups.get("deploy") else { return events };
        let mut is_live = false;
        for task in tasks {
            match task.as_str() {
                "deploy:symlink" | "deploy:publish" => is_live = true,
                own if OWN_STEPS.contains(&own) && !self.tasks.contains_key(own) => {}
                own => events.push(Event {
                    is_before: true,
                    task: if is_live { "deploy:unlock" } else { "deploy:symlink" }.to_owned(),
                    runs: own.to_owned(),
                    found: found.clone(),
                }),
            }
        }
        events
    }
}

/// Replaces `{{name}}` in a text. None if one has no value.
pub(crate) fn expanded(text: &str, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let (mut done, mut rest) = (String::new(), text);
    while let Some((before, inner)) = rest.split_once("{{") {
        let (name, behind) = inner.split_once("}}")?;
        done += before;
        done += &value(name.trim())?;
        rest = behind;
    }
    Some(done + rest)
}

/// Returns a command for a hook: its paths are those that hooks get.
pub(crate) fn command(text: &str) -> Option<String> {
    expanded(text, &|name| {
        let path = match name {
            "release_path" | "release_or_current_path" => "$CUTOVER_RELEASE_PATH",
            "current_path" => "$CUTOVER_CURRENT_PATH",
            "deploy_path" => "$CUTOVER_DEPLOY_PATH",
            "previous_release" => "$CUTOVER_PREVIOUS_RELEASE_PATH",
            "bin/php" => "php",
            "bin/composer" => "composer",
            "bin/npm" => "npm",
            "bin/console" => "php $CUTOVER_RELEASE_PATH/bin/console",
            "bin/artisan" => "$CUTOVER_RELEASE_PATH/artisan",
            "bin/magento" => "$CUTOVER_RELEASE_PATH/bin/magento",
            "console_options" => "--no-interaction",
            _ => return None,
        };
        Some(path.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_command_are_replaced_or_it_is_none() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(command(text).as_deref(), expected, "{text}");
        check("cd {{release_path}} && npm ci", Some("cd $CUTOVER_RELEASE_PATH && npm ci"));
        check("{{bin/php}} {{ bin/artisan }} up", Some("php $CUTOVER_RELEASE_PATH/artisan up"));
        check("plain", Some("plain"));
        check("{{unknown}}", None);
        check("{{open", None);
    }
}
