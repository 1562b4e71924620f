//! The deploy path of a client.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::wire::message::Hello;

/// Returns the deploy path of a hello.
pub(crate) fn deploy_path(hello: &Hello) -> Result<PathBuf, Error> {
    absolute_path(&hello.path)
}

/// Makes a path absolute, because reports name it.
pub(crate) fn absolute_path(path: &[u8]) -> Result<PathBuf, Error> {
    let path = Path::new(OsStr::from_bytes(path));
    std::path::absolute(path).map_err(|error| Error::io("resolve", path, error))
}
