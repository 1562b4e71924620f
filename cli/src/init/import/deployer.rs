//! Reads `deploy.php` or `deploy.yaml` of Deployer.
//!
//! Both say the same in two languages: settings, hosts, tasks, and which task runs before or after which. Their readers
//! tell it to [`Recipe`], which makes a draft of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::Value;

use super::commands::{hook, lacks_release, phase_of_deployer, stage_name};
use super::file::{SourceFile, first_of, none_found};
use super::imported::Imported;
use super::literal::{Literal, Lookups};
use super::recipe::{Event, Recipe, Target, Task};
use super::untranslated::Leftovers;
use super::{deployer_php, deployer_yaml};
use crate::failure::Failure;
use crate::init::draft::{Draft, Found, HookDraft, Setting, StageDraft, Untranslated};

/// The files of Deployer.
const FILES: [&str; 3] = ["deploy.php", "deploy.yaml", "deploy.yml"];

/// The number of releases that Deployer keeps if nobody says otherwise.
const KEPT: i64 = 10;

/// Deployer's recipes, and the presets of the same frameworks.
const PRESETS: [(&str, &str); 5] = [
    ("laravel", "laravel"),
    ("symfony", "symfony"),
    ("wordpress", "wordpress"),
    ("magento2", "magento"),
    ("statamic", "laravel"),
];

/// Settings that have no counterpart, and why.
const WITHOUT_COUNTERPART: [(&str, &str); 17] = [
    ("repository", "Cutover deploys this checkout, and clones no repository"),
    ("git_tty", "Cutover deploys this checkout, and clones no repository"),
    ("git_recursive", "Cutover deploys this checkout, and clones no repository"),
    ("update_code_strategy", "Cutover deploys this checkout, and clones no repository"),
    ("sub_directory", "Use the key `source` for a directory of the repository"),
    ("ssh_multiplexing", "Cutover opens one connection for a deploy"),
    ("ssh_type", "Use the key `transport`"),
    ("forward_agent", "Nothing on the server logs in elsewhere: the source comes from this machine"),
    ("allow_anonymous_stats", "Cutover sends nobody statistics"),
    ("default_timeout", "Use `timeout` of a hook"),
    (
        "writable_mode",
        "Cutover sets the mode of directories (`writable_mode = \"2775\"`) and their group (`writable_group`)",
    ),
    ("writable_use_sudo", "Cutover sets the mode of directories as the user that deploys"),
    ("writable_recursive", "Cutover sets the mode of the directories of the release, and of no files"),
    ("http_user", "Use `writable_group` for the group of the web server"),
    ("copy_dirs", "Cutover installs nothing twice: use a hook of the build with `build_keep`, or `carry_over`"),
    ("composer_options", "Write it into the command of the hook `composer`"),
    ("shell", "Use `shell` of a hook"),
];

/// Settings of which Cutover needs nothing.
const NOT_NEEDED: [&str; 5] = ["application", "alias", "hostname", "labels", "default_stage"];

/// Reads the named file, or that of Deployer in a directory.
pub(crate) fn read(named: &[PathBuf], directory: &Path) -> Result<Imported, Failure> {
    let files: Vec<PathBuf> = match named {
        [] => {
            let found = first_of(directory, &FILES);
            vec![found.ok_or_else(|| none_found("Deployer", "neither `deploy.php` nor `deploy.yaml` exists"))?]
        }
        named => named.to_vec(),
    };
    let (mut recipe, mut left, mut names) = (Recipe::default(), Leftovers::default(), Vec::new());
    for path in files {
        let file = SourceFile::read(directory, &path)?;
        names.push(file.name.clone());
        if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
            deployer_yaml::read(&file, &mut recipe, &mut left)?;
        } else {
            deployer_php::read(&file, &mut recipe, &mut left);
        }
    }
    let preset = recipe
        .recipes
        .iter()
        .find_map(|(recipe, _)| PRESETS.iter().find(|(known, _)| known == recipe).map(|(_, preset)| *preset));
    let translating = Translating { recipe: &recipe, preset, left };
    let migrates = translating.migrates();
    Ok(Imported { draft: translating.draft(), preset, migrates, files: names })
}

/// A recipe while a draft is made of it.
struct Translating<'a> {
    recipe: &'a Recipe,
    preset: Option<&'static str>,
    left: Leftovers,
}

impl Translating<'_> {
    fn draft(mut self) -> Draft {
        let mut draft = Draft::default();
        for (recipe, found) in &self.recipe.recipes {
            if recipe != "common" && !PRESETS.iter().any(|(known, _)| known == recipe) {
                self.leave(found, "Its settings and tasks are not read");
            }
        }
        for setting in self.settings(&self.recipe.settings, None) {
            draft.set(setting);
        }
        if !draft.settings.iter().any(|setting| setting.name == "keep_releases") {
            draft.set(Setting::new("keep_releases", KEPT));
        }
        draft.hooks = self.hooks();
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        for host in &self.recipe.hosts {
            let name = self.stage_name(host);
            if let Some(first) = taken.get(&name) {
                let reason = format!("A stage has one server here, and that of `{name}` is `{first}`");
                self.leave(&host.found, &reason);
                continue;
            }
            taken.insert(name.clone(), host.alias.clone());
            draft.stages.push(self.stage(host, &name));
        }
        draft.untranslated = self.left.finish();
        draft
    }

    /// Returns the stage that a host belongs to: its label, or its own name.
    fn stage_name(&self, host: &Target) -> String {
        let label = |key: &str| host.settings.get("labels").and_then(|labels| labels.value().get(key)?.as_plain());
        let named = label("stage").or_else(|| label("env")).or_else(|| host.text("stage"));
        let only = self.recipe.hosts.len() == 1;
        let name = named.unwrap_or_else(|| if only { "production".to_owned() } else { host.alias.clone() });
        stage_name(&name)
    }

    fn stage(&mut self, host: &Target, name: &str) -> StageDraft {
        let mut stage = StageDraft { is_local: host.is_local, ..StageDraft::new(name) };
        let recipe = self.recipe;
        let text = |key: &str| {
            let own = host.settings.get(key);
            let found = own.or_else(|| recipe.settings.get(key))?;
            let value = found.value().as_plain();
            Some((value.and_then(|value| expanded(recipe, &value, Some(host))), found.found()?))
        };
        let found = host.found.clone();
        if !host.is_local {
            match text("hostname") {
                Some((Some(name), at)) => stage.set(Setting::new("host", name).found(at)),
                Some((None, at)) => self.leave_value(&at, "host"),
                None => stage.set(Setting::new("host", host.alias.clone()).found(found.clone())),
            }
        }
        for (theirs, ours) in
            [("remote_user", "user"), ("identity_file", "identity_file"), ("config_file", "ssh_config")]
        {
            match text(theirs) {
                Some((Some(value), at)) => stage.set(Setting::new(ours, value).found(at)),
                Some((None, at)) => self.leave_value(&at, ours),
                None => {}
            }
        }
        if let Some(port) = host.settings.get("port").or_else(|| recipe.settings.get("port")) {
            match (port.value().as_number(), port.found()) {
                (Some(port), Some(at)) => stage.set(Setting::new("port", port).found(at)),
                (None, Some(at)) => self.leave_value(&at, "port"),
                (_, None) => {}
            }
        }
        match text("deploy_path") {
            Some((Some(path), at)) => stage.set(Setting::new("deploy_path", path).found(at)),
            other => {
                let at = other.map_or(found, |(_, at)| at);
                self.leave_value(&at, "deploy_path");
            }
        }
        match text("current_path") {
            Some((Some(path), at)) => stage.set(Setting::new("current_path", path).found(at)),
            Some((None, at)) => self.leave_value(&at, "current_path"),
            None => {}
        }
        for setting in self.settings(&host.settings, Some(host)) {
            stage.set(setting);
        }
        stage
    }

    /// Returns the keys of a table of settings: that at the top, or that of a host.
    fn settings(&mut self, table: &BTreeMap<String, super::recipe::Changes>, host: Option<&Target>) -> Vec<Setting> {
        const OF_STAGE: [&str; 8] =
            ["remote_user", "user", "identity_file", "config_file", "port", "deploy_path", "current_path", "stage"];
        let mut settings = Vec::new();
        for (name, changes) in table {
            let Some(found) = changes.found() else { continue };
            let value = changes.value();
            let text = || expanded(self.recipe, &value.as_plain()?, host);
            let setting = match name.as_str() {
                // Code sets it, and the reader has listed that.
                _ if value == Literal::Nothing => continue,
                "branch" => text().map(|branch| Setting::new("ref", branch)),
                // -1 keeps all.
                "keep_releases" if value.as_number() == Some(-1) => {
                    Some(Setting::new("keep_releases", i64::from(u32::MAX)))
                }
                "keep_releases" => value.as_number().map(|number| Setting::new("keep_releases", number)),
                "shared_dirs" | "shared_files" | "writable_dirs" => {
                    let list = self.list(name, changes, host);
                    (!list.is_empty()).then(|| Setting::new(name, list))
                }
                "clear_paths" => {
                    let pattern = |path: String| Value::from(format!("/{}", path.trim_start_matches('/')));
                    let paths = self.paths(changes, host).into_iter().map(pattern);
                    Some(Setting::new("exclude", paths.collect::<Vec<Value>>()))
                }
                "http_group" => text().map(|group| Setting::new("writable_group", group)),
                "writable_chmod_mode" => text().map(|mode| Setting::new("writable_mode", mode)),
                name if NOT_NEEDED.contains(&name) || OF_STAGE.contains(&name) => continue,
                name => {
                    let known = WITHOUT_COUNTERPART.iter().find(|(known, _)| *known == name);
                    self.leave(&found, known.map_or("Cutover has no such setting", |(_, reason)| reason));
                    continue;
                }
            };
            if setting.is_none() && value.items().is_empty() {
                continue;
            }
            match setting {
                Some(setting) => settings.push(setting.found(found)),
                None => self.leave(&found, "Its value does not stand there as it is"),
            }
        }
        settings
    }

    /// Returns a list after all that was added to it: to that of the preset, if nothing sets it anew.
    fn list(&mut self, name: &str, changes: &super::recipe::Changes, host: Option<&Target>) -> Vec<Value> {
        let recipe = self.recipe;
        let mut list = match (recipe.settings.get(name), host) {
            (Some(top), Some(_)) if !changes.sets => self.list(name, top, None),
            _ if !changes.sets => self.of_preset(name),
            _ => Vec::new(),
        };
        let mut known: BTreeSet<String> = list.iter().filter_map(|path| Some(path.as_str()?.to_owned())).collect();
        let own = self.paths(changes, host).into_iter().filter(|path| known.insert(path.clone()));
        list.extend(own.map(Value::from));
        list
    }

    /// Returns the paths of a list, and lists those that have code.
    fn paths(&mut self, changes: &super::recipe::Changes, host: Option<&Target>) -> Vec<String> {
        let value = changes.value();
        let path = |item: &&Literal| expanded(self.recipe, &item.as_plain()?, host);
        let paths: Vec<Option<String>> = value.items().iter().map(path).collect();
        if let Some(found) = changes.found().filter(|_| paths.iter().any(Option::is_none)) {
            self.leave(&found, "A path in the list does not stand there as it is: write it into the list");
        }
        paths.into_iter().flatten().collect()
    }

    fn of_preset(&self, name: &str) -> Vec<Value> {
        self.preset.map(|preset| crate::init::preset::list_of(preset, name)).unwrap_or_default()
    }

    /// Returns the hooks: tasks that run before or after those of Deployer.
    fn hooks(&mut self) -> Vec<HookDraft> {
        let mut hooks = Vec::new();
        for Event { is_before, task, runs, found } in self.recipe.events() {
            // Cutover frees its lock by itself.
            if runs == "deploy:unlock" {
                continue;
            }
            let Some(phase) = phase_of_deployer(is_before, &task) else {
                self.leave(&found, "Cutover has no such moment");
                continue;
            };
            if !phase.contains("rollback") && self.is_of_preset(&runs) {
                continue;
            }
            match self.recipe.task(&runs) {
                Some(_) if self.recipe.has_own_programs() => {
                    self.leave(&found, "The recipe sets the paths of programs: write them into the command");
                }
                Some(Task { is_local: true, .. }) if !["before_upload", "before_switch"].contains(&phase) => {
                    self.leave(
                        &found,
                        &format!("The task `{runs}` runs on this machine: here a build does, before the upload"),
                    );
                }
                Some(Task { commands, is_local: false }) if lacks_release(phase, &commands) => {
                    self.leave(&found, "There is no new release at that moment");
                }
                Some(Task { commands, is_local }) => {
                    let phase = if is_local { "build" } else { phase };
                    hooks.push(hook(&runs, phase, &commands).found(found));
                }
                None => self.leave(&found, &format!("The task `{runs}` is not one of plain commands")),
            }
        }
        hooks
    }

    /// Returns whether a hook of the preset does what a task of Deployer's recipe does.
    fn is_of_preset(&self, task: &str) -> bool {
        const DONE: [&str; 14] = [
            "deploy:vendors",
            "artisan:migrate",
            "artisan:storage:link",
            "artisan:optimize",
            "artisan:config:cache",
            "artisan:route:cache",
            "artisan:view:cache",
            "artisan:event:cache",
            "artisan:queue:restart",
            "database:migrate",
            "deploy:cache:clear",
            "magento:compile",
            "magento:deploy:assets",
            "magento:upgrade:db",
        ];
        self.preset.is_some_and(|preset| preset != "wordpress")
            && DONE.contains(&task)
            && !self.recipe.tasks.contains_key(task)
    }

    /// Returns whether a deploy migrates the database. Where the recipe has no `deploy` of its own, that of the framework does.
    fn migrates(&self) -> bool {
        const MIGRATIONS: [&str; 3] = ["artisan:migrate", "database:migrate", "magento:upgrade:db"];
        let is_usual = matches!(self.preset, Some("laravel" | "magento"));
        let is_own = |task: &str| self.recipe.groups.contains_key(task) || self.recipe.tasks.contains_key(task);
        let is_changed = is_own("deploy") || MIGRATIONS.iter().any(|task| is_own(task));
        is_usual && !is_changed || self.recipe.runs_any(&MIGRATIONS)
    }

    fn leave_value(&mut self, found: &Found, ours: &str) {
        self.leave(found, &format!("Its value does not stand there as it is: write `{ours}` of the stage"));
    }

    fn leave(&mut self, found: &Found, reason: &str) {
        self.left.push(Untranslated { found: found.clone(), reason: reason.to_owned() });
    }
}

/// Replaces `{{name}}` by settings that are texts, and the names in those. None if one is not a text, or has another value for
/// some host.
fn expanded(recipe: &Recipe, text: &str, host: Option<&Target>) -> Option<String> {
    expanded_within(recipe, text, host, &Lookups::default())
}

fn expanded_within(recipe: &Recipe, text: &str, host: Option<&Target>, lookups: &Lookups) -> Option<String> {
    let value = |name: &str| {
        lookups.take()?;
        let of_recipe = || recipe.settings.get(name)?.value().as_plain();
        let value = match (name, host) {
            ("alias" | "hostname", Some(host)) => Some(host.text(name).unwrap_or_else(|| host.alias.clone())),
            (name, Some(host)) if host.settings.contains_key(name) => host.text(name),
            (name, None) if recipe.hosts.iter().any(|host| host.settings.contains_key(name)) => None,
            _ => of_recipe(),
        };
        expanded_within(recipe, &value?, host, lookups)
    };
    super::recipe::expanded(text, &value)
}
