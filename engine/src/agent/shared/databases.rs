//! Links at the names of the files that SQLite makes beside a shared database.
//!
//! A program that opened the database before its directory became a release looks for `-journal`, `-wal` and `-shm` at the old
//! path, which leads into the release now. If it found nothing there, it would make a second file, and transactions would be
//! lost. SQLite opens no link at these names, so such a program is refused until it is restarted. One that opens the database
//! anew follows the link of the database itself, and finds the files beside it in `shared/`.

use crate::agent::sqlite::{database_of, is_likely_database, names_beside};
use crate::disk::Kind;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::path::RelativePath;

use super::shared_root::{PathState, SharedRoot};

/// Returns the paths beside the databases among shared paths. Those that the release has are left out.
pub(super) fn beside_databases(
    root: &SharedRoot,
    manifest: &Manifest,
    links: &[RelativePath],
) -> Result<Vec<RelativePath>, Error> {
    let mut beside = Vec::new();
    for path in links {
        if root.state(path)? != PathState::Inside(Kind::File) || !is_database(root, path)? {
            continue;
        }
        let paths = names_beside(path.as_bytes()).into_iter().flat_map(|path| RelativePath::parse(&path));
        beside.extend(paths.filter(|path| manifest.find(path.names()).is_none() && !links.contains(path)));
    }
    Ok(beside)
}

fn is_database(root: &SharedRoot, path: &RelativePath) -> Result<bool, Error> {
    let Some(dir) = root.dir() else { return Ok(false) };
    let (above, name) = dir.open_above(path.as_bytes())?;
    is_likely_database(&above, name)
}

/// Returns whether a path lies beside another one of `links`, as the files of a database do. Often there is no such file.
pub(crate) fn lies_beside(path: &RelativePath, links: &[RelativePath]) -> bool {
    database_of(path.as_bytes()).is_some_and(|database| links.iter().any(|link| link.as_bytes() == database))
}
