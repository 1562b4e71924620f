//! The links that undoing leaves in `shared/`. Each is at the place of a path, and leads to that path in the site.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::disk::{Dir, Kind};
use crate::error::Error;
use crate::path::{RelativePath, push_name};

/// Returns whether a name of a directory of `shared/` is such a link. `path` is its path there.
pub(super) fn is_way(site: &Path, dir: &Dir, name: &[u8], path: &[u8]) -> Result<bool, Error> {
    Ok(dir.read_link(name)?.is_some_and(|own| own == target(site, path)))
}

/// Returns the target of the link at a path of `shared/`.
pub(super) fn target(site: &Path, path: &[u8]) -> Vec<u8> {
    [site.as_os_str().as_bytes(), b"/", path].concat()
}

/// Removes the links whose paths are not shared again: a release would have links to them, and so would lead to itself.
pub(super) fn remove_ways(site: &Path, shared: &Dir, again: &[RelativePath]) -> Result<(), Error> {
    remove_below(site, shared, &mut Vec::new(), again)
}

fn remove_below(site: &Path, dir: &Dir, path: &mut Vec<u8>, again: &[RelativePath]) -> Result<(), Error> {
    for name in dir.names()? {
        let length = path.len();
        push_name(path, &name);
        let is_again = again.iter().any(|known| known.as_bytes() == path.as_slice());
        match dir.stat(&name)?.map(|stat| stat.kind) {
            _ if is_again => {}
            Some(Kind::Symlink) if is_way(site, dir, &name, path)? => {
                dir.remove_file(&name)?;
            }
            Some(Kind::Directory) => {
                let below = match dir.open_dir(&name) {
                    // One that the application made for itself has no link of ours.
                    Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
                        path.truncate(length);
                        continue;
                    }
                    below => below?,
                };
                let before = below.names()?.len();
                remove_below(site, &below, path, again)?;
                if before > 0 && below.names()?.is_empty() {
                    dir.remove_empty_dir(&name)?;
                }
            }
            _ => {}
        }
        path.truncate(length);
    }
    dir.sync()
}
