//! The directory of the journals: `.cutover/journals`, one file for each run, named by its number.

use crate::disk::Dir;
use crate::error::Error;

/// Its name.
pub(super) const JOURNALS: &[u8] = b"journals";

/// Opens the directory, if it stands.
pub(super) fn open(private: &Dir) -> Result<Option<Dir>, Error> {
    if private.stat(JOURNALS)?.is_none() { Ok(None) } else { private.open_dir(JOURNALS).map(Some) }
}

/// Returns the numbers of the journals.
pub(super) fn numbers(journals: &Dir) -> Result<Vec<u64>, Error> {
    let number = |name: Vec<u8>| std::str::from_utf8(&name).ok()?.parse().ok();
    Ok(journals.names()?.into_iter().filter_map(number).collect())
}

/// Returns the greatest number of a journal.
pub(super) fn newest(private: &Dir) -> Result<Option<u64>, Error> {
    Ok(open(private)?.map(|journals| numbers(&journals)).transpose()?.and_then(|numbers| numbers.into_iter().max()))
}
