//! What `ssh_config` and the command line come to for one host: raw values become settings here, once.
//!
//! The values come from the system's `ssh`, or where there is none from the files. A keyword is never ignored silently:
//! where it is not obeyed, [`Standing`](super::standing::Standing) says why, and whether the system's `ssh` must take over.

use std::path::PathBuf;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::error::{Error, LoginError};
use crate::target::{Reach, Server, SshDestination};
use crate::wire::algorithms::Algorithms;
use crate::wire::evaluation::{self, Evaluated, Evaluation};
use crate::wire::resolver::Resolver;
use crate::wire::ssh_config::{self, Source, Value, Values};

const SYSTEM_CONFIG: &str = "/etc/ssh/ssh_config";
const SYSTEM_DIRECTORY: &str = "/etc/ssh";

/// What only the system's `ssh` can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need(String);

impl Need {
    pub(super) fn of(value: &Value) -> Need {
        match &value.place {
            Some((file, _)) => Need::keyword(&value.keyword, &file.display().to_string()),
            None => Need::keyword(&value.keyword, "ssh_config"),
        }
    }

    /// What a keyword in a file asks for.
    pub(super) fn keyword(keyword: &str, file: &str) -> Need {
        Need(format!("`{keyword}` in `{file}`"))
    }

    /// Something else.
    pub(super) fn other(what: impl Into<String>) -> Need {
        Need(what.into())
    }

    /// Makes the error that says so.
    pub(super) fn into_error(self) -> Error {
        Error::from(LoginError::NeedsOpenssh(self.0))
    }
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What to do about a host that `known_hosts` does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Refuse. `ask` is this too: nobody may be there to ask.
    Refuse,
    /// Add it, and refuse one that has changed.
    AcceptNew,
    /// Accept all.
    Off,
}

/// Which addresses to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Any,
    Inet,
    Inet6,
}

/// How to reach one host.
#[derive(Debug, Clone)]
pub(super) struct HostSettings {
    /// The name or address to connect to, and the name that the user wrote.
    pub(super) server: Server,
    pub(super) user: String,
    /// The key files to try, in order: private keys, or public ones that choose a key of the agent.
    pub(super) identity_files: Vec<IdentityFile>,
    /// Certificates that do not lie beside their key.
    pub(super) certificate_files: Vec<PathBuf>,
    /// Offer only those keys of the agent that are among the files.
    pub(super) identities_only: bool,
    /// The agent's socket.
    pub(super) agent: Option<PathBuf>,
    pub(super) user_known_hosts: Vec<PathBuf>,
    pub(super) global_known_hosts: Vec<PathBuf>,
    pub(super) strictness: Strictness,
    /// Names are hashed when they are added.
    pub(super) hash_known_hosts: bool,
    /// The name in `known_hosts`: `host`, `[host]:port`, or an alias.
    pub(super) known_as: String,
    /// The name without the port, which counts where the other is not known.
    pub(super) also_known_as: Option<String>,
    pub(super) algorithms: Algorithms,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) alive_interval: Option<Duration>,
    pub(super) alive_maximum: Option<u32>,
    pub(super) family: Family,
    /// Keywords that change what a session is, each with the value of a plain one.
    pub(super) overruled: Vec<(String, &'static str)>,
    /// What only the system's `ssh` can do, from the start.
    pub(super) needs_openssh: Option<Need>,
    /// What it can do when the built-in login is refused.
    pub(super) login_aid: Option<Need>,
}

/// A key file to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IdentityFile {
    pub(super) path: PathBuf,
    /// It is one that `ssh` tries unasked. That it does not exist is no news.
    pub(super) is_usual: bool,
}

/// The settings of a destination, while they are being found out.
pub(crate) struct Resolution<'a> {
    pub(super) destination: &'a SshDestination,
    pub(super) reach: &'a Reach,
    evaluation: Option<Evaluation>,
}

impl<'a> Resolution<'a> {
    /// Begins.
    pub(crate) fn start(destination: &'a SshDestination, reach: &'a Reach) -> Result<Resolution<'a>, Error> {
        Ok(Resolution { destination, reach, evaluation: Evaluation::start(destination, reach)? })
    }

    /// Waits for the settings.
    pub(super) fn finish(self, cancel: &Cancel) -> Result<HostSettings, Error> {
        let Resolution { destination, reach, evaluation } = self;
        match evaluation.map_or(Ok(Evaluated::Unavailable), |evaluation| evaluation.finish(cancel))? {
            Evaluated::Values(values) => HostSettings::evaluated(destination, reach, &values, cancel),
            Evaluated::Unavailable => HostSettings::read(destination, reach),
        }
    }
}

impl HostSettings {
    /// Makes them of what `ssh` says.
    fn evaluated(
        destination: &SshDestination,
        reach: &Reach,
        values: &Values,
        cancel: &Cancel,
    ) -> Result<HostSettings, Error> {
        let settings = Resolver::new(destination, reach, values, true)?.settings()?;
        if settings.needs_openssh.is_none() {
            return Ok(settings);
        }
        let defaults = evaluation::defaults(destination, cancel)?;
        Resolver::new(destination, reach, values, true)?.beside(defaults).settings()
    }

    /// Reads the files.
    fn read(destination: &SshDestination, reach: &Reach) -> Result<HostSettings, Error> {
        let values = ssh_config::read(&sources(reach), &destination.host, &reach.home)?;
        Resolver::new(destination, reach, &values, false)?.settings()
    }
}

fn sources(reach: &Reach) -> Vec<Source> {
    let user_directory = reach.home.join(".ssh");
    if let Some(path) = &reach.ssh_config {
        return vec![Source { path: path.clone(), include_directory: user_directory, required: true }];
    }
    vec![
        Source { path: user_directory.join("config"), include_directory: user_directory, required: false },
        Source { path: SYSTEM_CONFIG.into(), include_directory: SYSTEM_DIRECTORY.into(), required: false },
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn resolve(config: &str, host: &str) -> Result<HostSettings, Error> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        std::fs::write(&path, config).unwrap();
        let destination = SshDestination { user: None, host: host.into(), port: None, path: "/srv/shop".into() };
        let reach = Reach {
            ssh_config: Some(path),
            home: "/home/me".into(),
            user: "me".into(),
            auth_sock: Some("/run/agent".into()),
            ..Reach::default()
        };
        HostSettings::read(&destination, &reach)
    }

    #[test]
    fn a_host_without_configuration_gets_the_usual_settings() {
        let settings = resolve("", "Shop").unwrap();
        assert_eq!((settings.server.to_string().as_str(), settings.user.as_str()), ("`Shop`", "me"));
        assert_eq!(settings.known_as, "shop");
        assert_eq!(settings.identity_files[0].path, Path::new("/home/me/.ssh/id_ed25519"));
        assert_eq!(settings.user_known_hosts[0], Path::new("/home/me/.ssh/known_hosts"));
        assert_eq!(settings.agent.as_deref(), Some(Path::new("/run/agent")));
        assert_eq!(settings.strictness, Strictness::Refuse);
        assert_eq!((settings.needs_openssh, settings.login_aid), (None, None));
    }

    #[test]
    fn an_alias_resolves_to_all_that_its_block_says() {
        let config = "Host shop\n HostName %h.example.com\n Port 2222\n User deploy\n IdentityFile ~/.ssh/%r@%h:%p\n \
                      IdentityFile %d/other\n UserKnownHostsFile a ~/b\n StrictHostKeyChecking accept-new\n \
                      ConnectTimeout 1m30\n AddressFamily inet6\n IdentityAgent none\n";
        let settings = resolve(config, "shop").unwrap();
        assert_eq!(settings.server.to_string(), "`shop` (`shop.example.com` port 2222)");
        assert_eq!(settings.also_known_as.as_deref(), Some("shop.example.com"));
        assert_eq!(settings.known_as, "[shop.example.com]:2222");
        assert_eq!(
            settings.identity_files.iter().map(|file| file.path.as_path()).collect::<Vec<&Path>>(),
            [Path::new("/home/me/.ssh/deploy@shop.example.com:2222"), Path::new("/home/me/other")]
        );
        assert_eq!(settings.user_known_hosts, [Path::new("a"), Path::new("/home/me/b")]);
        assert_eq!(settings.strictness, Strictness::AcceptNew);
        assert_eq!(settings.connect_timeout, Some(Duration::from_secs(90)));
        assert_eq!(settings.family, Family::Inet6);
        assert_eq!(settings.agent, None);
        assert_eq!(settings.needs_openssh, None);
    }

    #[test]
    fn a_keyword_that_is_not_ours_needs_openssh() {
        let check = |config: &str, needs: Option<&str>, aid: Option<&str>| {
            let settings = resolve(config, "shop").unwrap();
            let names = |need: &Option<Need>, keyword: Option<&str>| match (need, keyword) {
                (Some(need), Some(keyword)) => need.to_string().starts_with(&format!("`{keyword}` in `/")),
                (need, keyword) => need.is_none() && keyword.is_none(),
            };
            assert!(names(&settings.needs_openssh, needs), "{config}: {:?}", settings.needs_openssh);
            assert!(names(&settings.login_aid, aid), "{config}: {:?}", settings.login_aid);
        };
        check("ProxyJump bastion", Some("ProxyJump"), None);
        check("ProxyJump none", None, None);
        check("ProxyCommand nc %h %p", Some("ProxyCommand"), None);
        check("Host other\nProxyJump bastion", None, None);
        check("Match exec true", Some("Match"), None);
        check("Include /tmp/[[:alpha:]]", Some("Include"), None);
        check("CanonicalizeHostname yes", Some("CanonicalizeHostname"), None);
        check("NotInventedYet 1", Some("NotInventedYet"), None);
        check("ForwardAgent yes\nForwardX11 yes", None, None);
        check("SendEnv LANG LC_*\nHashKnownHosts yes\nGSSAPIAuthentication yes", None, Some("GSSAPIAuthentication"));
        check("SendEnv LANG LC_*\nSendEnv TOKEN", Some("SendEnv"), None);
        check("GSSAPIAuthentication no", None, None);
        check("ControlMaster auto\nControlPath ~/%C", None, Some("ControlPath"));
        check("PubkeyAuthentication no", Some("PubkeyAuthentication"), None);
        check("PreferredAuthentications publickey,password", None, None);
        check("PreferredAuthentications gssapi-with-mic", Some("PreferredAuthentications"), None);
        check("IdentityFile ~/%C", Some("IdentityFile"), None);
        check("IdentityFile ~other/key", Some("IdentityFile"), None);
        check("IdentityAgent $OTHER", Some("IdentityAgent"), None);
        check("HostName ${HOST}", Some("HostName"), None);
    }

    #[test]
    fn what_changes_a_session_is_overruled() {
        let settings = resolve("StdinNull yes\nSessionType none\nRequestTTY no\nRemoteCommand top", "shop").unwrap();
        assert_eq!(settings.needs_openssh, None);
        let expected = [("StdinNull", "no"), ("SessionType", "default"), ("RemoteCommand", "none")];
        assert_eq!(settings.overruled, expected.map(|(keyword, plain)| (keyword.to_owned(), plain)));
    }

    #[test]
    fn a_value_that_makes_no_sense_is_refused_with_its_line() {
        let check = |config: &str, expected: &str| {
            let message = resolve(config, "shop").unwrap_err().to_string();
            assert!(message.ends_with(expected), "{message}");
        };
        check("\nPort ssh", "line 2: `ssh` is not a number that fits here");
        check("Port 65536", "line 1: `65536` is not a number that fits here");
        check("StrictHostKeyChecking maybe", "line 1: `maybe` is none of `yes`, `ask`, `accept-new` and `no`");
        check("ConnectTimeout 5x", "line 1: `5x` is not a time such as `30` or `5m`");
        check("IdentitiesOnly 1", "line 1: `1` is neither `yes` nor `no`");
    }

    #[test]
    fn a_host_key_alias_stands_in_known_hosts_without_a_port() {
        assert_eq!(resolve("HostKeyAlias Cluster\nPort 2222", "shop").unwrap().known_as, "cluster");
    }
}
