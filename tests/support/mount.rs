//! Small filesystems of a test's own, unmounted when they are dropped. If mounting is not allowed, a test that needs
//! one prints that it is skipped.
//!
//! A mount namespace keeps a copy of every mount that existed when it was made, until its last process ends. So a
//! disk that one test unmounts lives on in the namespace of another. Its image must not be written to then, and
//! neither XFS nor Btrfs mounts a copy of it. Therefore tests that mount a disk again and tests that make namespaces
//! take turns ([`Turn`]).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::sshd::{run, skipped};

static NAMESPACES: RwLock<()> = RwLock::new(());

/// The time in which tests of the other kind must wait. It ends when it is dropped.
#[expect(dead_code, reason = "the guards are only held")]
pub(crate) enum Turn {
    /// No test makes a namespace meanwhile.
    Remount(RwLockReadGuard<'static, ()>),
    /// No test mounts a disk again meanwhile.
    MakeNamespaces(RwLockWriteGuard<'static, ()>),
}

impl Turn {
    /// Waits until no test has a mount namespace of its own.
    pub(crate) fn to_remount() -> Turn {
        Turn::Remount(NAMESPACES.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until no test mounts disks again.
    pub(crate) fn to_make_namespaces() -> Turn {
        Turn::MakeNamespaces(NAMESPACES.write().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A mounted filesystem.
pub(crate) struct Mount(PathBuf);

/// A kind of filesystem that a disk can have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Ext4,
    Xfs,
    Btrfs,
}

impl Kind {
    /// Returns the size of the smallest useful disk, and the command that makes it.
    fn maker(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Kind::Ext4 => ("64M", &["mke2fs", "-q", "-F", "-t", "ext4"]),
            Kind::Xfs => ("512M", &["mkfs.xfs", "-q", "-f"]),
            Kind::Btrfs => ("256M", &["mkfs.btrfs", "-q", "-f"]),
        }
    }

    /// Returns mount options with which time alone writes nothing to the disk: only a sync does.
    fn options(self) -> &'static str {
        match self {
            Kind::Ext4 | Kind::Btrfs => "loop,noatime,commit=600",
            Kind::Xfs => "loop,noatime",
        }
    }
}

impl Mount {
    /// Mounts a filesystem in memory that runs no programs.
    pub(crate) fn noexec(path: &Path) -> Option<Mount> {
        Mount::tmpfs(path, "noexec,mode=777")
    }

    /// Mounts a filesystem in memory.
    pub(crate) fn tmpfs(path: &Path, options: &str) -> Option<Mount> {
        Mount::create(path, &["-t", "tmpfs", "-o", options, "tmpfs"])
    }

    /// Makes and mounts ext4 in an image beside the mount point. `options` are those of `mke2fs`.
    pub(crate) fn ext4(path: &Path, size: &str, options: &[&str]) -> Option<Mount> {
        let image = path.with_extension("image");
        run(Command::new("truncate").args(["-s", size]).arg(&image));
        run(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).args(options).arg(&image));
        let mounted = Mount::create(path, &["-o", "loop", image.to_str().unwrap()])?;
        fs::remove_dir(path.join("lost+found")).unwrap();
        Some(mounted)
    }

    /// Makes a disk in a file.
    pub(crate) fn make_disk(kind: Kind, disk: &Path) -> Option<()> {
        let (size, [maker, options @ ..]) = kind.maker() else { unreachable!("each has a maker") };
        run(Command::new("truncate").args(["-s", size]).arg(disk));
        match Command::new(maker).args(options).arg(disk).output() {
            Ok(made) if made.status.success() => Some(()),
            Ok(made) => skip(&format!("{maker}: {}", String::from_utf8_lossy(&made.stderr))),
            Err(error) => skip(&format!("{maker}: {error}")),
        }
    }

    /// Mounts a disk of [`Mount::make_disk`], or a copy of one.
    pub(crate) fn disk(path: &Path, kind: Kind, disk: &Path) -> Option<Mount> {
        Mount::create(path, &["-o", kind.options(), disk.to_str().unwrap()])
    }

    /// Mounts a filesystem in memory on an existing directory.
    pub(crate) fn tmpfs_on(path: &Path) -> Option<Mount> {
        Mount::attach(path, &["-t", "tmpfs", "-o", "mode=700", "tmpfs"])
    }

    /// Mounts an image.
    pub(crate) fn image(path: &Path, options: &str, image: &Path) -> Option<Mount> {
        Mount::create(path, &["-o", options, image.to_str().unwrap()])
    }

    /// Mounts a directory onto itself, so that no link can be made across its edge.
    pub(crate) fn onto_itself(path: &Path) -> Option<Mount> {
        Mount::attach(path, &["--bind", path.to_str().unwrap()])
    }

    /// Mounts an overlay over a directory, with its other layer beside the mount point.
    pub(crate) fn overlay(path: &Path, lower: &Path) -> Option<Mount> {
        // An overlay cannot be the upper layer of another one, and `/tmp` may be one.
        let layers = path.with_extension("layers");
        fs::create_dir(&layers).unwrap();
        let memory = Mount::tmpfs_on(&layers)?;
        for name in ["upper", "work"] {
            fs::create_dir(layers.join(name)).unwrap();
        }
        // It disappears with the overlay.
        std::mem::forget(memory);
        let [lower, upper, work] = [lower.to_owned(), layers.join("upper"), layers.join("work")];
        let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
        let mounted = Mount::create(path, &["-t", "overlay", "-o", &options, "overlay"]);
        Command::new("umount").arg("-l").arg(&layers).status().unwrap();
        mounted
    }

    /// Mounts a directory on another one.
    pub(crate) fn bind(from: &Path, onto: &Path) -> Option<Mount> {
        Mount::attach(onto, &["--bind", from.to_str().unwrap()])
    }

    fn create(path: &Path, words: &[&str]) -> Option<Mount> {
        fs::create_dir(path).unwrap();
        Mount::attach(path, words)
    }

    fn attach(path: &Path, words: &[&str]) -> Option<Mount> {
        let mounted = Command::new("mount").args(words).arg(path).output().unwrap();
        if mounted.status.success() {
            return Some(Mount(path.to_owned()));
        }
        skip(&format!("cannot mount: {}", String::from_utf8_lossy(&mounted.stderr)))
    }
}

/// Unmounts everything below a directory, wherever it was moved to there.
pub(crate) fn unmount_below(path: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    for place in places.filter(|place| Path::new(place).starts_with(path)) {
        Command::new("umount").args(["-l", place]).status().unwrap();
    }
}

/// Prints that the test is skipped.
fn skip<T>(reason: &str) -> Option<T> {
    skipped(reason);
    None
}

impl Drop for Mount {
    fn drop(&mut self) {
        Command::new("umount").args(["-l"]).arg(&self.0).status().ok();
    }
}
