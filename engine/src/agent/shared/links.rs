//! The links from a release into `shared/`.
//!
//! They are relative, so that a deploy path can be moved or mounted elsewhere; those of an adopted site are absolute. They are made and removed through held
//! directories, never through a symlink: a symlink of the release cannot lead a link, or a removal, to another place.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::disk::Dir;
use crate::error::Error;
use crate::path::RelativePath;
use crate::release::Record;

use super::databases::lies_beside;

/// The mode of directories that a link needs and the release lacks.
const PARENT_MODE: u32 = 0o755;

/// The most paths that a warning names.
const NAMED_MAX: usize = 3;

/// Makes the links in a tree whose directories still allow their owner to write.
/// With `root`, the path of `shared/`, they are absolute.
pub(super) fn make(tree: &Dir, links: &[RelativePath], root: Option<&Path>) -> Result<(), Error> {
    for path in links {
        let names: Vec<&[u8]> = path.names().collect();
        let Some((last, above)) = names.split_last() else {
            continue;
        };
        let mut dir = tree.duplicate()?;
        for name in above {
            dir = dir.ensure_dir(name, PARENT_MODE)?.0;
        }
        dir.remove_tree(last)?;
        let target = root.map_or_else(|| target(path), |root| absolute_target(root, path));
        dir.symlink(&target, last)?;
    }
    Ok(())
}

/// Returns the path of `shared/` for absolute links.
pub(crate) fn root(shared: &Dir) -> Result<PathBuf, Error> {
    std::fs::canonicalize(shared.path()).map_err(|error| Error::io("resolve", shared.path(), error))
}

/// Returns the target of an absolute link.
pub(crate) fn absolute_target(root: &Path, path: &RelativePath) -> Vec<u8> {
    root.join(path.as_path()).into_os_string().into_encoded_bytes()
}

/// Returns the target of a link. From `releases/<id>/a/b`, in the directory `releases/<id>/a`, the deploy path is
/// three levels up.
pub(crate) fn target(path: &RelativePath) -> Vec<u8> {
    let mut target = b"../".repeat(path.names().count() + 1);
    target.extend_from_slice(b"shared/");
    target.extend_from_slice(path.as_bytes());
    target
}

/// Returns a warning if a release links to paths in `shared/` that do not exist any more. A path that cannot be looked
/// at, for another reason, may exist.
pub(crate) fn missing_warning(shared: &Dir, record: &Record) -> Option<String> {
    let is_missing = |path: &&RelativePath| {
        std::fs::metadata(shared.path().join(path.as_path()))
            .is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
    };
    let missing: Vec<&RelativePath> =
        record.shared.iter().filter(|path| !lies_beside(path, &record.shared)).filter(is_missing).collect();
    let named: Vec<String> = missing.iter().take(NAMED_MAX).map(|path| format!("`shared/{path}`")).collect();
    let (id, count, named) = (&record.id, missing.len(), named.join(", "));
    match count {
        0 => None,
        1 => Some(format!("Release {id} links to {named}, which does not exist")),
        2..=NAMED_MAX => Some(format!("Release {id} links to {count} paths that do not exist: {named}")),
        _ => Some(format!(
            "Release {id} links to {count} paths that do not exist: {named} and {} more",
            count - NAMED_MAX
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_relative_to_where_they_stand() {
        let path = |text: &str| RelativePath::parse(text.as_bytes()).unwrap();
        assert_eq!(target(&path(".env")), b"../../shared/.env");
        assert_eq!(target(&path("storage/app/public")), b"../../../../shared/storage/app/public");
    }
}
