//! `cutover config show`: the settings of a stage as they count, and where each comes from.
//!
//! A value counts if no other one replaces it: those of flags come before those of the stage, those of the stage before
//! those at the top, and defaults are last. Hooks and checks of a stage come behind those at the top.
//!
//! Without `--resolved`, values are shown as they are written, so no variable need be set. A secret is never shown: what
//! came from the environment into a place where it is one, and whatever is written there as it is.

use std::path::Path;

use engine::target::{Destination, Policy};
use serde::Serialize;
use serde_json::{Value, json};

use crate::args::{GlobalArgs, ShowArgs};
use crate::choice::{self, Layer, Layers};
use crate::color::Palette;
use crate::config::Config;
use crate::destination;
use crate::environment::{Environment, absolute_from};
use crate::failure::{Failure, one_line};
use crate::keys::{Keys, TABLES};
use crate::mistake::Line;
use crate::overrides;
use crate::report::Report;
use crate::secrets::Secrets;
use crate::session::Session;
use crate::shape::Shape;
use crate::table::Table;
use crate::uses::Uses;
use crate::variables::{Grammar, Variables, has_variable};

/// The text in the place of a secret.
const MASKED: &str = "***";

/// The keys that `--target` replaces.
const OF_TARGET: [&str; 6] = ["deploy_path", "host", "user", "port", "host_key", "current_path"];

/// The keys of hooks and checks whose values may be secrets.
const OF_SECRETS: [&str; 2] = ["env", "headers"];

pub(crate) fn run(session: &Session<'_>, args: &ShowArgs) -> Result<(), Failure> {
    let (everywhere, environment) = (session.everywhere, session.environment);
    let place = args.place.place()?;
    let config = Config::open(everywhere.config.as_deref(), environment)?;
    let set =
        overrides::read(&everywhere.set, &environment.variables).map_err(|mistake| mistake.failure(Path::new("")))?;
    let layers = choice::layers(&place, config.as_ref(), &set)?;
    let mut settings = counting(&layers);
    if let Some(target) = &place.target {
        let destination = destination::parse(target, environment)?;
        settings.retain(|setting| {
            setting.from == "--set" && setting.key != "deploy_path" || !OF_TARGET.contains(&setting.key)
        });
        settings.extend(of_target(&destination));
    }
    settings.extend(of_flags(everywhere));
    let settings = in_order(&settings);
    let settings = if args.resolved {
        // It refuses variables that are not set, and knows the secrets.
        let resolved = session.settings(&place, Uses::Everything)?;
        let directory = config.as_ref().map_or(&environment.directory, |config| &config.directory);
        let mut settings = settings;
        for setting in &mut settings {
            setting.resolve(directory, environment)?;
            resolved.secrets().mask(&mut setting.value);
        }
        settings
    } else {
        settings.into_iter().map(Setting::masked).collect()
    };
    let report = ConfigReport {
        config: config.as_ref().map(|config| config.file.display().to_string()),
        stage: layers.stage.map(str::to_owned),
        settings,
    };
    session.print(&report, &Secrets::default())
}

/// The settings that count.
#[derive(Debug, Serialize)]
struct ConfigReport {
    config: Option<String>,
    stage: Option<String>,
    settings: Vec<Setting>,
}

/// A setting.
#[derive(Debug, Clone, Serialize)]
struct Setting {
    key: &'static str,
    value: Value,
    from: &'static str,
    line: Option<usize>,
}

impl Setting {
    fn new(key: &'static str, value: impl Into<Value>, from: &'static str) -> Setting {
        Setting { key, value: value.into(), from, line: None }
    }

    /// Returns the shape of the value.
    fn shape(&self) -> Shape {
        shape_of(Keys::SHAPES, self.key)
    }

    /// Returns the setting as it is written, without secrets that are written there.
    fn masked(mut self) -> Setting {
        let shape = self.shape();
        mask(&mut self.value, shape, true);
        self
    }

    /// Replaces variables, and makes paths of this machine absolute.
    fn resolve(&mut self, directory: &Path, environment: &Environment) -> Result<(), Failure> {
        let shape = self.shape();
        mask(&mut self.value, shape, false);
        expand(&mut self.value, shape, &environment.variables)?;
        let is_local = matches!(self.key, "source" | "identity_file" | "ssh_config");
        if let Value::String(path) = &mut self.value
            && is_local
        {
            let begin = if self.from == "--set" { &environment.directory } else { directory };
            let local = if path.starts_with('~') {
                destination::local(Path::new(path.as_str()), environment).map_err(Failure::usage)?
            } else {
                absolute_from(begin, Path::new(path.as_str()))
            };
            *path = local.display().to_string();
        }
        Ok(())
    }
}

/// Returns the shape of a key.
fn shape_of(keys: &[(&'static str, Shape)], key: &str) -> Shape {
    keys.iter().find(|(name, _)| *name == key).map_or(Shape::Text, |(_, shape)| *shape)
}

/// Masks secrets. With `as_written`, a text with a variable stays: it names the variable, and not its value.
fn mask(value: &mut Value, shape: Shape, as_written: bool) {
    let is_shown = |text: &str| as_written && has_variable(text);
    match (shape, value) {
        (Shape::Secret, Value::String(text)) if !is_shown(text) => MASKED.clone_into(text),
        (Shape::Tables(table), Value::Object(keys)) => {
            for (key, value) in keys {
                if !OF_SECRETS.contains(&key.as_str()) {
                    mask(value, shape_of(table.keys, key), as_written);
                } else if let Value::Object(entries) = value {
                    let texts = entries.values_mut().filter(|value| !value.as_str().is_some_and(is_shown));
                    texts.for_each(|value| *value = json!(MASKED));
                }
            }
        }
        _ => {}
    }
}

/// Replaces the variables in all texts but commands.
fn expand(value: &mut Value, shape: Shape, variables: &Variables) -> Result<(), Failure> {
    let grammar = if matches!(shape, Shape::Patterns) { Grammar::Pattern } else { Grammar::Variable };
    match (value, shape) {
        (_, Shape::Command) => {}
        (Value::String(text), _) => {
            let expanded = variables.expand(text, grammar).map_err(|error| Failure::usage(error.reason))?;
            *text = expanded.text;
        }
        (Value::Object(keys), Shape::Tables(table)) => {
            for (key, value) in keys {
                expand(value, shape_of(table.keys, key), variables)?;
            }
        }
        (Value::Object(keys), _) => {
            for value in keys.values_mut() {
                expand(value, Shape::Text, variables)?;
            }
        }
        (Value::Array(items), _) => {
            for item in items {
                expand(item, shape, variables)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Returns the settings that no other one replaces.
fn counting(layers: &Layers<'_>) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    for (layer, section) in &layers.sections {
        for (name, value, line) in &section.written {
            let Some(key) = Keys::NAMES.iter().find(|key| *key == name) else { continue };
            let line = match line {
                Line::Number(line) => Some(*line),
                Line::Flag => None,
            };
            let from = match layer {
                Layer::Flags => "--set",
                Layer::Stage => "stage",
                Layer::Top => "top",
            };
            if TABLES.contains(key) || !settings.iter().any(|setting| setting.key == *key) {
                settings.push(Setting { key, value: value.clone(), from, line });
            }
        }
    }
    settings.extend(
        defaults()
            .into_iter()
            .filter(|(key, _)| !settings.iter().any(|setting| setting.key == *key))
            .map(|(key, value)| Setting::new(key, value, "default"))
            .collect::<Vec<_>>(),
    );
    settings
}

/// Puts settings into the order of the keys. Of a key that a flag sets, the others go; tables at the top come before those
/// of the stage.
fn in_order(settings: &[Setting]) -> Vec<Setting> {
    let mut ordered: Vec<Setting> = Vec::new();
    for key in Keys::NAMES {
        let mut own: Vec<Setting> = settings.iter().filter(|setting| setting.key == *key).cloned().collect();
        if TABLES.contains(key) {
            own.sort_by_key(|setting| setting.from != "top");
            ordered.extend(own);
        } else {
            // Those of flags were added last.
            ordered.extend(own.pop());
        }
    }
    ordered
}

fn of_target(destination: &Destination) -> Vec<Setting> {
    let path = |path: &Path| path.display().to_string();
    match destination {
        Destination::Local(local) => vec![Setting::new("deploy_path", path(local), "--target")],
        Destination::Ssh(ssh) => {
            let mut settings = vec![Setting::new("deploy_path", path(&ssh.path), "--target")];
            settings.push(Setting::new("host", ssh.host.as_str(), "--target"));
            settings.extend(ssh.user.as_deref().map(|user| Setting::new("user", user, "--target")));
            settings.extend(ssh.port.map(|port| Setting::new("port", port, "--target")));
            settings
        }
    }
}

/// Returns the keys that have flags of their own.
fn of_flags(everywhere: &GlobalArgs) -> Vec<Setting> {
    use clap::ValueEnum;
    let path = |path: &std::path::PathBuf| path.display().to_string();
    let transport = everywhere.transport.and_then(|transport| transport.to_possible_value());
    let flags = [
        everywhere.identity.as_ref().map(|file| Setting::new("identity_file", path(file), "--identity")),
        everywhere.ssh_config.as_ref().map(|file| Setting::new("ssh_config", path(file), "--ssh-config")),
        transport.map(|transport| Setting::new("transport", transport.get_name(), "--transport")),
    ];
    flags.into_iter().flatten().collect()
}

/// Returns the defaults, as the program has them.
fn defaults() -> Vec<(&'static str, Value)> {
    let policy = Policy::default();
    vec![
        ("transport", json!("auto")),
        ("source", json!(".")),
        ("gitignore", json!(false)),
        ("revision_file", json!(true)),
        ("keep_releases", json!(policy.keep_releases)),
        ("keep_manifests", json!(policy.keep_manifests)),
        ("grace", json!(format!("{}s", policy.grace.as_secs()))),
        ("spare", json!(policy.spare)),
        ("auto_shared", json!(policy.auto_shared)),
        ("link", json!("hardlink")),
        ("hook_edits", json!("repair")),
        ("writable_mode", json!("0775")),
    ]
}

impl Report for ConfigReport {
    const ANSWERS: bool = true;

    fn text(&self, palette: Palette, _: bool) -> String {
        let place = match (&self.config, &self.stage) {
            (Some(config), Some(stage)) => format!("`[{stage}]` of {config}"),
            (Some(config), None) => config.clone(),
            (None, _) => "There is no cutover.toml here or above".to_owned(),
        };
        let row = |setting: &Setting| {
            let from = match (setting.from, setting.line) {
                ("top" | "stage", Some(line)) => format!("{}, line {line}", setting.from),
                (from, _) => from.to_owned(),
            };
            [setting.key.to_owned(), shown(&setting.value), from]
        };
        let rows = Table::new(["KEY", "VALUE", "FROM"]).rows(self.settings.iter().map(row)).text(palette);
        format!("{}\n{rows}", one_line(&place))
    }
}

/// Returns a value on one line: a hook and a check by its name, and what it runs or asks.
fn shown(value: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Object(keys) => {
            let get = |key: &str| keys.get(key).and_then(Value::as_str).unwrap_or_default();
            let what = [get("run"), get("url")].concat();
            let first = what.trim().lines().next().unwrap_or_default().to_owned();
            let phase = get("phase");
            let phase = if phase.is_empty() { String::new() } else { format!(" ({phase})") };
            format!("{}{phase}: {first}", get("name"))
        }
        Value::Array(items) => {
            let item = |item: &Value| item.get("path").map_or_else(|| text(item), &text);
            items.iter().map(item).collect::<Vec<String>>().join(", ")
        }
        value => text(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_docs() {
        let docs = include_str!("../../docs/configuration.md");
        for (key, value) in defaults() {
            let row = docs.lines().find(|line| line.starts_with(&format!("| `{key}` |"))).unwrap();
            let cell = row.split(" | ").nth(2).unwrap();
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let is_there = [format!("`{text}`"), format!("`\"{text}\"`"), text].contains(&cell.to_owned());
            assert!(is_there || key == "source", "{key}: {cell}");
        }
    }
}
