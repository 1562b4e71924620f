//! Reads `config/deploy.rb`, `config/deploy/*.rb` and `Capfile` of Capistrano.
//!
//! A setting of `deploy.rb` is one of the top, and each file of `config/deploy/` is a stage. `fetch(:name)` in a text is
//! replaced where that setting is a text itself. Tasks that only run plain commands become hooks.

use std::path::{Path, PathBuf};

use toml::Value;

use super::capistrano_scope::{Names, Scope, parts_of};
use super::capistrano_tasks::{Event, Plain, Tasks};
use super::commands::{hook, lacks_release, phase_of_capistrano, stage_name};
use super::file::{SourceFile, files_in, first_of, is_secret, none_found};
use super::imported::Imported;
use super::literal::Literal;
use super::ruby::{self, Statement};
use super::untranslated::Leftovers;
use crate::failure::Failure;
use crate::init::draft::{Draft, Found, HookDraft, Setting, StageDraft, Untranslated};

/// The number of releases that Capistrano keeps if nobody says otherwise.
const KEPT: i64 = 5;

/// Where Capistrano deploys to if nobody says otherwise, before the name of the application.
const DEPLOY_TO: &str = "/var/www";

/// Settings that have no counterpart, and why.
const WITHOUT_COUNTERPART: [(&str, &str); 15] = [
    ("repo_url", "Cutover deploys this checkout, and clones no repository"),
    ("repo_tree", "Use the key `source` for a directory of the repository"),
    ("repository", "Cutover deploys this checkout, and clones no repository"),
    ("scm", "Cutover deploys this checkout, and clones no repository"),
    ("git_shallow_clone", "Cutover deploys this checkout, and clones no repository"),
    ("git_strategy", "Cutover deploys this checkout, and clones no repository"),
    ("deploy_via", "Cutover sends only what the server lacks"),
    ("format", "It is about the output of Capistrano"),
    ("format_options", "It is about the output of Capistrano"),
    ("log_level", "It is about the output of Capistrano"),
    ("pty", "Cutover opens no terminal on the server"),
    ("use_sudo", "Write `sudo` into the command of a hook, or use the key `run_as`"),
    ("local_user", "Cutover notes who deploys by itself"),
    ("tmp_dir", "Cutover needs no directory for scripts"),
    ("default_env", "Use `env` of a hook"),
];

/// The parts of Capistrano that a `Capfile` names in any case.
const OF_CAPISTRANO: [&str; 4] = ["capistrano/setup", "capistrano/deploy", "capistrano/scm/git", "capistrano/install"];

/// Reads the named files, or those of Capistrano in a directory.
pub(crate) fn read(named: &[PathBuf], directory: &Path) -> Result<Imported, Failure> {
    let (main, stages) = match named.split_first() {
        Some((main, stages)) => (main.clone(), stages.to_vec()),
        None => {
            let main = first_of(directory, &["config/deploy.rb"]);
            let main = main.ok_or_else(|| none_found("Capistrano", "`config/deploy.rb` does not exist"))?;
            (main, files_in(directory, "config/deploy", "rb"))
        }
    };
    let mut reading = Reading::default();
    if let Some(capfile) = first_of(directory, &["Capfile"]).filter(|_| named.is_empty()) {
        reading.read_capfile(directory, &SourceFile::read(directory, &capfile)?);
    }
    let top = reading.read_scope(&SourceFile::read(directory, &main)?, None);
    let mut scopes = Vec::new();
    for path in &stages {
        let stage = stage_name(&path.file_stem().unwrap_or_default().to_string_lossy());
        scopes.push(reading.read_scope(&SourceFile::read(directory, path)?, Some(stage)));
    }
    Ok(reading.finish(&top, &scopes))
}

/// Tells whether a directory is missing or has no file, but for a placeholder such as `.keep`.
fn holds_nothing(directory: &Path) -> bool {
    let is_hidden = |entry: std::fs::DirEntry| entry.file_name().as_encoded_bytes().starts_with(b".");
    std::fs::read_dir(directory).into_iter().flatten().flatten().all(is_hidden)
}

/// The translation while the files are read.
#[derive(Debug, Default)]
struct Reading {
    left: Leftovers,
    preset: Option<&'static str>,
    /// Whether a deploy migrates the database.
    migrates: bool,
    files: Vec<String>,
}

impl Reading {
    /// Reads which parts of Capistrano and which plugins are used.
    fn read_capfile(&mut self, directory: &Path, file: &SourceFile) {
        self.files.push(file.name.clone());
        let mut bundler = None;
        for statement in ruby::statements(&file.text) {
            let line = file.line_of(statement.at());
            let argument =
                statement.arguments().first().and_then(|words| ruby::value(words)).and_then(|v| v.as_plain());
            match (statement.name(), argument.as_deref()) {
                ("require", Some(part)) if OF_CAPISTRANO.contains(&part) => {}
                ("install_plugin" | "include", _) => {}
                ("require", Some(part)) if part.starts_with("capistrano/rails") => {
                    self.preset = Some("rails");
                    let (_, part) = part.split_at("capistrano/rails".len());
                    self.migrates |= ["", "/migrations"].contains(&part);
                }
                ("require", Some("capistrano/bundler")) => bundler = Some(line),
                ("require", Some(_)) => self.left.add(file, line, "Tasks of a plugin are not read"),
                // The usual line that loads tasks of one's own.
                _ if file.line(line).contains("lib/capistrano/tasks") => {
                    let tasks = file.name.replace("Capfile", "lib/capistrano/tasks");
                    if !holds_nothing(&directory.join(&tasks)) {
                        self.left.add(file, line, format!("Tasks in `{tasks}` are not read"));
                    }
                }
                _ => self.left.add(file, line, "It was not read"),
            }
        }
        // The preset installs the gems too.
        if let Some(line) = bundler.filter(|_| self.preset.is_none()) {
            self.left.add(file, line, "Tasks of a plugin are not read");
        }
    }

    fn read_scope(&mut self, file: &SourceFile, stage: Option<String>) -> Scope {
        self.files.push(file.name.clone());
        let mut scope = Scope { stage, found: Some(file.found(1)), ..Scope::default() };
        for statement in ruby::statements(&file.text) {
            self.read_statement(file, &statement, &mut scope);
        }
        scope
    }

    fn read_statement(&mut self, file: &SourceFile, statement: &Statement, scope: &mut Scope) {
        let line = file.line_of(statement.at());
        let found = file.found(line);
        let is_read = scope
            .read(statement, &found)
            .unwrap_or_else(|| scope.tasks.read(statement, "", &|at| file.found(file.line_of(at)), &mut self.left));
        if !is_read {
            self.left.add(file, line, "It was not read: it is no setting that stands there as it is");
        }
    }

    fn finish(mut self, top: &Scope, scopes: &[Scope]) -> Imported {
        let mut draft = Draft::default();
        let all = Names { top, stage: None };
        for setting in self.settings(&all, top) {
            draft.set(setting);
        }
        if !draft.settings.iter().any(|setting| setting.name == "keep_releases") {
            draft.set(Setting::new("keep_releases", KEPT));
        }
        let without_stages = scopes.is_empty() && !top.servers.is_empty();
        let own = without_stages.then_some(top);
        for scope in scopes.iter().chain(own) {
            let names = Names { top, stage: scope.stage.is_some().then_some(scope) };
            let stage = self.stage(&names, scope);
            draft.stages.push(stage);
        }
        for (hook, roles) in self.hooks(top, &top.tasks) {
            let has_roles = |scope: &Scope| scope.servers().is_none_or(|(server, _)| server.has_roles(&roles));
            let are_in: Vec<bool> = scopes.iter().chain(own).map(has_roles).collect();
            if are_in.iter().all(|&is_in| is_in) {
                draft.hooks.push(hook);
            } else {
                self.add_where(&mut draft.stages, &are_in, &hook);
            }
        }
        if let (Some(server), false) = (top.servers.first(), without_stages) {
            let reason = "It stands beside the stages: write it into one of them".to_owned();
            self.left.push(Untranslated { found: server.found.clone(), reason });
        }
        draft.untranslated = self.left.finish();
        Imported { draft, preset: self.preset, migrates: self.migrates, files: self.files }
    }

    fn stage(&mut self, names: &Names<'_>, scope: &Scope) -> StageDraft {
        let name = scope.stage.clone().unwrap_or_else(|| "production".to_owned());
        let mut stage = StageDraft::new(&name);
        self.set_server(names, scope, &mut stage);
        let deploy_to = names.last("deploy_to").and_then(|(value, found)| Some((names.text(value)?, found.clone())));
        match (deploy_to, names.last("deploy_to"), names.last("application")) {
            (Some((path, found)), ..) => stage.set(Setting::new("deploy_path", path).found(found)),
            (None, Some((_, found)), _) => self.leave(found, "It has code: write `deploy_path` of the stage"),
            // It was listed when it was read.
            (None, None, _) if names.is_unread("deploy_to") => {}
            (None, None, Some((application, found))) => {
                let path = names.text(application).map(|application| format!("{DEPLOY_TO}/{application}"));
                if let Some(path) = path {
                    stage.set(Setting::new("deploy_path", path).found(found.clone()));
                }
            }
            _ => {}
        }
        if scope.stage.is_some() {
            for setting in self.settings(names, scope) {
                stage.set(setting);
            }
            for (hook, roles) in self.hooks(names.top, &scope.tasks) {
                let server = scope.servers();
                let is_in = server.is_none_or(|(server, _)| server.has_roles(&roles));
                self.add_where(std::slice::from_mut(&mut stage), &[is_in], &hook);
            }
        }
        stage
    }

    /// Sets host, user, port and key: those of the server of the application.
    fn set_server(&mut self, names: &Names<'_>, scope: &Scope, stage: &mut StageDraft) {
        let Some((first, others)) = scope.servers() else {
            if let Some(found) = &scope.found {
                self.leave(found, "The file names no server: `host` is only a placeholder");
            }
            return;
        };
        let at = |setting: Setting| setting.found(first.found.clone());
        let option = |key: &str| first.options.as_ref().and_then(|options| options.get(key));
        let ssh = names.last("ssh_options").map(|(value, _)| value);
        let ssh_option = |key: &str| option(key).or_else(|| ssh.and_then(|options| options.get(key)));
        for (value, key) in [(option("user").or(first.user.as_ref()), "user"), (ssh_option("user"), "user")] {
            if value.is_some_and(|value| names.text(value).is_none()) {
                self.leave(&first.found, &format!("It has code: write `{key}` of the stage"));
            }
        }
        let mut own_user = option("user").or(first.user.as_ref()).and_then(|user| names.text(user));
        match names.text(&first.host) {
            Some(host) => {
                let (user, host, port) = parts_of(&host);
                own_user = own_user.or(user);
                stage.set(at(Setting::new("host", host)));
                if let Some(port) = port {
                    stage.set(at(Setting::new("port", port)));
                }
            }
            None => self.leave(&first.found, "The name of the server has code: write `host` of the stage"),
        }
        let set_user = || ssh_option("user").or(names.last("user").map(|(value, _)| value));
        if let Some(user) = own_user.or_else(|| set_user().and_then(|user| names.text(user))) {
            stage.set(at(Setting::new("user", user)));
        }
        if let Some(port) = first.port.or_else(|| ssh_option("port").and_then(Literal::as_number)) {
            stage.set(at(Setting::new("port", port)));
        }
        let keys: Vec<Option<String>> = ssh_option("keys")
            .map(|keys| keys.items().into_iter().map(|key| names.text(key)).collect())
            .unwrap_or_default();
        match &keys[..] {
            [] => {}
            [Some(key)] => stage.set(at(Setting::new("identity_file", key.clone()))),
            [Some(key), ..] => {
                stage.set(at(Setting::new("identity_file", key.clone())));
                self.leave(&first.found, "Cutover logs in with one key here: others belong into `~/.ssh/config`");
            }
            [None, ..] => self.leave(&first.found, "The key has code: write `identity_file` of the stage"),
        }
        for other in others.iter().filter(|other| names.text(&other.host) != names.text(&first.host)) {
            let reason = if other.gets_releases {
                "A stage has one server here, and this is a further one"
            } else {
                "It gets no releases"
            };
            self.leave(&other.found, reason);
        }
    }

    /// Returns the keys of a scope.
    fn settings(&mut self, names: &Names<'_>, scope: &Scope) -> Vec<Setting> {
        let mut settings = Vec::new();
        for (name, changes) in &scope.settings {
            let Some((_, value, found)) = changes.last() else { continue };
            // One of the top may count, or code may set it.
            let is_last = names.last(name).is_some_and(|(_, last)| last == found);
            if ["keep_releases", "branch"].contains(&name.as_str()) && !is_last {
                continue;
            }
            let translated = match name.as_str() {
                "keep_releases" => value.as_number().map(|number| Setting::new("keep_releases", number)),
                "branch" => names.text(value).map(|branch| Setting::new("ref", branch)),
                "linked_dirs" => Some(Setting::new("shared_dirs", self.list(names, name))),
                "linked_files" => Some(Setting::new("shared_files", self.list(names, name))),
                "application" | "deploy_to" | "user" | "stage" | "stages" | "default_stage" => continue,
                "ssh_options" => {
                    self.tell_of_ssh_options(value, found);
                    continue;
                }
                other => {
                    let known = WITHOUT_COUNTERPART.iter().find(|(name, _)| *name == other);
                    self.leave(found, known.map_or("Cutover has no such setting", |(_, reason)| reason));
                    continue;
                }
            };
            match translated {
                Some(setting) => settings.push(setting.found(found.clone())),
                None => self.leave(found, "Its value has code"),
            }
        }
        settings
    }

    /// Returns a list, and lists the lines with items that have code.
    fn list(&mut self, names: &Names<'_>, name: &str) -> Vec<Value> {
        let list = names.list(name);
        for found in &list.left {
            self.leave(found, "A path in the list has code: write it into the list");
        }
        list.items
    }

    fn tell_of_ssh_options(&mut self, value: &Literal, found: &Found) {
        let Literal::Map(options) = value else { return self.leave(found, "Use `ssh_config` for it") };
        let others = options.iter().filter(|(name, _)| !["user", "port", "keys"].contains(&name.as_str()));
        let (secrets, others): (Vec<_>, Vec<_>) = others.partition(|(name, _)| is_secret(name));
        if !secrets.is_empty() {
            self.leave(found, "Cutover logs in with a key, or asks for the password");
        }
        let names: Vec<String> = others.iter().map(|(name, _)| format!("`{name}`")).collect();
        if !names.is_empty() {
            self.leave(found, &format!("Cutover takes {} from `~/.ssh/config`", names.join(", ")));
        }
    }

    /// Adds a hook to the stages whose server has its roles.
    fn add_where(&mut self, stages: &mut [StageDraft], are_in: &[bool], hook: &HookDraft) {
        for (stage, _) in stages.iter_mut().zip(are_in).filter(|(_, is_in)| **is_in) {
            stage.hooks.push(hook.clone());
        }
        if let Some(found) = &hook.found {
            let without: Vec<&str> =
                stages.iter().zip(are_in).filter(|(_, is_in)| !**is_in).map(|(stage, _)| stage.name.as_str()).collect();
            self.leave(found, &format!("The server has not its role in the stages: {}", without.join(", ")));
        }
    }

    /// Returns the hooks, each with the roles of its servers: tasks that run before or after those of Capistrano.
    fn hooks(&mut self, top: &Scope, tasks: &Tasks) -> Vec<(HookDraft, Vec<Vec<String>>)> {
        let mut hooks = Vec::new();
        for Event { is_before, task, runs, found } in &tasks.events {
            let phase = phase_of_capistrano(*is_before, task);
            let plain = tasks.plain(runs).or_else(|| top.tasks.plain(runs));
            match (phase, plain) {
                (Some(phase), Some(Plain { commands, .. })) if lacks_release(phase, commands) => {
                    self.leave(found, "There is no new release at that moment");
                }
                (Some(phase), Some(Plain { commands, roles })) => {
                    hooks.push((hook(runs, phase, commands).found(found.clone()), roles.clone()));
                }
                (None, _) => self.leave(found, "Cutover has no such moment"),
                (_, None) => self.leave(found, &format!("The task `{runs}` is not one of plain commands")),
            }
        }
        hooks
    }

    fn leave(&mut self, found: &Found, reason: &str) {
        self.left.push(Untranslated { found: found.clone(), reason: reason.to_owned() });
    }
}
