//! The server and the deploy path of a new config: from `--target`, from answers on a terminal, or placeholders.

use std::ffi::OsStr;
use std::path::Path;

use engine::target::{Destination, SshDestination};

use super::draft::{Setting, StageDraft};
use crate::destination;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::question;

/// The host if nobody names one. It leads nowhere: the name is reserved for examples.
pub(crate) const HOST: &str = "web1.example.com";

/// The user if nobody names one.
const USER: &str = "deploy";

/// The server and the deploy path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    host: Option<String>,
    user: Option<String>,
    port: Option<u16>,
    /// The deploy path.
    pub(crate) path: String,
}

impl Place {
    /// Returns the place of `--target`.
    pub(crate) fn of_target(target: &OsStr, environment: &Environment) -> Result<Place, Failure> {
        Ok(match destination::parse(target, environment)? {
            Destination::Local(path) => Place { host: None, user: None, port: None, path: text(&path) },
            Destination::Ssh(SshDestination { user, host, port, path }) => {
                Place { host: Some(host), user, port, path: text(&path) }
            }
        })
    }

    /// Asks for the place.
    pub(crate) fn ask(app: &str) -> Result<Place, Failure> {
        let usual = Place::usual(app);
        let host = question::text("Server (a name, or an alias of ~/.ssh/config)", HOST, destination::check_host)?;
        let check_user = |user: &str| destination::check_word("user", user);
        let user = question::text("User to log in as, who owns the deploy path", USER, check_user)?;
        let check_path = |path: &str| destination::remote_path(path).map(drop);
        let path = question::text("Deploy path on the server", &usual.path, check_path)?;
        Ok(Place { host: Some(host), user: Some(user), path, ..usual })
    }

    /// Returns the place that is written if nobody names one.
    pub(crate) fn usual(app: &str) -> Place {
        Place { host: Some(HOST.into()), user: Some(USER.into()), port: None, path: format!("/srv/{app}") }
    }

    /// Returns the stage for the place.
    pub(crate) fn stage(&self, name: &str) -> StageDraft {
        let mut stage = StageDraft::new(name);
        let texts = [("host", &self.host), ("user", &self.user)];
        for (key, value) in texts {
            if let Some(value) = value {
                stage.set(Setting::new(key, value.as_str()));
            }
        }
        if let Some(port) = self.port {
            stage.set(Setting::new("port", i64::from(port)));
        }
        stage.set(Setting::new("deploy_path", self.path.as_str()));
        stage
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Returns the name of an application: the last part of a path, as far as it can name a directory and a service.
pub(crate) fn app_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let plain: String = name.chars().filter(|&c| c.is_ascii_alphanumeric() || "._-".contains(c)).collect();
    let plain = plain.trim_start_matches(['.', '-', '_']);
    if plain.is_empty() { "site".to_owned() } else { plain.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_has_a_name_that_is_one_plain_word() {
        let check = |path: &str, expected: &str| assert_eq!(app_name(Path::new(path)), expected, "{path}");
        check("/home/anna/shop", "shop");
        check("/srv/my shop!", "myshop");
        check("/srv/.hidden", "hidden");
        check("/", "site");
        check("/srv/日本", "site");
    }
}
