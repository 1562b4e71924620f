//! Resolves the settings of a host: reading `ssh_config` begins early, and its values become settings when they are
//! needed.
//!
//! The values come from the system's `ssh`, which reads its files itself while the scan runs. On a system without
//! `ssh` they come from the files.

use crate::cancel::Cancel;
use crate::error::Error;
use crate::target::{Reach, SshDestination};
use crate::wire::evaluation::{self, Evaluation, SshAnswer};
use crate::wire::host_settings::HostSettings;
use crate::wire::resolver::Resolver;
use crate::wire::ssh_config::{self, Source, Values};

const SYSTEM_CONFIG: &str = "/etc/ssh/ssh_config";
const SYSTEM_DIRECTORY: &str = "/etc/ssh";

/// The settings of a destination while they are resolved.
pub(crate) struct Resolution<'a> {
    pub(super) destination: &'a SshDestination,
    pub(super) reach: &'a Reach,
    evaluation: Option<Evaluation>,
}

impl<'a> Resolution<'a> {
    /// Starts to read `ssh_config`.
    pub(crate) fn start(destination: &'a SshDestination, reach: &'a Reach) -> Result<Resolution<'a>, Error> {
        Ok(Resolution { destination, reach, evaluation: Evaluation::start(destination, reach)? })
    }

    /// Waits for the settings.
    pub(super) fn finish(self, cancel: &Cancel) -> Result<HostSettings, Error> {
        let Resolution { destination, reach, evaluation } = self;
        match evaluation.map_or(Ok(SshAnswer::Unavailable), |evaluation| evaluation.finish(cancel))? {
            SshAnswer::Values(values) => settings_of_ssh(destination, reach, &values, cancel),
            SshAnswer::Unavailable => settings_of_files(destination, reach),
        }
    }
}

/// Makes the settings from the values of `ssh`.
fn settings_of_ssh(
    destination: &SshDestination,
    reach: &Reach,
    values: &Values,
    cancel: &Cancel,
) -> Result<HostSettings, Error> {
    let settings = Resolver::new(destination, reach, values, true)?.settings()?;
    if settings.openssh.need.is_none() {
        return Ok(settings);
    }
    let defaults = evaluation::defaults(destination, cancel)?;
    Resolver::new(destination, reach, values, true)?.with_defaults(defaults).settings()
}

/// Makes the settings from the files.
fn settings_of_files(destination: &SshDestination, reach: &Reach) -> Result<HostSettings, Error> {
    let values = ssh_config::read(&sources(reach), &destination.host, &reach.home)?;
    Resolver::new(destination, reach, &values, false)?.settings()
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
    use std::time::Duration;

    use super::*;
    use crate::wire::host_settings::{Family, Method, Need, Strictness};

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
        settings_of_files(&destination, &reach)
    }

    #[test]
    fn a_host_without_configuration_gets_the_usual_settings() {
        let settings = resolve("", "Shop").unwrap();
        assert_eq!((settings.server.to_string().as_str(), settings.user.as_str()), ("`Shop`", "me"));
        assert_eq!(settings.known.name, "shop");
        assert_eq!(settings.login.identity_files[0].path, Path::new("/home/me/.ssh/id_ed25519"));
        assert_eq!(settings.known.user_files[0], Path::new("/home/me/.ssh/known_hosts"));
        assert_eq!(settings.login.agent.as_deref(), Some(Path::new("/run/agent")));
        assert_eq!(settings.known.strictness, Strictness::Refuse);
        assert_eq!((settings.openssh.need, settings.openssh.login_aid), (None, None));
    }

    #[test]
    fn an_alias_resolves_to_all_that_its_block_says() {
        let config = "Host shop\n HostName %h.example.com\n Port 2222\n User deploy\n IdentityFile ~/.ssh/%r@%h:%p\n \
                      IdentityFile %d/other\n UserKnownHostsFile a ~/b\n StrictHostKeyChecking accept-new\n \
                      ConnectTimeout 1m30\n AddressFamily inet6\n IdentityAgent none\n";
        let settings = resolve(config, "shop").unwrap();
        assert_eq!(settings.server.to_string(), "`shop` (`shop.example.com` port 2222)");
        assert_eq!(settings.known.plain_name.as_deref(), Some("shop.example.com"));
        assert_eq!(settings.known.name, "[shop.example.com]:2222");
        assert_eq!(
            settings.login.identity_files.iter().map(|file| file.path.as_path()).collect::<Vec<&Path>>(),
            [Path::new("/home/me/.ssh/deploy@shop.example.com:2222"), Path::new("/home/me/other")]
        );
        assert_eq!(settings.known.user_files, [Path::new("a"), Path::new("/home/me/b")]);
        assert_eq!(settings.known.strictness, Strictness::AcceptNew);
        assert_eq!(settings.line.connect_timeout, Some(Duration::from_secs(90)));
        assert_eq!(settings.line.family, Family::Inet6);
        assert_eq!(settings.login.agent, None);
        assert_eq!(settings.openssh.need, None);
    }

    #[test]
    fn a_keyword_that_is_not_ours_needs_openssh() {
        let check = |config: &str, needs: Option<&str>, aid: Option<&str>| {
            let settings = resolve(config, "shop").unwrap();
            let names = |need: &Option<Need>, keyword: Option<&str>| match (need, keyword) {
                (Some(need), Some(keyword)) => need.to_string().starts_with(&format!("`{keyword}` in `/")),
                (need, keyword) => need.is_none() && keyword.is_none(),
            };
            assert!(names(&settings.openssh.need, needs), "{config}: {:?}", settings.openssh.need);
            assert!(names(&settings.openssh.login_aid, aid), "{config}: {:?}", settings.openssh.login_aid);
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
        check("PreferredAuthentications publickey,password", None, None);
        check("PreferredAuthentications gssapi-with-mic", Some("PreferredAuthentications"), None);
        check("IdentityFile ~/%C", Some("IdentityFile"), None);
        check("IdentityFile ~other/key", Some("IdentityFile"), None);
        check("IdentityAgent $OTHER", Some("IdentityAgent"), None);
        check("HostName ${HOST}", Some("HostName"), None);
    }

    #[test]
    fn the_ways_to_log_in_are_those_that_the_configuration_allows() {
        let check = |config: &str, methods: &[Method], may_ask: bool, tries: u32| {
            let login = resolve(config, "shop").unwrap().login;
            assert_eq!((&*login.methods, login.may_ask, login.tries), (methods, may_ask, tries), "{config}");
        };
        use Method::{KeyboardInteractive, Password, PublicKey};
        check("", &[PublicKey, KeyboardInteractive, Password], true, 3);
        check("BatchMode yes\nNumberOfPasswordPrompts 1", &Method::ALL, false, 1);
        check("PasswordAuthentication no", &[PublicKey, KeyboardInteractive], true, 3);
        check("KbdInteractiveAuthentication no", &[PublicKey, Password], true, 3);
        check("ChallengeResponseAuthentication no", &[PublicKey, Password], true, 3);
        check("PubkeyAuthentication no", &[KeyboardInteractive, Password], true, 3);
        check("PubkeyAuthentication host-bound", &Method::ALL, true, 3);
        check("PreferredAuthentications password,gssapi-with-mic,publickey", &[Password, PublicKey], true, 3);
    }

    #[test]
    fn what_changes_a_session_is_overruled() {
        let settings = resolve("StdinNull yes\nSessionType none\nRequestTTY no\nRemoteCommand top", "shop").unwrap();
        assert_eq!(settings.openssh.need, None);
        let expected = [("StdinNull", "no"), ("SessionType", "default"), ("RemoteCommand", "none")];
        assert_eq!(settings.openssh.overruled, expected.map(|(keyword, plain)| (keyword.to_owned(), plain)));
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
        assert_eq!(resolve("HostKeyAlias Cluster\nPort 2222", "shop").unwrap().known.name, "cluster");
    }
}
