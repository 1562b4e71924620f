//! Turns the values of `ssh_config` into settings: defaults, tokens, paths, numbers.

use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;
use crate::server::Server;
use crate::target::{Reach, SshDestination};
use crate::wire::algorithms::{AlgorithmList, Algorithms};
use crate::wire::host_settings::{
    Family, HostSettings, IdentityFile, KnownSettings, LineSettings, LoginSettings, Method, Need, OpensshSettings,
    Strictness,
};
use crate::wire::keyword_support::KeywordSupport;
use crate::wire::ssh_config::{Value, Values};

/// The identities that `ssh` tries by default, in any of its versions.
const USUAL_IDENTITIES: [&str; 7] = [
    "~/.ssh/id_rsa",
    "~/.ssh/id_ecdsa",
    "~/.ssh/id_ecdsa_sk",
    "~/.ssh/id_ed25519",
    "~/.ssh/id_ed25519_sk",
    "~/.ssh/id_xmss",
    "~/.ssh/id_dsa",
];

/// The number of tries for an answer, as with `ssh`.
const TRIES: u32 = 3;

/// Turns values into settings. Its fields are also the values of tokens.
pub(super) struct Resolver<'a> {
    destination: &'a SshDestination,
    reach: &'a Reach,
    values: &'a Values,
    /// Whether the values come from `ssh -G`.
    is_evaluated: bool,
    /// The values of `ssh` for a host without configuration, if they were asked for.
    defaults: Values,
    host_name: String,
    port: u16,
    user: String,
    /// A value that only the system's `ssh` can expand.
    unexpanded: Option<Need>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(
        destination: &'a SshDestination,
        reach: &'a Reach,
        values: &'a Values,
        is_evaluated: bool,
    ) -> Result<Resolver<'a>, Error> {
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
            is_evaluated,
            defaults: Values::default(),
            host_name: destination.host.clone(),
            port,
            user: destination.user.clone().or(configured_user).unwrap_or_else(|| reach.user.clone()),
            unexpanded: None,
        };
        if let Some(value) = values.get("hostname") {
            // Here `%h` is the name that the user wrote; everywhere else it is the resolved name.
            let host_name = resolver.expand(value, value.first(), is_evaluated);
            resolver.host_name = host_name.unwrap_or(resolver.host_name);
        }
        Ok(resolver)
    }

    /// Sets the values of a host without configuration: a keyword with one of these values means nothing.
    pub(super) fn with_defaults(self, defaults: Values) -> Resolver<'a> {
        Resolver { defaults, ..self }
    }

    /// Returns the settings.
    pub(super) fn settings(mut self) -> Result<HostSettings, Error> {
        // Each of these may find a value that only the system's `ssh` can expand, so that need is computed last.
        let login = self.login()?;
        let known = self.known()?;
        let line = self.line()?;
        Ok(HostSettings {
            login,
            known,
            line,
            algorithms: self.algorithms(),
            openssh: self.openssh(),
            server: Server { name: self.destination.host.clone(), host_name: self.host_name, port: self.port },
            user: self.user,
        })
    }

    fn login(&mut self) -> Result<LoginSettings, Error> {
        Ok(LoginSettings {
            methods: self.methods()?,
            may_ask: !self.is_on("batchmode")?,
            tries: self.values.get("numberofpasswordprompts").map_or(Ok(TRIES), number)?,
            identity_files: self.identity_files(),
            certificate_files: self.named_paths("certificatefile"),
            identities_only: self.is_on("identitiesonly")?,
            agent: self.agent(),
        })
    }

    fn known(&mut self) -> Result<KnownSettings, Error> {
        let (name, plain_name) = self.known_as();
        let system = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];
        Ok(KnownSettings {
            user_files: self.files("userknownhostsfile", &["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]),
            global_files: self.files("globalknownhostsfile", &system),
            has_command: self.values.get("knownhostscommand").is_some(),
            strictness: self.values.get("stricthostkeychecking").map_or(Ok(Strictness::Refuse), strictness)?,
            hashes_names: self.is_on("hashknownhosts")?,
            name,
            plain_name,
        })
    }

    fn line(&self) -> Result<LineSettings, Error> {
        let values = self.values;
        Ok(LineSettings {
            family: values.get("addressfamily").map_or(Ok(Family::Any), family)?,
            connect_timeout: values.get("connecttimeout").map(duration).transpose()?.flatten(),
            alive_interval: values.get("serveraliveinterval").map(duration).transpose()?.flatten(),
            alive_maximum: values.get("serveralivecountmax").map(number).transpose()?,
        })
    }

    fn openssh(&self) -> OpensshSettings {
        let login_aid = self.support().find(|(support, _)| *support == KeywordSupport::LoginAid).map(|(_, need)| need);
        OpensshSettings { overruled: self.overruled(), need: self.need(), login_aid }
    }

    fn is_on(&self, keyword: &str) -> Result<bool, Error> {
        self.values.get(keyword).map_or(Ok(false), yes_or_no)
    }

    /// Returns the allowed ways to log in, in order.
    fn methods(&self) -> Result<Vec<Method>, Error> {
        let preferred = |value: &Value| {
            let words = value.first().split(',').map(str::trim);
            words.filter_map(|word| Method::ALL.into_iter().find(|method| method.name() == word)).collect()
        };
        let ordered: Vec<Method> =
            self.values.get("preferredauthentications").map_or_else(|| Method::ALL.to_vec(), preferred);
        let mut allowed = Vec::new();
        for method in ordered {
            if !allowed.contains(&method) && self.allows(method)? {
                allowed.push(method);
            }
        }
        Ok(allowed)
    }

    /// Returns whether the configuration allows a way to log in, as it does by default.
    fn allows(&self, method: Method) -> Result<bool, Error> {
        let keywords: &[&str] = match method {
            Method::PublicKey => &["pubkeyauthentication"],
            Method::KeyboardInteractive => &["kbdinteractiveauthentication", "challengeresponseauthentication"],
            Method::Password => &["passwordauthentication"],
        };
        let found = keywords.iter().find_map(|keyword| self.values.get(keyword));
        // Such a binding does not matter here: the login signs for the session in any case.
        let is_bound = |value: &&Value| ["unbound", "host-bound"].contains(&value.first());
        found.filter(|value| !is_bound(value)).map_or(Ok(true), yes_or_no)
    }

    /// Returns the reason that the built-in transport cannot be used at all.
    fn need(&self) -> Option<Need> {
        let unevaluated = self.values.unevaluated.as_ref().map(Need::of);
        let keyword = || self.support().find(|(support, _)| self.is_need(*support)).map(|(_, need)| need);
        unevaluated.or_else(|| self.unexpanded.clone()).or_else(keyword)
    }

    fn is_need(&self, support: KeywordSupport) -> bool {
        support == KeywordSupport::NeedsOpenssh || (support == KeywordSupport::Evaluated && !self.is_evaluated)
    }

    /// Iterates over the keywords whose value is no default of `ssh`, and their meaning.
    fn support(&self) -> impl Iterator<Item = (KeywordSupport, Need)> {
        self.values.iter().filter_map(|(keyword, value)| {
            let is_default = self.defaults.all(keyword).any(|other| other.arguments == value.arguments);
            (!is_default).then(|| (KeywordSupport::of(keyword, &value.arguments.join(" ")), Need::of(value)))
        })
    }

    fn overruled(&self) -> Vec<(String, &'static str)> {
        let plain = |(keyword, value): (&str, &Value)| match KeywordSupport::of(keyword, value.first()) {
            KeywordSupport::Overruled(plain) if !plain.eq_ignore_ascii_case(value.first()) => {
                Some((value.keyword.clone(), plain))
            }
            _ => None,
        };
        self.values.iter().filter_map(plain).collect()
    }

    fn algorithms(&self) -> Algorithms {
        let allowed =
            |keyword| self.values.get(keyword).map_or(AlgorithmList::Any, |value| AlgorithmList::parse(value.first()));
        Algorithms {
            key_exchanges: allowed("kexalgorithms"),
            host_keys: allowed("hostkeyalgorithms"),
            ciphers: allowed("ciphers"),
            macs: allowed("macs"),
            signatures: match allowed("pubkeyacceptedalgorithms") {
                AlgorithmList::Any => allowed("pubkeyacceptedkeytypes"),
                allowed => allowed,
            },
        }
    }

    fn known_as(&self) -> (String, Option<String>) {
        if let Some(alias) = self.values.get("hostkeyalias") {
            return (alias.first().to_ascii_lowercase(), None);
        }
        let plain = known_name(&self.host_name, 22);
        (known_name(&self.host_name, self.port), (self.port != 22).then_some(plain))
    }

    fn identity_files(&mut self) -> Vec<IdentityFile> {
        if self.values.get("identityfile").is_none() {
            let usual = ["~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"];
            return usual.map(|path| IdentityFile { path: self.home_path(path), is_usual: true }).to_vec();
        }
        let values = self.values;
        let named = values.all("identityfile").filter(|value| value.first() != "none");
        // `ssh -G` prints its default identities like the configured ones.
        let is_usual = |text: &str| self.is_evaluated && USUAL_IDENTITIES.contains(&text);
        let named: Vec<(&Value, bool)> = named.map(|value| (value, is_usual(value.first()))).collect();
        let found = named.into_iter().filter_map(|(value, is_usual)| {
            let path = self.path(value, value.first(), false)?;
            Some(IdentityFile { path, is_usual })
        });
        found.collect()
    }

    fn named_paths(&mut self, keyword: &str) -> Vec<PathBuf> {
        let values = self.values;
        let named = values.all(keyword).filter(|value| value.first() != "none");
        named.filter_map(|value| self.path(value, value.first(), false)).collect()
    }

    fn agent(&mut self) -> Option<PathBuf> {
        let Some(value) = self.values.get("identityagent") else {
            return self.reach.auth_sock.clone();
        };
        match value.first() {
            "none" => None,
            "SSH_AUTH_SOCK" | "$SSH_AUTH_SOCK" => self.reach.auth_sock.clone(),
            path => self.path(value, path, self.is_evaluated),
        }
    }

    fn files(&mut self, keyword: &str, usual: &[&str]) -> Vec<PathBuf> {
        match self.values.get(keyword) {
            None => usual.iter().map(|path| self.home_path(path)).collect(),
            Some(value) if value.first() == "none" => Vec::new(),
            Some(value) => {
                let paths = value.arguments.iter();
                paths.filter_map(|path| self.path(value, path, self.is_evaluated)).collect()
            }
        }
    }

    fn home_path(&self, path: &str) -> PathBuf {
        match path.strip_prefix("~/") {
            Some(rest) => self.reach.home.join(rest),
            None => path.into(),
        }
    }

    /// Expands a path. `ssh -G` has already expanded the paths of some keywords.
    fn path(&mut self, value: &Value, path: &str, is_expanded: bool) -> Option<PathBuf> {
        let other_home = path.starts_with('~') && !path.starts_with("~/");
        if other_home || path.starts_with('$') {
            self.unexpanded.get_or_insert_with(|| Need::of(value));
            return None;
        }
        let path = self.expand(value, path, is_expanded)?;
        Some(self.home_path(&path))
    }

    /// Expands the tokens that this module knows. Other tokens and variables need the system's `ssh`.
    fn expand(&mut self, value: &Value, text: &str, is_expanded: bool) -> Option<String> {
        let expanded = if is_expanded { Some(text.to_owned()) } else { self.try_expand(text) };
        if expanded.is_none() {
            self.unexpanded.get_or_insert_with(|| Need::of(value));
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

/// Returns the name of a server as `known_hosts` lists it.
fn known_name(host: &str, port: u16) -> String {
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

/// Parses `30`, `5m`, `1h30m`. `none` and `0` are no duration.
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
