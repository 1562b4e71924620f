//! The files that SQLite makes beside a database, and finds by its path.
//!
//! | name | what it has |
//! |---|---|
//! | `-journal` | what a transaction replaced that is not complete, or was cut short |
//! | `-wal` | the newest transactions |
//! | `-shm` | an index of `-wal`, and locks |
//!
//! They come and go while programs use the database, and are worth nothing without it.

use std::io::Read;

use crate::disk::{Dir, Kind};
use crate::error::Error;

/// The first bytes of a database that is not empty (`sqlite.org/fileformat2.html`).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// The longest name of a file.
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// The ends of the names of databases.
const ENDS: [&str; 4] = [".db", ".sqlite", ".sqlite2", ".sqlite3"];
/// The ends of the names of the files beside a database.
const BESIDE: [&str; 3] = ["-journal", "-wal", "-shm"];

/// Returns the names of the files that SQLite makes beside a database.
pub(crate) fn names_beside(name: &[u8]) -> [Vec<u8>; 3] {
    BESIDE.map(|end| [name, end.as_bytes()].concat())
}

/// Returns the name of the database that a file lies beside, if its name has that form.
pub(crate) fn database_of(name: &[u8]) -> Option<&[u8]> {
    BESIDE.iter().find_map(|end| name.strip_suffix(end.as_bytes())).filter(|name| !name.is_empty())
}

/// Returns whether a name is that of a database.
pub(crate) fn is_database_name(name: &[u8]) -> bool {
    let end = |end: &str| name.len().checked_sub(end.len()).map(|at| &name[at..]);
    ENDS.iter().any(|known| end(known).is_some_and(|end| end.eq_ignore_ascii_case(known.as_bytes())))
}

/// Returns whether a file is a database: by its content, or by its name if the content is no sign. An empty file may become
/// one; an encrypted one has files beside it.
pub(crate) fn is_database(dir: &Dir, name: &[u8]) -> Result<bool, Error> {
    // SQLite can make no file beside a longer name.
    if name.len() + BESIDE[0].len() > NAME_BYTES_MAX {
        return Ok(false);
    }
    let Some(stat) = dir.stat(name)?.filter(|stat| stat.kind == Kind::File) else { return Ok(false) };
    if is_database_name(name) && (stat.size == 0 || has_beside(dir, name)?) {
        return Ok(true);
    }
    let Some(mut file) = dir.open_file(name)? else { return Ok(false) };
    let mut first = [0; MAGIC.len()];
    Ok(file.read_exact(&mut first).is_ok() && first == *MAGIC)
}

/// Returns whether a name lies beside a database of the same directory. The name of a file that this user may not read decides.
pub(crate) fn is_beside_database(dir: &Dir, name: &[u8]) -> Result<bool, Error> {
    match database_of(name) {
        Some(database) => is_likely_database(dir, database),
        None => Ok(false),
    }
}

/// Returns whether a file is a database. The name of one that this user may not read decides.
pub(crate) fn is_likely_database(dir: &Dir, name: &[u8]) -> Result<bool, Error> {
    match is_database(dir, name) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Ok(is_database_name(name))
        }
        other => other,
    }
}

fn has_beside(dir: &Dir, name: &[u8]) -> Result<bool, Error> {
    for beside in names_beside(name) {
        if dir.stat(&beside)?.is_some_and(|stat| stat.kind == Kind::File) {
            return Ok(true);
        }
    }
    Ok(false)
}
