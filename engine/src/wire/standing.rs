//! What each keyword of `ssh_config` means to the built-in transport.
//!
//! A keyword is one of four things: obeyed; without effect on a deploy; a way to log in that only the system's `ssh`
//! knows, which matters only once the built-in login is refused (Debian sets `GSSAPIAuthentication yes` for every
//! host); or a reason to use the system's `ssh` from the start. One that is not in this table is of the last kind.

/// What a keyword means to the built-in transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is obeyed.
    Obeyed,
    /// It has no effect on a deploy.
    WithoutEffect,
    /// It is a way to log in, which matters once the built-in login was refused.
    LoginAid,
    /// Only the system's `ssh` can do it.
    NeedsOpenssh,
}

impl Standing {
    /// Judges a keyword, in lowercase, by the value that counts.
    pub(super) fn of(keyword: &str, value: &str) -> Standing {
        use Standing::{LoginAid, NeedsOpenssh, Obeyed, WithoutEffect};
        let value = value.to_ascii_lowercase();
        let unless = |harmless: &[&str]| {
            if harmless.contains(&value.as_str()) { WithoutEffect } else { NeedsOpenssh }
        };
        match keyword {
            "hostname"
            | "port"
            | "user"
            | "identitiesonly"
            | "userknownhostsfile"
            | "globalknownhostsfile"
            | "stricthostkeychecking"
            | "hostkeyalias"
            | "hashknownhosts"
            | "connecttimeout"
            | "serveraliveinterval"
            | "serveralivecountmax"
            | "addressfamily"
            | "identityagent"
            | "batchmode" => Obeyed,
            // Without public keys, there is nothing that the built-in transport could log in with.
            "pubkeyauthentication" => unless(&["yes", "unbound", "host-bound"]),
            "preferredauthentications" if value.split(',').any(|method| method == "publickey") => WithoutEffect,

            // About terminals, windows, forwarding to this machine, logs and questions: a deploy has none of them.
            "enableescapecommandline"
            | "escapechar"
            | "exitonforwardfailure"
            | "fingerprinthash"
            | "forwardx11"
            | "forwardx11timeout"
            | "forwardx11trusted"
            | "gatewayports"
            | "localforward"
            | "dynamicforward"
            | "loglevel"
            | "logverbose"
            | "syslogfacility"
            | "numberofpasswordprompts"
            | "obscurekeystroketiming"
            | "requesttty"
            | "streamlocalbindmask"
            | "streamlocalbindunlink"
            | "visualhostkey"
            | "xauthlocation" => WithoutEffect,
            // The agent on the server looks at no variable but `TMPDIR`, and works with any.
            "sendenv" | "setenv" => WithoutEffect,
            // It is for logins; a command given replaces it.
            "remotecommand" => WithoutEffect,
            // What is sent is compressed already.
            "compression" => WithoutEffect,
            // The socket is kept alive over SSH instead, and has no type of service set.
            "tcpkeepalive" | "ipqos" => WithoutEffect,
            // It would only add to `known_hosts` what the server also has.
            "updatehostkeys" => WithoutEffect,
            // Nothing that needs a passphrase is loaded, so there is nothing to add.
            "addkeystoagent" | "usekeychain" => WithoutEffect,
            // These mean something only together with a keyword that has its own line here.
            "canonicaldomains"
            | "canonicalizefallbacklocal"
            | "canonicalizemaxdots"
            | "canonicalizepermittedcnames"
            | "localcommand"
            | "proxyusefdpass"
            | "tunneldevice"
            | "protocol" => WithoutEffect,

            "certificatefile"
            | "challengeresponseauthentication"
            | "controlmaster"
            | "controlpath"
            | "controlpersist"
            | "enablesshkeysign"
            | "gssapiauthentication"
            | "gssapiclientidentity"
            | "gssapidelegatecredentials"
            | "gssapiserveridentity"
            | "gssapitrustdns"
            | "hostbasedauthentication"
            | "kbdinteractiveauthentication"
            | "kbdinteractivedevices"
            | "passwordauthentication"
            | "pkcs11provider"
            | "securitykeyprovider" => LoginAid,

            "proxyjump" | "proxycommand" | "knownhostscommand" => unless(&["none"]),
            "canonicalizehostname"
            | "checkhostip"
            | "forwardagent"
            | "gssapikeyexchange"
            | "nohostauthenticationforlocalhost"
            | "permitlocalcommand"
            | "tunnel"
            | "verifyhostkeydns" => unless(&["no", "false"]),
            _ => NeedsOpenssh,
        }
    }
}
