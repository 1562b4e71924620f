//! Searches caches of the application for paths of another release than the live one: frameworks keep absolute paths in
//! theirs, and then go on with the files of the old release.
//!
//! It searches the caches of the usual frameworks in the live release, and `shared/`. It leaves out the logs, sessions,
//! uploads and media there: they may name old releases, or are large.
//!
//! A search ends at its bounds, and says so: the rest may have old paths.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use memchr::memmem::Finder;

use crate::disk::Dir;
use crate::error::Error;
use crate::path::shown_path;
use crate::release::ReleaseId;
use crate::report::{CacheRemedy, Finding};
use crate::units::Count;

use super::look::Look;
use super::place::Ours;
use super::walk::{BOUNDS, Walk};

/// The directories of caches in a release: Laravel, Symfony.
const CACHES: [&[&str]; 3] = [&["bootstrap", "cache"], &["var", "cache"], &["storage", "framework"]];

/// The names in `shared/` that are no caches.
const NO_CACHES: [&str; 5] = ["log", "logs", "sessions", "uploads", "media"];

/// The most bytes of each file.
const BYTES_EACH: u64 = 1 << 20;

/// The most files that are read, and bytes of all of them: a search takes a second.
const MOST: Most = Most { files: 20_000, bytes: 256 << 20 };

pub(super) fn look(ours: &Ours) -> Result<Look, Error> {
    let layout = &ours.layout;
    let Some(live) = layout.current.live()? else { return Ok(Look::default()) };
    let releases = layout.releases.path();
    let real = std::fs::canonicalize(releases).map_err(|error| Error::io("resolve", releases, error))?;
    let (mut search, mut walk) = (Search::new(&live, [releases, &real], MOST), Walk::new(BOUNDS));
    let tree = layout.releases.open_dir(live.as_str().as_bytes())?;
    for cache in CACHES {
        if let Ok(cache) = open(&tree, cache) {
            search.read_below(&mut walk, &cache);
        }
    }
    search.read_below(&mut walk, &layout.shared);
    let mut look = Look::default();
    if search.is_cut || walk.is_cut {
        look.facts.push(format!("only {} files searched", Count(search.files as u64)));
    }
    let mut found = search.found.into_iter();
    if let Some((file, release)) = found.next() {
        let remedy = remedy(tree.path());
        look.find(Finding::OldPathInCache { file: shown_path(&file), release, remedy, further: found.count() as u64 });
    }
    Ok(look)
}

/// Opens a directory of a release by its names. One behind a symlink is in `shared/`, which is searched too.
fn open(tree: &Dir, names: &[&str]) -> Result<Dir, Error> {
    names.iter().try_fold(tree.duplicate()?, |dir, name| dir.open_dir(name.as_bytes()))
}

/// Finds the framework of a release.
fn remedy(tree: &Path) -> Option<CacheRemedy> {
    let known = [("artisan", CacheRemedy::Artisan), ("bin/console", CacheRemedy::Console)];
    known.iter().find(|(file, _)| tree.join(file).is_file()).map(|(_, remedy)| *remedy)
}

/// The bounds of a search, beside those of its walk.
#[derive(Debug, Clone, Copy)]
struct Most {
    files: usize,
    bytes: u64,
}

/// A search in files.
struct Search<'a> {
    live: &'a ReleaseId,
    /// The paths of `releases/`, with a slash.
    starts: Vec<Finder<'static>>,
    most: Most,
    found: Vec<(PathBuf, ReleaseId)>,
    files: usize,
    bytes: u64,
    /// Whether something was left out at a bound.
    is_cut: bool,
}

impl<'a> Search<'a> {
    fn new(live: &'a ReleaseId, releases: [&Path; 2], most: Most) -> Search<'a> {
        let start = |path: &Path| Finder::new(&[path.as_os_str().as_bytes(), b"/"].concat()).into_owned();
        let starts = releases.map(start).into();
        Search { live, starts, most, found: Vec::new(), files: 0, bytes: 0, is_cut: false }
    }

    /// Reads all files below a directory.
    fn read_below(&mut self, walk: &mut Walk, directory: &Dir) {
        let wants = |name: &[u8]| !name.ends_with(b".log") && !NO_CACHES.iter().any(|other| name == other.as_bytes());
        walk.visit(directory, wants, &mut |directory, name, _| self.read(directory, name));
    }

    fn read(&mut self, directory: &Dir, name: &[u8]) {
        if self.files >= self.most.files || self.bytes >= self.most.bytes {
            self.is_cut = true;
            return;
        }
        self.files += 1;
        // A file that only others may read is not searched.
        let Ok(Some(file)) = directory.open_file(name) else { return };
        let Ok(text) = read_file(file) else { return };
        self.bytes += text.len() as u64;
        if let Some(release) = self.other_release(&text) {
            self.found.push((directory.path_of(name), release));
        }
    }

    /// Finds the path of another release in a text.
    fn other_release(&self, text: &[u8]) -> Option<ReleaseId> {
        let ids = self.starts.iter().flat_map(|start| {
            let length = start.needle().len();
            start.find_iter(text).map(move |at| id_at(&text[at + length..]))
        });
        ids.flatten().find(|id| id != self.live)
    }
}

/// Reads the beginning of a file. Whatever took its place meanwhile, such as a fifo, has no content.
fn read_file(file: File) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if file.metadata()?.is_file() {
        file.take(BYTES_EACH).read_to_end(&mut text)?;
    }
    Ok(text)
}

/// Parses the name of a release at the beginning of a text.
fn id_at(text: &[u8]) -> Option<ReleaseId> {
    let is_of_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    let name: Vec<u8> = text.iter().take_while(is_of_name).copied().collect();
    std::str::from_utf8(&name).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_another_release_is_found_and_that_of_the_live_one_is_not() {
        let live: ReleaseId = "2".parse().unwrap();
        let search = Search::new(&live, [Path::new("/srv/shop/releases"), Path::new("/data/shop/releases")], MOST);
        let check = |text: &str, expected: Option<&str>| {
            let found = search.other_release(text.as_bytes()).map(|id| id.to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("'/srv/shop/releases/2/a'", None);
        check("'/srv/shop/releases/2/a', '/srv/shop/releases/1/a'", Some("1"));
        check("s:27:\"/data/shop/releases/20260101000000\"", Some("20260101000000"));
        check("/srv/shop/releases/", None);
        check("/srv/shop/releases/x/1", None);
        check("/srv/other/releases/1", None);
        check("/srv/shop/current/a", None);
    }

    /// Searches a directory. Returns the number of files with an old path, and whether the search was cut.
    fn search(directory: &Path, most: Most) -> (usize, bool) {
        let live: ReleaseId = "2".parse().unwrap();
        let mut search = Search::new(&live, [Path::new("/srv/shop/releases"), Path::new("/r")], most);
        search.read_below(&mut Walk::new(BOUNDS), &Dir::open(directory).unwrap());
        (search.found.len(), search.is_cut)
    }

    #[test]
    fn a_search_ends_at_each_of_its_bounds_and_says_so() {
        let place = tempfile::tempdir().unwrap();
        for name in ["1", "2", "3", "debug.log"] {
            std::fs::write(place.path().join(name), "/srv/shop/releases/1/x").unwrap();
        }
        assert_eq!(search(place.path(), Most { files: 3, ..MOST }), (3, false));
        assert_eq!(search(place.path(), Most { files: 2, ..MOST }), (2, true));
        assert_eq!(search(place.path(), Most { bytes: 1, ..MOST }), (1, true));
    }

    #[test]
    fn a_fifo_that_takes_the_place_of_a_file_between_two_calls_has_no_content() {
        let place = tempfile::tempdir().unwrap();
        assert!(std::process::Command::new("mkfifo").arg(place.path().join("fifo")).status().unwrap().success());
        let fifo = Dir::open(place.path()).unwrap().open_file(b"fifo").unwrap().unwrap();
        assert_eq!(read_file(fifo).unwrap(), b"");
    }
}
