//! Key files: the key in a file, and whether it can be used.
//!
//! | file | its public key |
//! |---|---|
//! | a private key of OpenSSH's format | in the file, unencrypted even if a passphrase locks the rest |
//! | a private key of another format | in the file with `.pub` behind its name |
//! | a public key | the file itself; the SSH agent has the private key |
//! | a certificate (`key-cert.pub`) | in the file, behind a random number |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine};

const ARMOR: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// The form of a key in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyForm {
    /// A private key that is not encrypted.
    Plain,
    /// A private key that needs a passphrase.
    Locked,
    /// A handle of a key on a FIDO token.
    Token,
    /// A public key: only an SSH agent can sign.
    Public,
}

/// The content of a key file.
#[derive(Debug, Clone)]
pub(super) struct KeyFile {
    /// The form of the key.
    pub(super) form: KeyForm,
    /// The public key, if it is known.
    pub(super) public: Option<Vec<u8>>,
}

impl KeyFile {
    /// Reads a key file, or the one with `.pub` behind its name if it does not exist.
    pub(super) fn read(path: &Path) -> io::Result<KeyFile> {
        let text = match fs::read(path) {
            Ok(content) => String::from_utf8_lossy(&content).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let public = Some(read_public(&with_suffix(path, ".pub")).map_err(|_| error)?);
                return Ok(KeyFile { form: KeyForm::Public, public });
            }
            Err(error) => return Err(error),
        };
        if let Some(public) = parse_public(&text) {
            return Ok(KeyFile { form: KeyForm::Public, public: Some(public) });
        }
        let private = PrivateKey::parse(&text);
        let beside = || read_public(&with_suffix(path, ".pub")).ok();
        let is_locked = private.as_ref().map_or_else(|| is_encrypted(&text), |private| private.is_locked);
        let public = private.map(|private| private.public).or_else(beside);
        let is_token = public.as_ref().is_some_and(|public| kind(public).starts_with("sk-"));
        let form = match (is_token, is_locked) {
            (true, _) => KeyForm::Token,
            (false, true) => KeyForm::Locked,
            (false, false) => KeyForm::Plain,
        };
        Ok(KeyFile { form, public })
    }
}

/// Returns the path of the certificate beside a key.
pub(super) fn certificate_beside(path: &Path) -> PathBuf {
    with_suffix(path, "-cert.pub")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Reads a public key or a certificate.
pub(super) fn read_public(path: &Path) -> io::Result<Vec<u8>> {
    parse_public(&fs::read_to_string(path)?).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse_public(text: &str) -> Option<Vec<u8>> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (name, key) = (words.next()?, BASE64_STANDARD.decode(words.next()?).ok()?);
        (kind(&key) == name).then_some(key)
    })
}

/// Returns the kind of a key or certificate, the first string in it.
pub(super) fn kind(key: &[u8]) -> String {
    let name = take_string(&mut &*key);
    name.map_or_else(|| "unknown".to_owned(), |name| crate::path::Shown(name).to_string())
}

/// Returns the key that a certificate certifies. A plain key is returned as it is.
pub(super) fn certified_key(key: &[u8]) -> Option<Vec<u8>> {
    let kind = kind(key);
    let Some(plain) = kind.strip_suffix("-cert-v01@openssh.com") else { return Some(key.to_owned()) };
    let (fields, suffix) = match plain {
        "ssh-ed25519" => (1, ""),
        "ssh-rsa" => (2, ""),
        "sk-ssh-ed25519" => (2, "@openssh.com"),
        "sk-ecdsa-sha2-nistp256" => (3, "@openssh.com"),
        plain if plain.starts_with("ecdsa-sha2-") => (2, ""),
        _ => return None,
    };
    let mut rest = key;
    take_string(&mut rest)?;
    let _nonce = take_string(&mut rest)?;
    let mut found = string(format!("{plain}{suffix}").as_bytes());
    for _ in 0..fields {
        found.extend(string(take_string(&mut rest)?));
    }
    Some(found)
}

/// Writes a public key or a certificate as a line.
pub(super) fn line(public: &[u8]) -> String {
    format!("{} {}", kind(public), BASE64_STANDARD.encode(public))
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let (string, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = behind;
    Some(string)
}

/// The unencrypted parts of a private key in OpenSSH's format.
struct PrivateKey {
    is_locked: bool,
    public: Vec<u8>,
}

impl PrivateKey {
    fn parse(text: &str) -> Option<PrivateKey> {
        let inside = text.split_once(ARMOR)?.1.split_once("-----END")?.0;
        let content = BASE64_STANDARD.decode(inside.split_ascii_whitespace().collect::<String>()).ok()?;
        let mut rest = content.strip_prefix(MAGIC)?;
        let cipher = take_string(&mut rest)?;
        let (_derivation, _options) = (take_string(&mut rest)?, take_string(&mut rest)?);
        let (_keys, mut rest) = rest.split_first_chunk::<4>()?;
        Some(PrivateKey { is_locked: cipher != b"none", public: take_string(&mut rest)?.to_owned() })
    }
}

/// Returns whether a private key of another format needs a passphrase.
fn is_encrypted(text: &str) -> bool {
    let is_marked = |line: &str| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED");
    text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.lines().any(is_marked)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn keygen(arguments: &[&str], path: &Path) {
        let output = Command::new("ssh-keygen").arg("-q").args(arguments).arg(path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    #[test]
    fn a_key_is_known_by_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let check = |kind: &str, format: &str, passphrase: &str, is_public_inside: bool| {
            let path = directory.path().join(format!("{kind}{format}{passphrase}"));
            keygen(&["-t", kind, "-m", format, "-N", passphrase, "-f"], &path);
            let beside = with_suffix(&path, ".pub");
            let public = read_public(&beside).unwrap();
            let expected = if passphrase.is_empty() { KeyForm::Plain } else { KeyForm::Locked };
            let read = KeyFile::read(&path).unwrap();
            assert_eq!((read.form, read.public.as_ref()), (expected, Some(&public)), "{kind} {format}");
            let read = KeyFile::read(&beside).unwrap();
            assert_eq!((read.form, read.public.as_ref()), (KeyForm::Public, Some(&public)), "{kind} {format}");
            fs::rename(&beside, directory.path().join("aside")).unwrap();
            let read = KeyFile::read(&path).unwrap();
            assert_eq!((read.form, read.public.is_some()), (expected, is_public_inside), "{kind} {format}");
            fs::rename(directory.path().join("aside"), &beside).unwrap();
            fs::remove_file(&path).unwrap();
            assert_eq!(KeyFile::read(&path).unwrap().form, KeyForm::Public);
        };
        for kind in ["ed25519", "ecdsa", "rsa"] {
            check(kind, "RFC4716", "", true);
            check(kind, "RFC4716", "secret", true);
        }
        for (kind, format) in [("rsa", "PEM"), ("ecdsa", "PEM"), ("ecdsa", "PKCS8")] {
            check(kind, format, "", false);
            check(kind, format, "secret", false);
        }
        let missing = KeyFile::read(&directory.path().join("nothing"));
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_certificate_is_about_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let authority = directory.path().join("authority");
        keygen(&["-t", "ed25519", "-N", "", "-f"], &authority);
        for kind in ["ed25519", "ecdsa", "rsa"] {
            let path = directory.path().join(kind);
            keygen(&["-t", kind, "-N", "", "-f"], &path);
            let public = with_suffix(&path, ".pub");
            keygen(&["-s", authority.to_str().unwrap(), "-I", "me"], &public);
            let certificate = read_public(&certificate_beside(&path)).unwrap();
            let public = read_public(&public).unwrap();
            assert_ne!(certificate, public);
            assert_eq!(certified_key(&certificate), Some(public.clone()));
            assert_eq!(certified_key(&public), Some(public));
        }
        assert_eq!(certified_key(b"\0\0\0\x20ssh-ed25519-cert-v01@openssh.com"), None);
    }

    #[test]
    fn what_is_no_key_has_none() {
        for text in
            ["", "ssh-ed25519", "ssh-ed25519 AAAA", "a b", ARMOR, "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END"]
        {
            assert!(parse_public(text).is_none() && PrivateKey::parse(text).is_none(), "{text}");
        }
    }
}
