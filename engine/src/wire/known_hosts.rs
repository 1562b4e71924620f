//! Checks a server's key against `known_hosts`.
//!
//! This module parses the lines itself: libssh2 knows no patterns, no `@revoked` and no certificate authorities, and
//! drops the lines that it does not know. Only hashed names are left to libssh2: they are HMAC-SHA1, which would need
//! a further library.
//!
//! A host that is listed with any key must show one of its keys. A key of a kind that is not listed counts as
//! changed: the session asks for the listed kinds first, so a server that still had one of them would have shown it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine};
use ssh2::{CheckResult, KnownHostFileKind, Session};

use crate::disk::{self, TextFile};
use crate::error::Error;
use crate::host_key::HostKey;
use crate::wire::key_file::kind;
use crate::wire::ssh_config::matches_list;

/// The entries of the files for one server.
#[derive(Debug, Default)]
pub(super) struct KnownHost {
    /// The keys that the server may show.
    keys: Vec<KnownKey>,
    /// The keys that are listed under its name without the port. They count if there are no others.
    plain: Vec<KnownKey>,
    /// The keys that the server must not show.
    revoked: Vec<KnownKey>,
    /// The file with a certificate authority for the server, which only the system's `ssh` can check.
    pub(super) authority: Option<PathBuf>,
}

/// A key in `known_hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownKey {
    /// `ssh-ed25519`, `ssh-rsa` …
    pub(super) algorithm: String,
    /// The key in base64.
    text: String,
    /// The file that lists the key.
    pub(super) file: PathBuf,
}

/// The result of the check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The key is listed.
    Known,
    /// The server is not listed.
    Unknown,
    /// This file lists another key.
    Changed(PathBuf),
    /// This file lists the key as revoked.
    Revoked(PathBuf),
}

impl KnownHost {
    /// Reads the files, and skips those that do not exist. `plain` is the name without the port, if the port is not
    /// 22.
    pub(super) fn read<'a>(
        files: impl IntoIterator<Item = &'a PathBuf>,
        name: &str,
        plain: Option<&str>,
    ) -> Result<KnownHost, Error> {
        let mut known = KnownHost::default();
        for file in files {
            match fs::read(file) {
                Ok(content) => known.add_file(file, &String::from_utf8_lossy(&content), name, plain),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("read", file, error)),
            }
        }
        Ok(known)
    }

    /// Returns pinned keys as the only ones that the server may show.
    pub(super) fn pinned(keys: &[HostKey]) -> KnownHost {
        let key = |key: &HostKey| KnownKey {
            algorithm: key.algorithm().to_owned(),
            text: key.base64(),
            file: PathBuf::new(),
        };
        KnownHost { keys: keys.iter().map(key).collect(), ..KnownHost::default() }
    }

    /// Returns the kinds of the listed keys.
    pub(super) fn kinds(&self) -> Vec<&str> {
        let keys = if self.keys.is_empty() { &self.plain } else { &self.keys };
        keys.iter().map(|key| key.algorithm.as_str()).collect()
    }

    /// Returns whether no key is listed.
    pub(super) fn is_empty(&self) -> bool {
        self.kinds().is_empty()
    }

    fn add_file(&mut self, file: &Path, content: &str, name: &str, plain: Option<&str>) {
        for line in content.lines() {
            let mut words = line.split_ascii_whitespace().peekable();
            let marker = words.next_if(|word| word.starts_with('@'));
            let (Some(names), Some(algorithm), Some(text)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let is_full = names_match(names, name);
            if names.starts_with('#') || !(is_full || plain.is_some_and(|plain| names_match(names, plain))) {
                continue;
            }
            let key = KnownKey { algorithm: algorithm.to_owned(), text: text.to_owned(), file: file.to_owned() };
            match marker {
                None if is_full => self.keys.push(key),
                None => self.plain.push(key),
                Some("@revoked") => self.revoked.push(key),
                Some("@cert-authority") => self.authority = Some(file.to_owned()),
                // OpenSSH also skips a line with an unknown marker.
                Some(_) => {}
            }
        }
    }

    /// Checks the key that the server showed. A key that is listed without the port is known. Another key listed
    /// without the port proves nothing, as it may belong to another server.
    pub(super) fn check(&self, key: &[u8]) -> Verdict {
        let text = BASE64_STANDARD.encode(key);
        let same = |known: &&KnownKey| known.text == text;
        if let Some(revoked) = self.revoked.iter().find(same) {
            return Verdict::Revoked(revoked.file.clone());
        }
        match (self.keys.iter().find(same), self.keys.first()) {
            (Some(_), _) => Verdict::Known,
            (None, Some(other)) => Verdict::Changed(other.file.clone()),
            (None, None) if self.plain.iter().any(|known| known.text == text) => Verdict::Known,
            (None, None) => Verdict::Unknown,
        }
    }
}

fn names_match(names: &str, name: &str) -> bool {
    if names.starts_with("|1|") {
        return hashed_name_matches(names, name);
    }
    let names: Vec<String> = names.split(',').map(str::to_ascii_lowercase).collect();
    matches_list(name, &names)
}

/// Asks libssh2 whether a hashed name matches. The key on the line does not matter.
fn hashed_name_matches(hashed: &str, name: &str) -> bool {
    let line = format!("{hashed} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA");
    let known = Session::new().and_then(|session| session.known_hosts());
    let Ok(mut known) = known else {
        return false;
    };
    known.read_str(&line, KnownHostFileKind::OpenSSH).is_ok()
        && matches!(known.check(name, b"another key"), CheckResult::Match | CheckResult::Mismatch)
}

/// Adds a line for a new server.
pub(super) fn add(file: &Path, name: &str, key: &[u8]) -> Result<(), Error> {
    let failed = |error| Error::io("write", file, error);
    if let Some(parent) = file.parent() {
        disk::create_private_path(parent)?;
    }
    let output = TextFile::open(file)?;
    let line = format!("{name} {} {}\n", kind(key), BASE64_STANDARD.encode(key));
    // One write, so that two deploys that start together do not mix their lines.
    output.add(&line).map_err(failed)
}

/// Returns a fingerprint as `ssh-keygen -l` prints it.
pub(super) fn fingerprint(sha256: &[u8]) -> String {
    format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(sha256))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x03abc";
    const OTHER: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x03abd";

    fn known(content: &str, name: &str) -> KnownHost {
        let mut known = KnownHost::default();
        let plain = name.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(host, _)| host);
        known.add_file(Path::new("known_hosts"), content, name, plain);
        known
    }

    #[test]
    fn a_server_is_found_by_name_pattern_and_port() {
        let check = |names: &str, name: &str, expected: bool| {
            let line = format!("{names} ssh-ed25519 {} comment", BASE64_STANDARD.encode(KEY));
            let expected = if expected { Verdict::Known } else { Verdict::Unknown };
            assert_eq!(known(&line, name).check(KEY), expected, "{names} for {name}");
        };
        check("shop", "shop", true);
        check("Shop,10.0.0.1", "shop", true);
        check("shop,10.0.0.1", "10.0.0.1", true);
        check("shop", "[shop]:2222", true);
        check("sho", "[shop]:2222", false);
        check("[shop]:22", "[shop]:2222", false);
        check("[shop]:2222", "[shop]:2222", true);
        check("[shop]:2222", "shop", false);
        check("*.example.com,!db.example.com", "web.example.com", true);
        check("*.example.com,!db.example.com", "db.example.com", false);
        check("#shop", "shop", false);
    }

    #[test]
    fn a_hashed_name_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("known_hosts");
        fs::write(&file, format!("[shop]:2222 ssh-ed25519 {}\n", BASE64_STANDARD.encode(KEY))).unwrap();
        let hashed = std::process::Command::new("ssh-keygen").arg("-Hf").arg(&file).output().unwrap();
        assert!(hashed.status.success(), "{hashed:?}");
        let content = fs::read_to_string(&file).unwrap();
        assert!(content.starts_with("|1|"), "{content}");
        assert_eq!(known(&content, "[shop]:2222").check(KEY), Verdict::Known);
        assert_eq!(known(&content, "[shop]:2223").check(KEY), Verdict::Unknown);
        assert_eq!(known(&content, "shop").check(KEY), Verdict::Unknown);
        fs::write(&file, format!("shop ssh-ed25519 {}\n", BASE64_STANDARD.encode(KEY))).unwrap();
        assert!(std::process::Command::new("ssh-keygen").arg("-Hf").arg(&file).output().unwrap().status.success());
        assert_eq!(known(&fs::read_to_string(&file).unwrap(), "[shop]:2222").check(KEY), Verdict::Known);
    }

    #[test]
    fn another_key_is_a_change_and_a_revoked_one_is_refused() {
        let (key, other) = (BASE64_STANDARD.encode(KEY), BASE64_STANDARD.encode(OTHER));
        let file = PathBuf::from("known_hosts");
        let changed = known(&format!("shop ssh-ed25519 {other}"), "shop");
        assert_eq!(changed.check(KEY), Verdict::Changed(file.clone()));
        let both = known(&format!("shop ssh-ed25519 {other}\nshop ssh-ed25519 {key}"), "shop");
        assert_eq!(both.check(KEY), Verdict::Known);
        let revoked = known(&format!("@revoked * ssh-ed25519 {key}\nshop ssh-ed25519 {key}"), "shop");
        assert_eq!(revoked.check(KEY), Verdict::Revoked(file.clone()));
        let authority = known(&format!("@cert-authority *.com ssh-ed25519 {key}"), "shop.com");
        assert_eq!(authority.authority, Some(file));
        assert_eq!(authority.check(KEY), Verdict::Unknown);
    }

    #[test]
    fn a_name_without_the_port_counts_where_the_other_is_not_known() {
        let (key, other) = (BASE64_STANDARD.encode(KEY), BASE64_STANDARD.encode(OTHER));
        let check = |content: String, expected: Verdict| {
            assert_eq!(known(&content, "[shop]:2222").check(KEY), expected, "{content}");
        };
        let file = PathBuf::from("known_hosts");
        check(format!("shop ssh-ed25519 {key}"), Verdict::Known);
        check(format!("shop ssh-ed25519 {other}"), Verdict::Unknown);
        check(format!("shop ssh-ed25519 {key}\n[shop]:2222 ssh-ed25519 {other}"), Verdict::Changed(file.clone()));
        check(format!("shop ssh-ed25519 {key}\n@revoked shop ssh-ed25519 {key}"), Verdict::Revoked(file));
        assert_eq!(known(&format!("shop ssh-rsa {other}"), "[shop]:2222").kinds(), ["ssh-rsa"]);
    }

    #[test]
    fn a_new_server_gets_a_line_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("made/known_hosts");
        add(&file, "shop", KEY).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), format!("shop ssh-ed25519 {}\n", BASE64_STANDARD.encode(KEY)));
        fs::write(&file, "no newline").unwrap();
        add(&file, "shop", KEY).unwrap();
        assert!(fs::read_to_string(&file).unwrap().starts_with("no newline\nshop ssh-ed25519 "));
        assert_eq!(KnownHost::read([&file], "shop", None).unwrap().check(KEY), Verdict::Known);
    }
}
