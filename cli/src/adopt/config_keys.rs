//! The keys of the config that name an adopted site and its deploy path.

use std::path::{Path, PathBuf};

use crate::destination;
use crate::toml_string::toml_string;

/// The place of a site, as the settings have it before the adoption.
pub(super) struct ConfiguredPlace {
    /// The deploy path: a key of its own, the default beside the link, or the path of `--target`.
    pub(super) deploy_path: PathBuf,
    /// The path of the link.
    pub(super) current_path: Option<PathBuf>,
    /// Whether `--target` named the deploy path, and not the stage.
    pub(super) is_of_target: bool,
}

impl ConfiguredPlace {
    /// Returns the keys that the stage lacks after the adoption. The default of `deploy_path` needs no key.
    pub(super) fn missing_keys(&self, site: &str, deploy_path: &str) -> Vec<ConfigKey> {
        let (site_path, new_path) = (Path::new(site), Path::new(deploy_path));
        let has_current = self.current_path.as_deref() == Some(site_path);
        let is_default = has_current && destination::beside(site_path).as_deref() == Some(new_path);
        let mut keys = Vec::new();
        if self.deploy_path != new_path && !is_default {
            let of_link = self.current_path.as_deref().and_then(destination::beside);
            let is_there = !self.is_of_target && of_link.as_ref() != Some(&self.deploy_path);
            keys.push(ConfigKey { name: "deploy_path", value: deploy_path.to_owned(), is_there });
        }
        if !has_current {
            let is_there = self.current_path.is_some();
            keys.push(ConfigKey { name: "current_path", value: site.to_owned(), is_there });
        }
        keys
    }
}

/// A key that the stage needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConfigKey {
    name: &'static str,
    value: String,
    /// Whether the stage has the key, with another value.
    is_there: bool,
}

impl ConfigKey {
    /// Returns the line for the config, which says whether it replaces another.
    pub(super) fn line(&self) -> String {
        let (name, value) = (self.name, toml_string(&self.value));
        match self.is_there {
            true => format!("  {name} = {value}  # replaces the line `{name}` that is there\n"),
            false => format!("  {name} = {value}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_the_stage_has_is_replaced_and_not_added() {
        let lines = |deploy_path: &str, current_path: Option<&str>, is_of_target| {
            let (deploy_path, current_path) = (PathBuf::from(deploy_path), current_path.map(PathBuf::from));
            let place = ConfiguredPlace { deploy_path, current_path, is_of_target };
            place.missing_keys("/srv/x", "/srv/.x.cutover").iter().map(ConfigKey::line).collect::<String>()
        };
        let (path, link) = ("  deploy_path = \"/srv/.x.cutover\"", "  current_path = \"/srv/x\"\n");
        let replaced = format!("{path}  # replaces the line `deploy_path` that is there\n");
        assert_eq!(lines("/srv/x", None, false), format!("{replaced}{link}"));
        assert_eq!(lines("/srv/x", None, true), format!("{path}\n{link}"));
        assert_eq!(lines("/srv/.x.cutover", None, false), link);
        assert_eq!(lines("/srv/.x.cutover", Some("/srv/x"), false), "");
    }
}
