//! The manifest database: the scans of sources, and the known state of each target.
//!
//! It is a cache. Every row may be missing, old or wrong without harm to a release: the server verifies everything that
//! it stores and every root. So there is one format and no migration. A database of another format is removed, a
//! damaged one is moved aside at any time, and a new one is begun. If no database can be had at all, a deploy goes on
//! without it. Damage is reported once.
//!
//! The last scan of a source is one blob: tens of thousands of rows would take longer to read than the walk itself.
//! [`schema`] has the tables and the bounds.

mod schema;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use crate::chunk::{self, Chunks};
use crate::client::known_target::KnownTarget;
use crate::client::last_scan;
use crate::client::review::IgnoredFiles;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::hash::Hash;
use crate::manifest::Manifest;
use crate::manifest::decode::decode;
use crate::manifest::encode::encode_to_keep;
use crate::release::ReleaseId;
use crate::scan::snapshot::Snapshot;
use crate::wire::message::{Holding, from_bytes, to_bytes};

use schema::{APPLICATION, CHUNK_LISTS_BYTES_MAX, FORMAT, PAGE_BYTES, SCHEMA, SOURCES_MAX, STORES_MAX};

/// The time to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(10);

/// An open manifest database.
pub(crate) struct Database {
    /// None once it could not be used: then nothing is known, and nothing is kept.
    connection: RefCell<Option<Connection>>,
    path: PathBuf,
    /// Receives the warning of damage.
    observer: Arc<dyn Observer>,
}

impl Database {
    /// Opens the database in a directory. Makes either if it is missing.
    pub(crate) fn open(state_dir: &Path, observer: Arc<dyn Observer>) -> Result<Database, Error> {
        let path = state_dir.join("manifests.db");
        crate::disk::create_private_path(state_dir)?;
        // The known state of a target decides what is sent.
        crate::access::check_state(&crate::disk::Dir::open(state_dir)?)?;
        let database = Database { connection: RefCell::new(None), path, observer };
        let connection = match try_open(&database.path) {
            Ok(Some(connection)) => connection,
            Ok(None) => {
                crate::disk::remove_path(&database.path)?;
                database.replace()?
            }
            Err(error) if is_damage(&error) => {
                database.warn(&error);
                database.replace()?
            }
            Err(error) => return Err(database.failed(error)),
        };
        database.connection.replace(Some(connection));
        Ok(database)
    }

    /// Runs `work`. If the database turns out to be damaged, reports that and runs `work` on a new one. A database that
    /// cannot be used is not asked again.
    fn run<T: Default>(&self, work: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let Some(connection) = self.connection.take() else { return Ok(T::default()) };
        let (connection, result) = match work(&connection) {
            Err(error) if is_damage(&error) => {
                self.warn(&error);
                drop(connection);
                let anew = self.replace()?;
                let result = work(&anew);
                (anew, result)
            }
            result => (connection, result),
        };
        let result = result.map_err(|error| self.failed(error))?;
        self.connection.replace(Some(connection));
        Ok(result)
    }

    fn warn(&self, error: &rusqlite::Error) {
        let path = self.path.display();
        let text = format!(
            "The manifest database `{path}` is damaged and was replaced by an empty one, as it is only a cache: {error}"
        );
        self.observer.observe(Event::Warning(text));
    }

    /// Begins a new database. A damaged one is moved aside: nothing in it proves that it was Cutover's.
    fn replace(&self) -> Result<Connection, Error> {
        let beside = |suffix: &str| {
            let mut file = self.path.clone().into_os_string();
            file.push(suffix);
            PathBuf::from(file)
        };
        crate::disk::rename_path(&self.path, &beside(".damaged"))?;
        for suffix in ["-wal", "-shm"] {
            crate::disk::remove_path(&beside(suffix))?;
        }
        match try_open(&self.path) {
            Ok(Some(connection)) => Ok(connection),
            // Another version of Cutover was quicker to begin one of its format.
            Ok(None) => Err(self.failed(rusqlite::Error::InvalidQuery)),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, source: rusqlite::Error) -> Error {
        Error::Database { path: self.path.clone(), source: source.into() }
    }

    /// Returns the last scan of a source. None if it cannot be decoded.
    pub(crate) fn scan(&self, source: &Path) -> Result<Option<Snapshot>, Error> {
        let key = source.as_os_str().as_encoded_bytes();
        let query = "SELECT began, scan FROM scans WHERE source = ?1 AND root =
            (SELECT root FROM scans WHERE source = ?1 ORDER BY kept DESC LIMIT 1)";
        let known = self.run(|connection| connection.query_row(query, [key], read_scan).optional())?;
        Ok(known.flatten())
    }

    /// Keeps a scan. Forgets the scans of the same source that no release names, and those of sources that were not
    /// scanned for long.
    pub(crate) fn put_scan(&self, source: &Path, scan: &Snapshot) -> Result<(), Error> {
        let key = source.as_os_str().as_encoded_bytes();
        let blob = last_scan::to_bytes(scan);
        let root = scan.manifest.root();
        self.run(|connection| {
            let transaction = write(connection)?;
            // Not by the clock, which may be set back.
            let query = "SELECT coalesce(max(kept), 0) + 1 FROM scans";
            let kept: i64 = transaction.query_row(query, [], |row| row.get(0))?;
            let values = params![key, root.as_bytes(), kept, scan.began, blob];
            transaction.execute("REPLACE INTO scans VALUES (?1, ?2, ?3, ?4, ?5)", values)?;
            forget_scans(&transaction)?;
            transaction.execute(
                "DELETE FROM scans WHERE source NOT IN
                    (SELECT source FROM scans GROUP BY source ORDER BY max(kept) DESC LIMIT ?1)",
                [SOURCES_MAX],
            )?;
            transaction.execute("DELETE FROM ignored WHERE source NOT IN (SELECT source FROM scans)", [])?;
            transaction.commit()
        })
    }

    /// Forgets the scans of a source.
    pub(crate) fn forget_scan(&self, source: &Path) -> Result<(), Error> {
        let key = source.as_os_str().as_encoded_bytes();
        self.run(|connection| connection.execute("DELETE FROM scans WHERE source = ?1", [key]).map(drop))
    }

    /// Returns the files of a source that git ignored at the last review.
    pub(crate) fn ignored(&self, source: &Path) -> Result<Option<IgnoredFiles>, Error> {
        let key = source.as_os_str().as_encoded_bytes();
        let row: Option<Vec<u8>> = self.run(|connection| {
            let query = "SELECT files FROM ignored WHERE source = ?1";
            connection.query_row(query, [key], |row| row.get(0)).optional()
        })?;
        Ok(row.and_then(|files| from_bytes(&files).ok()))
    }

    /// Keeps the files of a source that git ignores.
    pub(crate) fn put_ignored(&self, source: &Path, files: &IgnoredFiles) -> Result<(), Error> {
        let key = source.as_os_str().as_encoded_bytes();
        let values = params![key, to_bytes(files)];
        self.run(|connection| connection.execute("REPLACE INTO ignored VALUES (?1, ?2)", values).map(drop))
    }

    /// Keeps the chunks of large files.
    pub(crate) fn put_chunks(&self, chunks: &[(Hash, Chunks)]) -> Result<(), Error> {
        self.run(|connection| {
            let transaction = write(connection)?;
            let query = "SELECT coalesce(sum(length(chunks)), 0) FROM chunks";
            let bytes: i64 = transaction.query_row(query, [], |row| row.get(0))?;
            if bytes > CHUNK_LISTS_BYTES_MAX {
                transaction.execute("DELETE FROM chunks", [])?;
            }
            for (hash, chunks) in chunks {
                let chunks = chunk::to_bytes(chunks);
                transaction.execute("REPLACE INTO chunks VALUES (?1, ?2)", params![hash.as_bytes(), chunks])?;
            }
            transaction.commit()
        })
    }

    /// Returns the chunks of a content, if they are known.
    pub(crate) fn chunks(&self, hash: &Hash) -> Result<Option<Chunks>, Error> {
        let row: Option<Vec<u8>> = self.run(|connection| {
            let query = "SELECT chunks FROM chunks WHERE hash = ?1";
            connection.query_row(query, [hash.as_bytes()], |row| row.get(0)).optional()
        })?;
        Ok(row.and_then(|chunks| chunk::from_bytes(&chunks).ok()))
    }

    /// Returns the known state of a target.
    pub(crate) fn target(&self, destination: &str) -> Result<Option<KnownTarget>, Error> {
        let read = |row: &rusqlite::Row<'_>| {
            let standing: Vec<u8> = row.get(1)?;
            let live: Option<String> = row.get(2)?;
            let holding = Holding { store: row.get(0)?, releases: from_bytes(&standing).unwrap_or_default() };
            Ok(KnownTarget { holding, live: live.and_then(|live| live.parse().ok()), is_cut: row.get(3)? })
        };
        self.run(|connection| {
            let query = "SELECT store, standing, live, is_cut FROM targets WHERE destination = ?1";
            connection.query_row(query, [destination], read).optional()
        })
    }

    /// Keeps the known state of a target.
    pub(crate) fn put_target(&self, destination: &str, known: &KnownTarget) -> Result<(), Error> {
        let live = known.live.as_ref().map(ReleaseId::as_str);
        self.run(|connection| {
            let Holding { store, releases: standing } = &known.holding;
            let values = params![destination, store, to_bytes(standing), live, known.is_cut];
            connection.execute("REPLACE INTO targets VALUES (?1, ?2, ?3, ?4, ?5)", values).map(drop)
        })
    }

    /// Notes that an upload to a target begins, until [`Database::put_target`] notes its result.
    pub(crate) fn begin_upload(&self, destination: &str) -> Result<(), Error> {
        self.run(|connection| {
            connection.execute("UPDATE targets SET is_cut = 1 WHERE destination = ?1", [destination]).map(drop)
        })
    }

    /// Returns the newest release of a store with a root, if one is known.
    pub(crate) fn release_of(&self, store: &str, root: &Hash) -> Result<Option<ReleaseId>, Error> {
        let row: Option<String> = self.run(|connection| {
            let query = "SELECT release FROM releases WHERE store = ?1 AND root = ?2 ORDER BY release DESC LIMIT 1";
            connection.query_row(query, params![store, root.as_bytes()], |row| row.get(0)).optional()
        })?;
        Ok(row.and_then(|release| release.parse().ok()))
    }

    /// Tells whether any store is known to have a release with a root.
    pub(crate) fn has_release(&self, root: &Hash) -> Result<bool, Error> {
        let query = "SELECT EXISTS (SELECT 1 FROM releases WHERE root = ?1)";
        self.run(|connection| connection.query_row(query, [root.as_bytes()], |row| row.get(0)))
    }

    /// Returns the root of a release, if it is known.
    pub(crate) fn root(&self, store: &str, release: &ReleaseId) -> Result<Option<Hash>, Error> {
        let row: Option<[u8; 32]> = self.run(|connection| {
            let query = "SELECT root FROM releases WHERE store = ?1 AND release = ?2";
            connection.query_row(query, params![store, release.as_str()], |row| row.get(0)).optional()
        })?;
        Ok(row.map(Hash::from_bytes))
    }

    /// Returns the manifest of a root, if it is known.
    pub(crate) fn manifest(&self, root: &Hash) -> Result<Option<Manifest>, Error> {
        let row: Option<Vec<u8>> = self.run(|connection| {
            let query = "SELECT manifest FROM manifests WHERE root = ?1";
            connection.query_row(query, [root.as_bytes()], |row| row.get(0)).optional()
        })?;
        let manifest = match row {
            Some(bytes) => decode(&bytes, None).ok().map(|(decoded, _)| decoded.manifest),
            None => self.run(|connection| {
                let query = "SELECT began, scan FROM scans WHERE root = ?1 LIMIT 1";
                let known = connection.query_row(query, [root.as_bytes()], read_scan).optional()?;
                Ok(known.flatten().map(|known| known.manifest))
            })?,
        };
        Ok(manifest.filter(|manifest| manifest.root() == *root))
    }

    /// Keeps a release of a store with its manifest. Forgets the releases that do not exist any more, and the stores
    /// that were not deployed to for long.
    pub(crate) fn put_release(&self, holding: &Holding, release: &ReleaseId, manifest: &Manifest) -> Result<(), Error> {
        let Holding { store, releases } = holding;
        let root = manifest.root();
        self.run(|connection| {
            let transaction = write(connection)?;
            put_manifest(&transaction, manifest)?;
            transaction.execute(
                "REPLACE INTO releases VALUES (?1, ?2, ?3)",
                params![store, release.as_str(), root.as_bytes()],
            )?;
            transaction.execute("REPLACE INTO stores SELECT ?1, coalesce(max(seen), 0) + 1 FROM stores", [store])?;
            transaction.execute(
                "DELETE FROM stores WHERE store NOT IN (SELECT store FROM stores ORDER BY seen DESC LIMIT ?1)",
                [STORES_MAX],
            )?;
            transaction.execute("DELETE FROM releases WHERE store NOT IN (SELECT store FROM stores)", [])?;
            transaction.execute("DELETE FROM targets WHERE store NOT IN (SELECT store FROM stores)", [])?;
            let mut forget = transaction.prepare("SELECT release FROM releases WHERE store = ?1")?;
            let known: Vec<String> = forget.query_map([store], |row| row.get(0))?.collect::<Result<_, _>>()?;
            drop(forget);
            for gone in known.iter().filter(|known| !releases.iter().any(|release| release.as_str() == known.as_str()))
            {
                transaction.execute("DELETE FROM releases WHERE store = ?1 AND release = ?2", params![store, gone])?;
            }
            transaction.execute("DELETE FROM manifests WHERE root NOT IN (SELECT root FROM releases)", [])?;
            forget_scans(&transaction)?;
            transaction.commit()
        })
    }
}

fn read_scan(row: &Row<'_>) -> rusqlite::Result<Option<Snapshot>> {
    match row.get_ref(1)? {
        // Decoded in SQLite's memory: a copy would cost as much again.
        ValueRef::Blob(scan) => Ok(last_scan::from_bytes(scan, row.get(0)?)),
        other => Err(rusqlite::Error::InvalidColumnType(1, "scan".to_owned(), other.data_type())),
    }
}

/// Forgets the scans that are not the last of their source and that no release names.
fn forget_scans(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let query = "DELETE FROM scans WHERE root NOT IN (SELECT root FROM releases)
        AND kept < (SELECT max(kept) FROM scans AS later WHERE later.source = scans.source)";
    transaction.execute(query, []).map(drop)
}

fn put_manifest(transaction: &Transaction<'_>, manifest: &Manifest) -> rusqlite::Result<()> {
    let root = manifest.root();
    let query =
        "SELECT (SELECT count(*) FROM manifests WHERE root = ?1) + (SELECT count(*) FROM scans WHERE root = ?1)";
    let known: i64 = transaction.query_row(query, [root.as_bytes()], |row| row.get(0))?;
    if known == 0 {
        let bytes = encode_to_keep(manifest).to_bytes();
        transaction.execute("INSERT INTO manifests VALUES (?1, ?2)", params![root.as_bytes(), bytes])?;
    }
    Ok(())
}

/// Begins a write transaction. A transaction that reads first and then writes would fail at once while another process
/// writes, and not wait.
fn write(connection: &Connection) -> rusqlite::Result<Transaction<'_>> {
    Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
}

/// Opens a database, and makes its tables if it has none. None if it has another format. A database of another program
/// is an error, before anything in it is changed.
fn try_open(path: &Path) -> rusqlite::Result<Option<Connection>> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && application == 0 && is_older(&connection)? {
        return Ok(None);
    }
    if tables > 0 && application != APPLICATION {
        return Err(rusqlite::Error::ToSqlConversionFailure("it is another program's".into()));
    }
    // Without effect on a database that has tables.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let transaction = write(&connection)?;
    let format: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    } else if format != FORMAT {
        return Ok(None);
    }
    transaction.commit()?;
    Ok(Some(connection))
}

/// Tells whether a database is one of Cutover's from before databases had its mark.
fn is_older(connection: &Connection) -> rusqlite::Result<bool> {
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let query = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('scans', 'targets', 'releases')";
    let tables: i64 = connection.query_row(query, [], |row| row.get(0))?;
    Ok((1..FORMAT).contains(&format) && tables == 3)
}

/// Tells whether a database is damaged, and not only busy or out of reach. The queries never change, so SQL that fails
/// is the fault of the tables, and a value of another type that of a row.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as Is;
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
    match error {
        Is::InvalidColumnType(..)
        | Is::FromSqlConversionFailure(..)
        | Is::IntegralValueOutOfRange(..)
        | Is::Utf8Error(..)
        | Is::SqlInputError { .. } => true,
        error => matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase | Unknown)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Seek, SeekFrom, Write};

    use super::*;
    use crate::error::Hint;
    use crate::event::Recorder;
    use crate::manifest::{Builder, File, ObjectKey};
    use crate::scan::stat::FileStat;

    const STORE: &str = "store";

    fn manifest(files: u64) -> Manifest {
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        for number in 0..files {
            let key = ObjectKey { hash: Hash::of(&number.to_le_bytes()), mode: 0o444 };
            builder.file(format!("{number:06}").as_bytes(), File { key, size: 1 }).unwrap();
        }
        builder.finish().unwrap()
    }

    fn known() -> Snapshot {
        known_of(manifest(5000))
    }

    fn known_of(manifest: Manifest) -> Snapshot {
        let stats = vec![FileStat::default(); manifest.len() as usize];
        let (root, rules) = (FileStat::default(), Hash::of(b""));
        let (rule_files, noted, capable) = (Vec::new(), Vec::new(), Vec::new());
        Snapshot { manifest, stats, root, mount: None, rules, rule_files, noted, capable, began: 1 }
    }

    fn id() -> ReleaseId {
        "1".parse().unwrap()
    }

    fn holding(store: &str) -> Holding {
        Holding { store: store.into(), releases: vec![id()] }
    }

    fn fill(database: &Database) {
        let list = vec![chunk::Chunk { id: [7; 6], len: 1 }; 5000];
        let chunks = Chunks { average_log: chunk::KEPT_AVERAGE_LOG, list };
        database.put_scan(Path::new("/source"), &known()).unwrap();
        database.put_chunks(&[(Hash::of(b"large"), chunks)]).unwrap();
        database.put_release(&holding(STORE), &id(), &manifest(4000)).unwrap();
        let known = KnownTarget { holding: holding(STORE), live: Some(id()), is_cut: false };
        database.put_target("destination", &known).unwrap();
    }

    /// Counts the facts of [`fill`] that are still known.
    fn count(database: &Database) -> usize {
        [
            database.scan(Path::new("/source")).unwrap().is_some(),
            database.chunks(&Hash::of(b"large")).unwrap().is_some(),
            database.target("destination").unwrap().is_some(),
            database.root(STORE, &id()).unwrap().is_some(),
            database.manifest(&manifest(4000).root()).unwrap().is_some(),
        ]
        .map(usize::from)
        .iter()
        .sum()
    }

    #[test]
    fn damage_that_a_call_finds_is_told_once_and_the_database_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let open = || {
            let recorder = Arc::new(Recorder::default());
            (Database::open(directory.path(), recorder.clone()).unwrap(), recorder)
        };
        let (database, recorder) = open();
        fill(&database);
        assert_eq!(count(&database), 5);
        drop(database);

        let path = directory.path().join("manifests.db");
        let length = fs::metadata(&path).unwrap().len();
        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        // The first page, which tells the tables, stays as it is.
        file.seek(SeekFrom::Start(PAGE_BYTES as u64)).unwrap();
        let mut noise = vec![0; length as usize - PAGE_BYTES as usize];
        blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut noise);
        file.write_all(&noise).unwrap();
        drop(file);
        let (database, damaged) = open();
        assert_eq!((recorder.events(), damaged.events()), (vec![], vec![]));
        assert_eq!(count(&database), 0);
        let [Event::Warning(warning)] = &damaged.events()[..] else { panic!("{:?}", damaged.events()) };
        assert!(warning.starts_with("The manifest database `") && warning.contains("is damaged"), "{warning}");
        fill(&database);
        assert_eq!(count(&database), 5);
        drop(database);

        let (database, later) = open();
        assert_eq!((count(&database), later.events()), (5, vec![]));
    }

    fn rows(database: &Database, table: &str) -> i64 {
        let query = format!("SELECT count(*) FROM {table}");
        database.run(|connection| connection.query_row(&query, [], |row| row.get(0))).unwrap()
    }

    fn pages(database: &Database) -> i64 {
        database.run(|connection| connection.pragma_query_value(None, "page_count", |row| row.get(0))).unwrap()
    }

    #[test]
    fn lists_of_chunks_are_dropped_before_there_are_too_many() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path(), Arc::new(Recorder::default())).unwrap();
        // 7 bytes each.
        let chunks = |length: i64| {
            let chunk = chunk::Chunk { id: [7; 6], len: 1 };
            Chunks { average_log: chunk::KEPT_AVERAGE_LOG, list: vec![chunk; length as usize] }
        };
        let mut counts = Vec::new();
        for number in 0..4_u8 {
            database.put_chunks(&[(Hash::of(&[number]), chunks(CHUNK_LISTS_BYTES_MAX / 7 / 2 + 1))]).unwrap();
            counts.push(rows(&database, "chunks"));
        }
        assert_eq!(counts, [1, 2, 1, 2]);
        assert!(database.chunks(&Hash::of(&[3])).unwrap().is_some());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path(), Arc::new(Recorder::default())).unwrap();
        // Each store is deployed to twice from a source of its own, after a deploy that failed.
        let deploy = |number: i64| {
            let (store, release) = (format!("store {number}"), id());
            let source = format!("/source/{number}");
            let scan = |files| {
                // The clock goes back.
                let scan = Snapshot { began: -number, ..known_of(manifest(2000 + 4 * number as u64 + files)) };
                database.put_scan(Path::new(&source), &scan).unwrap();
            };
            for again in [0, 2] {
                scan(again);
                scan(again + 1);
                let manifest = manifest(2001 + 4 * number as u64 + again);
                database.put_release(&holding(&store), &release, &manifest).unwrap();
                assert!(database.manifest(&manifest.root()).unwrap().is_some());
            }
            // A tree that was not scanned here.
            let other = manifest(9000 + number as u64);
            database.put_release(&holding(&format!("other {number}")), &release, &other).unwrap();
            let known = KnownTarget { holding: holding(&store), live: Some(release), is_cut: false };
            database.put_target(&format!("destination {number}"), &known).unwrap();
        };
        (0..20).for_each(deploy);
        let before = pages(&database);
        (20..60).for_each(deploy);
        let counts = ["scans", "stores", "releases", "targets", "manifests"].map(|table| rows(&database, table));
        let half = STORES_MAX / 2;
        assert_eq!(counts, [SOURCES_MAX, STORES_MAX, STORES_MAX, half, half]);
        // Freed pages are used again.
        assert!(pages(&database) <= before + before / 5, "{} pages after {before}", pages(&database));
        // The newest are kept.
        assert!(database.scan(Path::new("/source/59")).unwrap().is_some());
        assert!(database.scan(Path::new("/source/30")).unwrap().is_none());
        assert!(database.target("destination 59").unwrap().is_some());
        assert_eq!(database.root("store 30", &id()).unwrap(), None);
        // A store that is deployed to again is a new one.
        deploy(44);
        (60..67).for_each(deploy);
        assert!(database.target("destination 44").unwrap().is_some());
        assert!(database.target("destination 60").unwrap().is_some());
        assert_eq!(database.target("destination 59").unwrap(), None);
    }

    #[test]
    fn a_database_of_another_format_is_begun_anew_without_a_word() {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Arc::new(Recorder::default());
        fill(&Database::open(directory.path(), recorder.clone()).unwrap());
        let connection = Connection::open(directory.path().join("manifests.db")).unwrap();
        connection.pragma_update(None, "user_version", FORMAT + 1).unwrap();
        drop(connection);
        assert_eq!(count(&Database::open(directory.path(), recorder.clone()).unwrap()), 0);
        assert_eq!(recorder.events(), []);
    }

    #[test]
    fn a_database_of_another_program_is_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("manifests.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE ships (name TEXT); INSERT INTO ships VALUES ('Fram')").unwrap();
        drop(other);
        let before = fs::read(&path).unwrap();
        let opened = Database::open(directory.path(), Arc::new(Recorder::default()));
        let error = opened.err().expect("it is not ours");
        assert!(matches!(error.hint(), Some(Hint::MoveState { .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_database_that_is_damaged_is_moved_aside() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("manifests.db"), "a list of ships").unwrap();
        fill(&Database::open(directory.path(), Arc::new(Recorder::default())).unwrap());
        let aside = directory.path().join("manifests.db.damaged");
        assert_eq!(fs::read_to_string(aside).unwrap(), "a list of ships");
    }

    #[test]
    fn a_database_that_cannot_be_begun_anew_is_not_asked_again() {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Arc::new(Recorder::default());
        let database = Database::open(directory.path(), recorder.clone()).unwrap();
        let failed = database.run::<()>(|connection| connection.execute("no such statement", []).map(drop));
        assert!(matches!(failed, Err(Error::Database { .. })));
        fill(&database);
        assert_eq!(count(&database), 0);
        assert_eq!(recorder.events().len(), 1);
    }
}
