//! The manifest database: what was scanned, and what each target is known to hold.
//!
//! It is a cache. Every row may be missing, old or wrong without harm to a release: the server verifies all that it
//! stores and every root. So there is one format and no migration: a database of another format, or one that is
//! damaged, is removed and begun anew; and where no database can be had at all, a deploy goes on without.
//!
//! The last scan of a source is one blob: tens of thousands of rows would take longer to read than the walk itself.
//!
//! ```text
//! scans      source path → when it began, manifest and stats
//! chunks     content hash → the chunks of a large file
//! targets    destination → store id, the release that was live there
//! releases   store id, release → root
//! manifests  root → manifest
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::bytes::ByteReader;
use crate::chunk::{self, Chunks};
use crate::client::content::FileStat;
use crate::client::scan::Known;
use crate::error::Error;
use crate::hash::Hash;
use crate::manifest::Manifest;
use crate::manifest::encode::{decode, decompress, encode};
use crate::release::ReleaseId;

/// Grows with every change of a table or of what stands in a blob.
const FORMAT: i64 = 1;

/// How long another process that writes is waited for.
const BUSY: Duration = Duration::from_secs(10);

/// Stats are mostly unlike each other, so more effort finds little more in them.
const STATS_LEVEL: i32 = 1;

/// Old manifests and chunk lists are dropped when the file grows beyond this many of them.
const CHUNK_ROWS_MAX: i64 = 100_000;

const SCHEMA: &str = "
    CREATE TABLE scans (source BLOB PRIMARY KEY, began INTEGER NOT NULL, scan BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE chunks (hash BLOB PRIMARY KEY, chunks BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE targets (destination TEXT PRIMARY KEY, store TEXT NOT NULL, live TEXT) WITHOUT ROWID;
    CREATE TABLE releases (store TEXT NOT NULL, release TEXT NOT NULL, root BLOB NOT NULL,
        PRIMARY KEY (store, release)) WITHOUT ROWID;
    CREATE TABLE manifests (root BLOB PRIMARY KEY, manifest BLOB NOT NULL) WITHOUT ROWID;
";

/// What is believed of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Belief {
    /// The store.
    pub(crate) store: String,
    /// The release that was live when it was last seen.
    pub(crate) live: Option<ReleaseId>,
}

/// An open manifest database.
pub(crate) struct Database {
    connection: Connection,
    path: PathBuf,
}

impl Database {
    /// Opens the database in a directory, making either where it is missing.
    pub(crate) fn open(state_dir: &Path) -> Result<Database, Error> {
        let path = state_dir.join("manifests.db");
        crate::disk::create_private_path(state_dir)?;
        let failed = |source: rusqlite::Error| Error::Database { path: path.clone(), source: source.into() };
        match Database::try_open(&path) {
            Err(error) if is_useless(&error) => {
                for suffix in ["", "-wal", "-shm"] {
                    let mut file = path.clone().into_os_string();
                    file.push(suffix);
                    crate::disk::remove_path(Path::new(&file))?;
                }
                Database::try_open(&path).map_err(failed)
            }
            other => other.map_err(failed),
        }
    }

    fn try_open(path: &Path) -> rusqlite::Result<Database> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let transaction = connection.unchecked_transaction()?;
        let format: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables == 0 {
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "user_version", FORMAT)?;
        } else if format != FORMAT {
            return Err(rusqlite::Error::IntegralValueOutOfRange(0, format));
        }
        transaction.commit()?;
        Ok(Database { connection, path: path.to_owned() })
    }

    fn failed(&self, source: rusqlite::Error) -> Error {
        Error::Database { path: self.path.clone(), source: source.into() }
    }

    /// Returns the last scan of a source. One that cannot be understood is none.
    pub(crate) fn scan(&self, source: &Path) -> Result<Option<Known>, Error> {
        let key = source.as_os_str().as_encoded_bytes();
        let row: Option<(i64, Vec<u8>)> = self
            .connection
            .query_row("SELECT began, scan FROM scans WHERE source = ?1", [key], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(|e| self.failed(e))?;
        Ok(row.and_then(|(began, scan)| read_scan(&scan, began)))
    }

    /// Keeps a scan, and the chunks of the large files that it read.
    pub(crate) fn put_scan(&self, source: &Path, scan: &Known, chunks: &[(Hash, Chunks)]) -> Result<(), Error> {
        let key = source.as_os_str().as_encoded_bytes();
        let blob = scan_to_bytes(scan);
        let put = || {
            let transaction = self.connection.unchecked_transaction()?;
            transaction.execute("REPLACE INTO scans VALUES (?1, ?2, ?3)", params![key, scan.began, blob])?;
            for (hash, chunks) in chunks {
                let chunks = chunk::to_bytes(chunks);
                transaction.execute("REPLACE INTO chunks VALUES (?1, ?2)", params![hash.as_bytes(), chunks])?;
            }
            let rows: i64 = transaction.query_row("SELECT count(*) FROM chunks", [], |row| row.get(0))?;
            if rows > CHUNK_ROWS_MAX {
                transaction.execute("DELETE FROM chunks", [])?;
            }
            transaction.commit()
        };
        put().map_err(|e| self.failed(e))
    }

    /// Returns the chunks of a content, where they are known.
    pub(crate) fn chunks(&self, hash: &Hash) -> Result<Option<Chunks>, Error> {
        let row: Option<Vec<u8>> = self
            .connection
            .query_row("SELECT chunks FROM chunks WHERE hash = ?1", [hash.as_bytes()], |row| row.get(0))
            .optional()
            .map_err(|e| self.failed(e))?;
        Ok(row.and_then(|chunks| chunk::from_bytes(&chunks).ok()))
    }

    /// Returns what is believed of a target.
    pub(crate) fn belief(&self, destination: &str) -> Result<Option<Belief>, Error> {
        let read = |row: &rusqlite::Row<'_>| {
            let live: Option<String> = row.get(1)?;
            Ok(Belief { store: row.get(0)?, live: live.and_then(|live| live.parse().ok()) })
        };
        self.connection
            .query_row("SELECT store, live FROM targets WHERE destination = ?1", [destination], read)
            .optional()
            .map_err(|e| self.failed(e))
    }

    /// Keeps what is believed of a target.
    pub(crate) fn put_belief(&self, destination: &str, belief: &Belief) -> Result<(), Error> {
        let live = belief.live.as_ref().map(ReleaseId::as_str);
        self.connection
            .execute("REPLACE INTO targets VALUES (?1, ?2, ?3)", params![destination, belief.store, live])
            .map(drop)
            .map_err(|e| self.failed(e))
    }

    /// Returns the root of a release, where it is known.
    pub(crate) fn root(&self, store: &str, release: &ReleaseId) -> Result<Option<Hash>, Error> {
        let row: Option<[u8; 32]> = self
            .connection
            .query_row(
                "SELECT root FROM releases WHERE store = ?1 AND release = ?2",
                params![store, release.as_str()],
                |row| row.get(0),
            )
            .optional()
            .map_err(|e| self.failed(e))?;
        Ok(row.map(Hash::from_bytes))
    }

    /// Returns the manifest of a root, where it is known.
    pub(crate) fn manifest(&self, root: &Hash) -> Result<Option<Manifest>, Error> {
        let row: Option<Vec<u8>> = self
            .connection
            .query_row("SELECT manifest FROM manifests WHERE root = ?1", [root.as_bytes()], |row| row.get(0))
            .optional()
            .map_err(|e| self.failed(e))?;
        let Some(bytes) = row else { return Ok(None) };
        let manifest = decode(&bytes, None).ok().map(|(decoded, _)| decoded.manifest);
        Ok(manifest.filter(|manifest| manifest.root() == *root))
    }

    /// Keeps a release of a store with its manifest, and forgets the releases that are not in `standing`.
    pub(crate) fn put_release(
        &self,
        store: &str,
        release: &ReleaseId,
        manifest: &Manifest,
        standing: &[ReleaseId],
    ) -> Result<(), Error> {
        let root = manifest.root();
        let put = || {
            let transaction = self.connection.unchecked_transaction()?;
            let known: i64 =
                transaction
                    .query_row("SELECT count(*) FROM manifests WHERE root = ?1", [root.as_bytes()], |row| row.get(0))?;
            if known == 0 {
                let bytes = encode(manifest, None).bytes;
                transaction.execute("INSERT INTO manifests VALUES (?1, ?2)", params![root.as_bytes(), bytes])?;
            }
            transaction.execute(
                "REPLACE INTO releases VALUES (?1, ?2, ?3)",
                params![store, release.as_str(), root.as_bytes()],
            )?;
            let mut forget = transaction.prepare("SELECT release FROM releases WHERE store = ?1")?;
            let known: Vec<String> = forget.query_map([store], |row| row.get(0))?.collect::<Result<_, _>>()?;
            drop(forget);
            for gone in
                known.iter().filter(|known| !standing.iter().any(|standing| standing.as_str() == known.as_str()))
            {
                transaction.execute("DELETE FROM releases WHERE store = ?1 AND release = ?2", params![store, gone])?;
            }
            transaction.execute("DELETE FROM manifests WHERE root NOT IN (SELECT root FROM releases)", [])?;
            transaction.commit()
        };
        put().map_err(|e| self.failed(e))
    }
}

/// Tells a database that is damaged or of another format from one that is only busy or out of reach.
fn is_useless(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error, rusqlite::Error::IntegralValueOutOfRange(..))
        || matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// A scan as bytes: its manifest, then the stats of its entries in order, compressed.
fn scan_to_bytes(scan: &Known) -> Vec<u8> {
    let mut bytes = encode(&scan.manifest, None).bytes;
    let mut stats = Vec::with_capacity(scan.stats.len() * STAT_BYTES);
    for stat in &scan.stats {
        stats.extend_from_slice(&stat.inode.to_le_bytes());
        stats.extend_from_slice(&stat.mtime.to_le_bytes());
        stats.extend_from_slice(&stat.ctime.to_le_bytes());
        stats.extend_from_slice(&stat.size.to_le_bytes());
        stats.extend_from_slice(&stat.mode.to_le_bytes());
    }
    let compressed = zstd::bulk::compress(&stats, STATS_LEVEL).expect("compressing into memory does not fail");
    bytes.extend_from_slice(&compressed);
    bytes
}

/// Four numbers of eight bytes and one of four.
const STAT_BYTES: usize = 36;

fn read_scan(bytes: &[u8], began: i64) -> Option<Known> {
    let (decoded, rest) = decode(bytes, None).ok()?;
    let count = decoded.manifest.len() as usize;
    let raw = decompress(rest, (count * STAT_BYTES) as u64).ok()?;
    let mut reader = ByteReader::new(&raw);
    let mut stats = Vec::with_capacity(count);
    for _ in 0..count {
        stats.push(FileStat {
            inode: u64::from_le_bytes(reader.array().ok()?),
            mtime: i64::from_le_bytes(reader.array().ok()?),
            ctime: i64::from_le_bytes(reader.array().ok()?),
            size: u64::from_le_bytes(reader.array().ok()?),
            mode: u32::from_le_bytes(reader.array().ok()?),
        });
    }
    Some(Known { manifest: decoded.manifest, stats, began })
}
