//! Scans the source of a deploy.
//!
//! The walk is that of [`crate::scan`]. This module adds what only a source has: the rules of `.deployignore`, the
//! commit of a git checkout and whether it has changes, and the file `REVISION` that names both.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{self, Mode};
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::client::changes::{self, Changes, Question};
use crate::client::commit::{Commit, revision};
use crate::client::rules::SourceRules;
use crate::error::{Error, SourceError};
use crate::event::Observer;
use crate::scan::content::OPEN_DIRECTORY;
use crate::scan::snapshot::Snapshot;
use crate::scan::{Generated, WalkRequest, unreadable, walk};

/// The name of the file with the commit.
pub(crate) const REVISION: &[u8] = b"REVISION";

/// The request of a scan.
pub(crate) struct ScanRequest<'a> {
    /// The directory.
    pub(crate) source: &'a Path,
    /// Patterns that leave paths out.
    pub(crate) exclude: &'a [String],
    /// The config in use, which is left out if it lies in the source.
    pub(crate) config: Option<&'a Path>,
    /// Whether paths that git ignores are left out.
    pub(crate) gitignore: bool,
    /// Whether no file names the commit.
    pub(crate) no_revision: bool,
    /// The commit, if the source is one and has no changes. Without it, the source may be a checkout.
    pub(crate) commit: Option<&'a str>,
    /// The last scan of the same directory. Without it, everything is listed and read.
    pub(crate) known: Option<&'a Arc<Snapshot>>,
    /// A directory, as device and inode, that must not be in the source: the local target.
    pub(crate) forbidden: Option<(u64, u64)>,
    /// Receives progress.
    pub(crate) observer: &'a dyn Observer,
    /// The request to stop.
    pub(crate) cancel: &'a Cancel,
}

/// The result of a scan.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The manifest, and the stat of each entry. If nothing has changed, it is the last scan itself.
    pub(crate) found: Arc<Snapshot>,
    /// The source, held.
    pub(crate) source: OwnedFd,
    /// The entry of the generated file, with its content.
    pub(crate) generated: Option<(u32, Vec<u8>)>,
    /// The commit of the source.
    pub(crate) commit: Commit,
    /// The changes since the commit.
    pub(crate) changes: Changes,
    /// The rules at the beginning of the scan.
    pub(crate) rules: SourceRules,
}

/// Scans a source.
pub(crate) fn scan(request: &ScanRequest<'_>) -> Result<Scan, Error> {
    let source = open_source(request.source)?;
    let mut rules = SourceRules::new(request.source, request.exclude, request.config)?;
    if request.gitignore {
        rules = rules.with_gitignore(request.cancel)?;
    }
    let commit = request.commit.map_or_else(|| Commit::of(request.source), |commit| Commit::Known(commit.to_owned()));
    let own_commit = commit.known().filter(|_| request.commit.is_none());
    let kept = own_commit.zip(request.known).and_then(|(commit, known)| changes::kept(request.source, commit, known));
    let ask = || Question::start(request.source, request.cancel);
    let mut question = (own_commit.is_some() && kept.is_none()).then(ask);
    let tree = walk(&WalkRequest {
        group: None,
        root: &source,
        path: request.source,
        rules: &rules,
        known: request.known,
        forbidden: request.forbidden,
        observer: request.observer,
        cancel: request.cancel,
    })?;
    if kept.is_some() && !tree.is_unchanged() {
        question = Some(ask());
    }
    let changes = match (question, kept) {
        (Some(question), _) => question.answer(request.source, &source, &rules, request.cancel)?,
        (None, Some(true)) => Changes::Some,
        (None, _) => Changes::None,
    };
    let named = commit.known().filter(|_| !request.no_revision);
    let revision = named.map(|commit| revision(commit, changes == Changes::Some).into_bytes());
    let revision = revision.map(|content| Generated::new(REVISION, content));
    let found = tree.finish(revision.as_ref())?;
    let generated = found.generated().zip(revision).map(|((entry, _), revision)| (entry, revision.content));
    Ok(Scan { found, source, generated, commit, changes, rules })
}

fn open_source(path: &Path) -> Result<OwnedFd, Error> {
    match fs::open(path, OPEN_DIRECTORY, Mode::empty()) {
        Ok(source) => Ok(source),
        Err(Errno::NOENT) => Err(SourceError::Missing(path.to_owned()).into()),
        Err(Errno::NOTDIR) => Err(SourceError::NotDirectory(path.to_owned()).into()),
        Err(errno) => Err(unreadable(path.as_os_str().as_bytes(), errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File, FileTimes};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::time::SystemTime;

    use rustix::time::{ClockId, clock_gettime};

    use super::*;
    use crate::client::last_scan::{from_bytes, to_bytes};
    use crate::event::Silent;
    use crate::hash::Hash;
    use crate::manifest::{Builder, Manifest, Node};
    use crate::scan::stat::file_of;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    /// A source, with room beside it.
    struct Place(tempfile::TempDir);

    impl Place {
        /// A source of a few directories, an ignore file that leaves itself out, and links.
        fn new() -> Place {
            // On disk it may be an overlay, of which every directory is listed.
            let memory = Path::new("/dev/shm");
            let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
            let place = Place(directory.unwrap());
            for path in
                ["a/one", "a/two", "a/deep/three", "a/deep/left.log", "b/one", "b/left.log", "empty/deeper/file"]
            {
                place.write(path, path);
            }
            place.write("b/.deployignore", "*.log\n.deployignore\n");
            symlink("one", place.path("a/link")).unwrap();
            symlink("a", place.path("link")).unwrap();
            place
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join("source").join(path)
        }

        fn beside(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, path: &str, content: &str) {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn rename(&self, from: &str, to: &str) {
            fs::rename(self.path(from), self.path(to)).unwrap();
        }

        fn remove(&self, path: &str) {
            fs::remove_file(self.path(path)).unwrap();
        }

        fn scan_with(&self, exclude: &[String], known: Option<&Arc<Snapshot>>) -> Result<Scan, Error> {
            let cancel = Cancel::default();
            let source = self.path("");
            let (config, forbidden) = (None, None);
            let observer = &Silent;
            let (gitignore, no_revision, commit, cancel) = (false, false, None, &cancel);
            scan(&ScanRequest {
                source: &source,
                exclude,
                config,
                gitignore,
                no_revision,
                commit,
                known,
                forbidden,
                observer,
                cancel,
            })
        }

        fn scan(&self, known: Option<&Arc<Snapshot>>) -> Scan {
            self.scan_with(&[], known).unwrap()
        }

        /// Scans, and returns that scan as if it had been made long after the last change.
        fn known(&self) -> Arc<Snapshot> {
            tick();
            let known = later(&self.scan(None).found, HOUR);
            tick();
            known
        }

        /// Does something to a path, and gives it back its mtime.
        fn keeping_mtime(&self, path: &str, change: impl FnOnce()) {
            let mtime = fs::metadata(self.path(path)).unwrap().modified().unwrap();
            change();
            set_mtime(&self.path(path), mtime);
        }
    }

    fn set_mtime(path: &Path, mtime: SystemTime) {
        File::open(path).unwrap().set_times(FileTimes::new().set_modified(mtime)).unwrap();
    }

    /// Waits until a change gets another time than those before: filesystems take the time of the last tick of the clock.
    fn tick() {
        let now = || clock_gettime(ClockId::RealtimeCoarse);
        let before = now();
        while now() == before {
            std::thread::yield_now();
        }
    }

    const HOUR: i64 = 3_600_000_000_000;

    fn later(known: &Snapshot, nanos: i64) -> Arc<Snapshot> {
        Arc::new(Snapshot { began: known.began + nanos, ..known.clone() })
    }

    fn paths(manifest: &Manifest) -> Vec<String> {
        let mut paths: Vec<String> =
            (0..manifest.len()).map(|index| String::from_utf8(manifest.path(index)).unwrap()).collect();
        paths.sort();
        paths
    }

    /// Asserts that a scan has the same result as one without a last scan.
    #[track_caller]
    fn assert_right(what: &str, found: &Scan, expected: &Scan) {
        assert_eq!(paths(&found.found.manifest), paths(&expected.found.manifest), "{what}");
        assert_eq!(found.found.manifest.root(), expected.found.manifest.root(), "{what}");
        assert_eq!(found.found.stats, expected.found.stats, "{what}");
        assert_eq!(found.found.root, expected.found.root, "{what}");
        assert_eq!(found.found.rules, expected.found.rules, "{what}");
        assert_eq!(found.found.noted, expected.found.noted, "{what}");
        assert_eq!(found.found.capable, expected.found.capable, "{what}");
        assert_eq!(found.found.rule_files, expected.found.rule_files, "{what}");
        assert_eq!((&found.generated, &found.commit), (&expected.generated, &expected.commit), "{what}");
    }

    #[test]
    fn what_was_changed_is_found_whatever_was_known() {
        type Change = fn(&Place);
        let changes: &[(&str, Change)] = &[
            ("a new name in an old directory", |place| place.write("a/deep/new", "")),
            ("a name that is gone", |place| place.remove("a/two")),
            ("a rename, and the directory's mtime put back", |place| {
                place.keeping_mtime("a", || place.rename("a/two", "a/other"));
            }),
            ("a file replaced by one of the same size and mtime", |place| {
                fs::write(place.beside("other"), "A/TWO").unwrap();
                set_mtime(&place.beside("other"), fs::metadata(place.path("a/two")).unwrap().modified().unwrap());
                place.keeping_mtime("a", || fs::rename(place.beside("other"), place.path("a/two")).unwrap());
            }),
            ("content of the same size and mtime", |place| {
                place.keeping_mtime("a/two", || place.write("a/two", "A/TWO"));
            }),
            ("more content", |place| place.write("a/deep/three", "more than it was")),
            ("a file's mode", |place| {
                fs::set_permissions(place.path("b/one"), fs::Permissions::from_mode(0o755)).unwrap();
            }),
            ("a dropped bit", |place| {
                fs::set_permissions(place.path("b/one"), fs::Permissions::from_mode(0o4755)).unwrap();
            }),
            ("a directory's mode", |place| {
                fs::set_permissions(place.path("b"), fs::Permissions::from_mode(0o700)).unwrap();
            }),
            ("the source's mode", |place| {
                fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o700)).unwrap();
            }),
            ("a directory that is a symlink now", |place| {
                place.keeping_mtime("", || {
                    place.rename("a/deep", "moved");
                    symlink("../moved", place.path("a/deep")).unwrap();
                });
            }),
            ("a symlink that is a directory now", |place| {
                place.remove("link");
                place.rename("a", "link");
            }),
            ("a symlink that leads elsewhere", |place| {
                place.keeping_mtime("a", || {
                    place.remove("a/link");
                    symlink("two", place.path("a/link")).unwrap();
                });
            }),
            ("two directories exchanged", |place| {
                place.keeping_mtime("", || {
                    place.rename("a", "c");
                    place.rename("b", "a");
                    place.rename("c", "b");
                });
            }),
            ("a file that is a directory now", |place| {
                place.remove("b/one");
                place.write("b/one/one", "");
            }),
            ("a directory that is a file now", |place| {
                fs::remove_dir_all(place.path("empty")).unwrap();
                place.write("empty", "");
            }),
            ("a name that is left out", |place| place.write("b/new.log", "")),
            ("an ignore file that is less strict", |place| place.write("b/.deployignore", ".deployignore\n")),
            ("an ignore file with the size and mtime of before", |place| {
                place.keeping_mtime("b/.deployignore", || place.write("b/.deployignore", "*.bog\n.deployignore\n"));
            }),
            ("an ignore file that is gone", |place| place.keeping_mtime("b", || place.remove("b/.deployignore"))),
            ("an ignore file at the top", |place| place.write(".deployignore", "three\n")),
            ("an ignore file between", |place| place.write("a/.deployignore", "*.log\n")),
            ("what was left out comes in by its name", |place| place.rename("b/left.log", "b/left.txt")),
            ("a commit", |place| place.write(".git/HEAD", COMMIT)),
            ("a file in the place of the commit", |place| {
                place.write(".git/HEAD", COMMIT);
                place.write("REVISION", "mine");
            }),
        ];
        for (what, change) in changes {
            let place = Place::new();
            let known = place.known();
            change(&place);
            let found = place.scan(Some(&known));
            assert_right(what, &found, &place.scan(None));
            assert!(!Arc::ptr_eq(&found.found, &known), "nothing was found of: {what}");
            // The next scan has the same result.
            let again = place.scan(Some(&later(&found.found, HOUR)));
            assert_right(what, &again, &found);
        }
    }

    #[test]
    fn where_nothing_has_changed_the_last_scan_is_the_result() {
        let place = Place::new();
        let check = |what: &str| {
            let known = place.known();
            let found = place.scan(Some(&known));
            assert!(Arc::ptr_eq(&found.found, &known), "{what}");
            assert_right(what, &found, &place.scan(None));
            // It is kept as bytes.
            let kept = Arc::new(from_bytes(&to_bytes(&known), known.began).unwrap());
            let found = place.scan(Some(&kept));
            assert!(Arc::ptr_eq(&found.found, &kept), "{what}");
        };
        check("no checkout");
        place.write(".git/HEAD", COMMIT);
        check("a checkout");
        place.write("REVISION", "mine");
        check("a checkout with a file in the place of the commit");
    }

    #[test]
    fn another_commit_is_another_release_and_nothing_else_is_new() {
        let place = Place::new();
        place.write(".git/HEAD", COMMIT);
        let known = place.known();
        for head in [&COMMIT.replace('0', "f"), "no commit"] {
            place.write(".git/HEAD", head);
            assert_right("", &place.scan(Some(&known)), &place.scan(None));
        }
        place.remove(".git/HEAD");
        place.write("REVISION", &format!("{COMMIT}\n"));
        assert_right("", &place.scan(Some(&known)), &place.scan(None));
    }

    #[test]
    fn other_excludes_bring_in_what_was_left_out_before() {
        let place = Place::new();
        tick();
        let check = |before: &[String], after: &[String]| {
            let known = later(&place.scan_with(before, None).unwrap().found, HOUR);
            let found = place.scan_with(after, Some(&known)).unwrap();
            assert_right("", &found, &place.scan_with(after, None).unwrap());
        };
        let patterns =
            [vec![], vec!["one".to_owned()], vec!["deep/".to_owned(), "one".to_owned()], vec!["!*.log".to_owned()]];
        for before in &patterns {
            for after in &patterns {
                check(before, after);
            }
        }
    }

    /// The last scan, without one name and with other content and targets: they show which parts of it are trusted.
    fn lies_of(known: &Snapshot, without: &[u8]) -> Arc<Snapshot> {
        let manifest = &known.manifest;
        let (mut builder, mut stats) = (Builder::new(), Vec::new());
        for (number, directory) in manifest.directories().iter().enumerate() {
            builder.begin(directory.mode).unwrap();
            for named in manifest.children(number as u32).filter(|named| named.name != without) {
                let stat = known.stats[named.index as usize];
                stats.push(stat);
                match named.node {
                    Node::File(_) => builder.file(named.name, file_of(&stat, Hash::of(b"lies"))).unwrap(),
                    Node::Symlink(_) => builder.symlink(named.name, b"lies").unwrap(),
                    Node::Directory(_) => builder.directory(named.name).unwrap(),
                };
            }
        }
        Arc::new(Snapshot { manifest: builder.finish().unwrap(), stats, ..known.clone() })
    }

    #[test]
    fn what_is_as_known_is_not_listed_read_or_resolved_again() {
        let place = Place::new();
        let lies = lies_of(&place.known(), b"two");
        let found = place.scan(Some(&lies));
        assert!(Arc::ptr_eq(&found.found, &lies));
        // Only the directory that has changed is listed.
        place.write("a/new", "");
        let found = place.scan(Some(&lies));
        let expected = place.scan(None);
        assert_eq!(paths(&found.found.manifest), paths(&expected.found.manifest));
        let hash = |scan: &Scan, path: &str| {
            let named = scan.found.manifest.find(path.as_bytes().split(|&byte| byte == b'/')).unwrap();
            scan.found.manifest.file(named.index).unwrap().key.hash
        };
        let is_read =
            ["a/one", "a/two", "a/new", "a/deep/three", "b/one"].map(|path| hash(&found, path) != Hash::of(b"lies"));
        assert_eq!(is_read, [false, true, true, false, false]);
        // Soon after a change nothing is trusted.
        let soon = Arc::new(Snapshot { began: lies.began - HOUR, ..Snapshot::clone(&lies) });
        assert_right("", &place.scan(Some(&soon)), &expected);
        // Other patterns: everything is listed, and read only where it was not known.
        let patterns = ["nothing".to_owned()];
        let found = place.scan_with(&patterns, Some(&lies)).unwrap();
        assert_eq!(paths(&found.found.manifest), paths(&expected.found.manifest));
        assert_eq!(hash(&found, "b/one"), Hash::of(b"lies"));
    }

    #[test]
    fn what_changes_during_a_scan_is_found_by_the_next() {
        let place = Place::new();
        // A tick is 10 ms at most; with the two seconds that are allowed for, nothing here would be trusted.
        let window = |known: &Snapshot| later(known, 1_980_000_000);
        let mut known = window(&place.scan(None).found);
        let mut scans = 0;
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for round in 0..100 {
                    let directory = ["a", "a/deep", "b", "empty/deeper"][round % 4];
                    match round % 3 {
                        0 => place.write(&format!("{directory}/{round}"), "x"),
                        1 => place.write(&format!("{directory}/new/{round}"), "x"),
                        _ => place.write(&format!("{directory}/one"), &format!("{round:03}")),
                    }
                    if round % 10 == 9 {
                        place.rename("empty/deeper", "a/moved");
                        place.rename("a/moved", "empty/deeper");
                    }
                    (0..3).for_each(|_| tick());
                }
            });
            while !writer.is_finished() {
                match place.scan_with(&[], Some(&known)) {
                    Ok(scan) => known = window(&scan.found),
                    Err(Error::Source(SourceError::FileChanging(_))) => {}
                    Err(error) => panic!("{error}"),
                }
                scans += 1;
            }
        });
        assert!(scans > 10, "{scans} scans");
        assert_right("", &place.scan(Some(&known)), &place.scan(None));
    }
}
