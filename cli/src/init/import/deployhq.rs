//! Reads `.deploybuild.yaml` of `DeployHQ`, and JSON as its API and its command print it: servers, SSH commands, build
//! commands, excluded files and cached files.
//!
//! Each object is known by its fields, so a file may have one list, or several under any names. `.deployignore` has the
//! same grammar here, and stays as it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use toml::Value;

use super::commands::{hook, stage_name};
use super::file::{SourceFile, first_of, none_found};
use super::imported::Imported;
use super::untranslated::Leftovers;
use super::yaml;
use crate::failure::Failure;
use crate::init::draft::{Draft, Found, HookDraft, Setting, StageDraft};

/// The file with patterns, which stays as it is.
const IGNORE: &str = ".deployignore";

/// The files that are read if none is named.
const FILES: [&str; 3] = [".deploybuild.yaml", ".deploybuild.yml", "deployhq.json"];

/// The most servers of a config.
const SERVERS_MAX: usize = 500;

/// The ways of `DeployHQ` to a server that are SSH.
const SSH: [&str; 2] = ["ssh", "sftp"];

/// Reads the named files, or those of `DeployHQ` in a directory.
pub(crate) fn read(named: &[PathBuf], directory: &Path) -> Result<Imported, Failure> {
    let mut reading = Reading::default();
    let usual = || FILES.iter().filter_map(|name| first_of(directory, &[name])).collect();
    let files: Vec<PathBuf> = if named.is_empty() { usual() } else { named.to_vec() };
    if files.is_empty() {
        let names = "neither `.deploybuild.yaml` nor `deployhq.json` exists";
        return Err(none_found("DeployHQ", names));
    }
    for path in &files {
        let file = SourceFile::read(directory, path)?;
        reading.names.push(file.name.clone());
        if path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml") {
            reading.read_build(&file)?;
        } else {
            let json: Json = serde_json::from_str(&file.text)
                .map_err(|error| Failure::usage(format!("Could not read `{}`", file.name)).because(&error))?;
            reading.read_json(&file, &json);
        }
    }
    if first_of(directory, &[IGNORE]).is_some() {
        reading.read_ignore(&SourceFile::read(directory, Path::new(IGNORE))?);
    }
    Ok(reading.finish())
}

/// The translation while the files are read.
#[derive(Debug, Default)]
struct Reading {
    names: Vec<String>,
    /// The identifier of each server, with its stage.
    servers: Vec<(String, StageDraft)>,
    /// The first server of each group.
    groups: BTreeMap<String, String>,
    /// The hooks, with the identifiers of their servers; none: all servers.
    hooks: Vec<(HookDraft, Vec<String>)>,
    builds: Vec<HookDraft>,
    kept: Vec<Value>,
    kept_found: Option<Found>,
    excluded: Vec<Value>,
    excluded_found: Option<Found>,
    left: Leftovers,
}

impl Reading {
    fn read_build(&mut self, file: &SourceFile) -> Result<(), Failure> {
        for (name, line, node) in yaml::read(file)?.pairs() {
            for item in node.items() {
                let text = |key: &str| item.get(key).and_then(yaml::Node::text);
                match (name.as_str(), text("command"), text("path")) {
                    ("build_commands", Some(command), _) => {
                        let halts = item.get("halt_on_error").map(yaml::Node::literal);
                        let halts = halts != Some(super::literal::Literal::Boolean(false));
                        let title = text("description").unwrap_or_else(|| "build".to_owned());
                        self.add_build(&title, &command, halts, file.found(item.line));
                    }
                    ("build_cache_files", _, Some(path)) => self.keep(&path, file.found(item.line)),
                    ("build_languages", ..) => {
                        let language = text("name").unwrap_or_default();
                        let reason = format!("The build runs on this machine: `{language}` must be installed here");
                        self.left.add(file, item.line, reason);
                    }
                    _ => self.left.add(file, item.line.max(*line), "It was not read"),
                }
            }
        }
        Ok(())
    }

    /// Lists the patterns that mean more here: without a slash they match at every depth, as in `.gitignore`.
    fn read_ignore(&mut self, file: &SourceFile) {
        for (at, line) in file.text.lines().enumerate() {
            let pattern = line.trim().trim_end_matches('/');
            if !pattern.is_empty() && !pattern.starts_with(['#', '!']) && !pattern.contains('/') {
                let reason = format!("Here it matches at every depth: write `/{pattern}` for the top alone");
                self.left.add(file, at + 1, reason);
            }
        }
    }

    fn add_build(&mut self, title: &str, command: &str, halts: bool, found: Found) {
        let commands: Vec<String> = lines(command);
        if commands.is_empty() {
            return;
        }
        let hook = hook(title, "build", &commands).found(found);
        self.builds.push(if halts { hook } else { hook.with("halt_on_error", false) });
    }

    fn keep(&mut self, path: &str, found: Found) {
        if path.starts_with('~') || path.starts_with('/') {
            let reason = "It is outside the source, where nothing is removed".to_owned();
            self.left.push(crate::init::draft::Untranslated { found, reason });
            return;
        }
        let directory = path.trim_end_matches("/**").trim_end_matches("/*");
        self.kept.push(Value::from(format!("/{directory}")));
        self.kept_found = Some(found);
    }

    /// Reads whatever objects a value has.
    fn read_json(&mut self, file: &SourceFile, json: &Json) {
        match json {
            Json::Array(items) => items.iter().for_each(|item| self.read_json(file, item)),
            Json::Object(fields) => {
                let has = |field: &str| fields.contains_key(field);
                if has("cback") {
                    self.read_command(file, json);
                } else if has("protocol_type") || has("server_path") {
                    self.read_server(file, json);
                } else if has("command") {
                    let (title, command) = (text(json, "description"), text(json, "command").unwrap_or_default());
                    let halts = json["halt_on_error"] != Json::Bool(false);
                    let found = file.found_text(&command);
                    self.add_build(&title.unwrap_or_else(|| "build".to_owned()), &command, halts, found);
                } else if let Some(path) = text(json, "path").filter(|_| !has("body")) {
                    self.exclude(&path, file.found_text(&path));
                } else {
                    for (name, value) in fields {
                        self.read_field(file, name, value);
                    }
                }
            }
            _ => {}
        }
    }

    fn read_field(&mut self, file: &SourceFile, name: &str, value: &Json) {
        match name {
            "build_cache_files" => {
                for path in value.as_array().into_iter().flatten().filter_map(|item| text(item, "path")) {
                    self.keep(&path, file.found_text(&path));
                }
            }
            "config_files" => {
                for path in value.as_array().into_iter().flatten().filter_map(|item| text(item, "path")) {
                    let reason = format!("Push its content: `cutover shared push STAGE FILE {path}`");
                    let found = file.found_text(&path);
                    self.left.push(crate::init::draft::Untranslated { found, reason });
                }
            }
            _ if value.is_array() || value.is_object() => self.read_json(file, value),
            _ => {}
        }
    }

    fn read_server(&mut self, file: &SourceFile, json: &Json) {
        let name = text(json, "name").unwrap_or_default();
        let found = file.found_text(&name);
        let protocol = text(json, "protocol_type").unwrap_or_default();
        let (Some(host), Some(path)) = (text(json, "hostname"), text(json, "server_path")) else {
            return self.leave(found, "It has no host or no path");
        };
        if !SSH.contains(&protocol.as_str()) {
            return self
                .leave(found, &format!("Cutover deploys over SSH only, and this server is reached by `{protocol}`"));
        }
        if self.servers.len() == SERVERS_MAX {
            return self.leave(found, "There are too many servers for one config");
        }
        let identifier = text(json, "identifier").unwrap_or_else(|| name.clone());
        if let Some(group) = text(json, "server_group_identifier") {
            let first = self.groups.entry(group).or_insert_with(|| name.clone());
            if *first != name {
                let reason = format!("A stage has one server here, and that of its group is `{first}`");
                return self.leave(found, &reason);
            }
        }
        let mut stage = StageDraft::new(&stage_name(&name.to_lowercase()));
        let mut set = |key: &str, value: Value| stage.set(Setting::new(key, value).found(found.clone()));
        set("host", host.into());
        if let Some(user) = text(json, "username") {
            set("user", user.into());
        }
        if let Some(port) = text(json, "port").and_then(|port| port.parse::<i64>().ok()) {
            set("port", port.into());
        }
        set("deploy_path", path.into());
        let root = text(json, "root_path").map(|root| root.trim_matches('/').to_owned());
        if let Some(root) = root.filter(|root| !root.is_empty() && root != ".") {
            set("source", root.into());
        }
        if let Some(branch) = text(json, "branch").or_else(|| text(json, "preferred_branch")) {
            set("ref", branch.into());
        }
        if let Some(key) = text(json, "host_key").and_then(|key| host_key(&key)) {
            set("host_key", key.into());
        }
        if let Some(keep) = json["atomic_retention"].as_i64() {
            set("keep_releases", keep.into());
        }
        if json["atomic"] == Json::Bool(false) {
            self.leave(found, "Cutover always makes releases: the web server's root becomes `current` in the path");
        }
        self.servers.push((identifier, stage));
    }

    fn read_command(&mut self, file: &SourceFile, json: &Json) {
        let command = text(json, "command").unwrap_or_default();
        let title = text(json, "description").unwrap_or_else(|| "command".to_owned());
        let found = file.found_text(&command);
        if json["enabled"] == Json::Bool(false) {
            return self.leave(found, "It is switched off");
        }
        if let Some(variable) = variable_of(&command) {
            return self.leave(found, &format!("`{variable}` is a variable of DeployHQ: see the variables of hooks"));
        }
        let phase = match text(json, "cback").as_deref() {
            Some("before_changes") => "before_upload",
            Some("after_changes") => "before_switch",
            _ => return self.leave(found, "Cutover has no such moment"),
        };
        let commands = lines(&command);
        if commands.is_empty() {
            return;
        }
        let mut hook = hook(&title, phase, &commands).found(found);
        if let Some(when) = text(json, "timing").filter(|when| when != "all") {
            hook = hook.with("when", when);
        }
        if json["halt_on_error"] == Json::Bool(false) {
            hook = hook.with("halt_on_error", false);
        }
        if let Some(seconds) = json["timeout"].as_u64().filter(|&seconds| seconds > 0) {
            hook = hook.with("timeout", format!("{seconds}s"));
        }
        let servers = json["servers"].as_array().into_iter().flatten();
        let servers =
            servers.filter_map(|server| text(server, "identifier").or_else(|| server.as_str().map(str::to_owned)));
        self.hooks.push((hook, servers.collect()));
    }

    /// A pattern of `DeployHQ` begins at the root.
    fn exclude(&mut self, path: &str, found: Found) {
        let anchored =
            if path.starts_with("**/") || path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        self.excluded.push(Value::from(anchored));
        self.excluded_found = Some(found);
    }

    fn leave(&mut self, found: Found, reason: &str) {
        self.left.push(crate::init::draft::Untranslated { found, reason: reason.to_owned() });
    }

    fn finish(mut self) -> Imported {
        let mut draft = Draft::default();
        if let Some(found) = self.kept_found.take() {
            let kept = std::mem::take(&mut self.kept);
            draft.set(Setting::new("build_keep", kept).found(found));
        }
        if let Some(found) = self.excluded_found.take() {
            let excluded = std::mem::take(&mut self.excluded);
            draft.set(Setting::new("exclude", excluded).found(found));
        }
        draft.hooks = std::mem::take(&mut self.builds);
        for (hook, servers) in std::mem::take(&mut self.hooks) {
            let is_of = |identifier: &String| servers.contains(identifier);
            if !servers.is_empty() && !self.servers.iter().any(|(identifier, _)| is_of(identifier)) {
                if let Some(found) = hook.found.clone() {
                    self.leave(found, "Its servers were not translated");
                }
                continue;
            }
            if servers.is_empty() || self.servers.iter().all(|(identifier, _)| is_of(identifier)) {
                draft.hooks.push(hook);
                continue;
            }
            for (_, stage) in self.servers.iter_mut().filter(|(identifier, _)| is_of(identifier)) {
                stage.hooks.push(hook.clone());
            }
        }
        draft.stages = self.servers.into_iter().map(|(_, stage)| stage).collect();
        draft.untranslated = self.left.finish();
        Imported { draft, preset: None, migrates: false, files: self.names }
    }
}

impl SourceFile {
    /// Returns the place of a text in JSON.
    fn found_text(&self, text: &str) -> Found {
        let json = Json::from(text).to_string();
        self.found(self.text.find(&json).map_or(1, |at| self.line_of(at)))
    }
}

/// Returns a field that is a text or a number, if it is not empty.
fn text(json: &Json, field: &str) -> Option<String> {
    match &json[field] {
        Json::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns the lines of a command, of which each is one.
fn lines(command: &str) -> Vec<String> {
    command.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Returns the first variable of `DeployHQ` in a command: `%name%`.
fn variable_of(command: &str) -> Option<String> {
    let parts: Vec<&str> = command.split('%').collect();
    let inner = parts.get(1..parts.len().saturating_sub(1))?;
    let is_name = |part: &&&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    inner.iter().find(is_name).map(|name| format!("%{name}%"))
}

/// Returns a host key with its kind, which the first bytes of it name.
fn host_key(key: &str) -> Option<String> {
    const KINDS: [(&str, &str); 5] = [
        ("AAAAC3NzaC1lZDI1NTE5", "ssh-ed25519"),
        ("AAAAB3NzaC1yc2E", "ssh-rsa"),
        ("AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY", "ecdsa-sha2-nistp256"),
        ("AAAAE2VjZHNhLXNoYTItbmlzdHAzODQ", "ecdsa-sha2-nistp384"),
        ("AAAAE2VjZHNhLXNoYTItbmlzdHA1MjE", "ecdsa-sha2-nistp521"),
    ];
    let key = key.split_whitespace().find(|word| word.starts_with("AAAA"))?;
    KINDS.iter().find(|(start, _)| key.starts_with(start)).map(|(_, kind)| format!("{kind} {key}"))
}
