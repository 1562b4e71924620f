//! Chooses the keys for a place, and the destination that they name.
//!
//! The keys are those of the named stage, or of the only one, or those at the top if there are no stages. A
//! `--target` uses the keys of a stage, or those at the top, and replaces the destination.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;

use engine::error::ErrorId;
use engine::target::{Destination, SshDestination};

use crate::config::{Config, Section};
use crate::destination;
use crate::environment::{Environment, absolute_from};
use crate::failure::Failure;
use crate::keys::{Keys, TABLES};
use crate::mistake::{Line, Located, Mistake, list};
use crate::place::Place;
use crate::uses::Uses;

/// The chosen keys, and the source of the destination.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    /// The name of the stage, if its keys are chosen.
    pub(crate) stage: Option<&'a str>,
    /// The chosen keys.
    pub(crate) keys: Keys,
    /// Texts that no output may show.
    pub(crate) secrets: BTreeSet<String>,
    named_by: NamedBy<'a>,
}

/// The source of the destination.
#[derive(Debug)]
enum NamedBy<'a> {
    /// `--target`
    Target(&'a OsStr),
    /// The keys of a table.
    Table(Table<'a>),
}

/// A table of the config (a stage, or the top), and the keys of the command line, which replace its own.
#[derive(Debug, Clone, Copy)]
struct Table<'a> {
    /// Nothing if there is no config: then all keys are those of the command line.
    config: Option<&'a Config>,
    /// Nothing for the keys at the top.
    stage: Option<(&'a str, &'a Section)>,
    set: &'a Section,
}

impl<'a> Choice<'a> {
    /// Chooses the keys for a place. `set` are the keys of the command line.
    pub(crate) fn make(
        place: &'a Place,
        uses: Uses,
        config: Option<&'a Config>,
        set: &'a Section,
    ) -> Result<Choice<'a>, Failure> {
        let target = place.target.as_deref();
        let table = Table::of_place(place, config, set)?;
        table.check_variables(uses)?;
        let (stage, keys, secrets) = (table.stage.map(|(name, _)| name), table.keys(), table.secrets());
        Ok(match target {
            // `current_path` belongs to the stage's deploy path, and `host_key` to its host.
            Some(target) => {
                let (current_path, host_key) = (set.keys.current_path.clone(), set.keys.host_key.clone());
                let keys = Keys { current_path, host_key, ..keys };
                Choice { stage, keys, secrets, named_by: NamedBy::Target(target) }
            }
            None => Choice { stage, keys, secrets, named_by: NamedBy::Table(table) },
        })
    }

    /// Returns the destination.
    pub(crate) fn destination(&self, environment: &Environment) -> Result<Destination, Failure> {
        match &self.named_by {
            NamedBy::Target(target) => destination::parse(target, environment),
            NamedBy::Table(table) => table.destination(&self.keys, environment),
        }
    }
}

/// The settings of a place as they are written, by their source.
pub(crate) struct Layers<'a> {
    /// The name of the stage, if there is one.
    pub(crate) stage: Option<&'a str>,
    /// The sections: an earlier one replaces keys of a later one.
    pub(crate) sections: Vec<(Layer, &'a Section)>,
}

/// The source of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// The command line.
    Flags,
    /// The stage.
    Stage,
    /// The top of the config.
    Top,
}

/// Returns the settings of a place as they are written.
pub(crate) fn layers<'a>(
    place: &'a Place,
    config: Option<&'a Config>,
    set: &'a Section,
) -> Result<Layers<'a>, Failure> {
    let table = Table::of_place(place, config, set)?;
    let stage = table.stage.map(|(_, section)| (Layer::Stage, section));
    let top = table.config.map(|config| (Layer::Top, &config.defaults));
    let sections = [Some((Layer::Flags, set)), stage, top].into_iter().flatten().collect();
    Ok(Layers { stage: table.stage.map(|(name, _)| name), sections })
}

fn no_target() -> Failure {
    Failure::usage("There is no target: no `--target`, and no `cutover.toml` here or above")
        .with_id(ErrorId::NoTarget)
        .hint("Name one with `--target DEST`, such as `--target /srv/site` or `--target deploy@web1:/srv/site`")
}

fn no_config(stage: &str) -> Failure {
    Failure::usage(format!("There is no stage `{stage}`: there is no `cutover.toml` here or above"))
        .with_id(ErrorId::Stage)
        .hint("Name the config with `--config FILE`, or the target alone with `--target DEST`")
}

impl<'a> Table<'a> {
    /// Chooses the table for a place.
    fn of_place(place: &'a Place, config: Option<&'a Config>, set: &'a Section) -> Result<Table<'a>, Failure> {
        let has_target = place.target.is_some();
        match (config, &place.stage) {
            (None, Some(stage)) => Err(no_config(stage)),
            (None, None) if !has_target && set.keys.deploy_path.is_none() => Err(no_target()),
            (None, None) => Ok(Table { config: None, stage: None, set }),
            (Some(config), Some(stage)) => Table::of_stage(config, stage, set),
            (Some(config), None) if has_target => Ok(Table { config: Some(config), stage: None, set }),
            (Some(config), None) => Table::the_only_one(config, set),
        }
    }

    fn of_stage(config: &'a Config, stage: &str, set: &'a Section) -> Result<Table<'a>, Failure> {
        let Some((name, section)) = config.stages.get_key_value(stage) else {
            let message = format!("There is no stage `{stage}` in `{}`", config.file.display());
            return Err(Failure::usage(message).with_id(ErrorId::Stage).hint(stages_hint(config)));
        };
        Ok(Table { config: Some(config), stage: Some((name, section)), set })
    }

    fn the_only_one(config: &'a Config, set: &'a Section) -> Result<Table<'a>, Failure> {
        let mut stages = config.stages.keys();
        let names_path = |section: &Section| section.keys.deploy_path.is_some() || section.keys.current_path.is_some();
        let has_path = names_path(&config.defaults) || names_path(set);
        match (stages.next(), stages.next()) {
            (Some(stage), None) => Table::of_stage(config, stage, set),
            (None, _) if has_path || config.defaults.notes.is_unusable("deploy_path") => {
                Ok(Table { config: Some(config), stage: None, set })
            }
            (None, _) => Err(Failure::usage(format!("`{}` names no target", config.file.display()))
                .with_id(ErrorId::NoTarget)
                .hint("Set `deploy_path` in it, or name a target with `--target DEST`")),
            (Some(_), Some(_)) => {
                let message = format!("No stage is named, and `{}` has several", config.file.display());
                Err(Failure::usage(message).with_id(ErrorId::Stage).hint(stages_hint(config)))
            }
        }
    }

    /// Returns the sections of the table: a later one is the default of an earlier one.
    fn sections(self) -> Vec<&'a Section> {
        let stage = self.stage.map(|(_, section)| section);
        [Some(self.set), stage, self.config.map(|config| &config.defaults)].into_iter().flatten().collect()
    }

    /// Returns the keys of the table, with the defaults behind a stage's own.
    fn keys(self) -> Keys {
        let with_defaults = |keys: Keys, section: &&Section| keys.with_defaults(&section.keys);
        self.sections().iter().fold(Keys::default(), with_defaults)
    }

    fn secrets(self) -> BTreeSet<String> {
        self.sections().into_iter().flat_map(|section| section.notes.secrets.iter().cloned()).collect()
    }

    /// Refuses a variable that is not set or has a wrong value, unless its key is not used or is replaced.
    fn check_variables(self, uses: Uses) -> Result<(), Failure> {
        let sections = self.sections();
        for (at, section) in sections.iter().enumerate().rev() {
            let is_replaced =
                |key: &str| !TABLES.contains(&key) && sections[..at].iter().any(|earlier| earlier.keys.has(key));
            let counts = |(key, _): &&(String, Mistake)| uses.key(key) && !is_replaced(key);
            if let Some((_, mistake)) = section.notes.unusable.iter().find(counts) {
                return Err(self.failure(mistake.clone()));
            }
        }
        Ok(())
    }

    fn failure(self, mistake: Mistake) -> Failure {
        mistake.failure(self.config.map_or(Path::new(""), |config| &config.file))
    }

    /// Returns the destination in the table's keys.
    fn destination(self, keys: &Keys, environment: &Environment) -> Result<Destination, Failure> {
        let path = &match (&keys.deploy_path, &keys.current_path) {
            (Some(path), _) => path.clone(),
            (None, Some(current)) => beside(current).ok_or_else(|| self.no_deploy_path())?,
            (None, None) => return Err(self.no_deploy_path()),
        };
        let at_path = |reason: String| self.failure(Mistake::new(path.line, format!("`deploy_path` {reason}")));
        let Some(host) = &keys.host else {
            self.check_hostless()?;
            let local = if path.value.starts_with('~') {
                destination::local(Path::new(&path.value), environment).map_err(at_path)?
            } else {
                let directory = match (path.line, self.config) {
                    (Line::Number(_), Some(config)) => &config.directory,
                    _ => &environment.directory,
                };
                absolute_from(directory, Path::new(&path.value))
            };
            return Ok(Destination::Local(local));
        };
        Ok(Destination::Ssh(SshDestination {
            user: keys.user.as_ref().map(|user| user.value.clone()),
            host: host.value.clone(),
            port: keys.port.as_ref().map(|port| port.value),
            path: destination::remote_path(&path.value).map_err(at_path)?,
        }))
    }

    fn no_deploy_path(self) -> Failure {
        let (what, line) = self.stage.map_or(("it has".into(), Line::Number(1)), |(name, section)| {
            (format!("the stage `{name}` has"), section.line)
        });
        let hint = "Set `deploy_path` to the directory on the server, such as `\"/srv/site\"`";
        self.failure(Mistake::new(line, format!("{what} no `deploy_path`")).hint(hint))
    }

    /// Refuses a table with a login but no host: without the host it would deploy to this machine.
    fn check_hostless(self) -> Result<(), Failure> {
        let defaults = self.config.map(|config| &config.defaults);
        let own = [Some(self.set), self.stage.map_or(defaults, |(_, section)| Some(section))];
        for keys in own.into_iter().flatten().map(|section| &section.keys) {
            let user = keys.user.as_ref().map(|user| ("user", user.line));
            let port = keys.port.as_ref().map(|port| ("port", port.line));
            let host_key = keys.host_key.as_ref().map(|key| ("host_key", key.line));
            if let Some((key, line)) = user.or(port).or(host_key) {
                let mistake = Mistake::new(line, format!("there is a `{key}` and no `host`"));
                let hint = format!("Set `host`, or remove `{key}` to deploy to this machine");
                return Err(self.failure(mistake.hint(hint)));
            }
        }
        Ok(())
    }
}

/// Returns the deploy path beside the link to the live release: `.NAME.cutover`.
fn beside(current: &Located<String>) -> Option<Located<String>> {
    let path = destination::beside(Path::new(&current.value))?;
    Some(Located { value: path.to_str()?.to_owned(), line: current.line })
}

fn stages_hint(config: &Config) -> String {
    match config.stages.len() {
        0 => "It has no stages: leave the word out, or write a table for it".into(),
        1 => format!("Its stage is {}", list(config.stages.keys().map(String::as_str))),
        _ => format!("Its stages are {}", list(config.stages.keys().map(String::as_str))),
    }
}
