//! The direction of a symlink, as far as the source shows it.

use crate::manifest::{Manifest, Node};

/// The most symlinks that Linux follows for one path.
const LINKS_MAX: usize = 40;

/// Tells whether a symlink in a directory leads out of the source: its target is absolute, or goes above the source, by
/// itself or through other symlinks. Symlinks below a path that is not in the manifest are unknown.
pub(super) fn leads_out(manifest: &Manifest, directory: u32, target: &[u8]) -> bool {
    if target.starts_with(b"/") {
        return true;
    }
    // The directories from the source to the present place. None for a directory that is not in the manifest.
    let mut place: Vec<Option<u32>> = vec![Some(directory)];
    let mut at = directory;
    while at != 0 {
        at = manifest.directories()[at as usize].parent;
        place.push(Some(at));
    }
    place.reverse();
    let names = |path: &[u8]| path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec).collect::<Vec<_>>();
    let mut rest = names(target);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == b".." {
            place.pop();
            if place.is_empty() {
                return true;
            }
            continue;
        }
        if name.is_empty() || name == b"." {
            continue;
        }
        let known = place.last().copied().flatten().and_then(|directory| manifest.child(directory, &name));
        match known.map(|named| named.node) {
            Some(Node::Directory(number)) => place.push(Some(number)),
            Some(Node::Symlink(target)) => {
                let target = manifest.text(target);
                links += 1;
                if target.starts_with(b"/") {
                    return true;
                }
                if links > LINKS_MAX {
                    return false;
                }
                rest.extend(names(target));
            }
            Some(Node::File(_)) | None => place.push(None),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Builder;

    /// `a/b/` with a link `up` to `..`, and `out` and `top` beside `a`, which lead to `a/../..` and `.`.
    fn manifest() -> Manifest {
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        builder.directory(b"a").unwrap();
        builder.symlink(b"circle", b"circle").unwrap();
        builder.symlink(b"out", b"a/../..").unwrap();
        builder.symlink(b"root", b"/srv").unwrap();
        builder.symlink(b"top", b".").unwrap();
        builder.begin(0o755).unwrap();
        builder.directory(b"b").unwrap();
        builder.begin(0o755).unwrap();
        builder.symlink(b"up", b"..").unwrap();
        builder.finish().unwrap()
    }

    #[test]
    fn a_symlink_leads_out_where_its_target_is_not_in_the_source() {
        let manifest = manifest();
        // Of a link in the source itself, in `a`, in `a/b`.
        let check = |target: &str, expected: [bool; 3]| {
            let found = [0, 1, 2].map(|directory| leads_out(&manifest, directory, target.as_bytes()));
            assert_eq!(found, expected, "{target}");
        };
        check("/etc/passwd", [true; 3]);
        check("/", [true; 3]);
        check("nothing", [false; 3]);
        check(".", [false; 3]);
        check("..", [true, false, false]);
        check("../..", [true, true, false]);
        check("./../../..//x", [true; 3]);
        check("nothing/../x", [false; 3]);
        check("nothing/../..", [true, false, false]);
        check("b/up", [false; 3]);
        check("a/b/up/../x", [false; 3]);
        check("a/b/up/../..", [true, false, false]);
        check("up/../..", [true, false, true]);
        check("top/top/a", [false; 3]);
        check("out", [true, false, false]);
        check("../root", [true, true, false]);
        check("circle/x", [false; 3]);
    }
}
