//! The modes of a worktree, and whether each tracked file is there.
//!
//! Git knows only the execute bit of a file, and no mode of a directory. A release has all of them. So tracked files and
//! their directories get the modes of a fresh checkout under the usual umask: 0644 or 0755, and 0755 for directories.
//! Untracked files that stay keep theirs.
//!
//! Git believes a file to be there if its path leads to it, also through a symlink in the place of a directory. If it then
//! replaces the symlink, the file is gone. Here nothing is reached through a symlink, so that is found.
//!
//! Git does not look at a file either if the index says so (`skip-worktree`). No checkout of ours says so.
//!
//! Each file costs a `stat`. Write permissions of a file do not count: a release has none, and git would read a file
//! again whose mode was set.

use rayon::prelude::*;

use crate::cancel::Cancel;
use crate::disk::{Dir, Kind, SETGID};
use crate::error::{Error, SourceError};
use crate::path::Shown;
use crate::threads;

const DIRECTORY_MODE: u32 = 0o755;

/// The bits of a file's mode that get into a release, and those that no file of a commit has.
const COMPARED_BITS: u32 = 0o7555;

/// A tracked path.
struct Tracked<'a> {
    path: &'a [u8],
    node: Node,
}

/// Something that git writes.
#[derive(Clone, Copy)]
enum Node {
    /// A file with this mode.
    File(u32),
    /// A symlink, or a file with its target where git makes no symlinks.
    Symlink,
    /// The directory of a submodule, which may be missing.
    Submodule,
}

/// The question whose answer is the list for [`mend`].
pub(super) const LISTING: [&str; 4] = ["ls-files", "-v", "--stage", "-z"];

/// Sets the modes of the tracked files below a directory, where they differ. Fails if one of them is missing. `listed` is
/// the answer to [`LISTING`].
pub(super) fn mend(tree: &Dir, listed: &[u8], cancel: &Cancel) -> Result<(), Error> {
    threads::start_pool()?;
    let lines = listed.split(|&byte| byte == 0).filter(|line| !line.is_empty());
    let tracked: Vec<Tracked<'_>> =
        lines.map(|line| tracked(line).ok_or_else(|| not_as_written(tree, line))).collect::<Result<_, _>>()?;
    mend_below(tree, &tracked, 0, cancel)
}

/// Parses a line: the tag of a usual file, mode, hash, stage, a tab and the path.
fn tracked(line: &[u8]) -> Option<Tracked<'_>> {
    let line = line.strip_prefix(b"H ")?;
    let tab = line.iter().position(|&byte| byte == b'\t')?;
    let node = match line.get(..6)? {
        b"100755" => Node::File(0o755),
        b"120000" => Node::Symlink,
        b"160000" => Node::Submodule,
        _ => Node::File(0o644),
    };
    Some(Tracked { path: &line[tab + 1..], node })
}

/// Sets the modes in a directory. Its files are in the order of git: those below one name follow each other. `front` is
/// the length of its path.
fn mend_below(dir: &Dir, tracked: &[Tracked<'_>], front: usize, cancel: &Cancel) -> Result<(), Error> {
    cancel.check()?;
    let mode = dir.own_stat()?.mode;
    if mode & !SETGID != DIRECTORY_MODE {
        dir.set_mode(DIRECTORY_MODE | mode & SETGID)?;
    }
    let mut below = Vec::new();
    let mut rest = tracked;
    while let Some(first) = rest.first() {
        let path = &first.path[front..];
        let Some(end) = path.iter().position(|&byte| byte == b'/') else {
            mend_name(dir, path, first.node)?;
            rest = &rest[1..];
            continue;
        };
        let within = &first.path[..=front + end];
        let (inner, others) = rest.split_at(rest.partition_point(|file| file.path.starts_with(within)));
        below.push((&path[..end], inner));
        rest = others;
    }
    below.into_par_iter().try_for_each(|(name, inner)| {
        let inside = dir.open_dir(name).map_err(|error| match error {
            Error::Site(_) => not_as_written(dir, name),
            other => other,
        })?;
        mend_below(&inside, inner, front + name.len() + 1, cancel)
    })
}

fn mend_name(dir: &Dir, name: &[u8], node: Node) -> Result<(), Error> {
    let stat = dir.stat(name)?;
    match (node, stat.map(|stat| stat.kind)) {
        (Node::File(_), Some(Kind::File)) | (Node::Symlink, Some(Kind::File | Kind::Symlink)) => {}
        (Node::Submodule, None | Some(Kind::Directory)) => {}
        _ => return Err(not_as_written(dir, name)),
    }
    match (node, stat) {
        (Node::File(wanted), Some(stat)) if stat.mode & COMPARED_BITS != wanted & COMPARED_BITS => {
            dir.set_mode_of(name, wanted)
        }
        _ => Ok(()),
    }
}

fn not_as_written(dir: &Dir, name: &[u8]) -> Error {
    let reason = format!("`{}` is not there as `git` wrote it", Shown(name));
    SourceError::CheckoutFailed { directory: dir.path().display().to_string(), reason }.into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_tracked_files_and_their_directories_get_the_modes_of_a_checkout() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        let check = |name: &str, mode: u32, expected: u32| {
            let found = fs::metadata(path(name)).unwrap().permissions().mode() & 0o7777;
            assert_eq!(format!("{found:o}"), format!("{expected:o}"), "{name}, which was {mode:o}");
        };
        let cases = [
            ("a", 0o600, 0o644),
            ("a-b", 0o664, 0o664),
            ("a.d/x", 0o4644, 0o644),
            ("a.d/y/z", 0o700, 0o755),
            ("a.d/y/untracked", 0o600, 0o600),
            ("a.d/z", 0o444, 0o444),
            ("cache/x", 0o600, 0o600),
            ("z", 0o744, 0o755),
        ];
        let directories =
            [("a.d", 0o700, 0o755), ("a.d/y", 0o2711, 0o2755), ("cache", 0o700, 0o700), (".", 0o777, 0o755)];
        fs::create_dir_all(path("a.d/y")).unwrap();
        fs::create_dir(path("cache")).unwrap();
        symlink("gone", path("link")).unwrap();
        for (name, ..) in cases {
            fs::write(path(name), "").unwrap();
        }
        for (name, mode, _) in cases.into_iter().chain(directories) {
            fs::set_permissions(path(name), PermissionsExt::from_mode(mode)).unwrap();
        }
        let line = |mode: &str, path: &str| format!("H {mode} {} 0\t{path}\0", "0".repeat(40));
        let listed = [
            line("100644", "a"),
            line("100644", "a-b"),
            line("100644", "a.d/x"),
            line("100755", "a.d/y/z"),
            line("100644", "a.d/z"),
            line("120000", "link"),
            line("160000", "submodule"),
            line("100755", "z"),
        ];
        mend(&Dir::open(place.path()).unwrap(), listed.concat().as_bytes(), &Cancel::default()).unwrap();
        cases.into_iter().chain(directories).for_each(|(name, mode, expected)| check(name, mode, expected));

        let missing = |listed: String| {
            mend(&Dir::open(place.path()).unwrap(), listed.as_bytes(), &Cancel::default()).unwrap_err().to_string()
        };
        symlink("a.d", path("link-to-directory")).unwrap();
        let skipped = line("100644", "a").replace('H', "S");
        let not_there = [line("100644", "gone"), line("120000", "a.d"), line("100644", "link-to-directory/x"), skipped];
        for listed in not_there {
            assert!(missing(listed).contains("is not there as `git` wrote it"));
        }
    }
}
