//! The format of the manifest database: its number, its mark, its bounds and its tables.
//!
//! ```text
//! scans      source path, root → a number that grows with each scan, the begin of the scan, the scan (`last_scan.rs`)
//! ignored    source path → the files of its last scan that git ignores (`review.rs`)
//! chunks     content hash → the chunks of a large file
//! targets    destination → store id, its releases and the live one, whether an upload to it was cut off
//! stores     store id → a number that grows with each deploy
//! releases   store id, release → root
//! manifests  root → manifest, if no scan has it
//! ```
//!
//! It is bounded. It keeps the last scan of each of the sources that were scanned last, and their earlier scans that a
//! release names, as its manifest. It keeps the state of the stores that were deployed to last, and the manifests of
//! their releases. SQLite uses the freed space of the file again.

/// The format. It grows with every change of a table, of a blob's content, or of the built-in rules by which every
/// source leaves out paths.
pub(super) const FORMAT: i64 = 8;

/// The mark of a database of Cutover's: `cuto`.
pub(super) const APPLICATION: i64 = 0x6375_746f;

/// The bytes of a page: with SQLite's 4 KiB, a scan of 80,000 files takes 1,200 calls.
pub(super) const PAGE_BYTES: i64 = 16 << 10;

/// The most sources whose scans are kept. A scan of 80,000 files takes 5 MB. A source without one is read once.
pub(super) const SOURCES_MAX: i64 = 16;

/// The most stores whose state is kept: the manifest of each existing release, 3 MB for 80,000 files. Without them the
/// agent is asked for an outline.
pub(super) const STORES_MAX: i64 = 16;

/// The bytes of chunk lists above which all of them are dropped before others are kept. The lists of 400 GB of files
/// take as much.
pub(super) const CHUNK_LISTS_BYTES_MAX: i64 = 64 << 20;

/// Tables with large blobs have row ids: without one, SQLite reads a row to its end, blob and all, to compare its key.
pub(super) const SCHEMA: &str = "
    CREATE TABLE scans (source BLOB NOT NULL, root BLOB NOT NULL, kept INTEGER NOT NULL, began INTEGER NOT NULL,
        scan BLOB NOT NULL, PRIMARY KEY (source, root));
    CREATE TABLE ignored (source BLOB PRIMARY KEY NOT NULL, files BLOB NOT NULL);
    CREATE TABLE chunks (hash BLOB PRIMARY KEY NOT NULL, chunks BLOB NOT NULL);
    CREATE TABLE targets (destination TEXT PRIMARY KEY, store TEXT NOT NULL, standing BLOB NOT NULL, live TEXT,
        is_cut INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE stores (store TEXT PRIMARY KEY, seen INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE releases (store TEXT NOT NULL, release TEXT NOT NULL, root BLOB NOT NULL,
        PRIMARY KEY (store, release)) WITHOUT ROWID;
    CREATE TABLE manifests (root BLOB PRIMARY KEY NOT NULL, manifest BLOB NOT NULL);
";
