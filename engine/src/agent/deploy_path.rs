//! The deploy path of a hello.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::wire::message::Hello;

/// Returns the deploy path. It is absolute, because reports name it.
pub(crate) fn deploy_path(hello: &Hello) -> Result<PathBuf, Error> {
    let path = Path::new(OsStr::from_bytes(&hello.path));
    std::path::absolute(path).map_err(|error| Error::io("resolve", path, error))
}
