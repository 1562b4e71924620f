//! Moves a SQLite database between a site and `shared/` while programs use it.
//!
//! SQLite keeps up to three files beside a database, and finds them by its path (`agent/sqlite.rs`). A database that is opened
//! without these files loses transactions or is damaged. So they move along:
//!
//! 1. Lock the database ("File Locking And Concurrency In SQLite Version 3"). A database without a `-wal` gets the lock
//!    of a reader and the one that keeps writers out: so nobody is in a transaction that has a `-journal`. A database
//!    with a `-wal` gets the lock of a reader: so nobody removes `-wal` and `-shm`. If these two do not exist, nobody
//!    has the database open. Then lock it against everybody, and make the two, empty, with the rights of the database:
//!    otherwise a program could make them at the old place now.
//! 2. Link the files beside the database to its new place. Each has two names then, and a program that opens the
//!    database by either path finds the same files.
//! 3. The caller gives the old name of the database to a link.
//! 4. Close the old names: a link takes each. SQLite opens no symlink at these names, so a program that knows the old
//!    path is refused, and does not make a second file.
//!
//! Step 2 removes a file at the new place first, if a run that was killed left one: the files at the old place are right.
//!
//! A program that opened the database just before step 3 looks for the files at the old place just after it. So names
//! with a file, and that of a `-journal` that is in use, are closed `GRACE` later. A reader's lock keeps `-wal` in its
//! place until then. If this user may not make files with the rights of the database, the names are closed at once.
//! A program that is killed in a transaction meanwhile leaves its `-journal` at the old name: it moves at once (`watch`).
//!
//! A program that has a database with a `-wal` open goes on with the same files. One without a `-wal` needs the old name of its
//! `-journal`, and cannot write from step 4 until it is restarted. It is named before (`survey`). Were the name free, a
//! transaction that is cut short would leave its `-journal` where nobody finds it.
//!
//! A program that opens the database in the moment of step 3 may be refused once, because SQLite resolves links first and
//! opens none afterwards.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::agent::sqlite::{NAME_BYTES_MAX, is_database, is_database_name, is_likely_database, names_beside};
use crate::disk::{Dir, Kind, RangeLock, Stat, file_stat, try_lock_range};
use crate::error::{AdoptError, Error};
use crate::path::{RelativePath, shown_path};

use super::standing::{user, user_name};

/// The time in which a program that had opened a database by the old path finds the files beside it there.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// The place in the header of the version that a writer must know.
const WRITE_VERSION_AT: u64 = 18;
/// The place in the header of the number of changes.
const CHANGES_AT: u64 = 24;
/// That version of a database with a `-wal`.
const WITH_WAL: u8 = 2;
/// The first bytes of a `-journal` that a program must roll back.
const JOURNAL_MAGIC: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/// The byte that keeps programs from beginning to read, the one that a writer locks for a transaction, and the range that each
/// program locks that reads (`os.h` of SQLite).
const PENDING: i64 = 0x4000_0000;
const RESERVED: i64 = PENDING + 1;
const SHARED: Range<i64> = PENDING + 2..PENDING + 512;
/// The place of the `-journal` among the names beside a database.
const JOURNAL: usize = 0;
/// The longest wait for a moment without a transaction.
const LOCK_WAIT: Duration = Duration::from_secs(20);
/// The time between two tries. Writers that write all the time leave moments of this length.
pub(super) const LOCK_PAUSE: Duration = Duration::from_micros(50);

/// Gives a name of a directory to a link with a target.
type Put<'a> = &'a dyn Fn(&[u8], &Dir, &[u8]) -> Result<(), Error>;

/// A locked database, until this is dropped.
#[derive(Debug)]
pub(super) struct HeldDatabase {
    locked: File,
    has_wal: bool,
}

impl HeldDatabase {
    /// Locks a database. None: the name is no database.
    pub(super) fn hold(dir: &Dir, name: &[u8]) -> Result<Option<HeldDatabase>, Error> {
        let began = Instant::now();
        while is_database(dir, name)? {
            let Some(locked) = dir.open_file_to_lock(name)? else { return Ok(None) };
            let has_wal = has_wal(&locked);
            let is_held = match (has_wal, has_wal_files(dir, name)?) {
                (false, _) => lock(dir, name, &locked, RESERVED..SHARED.end, RangeLock::Read)?,
                // They stay from now on, if they are still there.
                (true, true) => lock(dir, name, &locked, SHARED, RangeLock::Read)? && has_wal_files(dir, name)?,
                (true, false) => {
                    let is_alone = lock(dir, name, &locked, PENDING..SHARED.end, RangeLock::Write)?;
                    if is_alone {
                        make_wal_files(dir, name)?;
                    }
                    is_alone
                }
            };
            // A program may have changed its mode, or put another one at its name, just before the lock.
            if is_held && has_wal == self::has_wal(&locked) && is_at(dir, name, &locked)? {
                return Ok(Some(HeldDatabase { locked, has_wal }));
            }
            if began.elapsed() > LOCK_WAIT {
                return Err(AdoptError::DatabaseBusy(dir.path_of(name).display().to_string()).into());
            }
            drop(locked);
            thread::sleep(LOCK_PAUSE);
        }
        Ok(None)
    }

    /// Gives the files beside the database a second name at its new place.
    pub(super) fn link_beside(&self, name: &[u8], from: &Dir, to: &Dir) -> Result<(), Error> {
        for beside in names_beside(name) {
            let (own, other) = (file_at(from, &beside)?, to.stat(&beside)?);
            if is_same(own.as_ref(), other.as_ref()) {
                continue;
            }
            to.remove_file(&beside)?;
            if own.is_some() {
                link(from, &beside, to)?;
            }
        }
        Ok(())
    }

    /// Closes the old names that have no file. The others stay open for `GRACE`. Returns a lock that keeps the `-wal`
    /// until then.
    pub(super) fn close_free_names(self, name: &[u8], from: &Dir, to: &Dir) -> Result<Option<File>, Error> {
        for (at, beside) in names_beside(name).iter().enumerate() {
            if from.stat(beside)?.is_none() && (at != JOURNAL || self.has_wal) {
                from.symlink(&way_to(to, beside), beside)?;
            }
        }
        if !self.has_wal {
            return Ok(None);
        }
        // A lock against everybody becomes that of a reader.
        let is_reader = lock(to, name, &self.locked, SHARED, RangeLock::Read)?;
        lock(to, name, &self.locked, PENDING..SHARED.start, RangeLock::Free)?;
        Ok(is_reader.then_some(self.locked))
    }

    /// Removes the names beside the database from a directory.
    pub(super) fn unlink_beside(&self, name: &[u8], from: &Dir) -> Result<(), Error> {
        names_beside(name).iter().try_for_each(|beside| from.remove_file(beside).map(drop))
    }
}

/// Closes all old names of a database that moved `GRACE` ago. `put` gives a name of a directory to a link with a target.
pub(super) fn close_names(name: &[u8], from: &Dir, to: &Dir, put: Put<'_>) -> Result<(), Error> {
    let Some(file) = to.open_file(name)? else { return Ok(()) };
    let began = Instant::now();
    // With a `-wal`, no name that is open still has a transaction of its own.
    while !has_wal(&file) && !lock(to, name, &file, RESERVED..SHARED.end, RangeLock::Read)? {
        if began.elapsed() > LOCK_WAIT {
            return Err(AdoptError::DatabaseBusy(to.path_of(name).display().to_string()).into());
        }
        thread::sleep(LOCK_PAUSE);
    }
    settle_journal(name, from, to, None, put)?;
    for beside in &names_beside(name) {
        if from.stat(beside)?.is_none_or(|own| own.kind != Kind::Symlink) {
            put(&way_to(to, beside), from, beside)?;
        }
    }
    Ok(())
}

/// Moves the `-journal` of a program that was killed in a transaction by the old path. The next program finds it at the new
/// place, and undoes the transaction. Without that, programs would write to what the transaction left. Returns whether a
/// program is in a transaction by the old path.
///
/// If others wrote to the database since, to undo the transaction would damage what they wrote: then nothing moves, and an
/// error says so. `known` is the number of changes of the database some moments ago, while the transaction was not cut short.
/// Without it, the times of the two files decide.
pub(super) fn settle_journal(
    name: &[u8],
    from: &Dir,
    to: &Dir,
    known: Option<u32>,
    put: Put<'_>,
) -> Result<bool, Error> {
    let [journal, ..] = &names_beside(name);
    if !is_hot(from, journal)? {
        return Ok(false);
    }
    let Some(file) = to.open_file(name)? else { return Ok(false) };
    // The lock shows that nobody is in a transaction.
    if has_wal(&file) || !lock(to, name, &file, RESERVED..SHARED.end, RangeLock::Read)? || !is_hot(from, journal)? {
        return Ok(true);
    }
    let (own, other) = (from.stat(journal)?, file_at(to, journal)?);
    if !is_same(own.as_ref(), other.as_ref()) {
        let time = |stat: Stat| (stat.mtime, stat.mtime_nanos);
        let is_changed = match known {
            Some(known) => changes(&file) != known,
            None => to.stat(name)?.map(time) >= own.map(time),
        };
        if is_changed || is_hot(to, journal)? {
            let (path, journal) = (shown_path(&to.path_of(name)), shown_path(&from.path_of(journal)));
            return Err(AdoptError::JournalLeft { path, journal }.into());
        }
        to.remove_file(journal)?;
        link(from, journal, to)?;
    }
    put(&way_to(to, journal), from, journal)?;
    Ok(false)
}

/// Returns the number of changes of a database, which each transaction adds one to.
pub(super) fn changes(file: &File) -> u32 {
    let mut number = [0; 4];
    // A file without a header has no changes.
    file.read_exact_at(&mut number, CHANGES_AT).map_or(0, |()| u32::from_be_bytes(number))
}

/// Opens names that were closed beside a file that is not known as a database now, such as an encrypted one.
pub(super) fn open_names(name: &[u8], dir: &Dir, closed_to: &Dir) -> Result<(), Error> {
    for beside in names_beside(name).iter().filter(|beside| beside.len() <= NAME_BYTES_MAX) {
        if dir.read_link(beside)? == Some(way_to(closed_to, beside)) {
            dir.remove_file(beside)?;
        }
    }
    Ok(())
}

/// Returns those of the paths that are databases in the site or in `shared/`.
pub(super) fn databases_among<'p>(
    roots: &[&Dir],
    paths: impl Iterator<Item = &'p RelativePath>,
) -> Result<Vec<RelativePath>, Error> {
    let mut databases = Vec::new();
    for path in paths {
        for root in roots {
            if let Ok((dir, name)) = root.open_above(path.as_bytes())
                && is_likely_database(&dir, name)?
            {
                databases.push(path.clone());
                break;
            }
        }
    }
    Ok(databases)
}

/// Returns whether all old names of a database are closed.
pub(super) fn is_closed(name: &[u8], from: &Dir) -> Result<bool, Error> {
    for beside in &names_beside(name) {
        if from.stat(beside)?.is_none_or(|stat| stat.kind != Kind::Symlink) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns what keeps this user from moving a database: the files that it may not lock, or give another name. The kernel allows
/// the latter to their owner, and to those who may read and write them (`fs.protected_hardlinks`).
pub(super) fn check_lockable(dir: &Dir, name: &[u8]) -> Result<Vec<Error>, Error> {
    let file = match is_database(dir, name) {
        Ok(false) => return Ok(Vec::new()),
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {
            if !is_database_name(name) {
                return Ok(Vec::new());
            }
            None
        }
        Err(error) => return Err(error),
        Ok(true) => dir.open_file(name)?,
    };
    let is_locked_to_write = file.as_ref().is_none_or(has_wal);
    let mut refused = Vec::new();
    for name in Some(name.to_vec()).filter(|_| is_locked_to_write).into_iter().chain(names_beside(name)) {
        if is_refused(dir, &name)? && (!name.ends_with(b"-journal") || stays(dir, &name)?) {
            refused.push(not_lockable(dir, &name));
        }
    }
    Ok(refused)
}

/// Returns whether this user may not lock a file, or give it another name.
fn is_refused(dir: &Dir, name: &[u8]) -> Result<bool, Error> {
    let is_foreign = file_at(dir, name)?.is_some_and(|stat| stat.uid != user());
    Ok(is_foreign && !matches!(dir.write_file(name), Ok(Some(_))))
}

/// Returns whether a file stays. The `-journal` of most databases exists for one transaction only, and none is under way when the
/// database moves.
fn stays(dir: &Dir, name: &[u8]) -> Result<bool, Error> {
    const LOOKS: u32 = 40;
    const PAUSE: Duration = Duration::from_millis(5);
    let first = file_at(dir, name)?.as_ref().map(Stat::id);
    for _ in 0..LOOKS {
        if first.is_none() || file_at(dir, name)?.as_ref().map(Stat::id) != first {
            return Ok(false);
        }
        thread::sleep(PAUSE);
    }
    Ok(true)
}

/// Returns whether a name is a database without a `-wal`, so that programs need the name of its `-journal`.
pub(super) fn needs_journal(dir: &Dir, name: &[u8]) -> Result<bool, Error> {
    Ok(is_likely_database(dir, name)? && dir.open_file(name)?.is_some_and(|file| !has_wal(&file)))
}

fn has_wal(file: &File) -> bool {
    let mut version = [0];
    file.read_exact_at(&mut version, WRITE_VERSION_AT).is_ok() && version[0] == WITH_WAL
}

/// Returns whether a `-journal` belongs to a transaction: SQLite clears the header at its end.
fn is_hot(dir: &Dir, journal: &[u8]) -> Result<bool, Error> {
    if file_at(dir, journal)?.is_none() {
        return Ok(false);
    }
    let Some(mut file) = dir.open_file(journal)? else { return Ok(false) };
    let mut first = [0; JOURNAL_MAGIC.len()];
    Ok(file.read_exact(&mut first).is_ok() && first == JOURNAL_MAGIC)
}

fn file_at(dir: &Dir, name: &[u8]) -> Result<Option<Stat>, Error> {
    Ok(dir.stat(name)?.filter(|stat| stat.kind == Kind::File))
}

fn is_same(own: Option<&Stat>, other: Option<&Stat>) -> bool {
    own.map(Stat::id) == other.map(Stat::id)
}

/// Returns whether a name is this open file.
fn is_at(dir: &Dir, name: &[u8], file: &File) -> Result<bool, Error> {
    let own = file_stat(file).map_err(|errno| Error::io("look at", dir.path_of(name), errno))?;
    Ok(is_same(Some(&own), dir.stat(name)?.as_ref()))
}

fn link(from: &Dir, name: &[u8], to: &Dir) -> Result<(), Error> {
    from.link(name, to, name).map_err(|errno| match errno {
        Errno::PERM | Errno::ACCESS => not_lockable(from, name),
        errno => Error::io("link to", to.path_of(name), errno),
    })
}

/// Returns the target of the link at an old name.
fn way_to(dir: &Dir, name: &[u8]) -> Vec<u8> {
    dir.path_of(name).into_os_string().into_encoded_bytes()
}

fn lock(dir: &Dir, name: &[u8], file: &File, range: Range<i64>, kind: RangeLock) -> Result<bool, Error> {
    try_lock_range(file, range, kind).map_err(|errno| match errno {
        // It is not open for writing.
        Errno::BADF => not_lockable(dir, name),
        errno => Error::io("lock", dir.path_of(name), errno),
    })
}

fn has_wal_files(dir: &Dir, name: &[u8]) -> Result<bool, Error> {
    let [_, wal, shm] = names_beside(name);
    Ok(file_at(dir, &wal)?.is_some() && file_at(dir, &shm)?.is_some())
}

/// Makes the `-wal` and the `-shm` that are missing. None are made if they cannot have the rights of the database.
fn make_wal_files(dir: &Dir, name: &[u8]) -> Result<(), Error> {
    let Some(database) = dir.stat(name)? else { return Ok(()) };
    let [_, wal, shm] = names_beside(name);
    let mut made = Vec::new();
    for beside in [wal, shm] {
        match dir.stat(&beside)?.map(|stat| stat.kind) {
            Some(Kind::File) => continue,
            // The link that closed the name, before the database came back.
            Some(_) => drop(dir.remove_file(&beside)?),
            None => {}
        }
        let has_rights = dir.create_file(&beside)?.take_rights_of(&database);
        made.push(beside);
        if !has_rights {
            return made.iter().try_for_each(|beside| dir.remove_file(beside).map(drop));
        }
    }
    Ok(())
}

fn not_lockable(dir: &Dir, name: &[u8]) -> Error {
    let path = shown_path(&dir.path_of(name));
    AdoptError::DatabaseNotLockable { path, user: user_name(user()) }.into()
}
