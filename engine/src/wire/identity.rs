//! Identities: the key files of a login, each with its certificates.

use std::io;
use std::path::{Path, PathBuf};

use crate::wire::host_settings::{HostSettings, IdentityFile};
use crate::wire::key_file::{self, KeyFile, KeyForm, certificate_beside, certified_key};

/// A key file and its certificates.
pub(super) struct Identity {
    pub(super) path: PathBuf,
    pub(super) is_usual: bool,
    pub(super) read: io::Result<KeyFile>,
    pub(super) certificates: Vec<PathBuf>,
}

impl Identity {
    /// Returns the public key, if it is known.
    pub(super) fn public(&self) -> Option<&Vec<u8>> {
        self.read.as_ref().ok()?.public.as_ref()
    }

    /// Returns whether the key was read, and has this form.
    pub(super) fn has_form(&self, wanted: KeyForm) -> bool {
        self.read.as_ref().is_ok_and(|file| file.form == wanted)
    }
}

/// Reads the key files, the one named on the command line first, and finds their certificates.
pub(super) fn identities(settings: &HostSettings, named: Option<&Path>) -> Vec<Identity> {
    let named = named.map(|path| IdentityFile { path: path.to_owned(), is_usual: false });
    let others =
        settings.login.identity_files.iter().filter(|file| named.as_ref().is_none_or(|named| named.path != file.path));
    let others = others.cloned().collect::<Vec<IdentityFile>>();
    let files = named.into_iter().chain(others);
    let further: Vec<(PathBuf, Vec<u8>)> = settings
        .login
        .certificate_files
        .iter()
        .filter_map(|path| Some((path.clone(), certified_key(&key_file::read_public(path).ok()?)?)))
        .collect();
    files.map(|file| identity(file, &further)).collect()
}

fn identity(file: IdentityFile, further: &[(PathBuf, Vec<u8>)]) -> Identity {
    let IdentityFile { path, is_usual } = file;
    let mut identity = Identity { read: KeyFile::read(&path), path, is_usual, certificates: Vec::new() };
    let beside = certificate_beside(&identity.path);
    let named = further.iter().filter(|(_, key)| Some(key) == identity.public()).map(|(path, _)| path.clone());
    let mut certificates: Vec<PathBuf> = named.collect();
    if beside.exists() && !certificates.contains(&beside) {
        certificates.push(beside);
    }
    identity.certificates = certificates;
    identity
}
