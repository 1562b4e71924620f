//! A walk through the regular files below a directory of the application.
//!
//! Other users may write there. Each directory is opened below the one above it and through no symlink. A walk ends at its
//! bounds, and says so. A directory that cannot be opened is left out.

use crate::disk::{Dir, Kind, Stat};

/// The bounds of a walk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The most names.
    pub(super) names: usize,
    /// The most directories within each other, each of which is held open.
    pub(super) depth: usize,
}

/// The bounds of a walk that takes a second.
pub(super) const BOUNDS: Bounds = Bounds { names: 200_000, depth: 40 };

/// A walk.
#[derive(Debug)]
pub(super) struct Walk {
    /// What is left of its bounds.
    left: Bounds,
    /// Whether something was left out at a bound.
    pub(super) is_cut: bool,
}

impl Walk {
    /// Begins a walk.
    pub(super) fn new(bounds: Bounds) -> Walk {
        Walk { left: bounds, is_cut: false }
    }

    /// Visits the regular files below a directory: their directory, name and stat. Names that are not wanted are left out,
    /// with all below them.
    pub(super) fn visit(
        &mut self,
        directory: &Dir,
        wants: fn(&[u8]) -> bool,
        visit: &mut dyn FnMut(&Dir, &[u8], &Stat),
    ) {
        let Ok((names, is_all)) = directory.names_at_most(self.left.names) else { return };
        self.left.names -= names.len();
        self.is_cut |= !is_all;
        for name in names.into_iter().filter(|name| wants(name)) {
            let Ok(Some(stat)) = directory.stat(&name) else { continue };
            match stat.kind {
                Kind::File => visit(directory, &name, &stat),
                Kind::Directory if self.left.depth == 0 => self.is_cut = true,
                Kind::Directory => {
                    let Ok(below) = directory.open_dir(&name) else { continue };
                    self.left.depth -= 1;
                    self.visit(&below, wants, visit);
                    self.left.depth += 1;
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    /// Walks below a directory. Returns the visited paths, and whether the walk was cut.
    fn walk(directory: &Path, bounds: Bounds) -> (Vec<String>, bool) {
        let (mut walk, mut found) = (Walk::new(bounds), Vec::new());
        walk.visit(&Dir::open(directory).unwrap(), |name| name != b"logs", &mut |dir, name, _| {
            found.push(dir.path_of(name).strip_prefix(directory).unwrap().display().to_string());
        });
        (found, walk.is_cut)
    }

    #[test]
    fn a_walk_visits_regular_files_and_goes_through_no_symlink() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for directory in ["shared/a/b", "shared/logs", "elsewhere"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        for file in ["shared/a/b/file", "shared/logs/file", "elsewhere/file"] {
            fs::write(at(file), "").unwrap();
        }
        symlink(at("elsewhere"), at("shared/linked")).unwrap();
        symlink(at("elsewhere/file"), at("shared/file")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("shared/fifo")).status().unwrap().success());
        assert_eq!(walk(&at("shared"), BOUNDS), (vec!["a/b/file".to_owned()], false));
    }

    #[test]
    fn a_walk_ends_at_each_of_its_bounds_and_says_so() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("z")).unwrap();
        for file in ["1", "2", "3", "z/4"] {
            fs::write(place.path().join(file), "").unwrap();
        }
        let check = |bounds: Bounds, expected: usize, is_cut: bool| {
            let (found, cut) = walk(place.path(), bounds);
            assert_eq!((found.len(), cut), (expected, is_cut), "{bounds:?}");
        };
        check(Bounds { names: 5, depth: 1 }, 4, false);
        check(Bounds { names: 4, depth: 1 }, 3, true);
        check(Bounds { names: 5, depth: 0 }, 3, true);
        let (found, is_cut) = walk(place.path(), Bounds { names: 2, depth: 1 });
        assert!(found.len() <= 2 && is_cut, "{found:?}");
    }
}
