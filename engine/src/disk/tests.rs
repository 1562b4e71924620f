//! A deploy over an existing release, in which each change to the disk fails once.
//!
//! Whichever change fails, `current` leads to a complete release, the old one or the new one, and the next deploy
//! makes the release that the source describes.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::event::Silent;
use crate::release::Provenance;
use crate::request::{Context, DeployRequest, SourceRequest};
use crate::target::{Destination, Policy, Reach, Target};
use crate::verbs::deploy;

use super::fault::{Change, Fault};

/// A source, a deploy path and a state directory.
struct Place {
    dir: tempfile::TempDir,
}

/// A node of a tree: a symlink's target, a file's content and whether it is executable, or a directory.
#[derive(Debug, PartialEq, Eq)]
enum Node {
    Symlink(PathBuf),
    File(Vec<u8>, bool),
    Directory,
}

type Tree = BTreeMap<PathBuf, Node>;

impl Place {
    fn new() -> Place {
        // In memory if possible: hundreds of deploys sync their files.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let place = Place { dir: dir.unwrap() };
        std::fs::create_dir_all(place.source().join("kept/below")).unwrap();
        std::fs::create_dir(place.site()).unwrap();
        place
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("source")
    }

    fn site(&self) -> PathBuf {
        self.dir.path().join("site")
    }

    /// Changes the source: files that stay, change, move, come and go, an empty file, a link, a directory.
    fn change_source(&self, turn: u64) {
        let source = self.source();
        let write = |name: &str, content: &str| std::fs::write(source.join(name), content).unwrap();
        write("kept/file", "always the same\n");
        write("kept/below/changed", &format!("turn {turn}\n"));
        write(&format!("moves-{turn}"), "the same elsewhere\n");
        write("private", &format!("copied {}\n", turn % 3));
        write("empty", "");
        let new = source.join(format!("new-{turn}"));
        std::fs::create_dir(&new).unwrap();
        std::fs::write(new.join("file"), format!("new in {turn}\n")).unwrap();
        let mode = if turn.is_multiple_of(2) { 0o755 } else { 0o644 };
        std::fs::set_permissions(source.join("private"), PermissionsExt::from_mode(mode)).unwrap();
        std::fs::remove_file(source.join("link")).ok();
        symlink(format!("new-{turn}"), source.join("link")).unwrap();
        if let Some(before) = turn.checked_sub(1) {
            std::fs::remove_file(source.join(format!("moves-{before}"))).ok();
            std::fs::remove_dir_all(source.join(format!("new-{before}"))).ok();
        }
    }

    fn deploy(&self) -> Result<(), crate::error::Error> {
        let context = Context {
            target: Target { destination: Destination::Local(self.site()), reach: Reach::default() },
            policy: Policy {
                keep_releases: 2,
                grace: std::time::Duration::ZERO,
                copy_paths: vec!["private".to_owned()],
                ..Policy::default()
            },
            procedure: Default::default(),
            lock: Default::default(),
            provenance: Provenance::default(),
            state_dir: self.dir.path().join("state"),
            observer: Arc::new(Silent),
            cancel: Cancel::default(),
        };
        let request = DeployRequest {
            source: SourceRequest { directory: self.source(), ..SourceRequest::default() },
            release: None,
            no_switch: false,
            force: false,
            dry_run: false,
            no_space_check: false,
            paranoid: false,
            zstd_level: None,
            lanes: None,
        };
        deploy(&context, &request).map(drop).map_err(|failure| failure.error)
    }

    fn live(&self) -> Tree {
        tree(&self.site().join("current"))
    }
}

fn tree(root: &Path) -> Tree {
    let mut found = Tree::new();
    let mut waiting = vec![root.canonicalize().unwrap()];
    let real = waiting[0].clone();
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let node = if metadata.is_symlink() {
                Node::Symlink(std::fs::read_link(&path).unwrap())
            } else if metadata.is_dir() {
                waiting.push(path.clone());
                Node::Directory
            } else {
                Node::File(std::fs::read(&path).unwrap(), metadata.permissions().mode() & 0o100 != 0)
            };
            found.insert(path.strip_prefix(&real).unwrap().to_owned(), node);
        }
    }
    found
}

/// Alternates between a failing disk and a full disk. Each change meets one or the other, because its number differs
/// between runs.
fn errno(nth: u64) -> Errno {
    if nth.is_multiple_of(2) { Errno::IO } else { Errno::NOSPC }
}

#[test]
fn whatever_change_to_a_disk_fails_a_complete_release_is_live_and_the_next_deploy_is_right() {
    use Change::{Length, Link, Make, Mode, Remove, Rename, Sync, Times, Write};
    let place = Place::new();
    place.change_source(0);
    place.deploy().unwrap();
    let mut failed = Vec::new();
    for nth in 1.. {
        let old = place.live();
        place.change_source(nth);
        let new = tree(&place.source());
        let fault = Fault::arm(&place.site(), nth, errno(nth));
        let deployed = place.deploy();
        let fault = fault.finish();
        let what = format!("change {nth}, {fault:?}, failed: {deployed:?}");
        let live = place.live();
        assert!(live == new || (live == old && deployed.is_err()), "{what}");
        let Some((change, _)) = fault else {
            deployed.unwrap();
            break;
        };
        failed.push(change);
        if let Err(error) = place.deploy() {
            panic!("{what}; and then {error}");
        }
        assert_eq!(place.live(), new, "{what}");
    }
    for change in [Make, Link, Rename, Remove, Write, Length, Mode, Times, Sync] {
        assert!(failed.contains(&change), "no {change:?} of {}", failed.len());
    }
}

#[test]
fn whatever_change_of_a_first_deploy_fails_the_next_one_is_right() {
    for nth in 1.. {
        let place = Place::new();
        place.change_source(0);
        let new = tree(&place.source());
        let fault = Fault::arm(&place.site(), nth, errno(nth));
        let deployed = place.deploy();
        let fault = fault.finish();
        let what = format!("change {nth}, {fault:?}, failed: {deployed:?}");
        let is_live = place.site().join("current").is_symlink();
        assert!(is_live || deployed.is_err(), "{what}");
        assert!(!is_live || place.live() == new, "{what}");
        if fault.is_none() {
            return deployed.unwrap();
        }
        if let Err(error) = place.deploy() {
            panic!("{what}; and then {error}");
        }
        assert_eq!(place.live(), new, "{what}");
    }
}
