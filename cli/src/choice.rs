//! Chooses the keys for a place, and the destination that they name.
//!
//! The keys are those of the named stage, or of the only one, or those at the top if there are no stages. A
//! `--target` uses the keys of a stage, or those at the top, and replaces the destination.

use std::ffi::OsStr;
use std::path::Path;

use engine::target::{Destination, SshDestination};

use crate::config::Config;
use crate::destination;
use crate::environment::{Environment, absolute_from};
use crate::failure::Failure;
use crate::keys::Keys;
use crate::mistake::{Located, Mistake, list};
use crate::place::Place;

/// The chosen keys, and the source of the destination.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    /// The name of the stage, if its keys are chosen.
    pub(crate) stage: Option<&'a str>,
    /// The chosen keys.
    pub(crate) keys: Keys,
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

/// A table of the config: a stage, or the top.
#[derive(Debug, Clone, Copy)]
struct Table<'a> {
    config: &'a Config,
    /// Nothing for the keys at the top.
    stage: Option<(&'a str, &'a Located<Keys>)>,
}

impl<'a> Choice<'a> {
    /// Chooses the keys for a place.
    pub(crate) fn make(place: &'a Place, config: Option<&'a Config>) -> Result<Choice<'a>, Failure> {
        let target = place.target.as_deref();
        let Some(config) = config else {
            return match (&place.stage, target) {
                (Some(stage), _) => Err(no_config(stage)),
                (None, Some(target)) => {
                    Ok(Choice { stage: None, keys: Keys::default(), named_by: NamedBy::Target(target) })
                }
                (None, None) => Err(no_target()),
            };
        };
        let table = match &place.stage {
            Some(stage) => Table::of_stage(config, stage)?,
            None if target.is_some() => Table { config, stage: None },
            None => Table::the_only_one(config)?,
        };
        let (stage, keys) = (table.stage.map(|(name, _)| name), table.keys());
        Ok(match target {
            // `current_path` belongs to the stage's deploy path, and must not be pointed at another one.
            Some(target) => {
                Choice { stage, keys: Keys { current_path: None, ..keys }, named_by: NamedBy::Target(target) }
            }
            None => Choice { stage, keys, named_by: NamedBy::Table(table) },
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

fn no_target() -> Failure {
    Failure::usage("There is no target: no `--target`, and no `cutover.toml` here or above")
        .hint("Name one with `--target DEST`, such as `--target /srv/site` or `--target deploy@web1:/srv/site`")
}

fn no_config(stage: &str) -> Failure {
    Failure::usage(format!("There is no stage `{stage}`: there is no `cutover.toml` here or above"))
        .hint("Name the config with `--config FILE`, or the target alone with `--target DEST`")
}

impl<'a> Table<'a> {
    fn of_stage(config: &'a Config, stage: &str) -> Result<Table<'a>, Failure> {
        let Some((name, keys)) = config.stages.get_key_value(stage) else {
            let message = format!("There is no stage `{stage}` in `{}`", config.file.display());
            return Err(Failure::usage(message).hint(stages_hint(config)));
        };
        Ok(Table { config, stage: Some((name, keys)) })
    }

    fn the_only_one(config: &'a Config) -> Result<Table<'a>, Failure> {
        let mut stages = config.stages.keys();
        match (stages.next(), stages.next()) {
            (Some(stage), None) => Table::of_stage(config, stage),
            (None, _) if config.defaults.deploy_path.is_some() => Ok(Table { config, stage: None }),
            (None, _) => Err(Failure::usage(format!("`{}` names no target", config.file.display()))
                .hint("Set `deploy_path` in it, or name a target with `--target DEST`")),
            (Some(_), Some(_)) => {
                let message = format!("No stage is named, and `{}` has several", config.file.display());
                Err(Failure::usage(message).hint(stages_hint(config)))
            }
        }
    }

    /// Returns the keys in the table itself.
    fn own(self) -> &'a Keys {
        self.stage.map_or(&self.config.defaults, |(_, keys)| &keys.value)
    }

    /// Returns the keys of the table, with the defaults behind a stage's own.
    fn keys(self) -> Keys {
        if self.stage.is_none() {
            return self.own().clone();
        }
        self.own().clone().with_defaults(&self.config.defaults)
    }

    /// Returns the destination in the table's keys.
    fn destination(self, keys: &Keys, environment: &Environment) -> Result<Destination, Failure> {
        let config = self.config;
        let path = keys.deploy_path.as_ref().ok_or_else(|| self.no_deploy_path())?;
        let at_path = |reason: String| {
            config.mistake(Mistake { line: path.line, reason: format!("`deploy_path` {reason}"), hint: None })
        };
        let Some(host) = &keys.host else {
            self.check_hostless()?;
            let local = if path.value.starts_with('~') {
                destination::local(Path::new(&path.value), environment).map_err(at_path)?
            } else {
                absolute_from(&config.directory, Path::new(&path.value))
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
        let (what, line) =
            self.stage.map_or(("it has".into(), 1), |(name, keys)| (format!("the stage `{name}` has"), keys.line));
        self.config.mistake(Mistake {
            line,
            reason: format!("{what} no `deploy_path`"),
            hint: Some("Set `deploy_path` to the directory on the server, such as `\"/srv/site\"`".into()),
        })
    }

    /// Refuses a table with a login but no host: without the host it would deploy to this machine.
    fn check_hostless(self) -> Result<(), Failure> {
        let own = self.own();
        let user = own.user.as_ref().map(|user| ("user", user.line));
        let port = own.port.as_ref().map(|port| ("port", port.line));
        match user.or(port) {
            None => Ok(()),
            Some((key, line)) => Err(self.config.mistake(Mistake {
                line,
                reason: format!("there is a `{key}` and no `host`"),
                hint: Some(format!("Set `host`, or remove `{key}` to deploy to this machine")),
            })),
        }
    }
}

fn stages_hint(config: &Config) -> String {
    match config.stages.len() {
        0 => "It has no stages: leave the word out, or write a table for it".into(),
        1 => format!("Its stage is {}", list(config.stages.keys().map(String::as_str))),
        _ => format!("Its stages are {}", list(config.stages.keys().map(String::as_str))),
    }
}
