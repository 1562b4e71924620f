//! The mounts that a process sees: `/proc/<pid>/mountinfo`.
//!
//! A mount shows a directory of a filesystem at a path. A process in another mount namespace, or below a second mount
//! of the same filesystem, has another path for the same directory. So paths are compared by their [`Place`]: the
//! filesystem, and the path within it.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A path within a filesystem. The filesystem has the name that the kernel gives to its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    device: Vec<u8>,
    path: PathBuf,
}

impl Place {
    /// Tells whether this place is the other one or lies in it.
    pub(crate) fn is_in(&self, other: &Place) -> bool {
        self.device == other.device && self.path.starts_with(&other.path)
    }

    /// Tells whether both places are on one filesystem.
    pub(crate) fn is_beside(&self, other: &Place) -> bool {
        self.device == other.device
    }
}

/// A mount.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    id: u64,
    parent: u64,
    /// The place that it shows.
    pub(crate) shown: Place,
    /// The path at which it shows it.
    pub(crate) point: PathBuf,
    /// The options of the filesystem.
    options: Vec<u8>,
}

impl Mount {
    /// Parses a line: `36 35 98:0 /shown /point rw,noatime master:1 - ext4 /dev/root rw,errors=continue`.
    fn from_line(line: &[u8]) -> Option<Mount> {
        let mut fields = line.split(|&byte| byte == b' ');
        let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
        let (id, parent) = (number()?, number()?);
        let device = fields.next()?.to_vec();
        let mut path = || Some(PathBuf::from(OsString::from_vec(unescaped(fields.next()?))));
        let (root, point) = (path()?, path()?);
        let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
        let options = rest.nth(2).unwrap_or_default().to_vec();
        Some(Mount { id, parent, shown: Place { device, path: root }, point, options })
    }

    /// Tells whether it is a mount of `/proc` that hides processes.
    pub(crate) fn hides_processes(&self) -> bool {
        let hides = |option: &[u8]| option.strip_prefix(b"hidepid=").is_some_and(|how| how != b"0" && how != b"off");
        self.options.split(|&byte| byte == b',').any(hides)
    }

    /// Returns the layers of an overlay, if they have absolute paths. The mount shows the content of its layers.
    fn layers(&self) -> impl Iterator<Item = PathBuf> + '_ {
        const NAMES: [&[u8]; 4] = [b"lowerdir=", b"lowerdir+=", b"datadir+=", b"upperdir="];
        let options = self.options.split(|&byte| byte == b',');
        let values = options.filter_map(|option| NAMES.iter().find_map(|name| option.strip_prefix(*name)));
        let paths = values.flat_map(|value| value.split(|&byte| byte == b':'));
        paths.map(|path| PathBuf::from(OsString::from_vec(unescaped(path)))).filter(|path| path.has_root())
    }

    /// Returns the place of a path below the mount point.
    fn place(&self, path: &Path) -> Option<Place> {
        let below = path.strip_prefix(&self.point).ok()?;
        // Joining an empty path would add a slash.
        let path = if below.as_os_str().is_empty() { self.shown.path.clone() } else { self.shown.path.join(below) };
        Some(Place { device: self.shown.device.clone(), path })
    }
}

/// The mounts of a process.
#[derive(Debug, Default)]
pub(crate) struct Mounts(Vec<Mount>);

impl Mounts {
    /// Reads the mounts of a process, given as its directory in `/proc`. Returns none if they cannot be read.
    pub(crate) fn of(process: &Path) -> Mounts {
        Mounts::from_bytes(&std::fs::read(process.join("mountinfo")).unwrap_or_default())
    }

    fn from_bytes(bytes: &[u8]) -> Mounts {
        Mounts(bytes.split(|&byte| byte == b'\n').filter_map(Mount::from_line).collect())
    }

    /// Tells whether no mount is visible.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Finds the mount that holds a path.
    pub(crate) fn holder(&self, path: &Path) -> Option<&Mount> {
        // Of several mounts at one point, the last one covers the others.
        let holders = self.0.iter().filter(|mount| path.starts_with(&mount.point));
        holders.max_by_key(|mount| mount.point.as_os_str().len())
    }

    /// Returns the place of a path.
    pub(crate) fn place(&self, path: &Path) -> Option<Place> {
        self.holder(path)?.place(path)
    }

    /// Finds a mount that shows a place or a part of it, directly or as a layer of an overlay.
    pub(crate) fn showing(&self, place: &Place) -> Option<&Mount> {
        let has_layer_in = |mount: &Mount| {
            mount
                .layers()
                .any(|layer| self.place(&layer).is_some_and(|layer| layer.is_in(place) || place.is_in(&layer)))
        };
        self.0.iter().find(|mount| mount.shown.is_in(place) || has_layer_in(mount))
    }

    /// Finds a mount with its mount point in a place.
    pub(crate) fn below(&self, place: &Place) -> Option<&Mount> {
        self.0.iter().find(|mount| {
            let parent = self.0.iter().find(|parent| parent.id == mount.parent && parent.id != mount.id);
            parent.and_then(|parent| parent.place(&mount.point)).is_some_and(|point| point.is_in(place))
        })
    }
}

/// Tells whether something is mounted at a directory or below it, as far as this process sees.
pub(crate) fn is_mounted_below(tree: &Path) -> bool {
    find_mounted_below(tree).is_some()
}

/// Returns the first mount point at a directory or below it, as far as this process sees.
pub(crate) fn find_mounted_below(tree: &Path) -> Option<PathBuf> {
    let mounts = Mounts::of(Path::new("/proc/self")).0;
    mounts.into_iter().map(|mount| mount.point).find(|point| point.starts_with(tree))
}

/// Decodes a path in which spaces, tabs, newlines and backslashes are a backslash and three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let code = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &[u8] = b"\
        1 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
        2 1 0:5 / /proc rw,relatime shared:3 - proc proc rw,gid=7,hidepid=invisible\n\
        3 1 8:1 /srv/a\\040site /mnt/other rw shared:1 master:2 - ext4 /dev/sda1 rw\n\
        4 1 0:9 / /data rw - nfs4 host:/data rw\n\
        5 3 0:10 / /mnt/other/releases/1/cache rw - tmpfs tmpfs rw\n\
        6 1 8:1 /srv/a\\040site/releases/2/lib /app rw - ext4 /dev/sda1 rw\n\
        nonsense\n";

    fn place(device: &str, path: &str) -> Place {
        Place { device: device.into(), path: path.into() }
    }

    #[test]
    fn paths_of_mounts_are_read() {
        for (text, expected) in
            [("/a", "/a"), ("/a\\040b\\134", "/a b\\"), ("/a\\04", "/a\\04"), ("/\\777x", "/\\777x")]
        {
            assert_eq!(unescaped(text.as_bytes()), expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn what_is_mounted_is_found() {
        assert!(is_mounted_below(Path::new("/proc")));
        assert!(!is_mounted_below(Path::new("/proc/self/nothing")));
    }

    #[test]
    fn one_directory_has_one_place_whichever_mount_shows_it() {
        let mounts = Mounts::from_bytes(MOUNTS);
        assert_eq!(mounts.0.len(), 6);
        for (path, expected) in [
            ("/srv/a site/releases/1", place("8:1", "/srv/a site/releases/1")),
            ("/mnt/other/releases/1", place("8:1", "/srv/a site/releases/1")),
            ("/mnt/other", place("8:1", "/srv/a site")),
            ("/mnt/otherwise", place("8:1", "/mnt/otherwise")),
            ("/data/x", place("0:9", "/x")),
        ] {
            assert_eq!(mounts.place(Path::new(path)), Some(expected), "{path}");
        }
    }

    #[test]
    fn a_mount_of_a_part_of_a_release_and_one_in_it_are_found() {
        let mounts = Mounts::from_bytes(MOUNTS);
        let release = |id: u8| place("8:1", &format!("/srv/a site/releases/{id}"));
        let point = |mount: Option<&Mount>| mount.map(|mount| mount.point.display().to_string());
        let found = [1, 2, 3].map(|id| (point(mounts.showing(&release(id))), point(mounts.below(&release(id)))));
        let expected = [(None, Some("/mnt/other/releases/1/cache".into())), (Some("/app".into()), None), (None, None)];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_mount_of_proc_tells_whether_it_hides_processes() {
        let mounts = Mounts::from_bytes(MOUNTS);
        for (path, hides) in [("/srv", false), ("/proc/1", true), ("/data", false)] {
            assert_eq!(mounts.holder(Path::new(path)).unwrap().hides_processes(), hides, "{path}");
        }
        for (options, hides) in [("rw,hidepid=0", false), ("rw,hidepid=off", false), ("hidepid=2,rw", true)] {
            let line = format!("2 1 0:5 / /proc rw - proc proc {options}");
            assert_eq!(Mount::from_line(line.as_bytes()).unwrap().hides_processes(), hides, "{options}");
        }
    }
}
