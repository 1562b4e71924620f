//! The algorithms that `ssh_config` allows, narrowed to those that libssh2 knows.

use ssh2::{MethodType, Session};

use crate::wire::ssh_config::matches_pattern;

/// A list of algorithms as `ssh_config` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AlgorithmList {
    /// All algorithms that both sides know.
    Any,
    /// These algorithms, the first one preferred.
    Only(Vec<String>),
    /// All algorithms but those that match one of these patterns.
    Without(Vec<String>),
}

/// The allowed algorithms, by their use.
#[derive(Debug, Clone)]
pub(super) struct Algorithms {
    pub(super) key_exchanges: AlgorithmList,
    pub(super) host_keys: AlgorithmList,
    pub(super) ciphers: AlgorithmList,
    pub(super) macs: AlgorithmList,
    /// The algorithms with which a key may sign a login.
    pub(super) signatures: AlgorithmList,
}

impl AlgorithmList {
    /// Parses a list. A list that only adds to the defaults allows everything.
    pub(super) fn parse(list: &str) -> AlgorithmList {
        let split = |list: &str| list.split(',').map(str::to_owned).collect();
        match list.as_bytes().first() {
            None | Some(b'+' | b'^') => AlgorithmList::Any,
            Some(b'-') => AlgorithmList::Without(split(&list[1..])),
            Some(_) => AlgorithmList::Only(split(list)),
        }
    }

    /// Returns the allowed ones of `known`, the preferred one first.
    pub(super) fn select_from(&self, known: &[&str]) -> Vec<String> {
        let known = known.iter().map(|&name| name.to_owned());
        match self {
            AlgorithmList::Any => known.collect(),
            AlgorithmList::Only(list) => {
                let known: Vec<String> = known.collect();
                let is_named = |pattern: &String, name: &String| matches_pattern(name, pattern);
                let mut found: Vec<String> = Vec::new();
                for pattern in list {
                    let named: Vec<String> = known
                        .iter()
                        .filter(|&name| is_named(pattern, name) && !found.contains(name))
                        .cloned()
                        .collect();
                    found.extend(named);
                }
                found
            }
            AlgorithmList::Without(patterns) => {
                known.filter(|name| !patterns.iter().any(|pattern| matches_pattern(name, pattern))).collect()
            }
        }
    }

    /// Returns whether a kind of key may sign with any of its algorithms.
    pub(super) fn allows_key(&self, kind: &str) -> bool {
        let ways: &[&str] = match kind {
            "ssh-rsa" => &["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"],
            "ssh-rsa-cert-v01@openssh.com" => &[
                "rsa-sha2-512-cert-v01@openssh.com",
                "rsa-sha2-256-cert-v01@openssh.com",
                "ssh-rsa-cert-v01@openssh.com",
            ],
            kind => &[kind],
        };
        !self.select_from(ways).is_empty()
    }
}

/// libssh2 knows none of the algorithms that are allowed for this use.
pub(super) struct NoCommonAlgorithm(pub(super) &'static str);

impl Algorithms {
    /// Sets the allowed algorithms on a session. `first` holds kinds of host key to ask for before others.
    pub(super) fn apply(&self, session: &Session, first: &[&str]) -> Result<(), NoCommonAlgorithm> {
        let uses = [
            ("key exchange", MethodType::Kex, &self.key_exchanges),
            ("cipher", MethodType::CryptCs, &self.ciphers),
            ("cipher", MethodType::CryptSc, &self.ciphers),
            ("MAC", MethodType::MacCs, &self.macs),
            ("MAC", MethodType::MacSc, &self.macs),
        ];
        for (name, method, allowed) in uses {
            if *allowed != AlgorithmList::Any {
                prefer(session, method, &allowed.select_from(&known(session, method)))
                    .ok_or(NoCommonAlgorithm(name))?;
            }
        }
        let kinds = self.host_keys.select_from(&known(session, MethodType::HostKey));
        prefer(session, MethodType::HostKey, &order_host_keys(kinds, first))
            .ok_or(NoCommonAlgorithm("kind of host key"))?;
        if self.signatures != AlgorithmList::Any {
            // Only RSA keys have several signature algorithms; the others are checked by their kind.
            let ways = self.signatures.select_from(&["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"]);
            prefer(session, MethodType::SignAlgo, &ways).unwrap_or_default();
        }
        Ok(())
    }
}

fn known(session: &Session, method: MethodType) -> Vec<&'static str> {
    session.supported_algs(method).unwrap_or_default()
}

fn prefer(session: &Session, method: MethodType, names: &[String]) -> Option<()> {
    if names.is_empty() { None } else { session.method_pref(method, &names.join(",")).ok() }
}

/// Puts the kinds in order, without certificates: a server that has one would show it instead of its key, and only
/// the system's `ssh` can check a certificate.
fn order_host_keys(kinds: Vec<String>, first: &[&str]) -> Vec<String> {
    let is_first = |name: &str| {
        // An RSA key signs with three algorithms, and has the name of the oldest.
        let kind = if name.starts_with("rsa-sha2-") { "ssh-rsa" } else { name };
        first.contains(&kind)
    };
    let plain = kinds.into_iter().filter(|name| !name.contains("-cert-"));
    let (mut ordered, rest): (Vec<String>, Vec<String>) = plain.partition(|name| is_first(name));
    ordered.extend(rest);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_allows_what_it_names() {
        let check = |list: &str, expected: &[&str]| {
            assert_eq!(AlgorithmList::parse(list).select_from(&["a1", "a2", "b"]), expected, "{list}");
        };
        check("b,a1,c", &["b", "a1"]);
        check("a*", &["a1", "a2"]);
        check("c", &[]);
        check("+c", &["a1", "a2", "b"]);
        check("^b", &["a1", "a2", "b"]);
        check("-a*", &["b"]);
    }

    #[test]
    fn a_key_of_rsa_signs_in_three_ways() {
        let check = |list: &str, kind: &str, expected: bool| {
            assert_eq!(AlgorithmList::parse(list).allows_key(kind), expected, "{kind} by {list}");
        };
        check("ssh-ed25519,rsa-sha2-256", "ssh-rsa", true);
        check("ssh-ed25519", "ssh-rsa", false);
        check("ssh-ed25519", "ssh-ed25519", true);
        check("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com", false);
        check("-ssh-rsa", "ssh-rsa", true);
        check("-*rsa*", "ssh-rsa", false);
    }

    #[test]
    fn kinds_that_are_known_come_first_and_certificates_are_not_asked_for() {
        let kinds = ["ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"];
        let ordered = order_host_keys(kinds.map(str::to_owned).to_vec(), &["ssh-rsa"]);
        assert_eq!(ordered, ["rsa-sha2-512", "ssh-ed25519", "ecdsa-sha2-nistp256"]);
    }

    #[test]
    fn a_session_is_told_what_is_allowed() {
        let session = Session::new().unwrap();
        let allow = |key_exchanges: &str, ciphers: &str| Algorithms {
            key_exchanges: AlgorithmList::parse(key_exchanges),
            host_keys: AlgorithmList::Any,
            ciphers: AlgorithmList::parse(ciphers),
            macs: AlgorithmList::Any,
            signatures: AlgorithmList::Any,
        };
        assert!(allow("sntrup761x25519-sha512,curve25519-sha256", "aes128-ctr").apply(&session, &[]).is_ok());
        let refused = allow("curve25519-sha256", "twofish").apply(&session, &[]);
        assert!(matches!(refused, Err(NoCommonAlgorithm("cipher"))));
    }
}
