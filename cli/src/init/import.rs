//! Translates the configuration of another tool into a draft.
//!
//! Nothing of it is run. Settings that stand in the file as they are (texts, numbers, lists) are read, and all else is
//! listed as not translated, with its file and line. So is a setting that Cutover would refuse. A file may come from
//! anywhere: its size, the depth of its brackets and the length of the list are bounded.

mod capistrano;
mod capistrano_scope;
mod capistrano_tasks;
mod commands;
mod deployer;
mod deployer_php;
mod deployer_yaml;
mod deployhq;
mod file;
pub(crate) mod imported;
mod literal;
mod php;
mod recipe;
mod ruby;
mod ruby_words;
mod script;
mod untranslated;
mod yaml;

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use self::imported::Imported;
use crate::failure::Failure;

/// The tool whose configuration is translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Origin {
    /// `config/deploy.rb`, `config/deploy/*.rb` and `Capfile`
    Capistrano,
    /// `deploy.php` or `deploy.yaml`
    Deployer,
    /// `.deploybuild.yaml`, and JSON of its API or its command `dhq`
    Deployhq,
}

impl Origin {
    /// Returns the name for people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Origin::Capistrano => "Capistrano",
            Origin::Deployer => "Deployer",
            Origin::Deployhq => "DeployHQ",
        }
    }
}

/// Reads the named files, or those of the tool in a directory.
pub(crate) fn read(origin: Origin, named: &[PathBuf], directory: &Path) -> Result<Imported, Failure> {
    let mut imported = match origin {
        Origin::Capistrano => capistrano::read(named, directory),
        Origin::Deployer => deployer::read(named, directory),
        Origin::Deployhq => deployhq::read(named, directory),
    }?;
    imported.draft = untranslated::checked(imported.draft);
    Ok(imported)
}
