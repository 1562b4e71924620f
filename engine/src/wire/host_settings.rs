//! What `ssh_config` and the command line come to for one host: raw values become settings here, once.
//!
//! A keyword is never ignored silently: where it is not obeyed here, [`Standing`] says why, and whether the system's
//! `ssh` must take over.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::target::{Reach, SshDestination};
use crate::wire::ssh_config::{self, Source, Value, Values};
use crate::wire::standing::Standing;

const SYSTEM_CONFIG: &str = "/etc/ssh/ssh_config";
const SYSTEM_DIRECTORY: &str = "/etc/ssh";

/// A keyword that the built-in transport does not know, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    /// The keyword, as it was written.
    pub(super) keyword: String,
    /// The file.
    pub(super) file: PathBuf,
}

impl Need {
    fn new(value: &Value) -> Need {
        Need { keyword: value.keyword.clone(), file: value.file.clone() }
    }

    /// Makes the error that says so.
    pub(super) fn into_error(self) -> Error {
        Error::NeedsOpenssh { keyword: self.keyword, file: self.file }
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
    /// The name or address to connect to.
    pub(super) host_name: String,
    pub(super) port: u16,
    pub(super) user: String,
    /// The key files to try, in order.
    pub(super) identity_files: Vec<PathBuf>,
    /// Whether they were named, rather than the usual ones.
    pub(super) identities_named: bool,
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
    pub(super) connect_timeout: Option<Duration>,
    pub(super) alive_interval: Option<Duration>,
    pub(super) alive_maximum: Option<u32>,
    pub(super) family: Family,
    /// `BatchMode`, where it is set.
    pub(super) batch_mode: Option<bool>,
    /// What only the system's `ssh` can do, from the start.
    pub(super) needs_openssh: Option<Need>,
    /// What it can do when the built-in login is refused.
    pub(super) login_aid: Option<Need>,
}

impl HostSettings {
    /// Resolves the settings of a destination.
    pub(super) fn resolve(destination: &SshDestination, reach: &Reach) -> Result<HostSettings, Error> {
        let values = ssh_config::read(&sources(reach), &destination.host, &reach.home)?;
        Resolver::new(destination, reach, &values)?.settings()
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

/// Turns values into settings; its fields are also what tokens stand for.
struct Resolver<'a> {
    destination: &'a SshDestination,
    reach: &'a Reach,
    values: &'a Values,
    host_name: String,
    port: u16,
    user: String,
    /// A value that only the system's `ssh` can expand.
    unexpanded: Option<Need>,
}

impl<'a> Resolver<'a> {
    fn new(destination: &'a SshDestination, reach: &'a Reach, values: &'a Values) -> Result<Resolver<'a>, Error> {
        let port = match (destination.port, values.get("port")) {
            (Some(port), _) => port,
            (None, Some(value)) => number(value)?,
            (None, None) => 22,
        };
        let configured_user = values.get("user").map(|value| value.first().to_owned());
        let mut resolver = Resolver {
            destination,
            reach,
            values,
            host_name: destination.host.clone(),
            port,
            user: destination.user.clone().or(configured_user).unwrap_or_else(|| reach.user.clone()),
            unexpanded: None,
        };
        if let Some(value) = values.get("hostname") {
            // `%h` is here the name that the user wrote, and later the one that came of it.
            if let Some(host_name) = resolver.expand(value, value.first()) {
                resolver.host_name = host_name;
            }
        }
        Ok(resolver)
    }

    fn settings(mut self) -> Result<HostSettings, Error> {
        let values = self.values;
        let (identity_files, identities_named) = self.identity_files();
        let agent = self.agent();
        let user_known_hosts = self.files("userknownhostsfile", &["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]);
        let system = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];
        let global_known_hosts = self.files("globalknownhostsfile", &system);
        Ok(HostSettings {
            identity_files,
            identities_named,
            identities_only: values.get("identitiesonly").map(yes_or_no).transpose()?.unwrap_or(false),
            agent,
            user_known_hosts,
            global_known_hosts,
            strictness: values.get("stricthostkeychecking").map_or(Ok(Strictness::Refuse), strictness)?,
            hash_known_hosts: values.get("hashknownhosts").map(yes_or_no).transpose()?.unwrap_or(false),
            known_as: self.known_as(),
            connect_timeout: values.get("connecttimeout").map(duration).transpose()?.flatten(),
            alive_interval: values.get("serveraliveinterval").map(duration).transpose()?.flatten(),
            alive_maximum: values.get("serveralivecountmax").map(number).transpose()?,
            family: values.get("addressfamily").map_or(Ok(Family::Any), family)?,
            batch_mode: values.get("batchmode").map(yes_or_no).transpose()?,
            needs_openssh: self.needs_openssh(),
            login_aid: self.first_of(Standing::LoginAid),
            host_name: self.host_name,
            port: self.port,
            user: self.user,
        })
    }

    fn needs_openssh(&self) -> Option<Need> {
        let unevaluated = self.values.unevaluated.as_ref().map(Need::new);
        unevaluated.or_else(|| self.unexpanded.clone()).or_else(|| self.first_of(Standing::NeedsOpenssh))
    }

    fn first_of(&self, wanted: Standing) -> Option<Need> {
        self.values
            .iter()
            .filter(|(keyword, value)| Standing::of(keyword, &value.arguments.join(" ")) == wanted)
            .find(|(_, value)| wanted != Standing::LoginAid || value.first() != "no")
            .map(|(_, value)| Need::new(value))
    }

    fn known_as(&self) -> String {
        match self.values.get("hostkeyalias") {
            Some(alias) => alias.first().to_ascii_lowercase(),
            None => known_name(&self.host_name, self.port),
        }
    }

    fn identity_files(&mut self) -> (Vec<PathBuf>, bool) {
        let usual = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"];
        if self.values.identity_files.is_empty() {
            return (usual.map(|path| self.home_path(path)).to_vec(), false);
        }
        let values = self.values;
        let named = values.identity_files.iter().filter(|value| value.first() != "none");
        (named.filter_map(|value| self.path(value, value.first())).collect(), true)
    }

    fn agent(&mut self) -> Option<PathBuf> {
        let Some(value) = self.values.get("identityagent") else {
            return self.reach.auth_sock.clone();
        };
        match value.first() {
            "none" => None,
            "SSH_AUTH_SOCK" => self.reach.auth_sock.clone(),
            path => self.path(value, path),
        }
    }

    fn files(&mut self, keyword: &str, usual: &[&str]) -> Vec<PathBuf> {
        match self.values.get(keyword) {
            None => usual.iter().map(|path| self.home_path(path)).collect(),
            Some(value) if value.first() == "none" => Vec::new(),
            Some(value) => value.arguments.iter().filter_map(|path| self.path(value, path)).collect(),
        }
    }

    fn home_path(&self, path: &str) -> PathBuf {
        match path.strip_prefix("~/") {
            Some(rest) => self.reach.home.join(rest),
            None => path.into(),
        }
    }

    fn path(&mut self, value: &Value, path: &str) -> Option<PathBuf> {
        let other_home = path.starts_with('~') && !path.starts_with("~/");
        if other_home || path.starts_with('$') {
            self.unexpanded.get_or_insert_with(|| Need::new(value));
            return None;
        }
        let path = self.expand(value, path)?;
        Some(self.home_path(&path))
    }

    /// Expands the tokens that this module knows; any other, and a variable, is for the system's `ssh`.
    fn expand(&mut self, value: &Value, text: &str) -> Option<String> {
        let expanded = self.try_expand(text);
        if expanded.is_none() {
            self.unexpanded.get_or_insert_with(|| Need::new(value));
        }
        expanded
    }

    fn try_expand(&self, text: &str) -> Option<String> {
        if text.contains("${") {
            return None;
        }
        let mut expanded = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                expanded.push(character);
                continue;
            }
            match characters.next()? {
                '%' => expanded.push('%'),
                'h' => expanded.push_str(&self.host_name),
                'n' => expanded.push_str(&self.destination.host),
                'p' => expanded.push_str(&self.port.to_string()),
                'r' => expanded.push_str(&self.user),
                'u' => expanded.push_str(&self.reach.user),
                'd' => expanded.push_str(self.reach.home.to_str()?),
                _ => return None,
            }
        }
        Some(expanded)
    }
}

/// Returns the name of a server as `known_hosts` has it.
pub(super) fn known_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    match port {
        22 => host,
        _ => format!("[{host}]:{port}"),
    }
}

fn number<N: std::str::FromStr>(value: &Value) -> Result<N, Error> {
    value.first().parse().map_err(|_| value.wrong(format!("`{}` is not a number that fits here", value.first())))
}

fn yes_or_no(value: &Value) -> Result<bool, Error> {
    match value.first().to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        other => Err(value.wrong(format!("`{other}` is neither `yes` nor `no`"))),
    }
}

fn strictness(value: &Value) -> Result<Strictness, Error> {
    match value.first().to_ascii_lowercase().as_str() {
        "yes" | "true" | "ask" => Ok(Strictness::Refuse),
        "accept-new" => Ok(Strictness::AcceptNew),
        "no" | "false" | "off" => Ok(Strictness::Off),
        other => Err(value.wrong(format!("`{other}` is none of `yes`, `ask`, `accept-new` and `no`"))),
    }
}

fn family(value: &Value) -> Result<Family, Error> {
    match value.first().to_ascii_lowercase().as_str() {
        "any" => Ok(Family::Any),
        "inet" => Ok(Family::Inet),
        "inet6" => Ok(Family::Inet6),
        other => Err(value.wrong(format!("`{other}` is none of `any`, `inet` and `inet6`"))),
    }
}

/// Reads `30`, `5m`, `1h30m`; `none` and `0` are no duration.
fn duration(value: &Value) -> Result<Option<Duration>, Error> {
    let text = value.first().to_ascii_lowercase();
    if text == "none" {
        return Ok(None);
    }
    let seconds = seconds(&text).ok_or_else(|| value.wrong(format!("`{text}` is not a time such as `30` or `5m`")))?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

fn seconds(text: &str) -> Option<u64> {
    let (mut total, mut digits) = (0_u64, String::new());
    for character in text.chars() {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        let unit = match character {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = digits.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(total)?;
        digits.clear();
    }
    match digits.as_str() {
        "" if text.is_empty() => None,
        "" => Some(total),
        rest => rest.parse::<u64>().ok()?.checked_add(total),
    }
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
        HostSettings::resolve(&destination, &reach)
    }

    #[test]
    fn a_host_without_configuration_gets_the_usual_settings() {
        let settings = resolve("", "Shop").unwrap();
        assert_eq!((settings.host_name.as_str(), settings.port, settings.user.as_str()), ("Shop", 22, "me"));
        assert_eq!(settings.known_as, "shop");
        assert_eq!(settings.identity_files[0], Path::new("/home/me/.ssh/id_ed25519"));
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
        assert_eq!(settings.host_name, "shop.example.com");
        assert_eq!(settings.known_as, "[shop.example.com]:2222");
        assert_eq!(
            settings.identity_files,
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
            let keyword = |need: Option<Need>| need.map(|need| need.keyword);
            assert_eq!(keyword(settings.needs_openssh).as_deref(), needs, "{config}");
            assert_eq!(keyword(settings.login_aid).as_deref(), aid, "{config}");
        };
        check("ProxyJump bastion", Some("ProxyJump"), None);
        check("ProxyJump none", None, None);
        check("ProxyCommand nc %h %p", Some("ProxyCommand"), None);
        check("Host other\nProxyJump bastion", None, None);
        check("Match exec true", Some("Match"), None);
        check("Ciphers aes128-ctr", Some("Ciphers"), None);
        check("NotInventedYet 1", Some("NotInventedYet"), None);
        check("ForwardAgent no\nForwardX11 yes", None, None);
        check("ForwardAgent yes", Some("ForwardAgent"), None);
        check("SendEnv LANG LC_*\nHashKnownHosts yes\nGSSAPIAuthentication yes", None, Some("GSSAPIAuthentication"));
        check("GSSAPIAuthentication no", None, None);
        check("ControlMaster auto\nControlPath ~/%C", None, Some("ControlMaster"));
        check("PubkeyAuthentication no", Some("PubkeyAuthentication"), None);
        check("PreferredAuthentications publickey,password", None, None);
        check("PreferredAuthentications gssapi-with-mic", Some("PreferredAuthentications"), None);
        check("IdentityFile ~/%C", Some("IdentityFile"), None);
        check("IdentityFile ~other/key", Some("IdentityFile"), None);
        check("IdentityAgent $OTHER", Some("IdentityAgent"), None);
        check("HostName ${HOST}", Some("HostName"), None);
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
