//! The meaning of each keyword of `ssh_config` for a deploy: the one table.
//!
//! | support | the built-in transport | the system's `ssh` |
//! |---|---|---|
//! | `Obeyed` | obeys the keyword | obeys it |
//! | `WithoutEffect` | has no use for it: terminals, windows, logs | obeys it |
//! | `Overruled` | always opens a plain session | gets the value of a plain session |
//! | `LoginAid` | ignores it; if the login is refused, the system's `ssh` tries | obeys it |
//! | `Evaluated` | cannot do it, but `ssh -G` has done it already | obeys it |
//! | `NeedsOpenssh` | is not used, unless the value is harmless | obeys it |
//!
//! A keyword that is not in the table needs the system's `ssh`, so a new keyword of OpenSSH is safe by default.
//!
//! Debian sets `GSSAPIAuthentication yes` for every host. If a login aid required the system's `ssh` from the start,
//! the built-in transport would never be used there.

/// The meaning of a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeywordSupport {
    /// The built-in transport obeys it.
    Obeyed,
    /// It has no effect on a deploy.
    WithoutEffect,
    /// It changes the kind of session. A deploy needs a plain session, which has this value.
    Overruled(&'static str),
    /// It is a way to log in, which matters only after the built-in login was refused.
    LoginAid,
    /// `ssh -G` has already applied it. Without `ssh` nothing can.
    Evaluated,
    /// Only the system's `ssh` can do it.
    NeedsOpenssh,
}

use KeywordSupport::{Evaluated, LoginAid, NeedsOpenssh, Obeyed, Overruled, WithoutEffect};

const OFF: &[&str] = &["no", "false", "none"];
const NEVER: &[&str] = &[];

/// A line of the table: the keyword as the manual writes it, the values with which it has no effect, and its meaning
/// with any other value.
type Line = (&'static str, &'static [&'static str], KeywordSupport);

const TABLE: &[Line] = &[
    // Where the server is, and who logs in.
    ("HostName", NEVER, Obeyed),
    ("Port", NEVER, Obeyed),
    ("User", NEVER, Obeyed),
    ("AddressFamily", NEVER, Obeyed),
    ("ConnectTimeout", NEVER, Obeyed),
    ("ConnectionAttempts", &["1"], NeedsOpenssh),
    ("BindAddress", OFF, NeedsOpenssh),
    ("BindInterface", OFF, NeedsOpenssh),
    ("ProxyCommand", &["none"], NeedsOpenssh),
    ("ProxyJump", &["none"], NeedsOpenssh),
    ("ServerAliveInterval", NEVER, Obeyed),
    ("ServerAliveCountMax", NEVER, Obeyed),
    ("TCPKeepAlive", NEVER, WithoutEffect),
    ("IPQoS", NEVER, WithoutEffect),
    ("ProxyUseFdpass", NEVER, WithoutEffect),
    ("CanonicalizeHostname", OFF, Evaluated),
    ("CanonicalDomains", NEVER, WithoutEffect),
    ("CanonicalizeFallbackLocal", NEVER, WithoutEffect),
    ("CanonicalizeMaxDots", NEVER, WithoutEffect),
    ("CanonicalizePermittedCNAMEs", NEVER, WithoutEffect),
    // Which server it is.
    ("UserKnownHostsFile", NEVER, Obeyed),
    ("GlobalKnownHostsFile", NEVER, Obeyed),
    ("StrictHostKeyChecking", NEVER, Obeyed),
    ("HostKeyAlias", NEVER, Obeyed),
    ("HashKnownHosts", NEVER, Obeyed),
    ("UpdateHostKeys", NEVER, WithoutEffect),
    ("CASignatureAlgorithms", NEVER, WithoutEffect),
    ("CheckHostIP", OFF, NeedsOpenssh),
    ("KnownHostsCommand", OFF, NeedsOpenssh),
    ("NoHostAuthenticationForLocalhost", OFF, NeedsOpenssh),
    ("RevokedHostKeys", OFF, NeedsOpenssh),
    ("VerifyHostKeyDNS", OFF, NeedsOpenssh),
    ("RequiredRSASize", &["1024"], NeedsOpenssh),
    // How both sides speak.
    ("Ciphers", NEVER, Obeyed),
    ("HostKeyAlgorithms", NEVER, Obeyed),
    ("KexAlgorithms", NEVER, Obeyed),
    ("MACs", NEVER, Obeyed),
    ("Compression", NEVER, WithoutEffect),
    ("RekeyLimit", &["0 0", "default", "default none"], NeedsOpenssh),
    ("Protocol", &["2"], NeedsOpenssh),
    ("WarnWeakCrypto", NEVER, WithoutEffect),
    ("VersionAddendum", OFF, NeedsOpenssh),
    // Who the user is.
    ("IdentityFile", NEVER, Obeyed),
    ("IdentitiesOnly", NEVER, Obeyed),
    ("IdentityAgent", NEVER, Obeyed),
    ("CertificateFile", NEVER, Obeyed),
    ("PubkeyAcceptedAlgorithms", NEVER, Obeyed),
    ("PubkeyAcceptedKeyTypes", NEVER, Obeyed),
    ("PubkeyAuthentication", NEVER, Obeyed),
    ("PreferredAuthentications", NEVER, NeedsOpenssh),
    ("BatchMode", NEVER, Obeyed),
    ("NumberOfPasswordPrompts", NEVER, Obeyed),
    ("PasswordAuthentication", NEVER, Obeyed),
    ("KbdInteractiveAuthentication", NEVER, Obeyed),
    ("ChallengeResponseAuthentication", NEVER, Obeyed),
    ("KbdInteractiveDevices", NEVER, WithoutEffect),
    ("AddKeysToAgent", NEVER, WithoutEffect),
    ("UseKeychain", NEVER, WithoutEffect),
    ("SecurityKeyProvider", NEVER, WithoutEffect),
    ("ControlMaster", NEVER, WithoutEffect),
    ("ControlPersist", NEVER, WithoutEffect),
    ("ControlPath", OFF, LoginAid),
    ("GSSAPIAuthentication", OFF, LoginAid),
    ("GSSAPIClientIdentity", NEVER, WithoutEffect),
    ("GSSAPIDelegateCredentials", NEVER, WithoutEffect),
    ("GSSAPIKexAlgorithms", NEVER, WithoutEffect),
    ("GSSAPIRenewalForcesRekey", NEVER, WithoutEffect),
    ("GSSAPIServerIdentity", NEVER, WithoutEffect),
    ("GSSAPITrustDns", NEVER, WithoutEffect),
    ("GSSAPIKeyExchange", OFF, NeedsOpenssh),
    ("HostbasedAuthentication", OFF, LoginAid),
    ("HostbasedAcceptedAlgorithms", NEVER, WithoutEffect),
    ("HostbasedKeyTypes", NEVER, WithoutEffect),
    ("EnableSSHKeysign", NEVER, WithoutEffect),
    ("PKCS11Provider", OFF, LoginAid),
    ("SmartcardDevice", OFF, LoginAid),
    // What a session is, and what comes with it.
    ("RemoteCommand", NEVER, Overruled("none")),
    ("RequestTTY", NEVER, Overruled("no")),
    ("SessionType", NEVER, Overruled("default")),
    ("StdinNull", NEVER, Overruled("no")),
    ("ForkAfterAuthentication", NEVER, Overruled("no")),
    ("PermitLocalCommand", NEVER, Overruled("no")),
    ("LocalCommand", NEVER, WithoutEffect),
    ("Tunnel", NEVER, Overruled("no")),
    ("TunnelDevice", NEVER, WithoutEffect),
    ("ForwardAgent", NEVER, Overruled("no")),
    ("ForwardX11", NEVER, Overruled("no")),
    ("ForwardX11Timeout", NEVER, WithoutEffect),
    ("ForwardX11Trusted", NEVER, WithoutEffect),
    ("ClearAllForwardings", NEVER, Overruled("yes")),
    ("DynamicForward", NEVER, WithoutEffect),
    ("LocalForward", NEVER, WithoutEffect),
    ("RemoteForward", NEVER, WithoutEffect),
    ("PermitRemoteOpen", NEVER, WithoutEffect),
    ("ExitOnForwardFailure", NEVER, WithoutEffect),
    ("GatewayPorts", NEVER, WithoutEffect),
    ("StreamLocalBindMask", NEVER, WithoutEffect),
    ("StreamLocalBindUnlink", NEVER, WithoutEffect),
    ("ChannelTimeout", OFF, Overruled("none")),
    ("SendEnv", LOCALE, NeedsOpenssh),
    ("SetEnv", NEVER, NeedsOpenssh),
    // What is shown to a person.
    ("LogLevel", NEVER, Overruled("INFO")),
    ("LogVerbose", OFF, Overruled("none")),
    ("SyslogFacility", NEVER, WithoutEffect),
    ("EnableEscapeCommandline", NEVER, WithoutEffect),
    ("EscapeChar", NEVER, WithoutEffect),
    ("FingerprintHash", NEVER, WithoutEffect),
    ("ObscureKeystrokeTiming", NEVER, WithoutEffect),
    ("VisualHostKey", NEVER, WithoutEffect),
    ("XAuthLocation", NEVER, WithoutEffect),
    ("IgnoreUnknown", NEVER, WithoutEffect),
    ("Tag", NEVER, WithoutEffect),
    ("RefuseConnection", NEVER, NeedsOpenssh),
];

/// Variables that systems send by default: languages and colours, which the agent does not use.
const LOCALE: &[&str] = &["lang", "language", "lc_*", "xmodifiers", "term", "colorterm", "no_color"];

impl KeywordSupport {
    /// Returns the support of a keyword, in any case, with this value.
    pub(super) fn of(keyword: &str, value: &str) -> KeywordSupport {
        let Some((name, harmless, support)) = find(keyword) else { return NeedsOpenssh };
        let value = value.to_ascii_lowercase();
        let is_harmless = match *name {
            // The names of `host_settings::Method`.
            "PreferredAuthentications" => {
                value.split(',').any(|method| ["publickey", "keyboard-interactive", "password"].contains(&method))
            }
            // One pattern a word.
            "SendEnv" => value.split_ascii_whitespace().all(|word| harmless.contains(&word) || word.starts_with("lc_")),
            _ => harmless.contains(&value.as_str()),
        };
        if is_harmless { WithoutEffect } else { *support }
    }
}

fn find(keyword: &str) -> Option<&'static Line> {
    TABLE.iter().find(|(name, ..)| name.eq_ignore_ascii_case(keyword))
}

/// Returns a keyword as the manual writes it.
pub(super) fn spelling(keyword: &str) -> String {
    find(keyword).map_or(keyword, |(name, ..)| name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyword_stands_once_in_the_table() {
        for (at, (name, ..)) in TABLE.iter().enumerate() {
            assert!(TABLE[..at].iter().all(|(other, ..)| !other.eq_ignore_ascii_case(name)), "{name}");
        }
    }

    #[test]
    fn a_keyword_is_judged_by_its_value() {
        let check = |keyword: &str, value: &str, expected: KeywordSupport| {
            assert_eq!(KeywordSupport::of(keyword, value), expected, "{keyword} {value}");
        };
        check("port", "22", Obeyed);
        check("NotInventedYet", "1", NeedsOpenssh);
        check("proxyjump", "none", WithoutEffect);
        check("proxyjump", "bastion", NeedsOpenssh);
        check("stdinnull", "yes", Overruled("no"));
        check("sendenv", "LANG LC_*", WithoutEffect);
        check("sendenv", "LC_CTYPE", WithoutEffect);
        check("sendenv", "LANG MY_TOKEN", NeedsOpenssh);
        check("setenv", "A=b", NeedsOpenssh);
        check("rekeylimit", "0 0", WithoutEffect);
        check("rekeylimit", "1073741824 3600", NeedsOpenssh);
        check("preferredauthentications", "password,publickey", WithoutEffect);
        check("preferredauthentications", "password", WithoutEffect);
        check("preferredauthentications", "gssapi-with-mic,hostbased", NeedsOpenssh);
        check("GSSAPIAuthentication", "yes", LoginAid);
        check("GSSAPIAuthentication", "no", WithoutEffect);
        check("canonicalizehostname", "always", Evaluated);
    }

    /// The table knows every keyword that this system's `ssh` prints by default, and no default requires that `ssh`.
    #[test]
    fn a_host_without_configuration_needs_nothing() {
        let output = std::process::Command::new("ssh").args(["-G", "-T", "-F", "none", "--", "shop", "true"]).output();
        let output = output.expect("the tests need `ssh`");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("hostname shop\n"), "{text}");
        for line in text.lines() {
            let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
            if keyword != "host" {
                assert!(find(keyword).is_some(), "{line}");
                assert!(!matches!(KeywordSupport::of(keyword, value), NeedsOpenssh | LoginAid | Evaluated), "{line}");
            }
        }
    }
}
