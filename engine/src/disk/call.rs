//! The system calls that change a disk. No other file makes them, and each passes [`fault::point`] first, so that a
//! test can make each of them fail.
//!
//! The functions return the kernel's answer: callers decide which errnos are no failure, and word the errors.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{self, AtFlags, FallocateFlags, Gid, Mode, OFlags, RenameFlags, Timestamps, Uid};
use rustix::io::Errno;
use rustix::path::Arg;

use super::fault::{self, Change};

/// Creates a file with this mode, less the umask, and opens it for writing and reading.
pub(super) fn create(dir: impl AsFd, name: impl Arg, mode: u32) -> Result<OwnedFd, Errno> {
    open(dir, name, OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW, mode)
}

/// Opens an existing file for writing and reading.
pub(super) fn open_to_write(dir: impl AsFd, name: impl Arg) -> Result<OwnedFd, Errno> {
    open(dir, name, OFlags::NOFOLLOW, 0)
}

/// Opens a file for writing and reading. Creates it for this user alone if it does not exist.
pub(super) fn open_or_create(dir: impl AsFd, name: impl Arg) -> Result<OwnedFd, Errno> {
    open(dir, name, OFlags::CREATE | OFlags::NOFOLLOW, 0o600)
}

/// Opens a file for reading and for writing at its end. Creates it for this user alone if it does not exist.
pub(super) fn open_to_add(dir: impl AsFd, name: impl Arg, flags: OFlags) -> Result<OwnedFd, Errno> {
    open(dir, name, flags | OFlags::CREATE | OFlags::APPEND, 0o600)
}

fn open(dir: impl AsFd, name: impl Arg, flags: OFlags, mode: u32) -> Result<OwnedFd, Errno> {
    fault::point(Change::Make, &dir)?;
    fs::openat(dir, name, flags | OFlags::RDWR | OFlags::CLOEXEC, Mode::from_raw_mode(mode))
}

/// Creates a directory with this mode, less the umask.
pub(super) fn make_dir(dir: impl AsFd, name: impl Arg, mode: u32) -> Result<(), Errno> {
    fault::point(Change::Make, &dir)?;
    fs::mkdirat(dir, name, Mode::from_raw_mode(mode))
}

/// Creates a symlink.
pub(super) fn make_symlink(target: impl Arg, dir: impl AsFd, name: impl Arg) -> Result<(), Errno> {
    fault::point(Change::Make, &dir)?;
    fs::symlinkat(target, dir, name)
}

/// Creates a hardlink.
pub(super) fn link(dir: impl AsFd, name: impl Arg, to: impl AsFd, path: impl Arg) -> Result<(), Errno> {
    fault::point(Change::Link, &to)?;
    fs::linkat(dir, name, to, path, AtFlags::empty())
}

/// Renames a name, and replaces an existing target.
pub(super) fn rename(dir: impl AsFd, name: impl Arg, to: impl AsFd, new_name: impl Arg) -> Result<(), Errno> {
    fault::point(Change::Rename, &to)?;
    fs::renameat(dir, name, to, new_name)
}

/// Renames a name, and fails if the target exists.
pub(super) fn rename_new(dir: impl AsFd, name: impl Arg, to: impl AsFd, new_name: impl Arg) -> Result<(), Errno> {
    fault::point(Change::Rename, &to)?;
    fs::renameat_with(dir, name, to, new_name, RenameFlags::NOREPLACE)
}

/// Exchanges two names in one step.
pub(super) fn exchange(dir: impl AsFd, name: impl Arg, to: impl AsFd, other: impl Arg) -> Result<(), Errno> {
    fault::point(Change::Rename, &to)?;
    fs::renameat_with(dir, name, to, other, RenameFlags::EXCHANGE)
}

/// Removes a name that is no directory.
pub(super) fn remove(dir: impl AsFd, name: impl Arg) -> Result<(), Errno> {
    fault::point(Change::Remove, &dir)?;
    fs::unlinkat(dir, name, AtFlags::empty())
}

/// Removes an empty directory.
pub(super) fn remove_dir(dir: impl AsFd, name: impl Arg) -> Result<(), Errno> {
    fault::point(Change::Remove, &dir)?;
    fs::unlinkat(dir, name, AtFlags::REMOVEDIR)
}

/// Writes at the file's position. Returns the number of bytes written.
pub(super) fn write(file: impl AsFd, content: &[u8]) -> Result<usize, Errno> {
    fault::point(Change::Write, &file)?;
    rustix::io::write(file, content)
}

/// Writes all of the content at the file's position.
pub(super) fn write_all(file: impl AsFd, content: &[u8]) -> io::Result<()> {
    whole(content, |left, _| write(&file, left))
}

/// Writes all of the content at an offset.
pub(super) fn write_all_at(file: impl AsFd, content: &[u8], at: u64) -> io::Result<()> {
    fault::point(Change::Write, &file)?;
    whole(content, |left, written| rustix::io::pwrite(&file, left, at + written))
}

/// Writes until all of the content is written.
fn whole(content: &[u8], mut write: impl FnMut(&[u8], u64) -> Result<usize, Errno>) -> io::Result<()> {
    let mut written = 0;
    while written < content.len() {
        match write(&content[written..], written as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Copies from one file's position to the other's, in the kernel if possible. Returns the number of bytes.
pub(super) fn copy(mut from: &File, mut to: &File) -> io::Result<u64> {
    fault::point(Change::Write, to)?;
    // `io::copy` between files uses `copy_file_range` if that works.
    io::copy(&mut from, &mut to)
}

/// Makes an empty file share the blocks of another file.
pub(super) fn share_blocks(from: &File, to: &File) -> Result<(), Errno> {
    fault::point(Change::Write, to)?;
    fs::ioctl_ficlone(to, from)
}

/// Allocates space for a number of bytes.
pub(super) fn reserve(file: impl AsFd, bytes: u64) -> Result<(), Errno> {
    fault::point(Change::Length, &file)?;
    fs::fallocate(file, FallocateFlags::empty(), 0, bytes)
}

/// Sets the length.
pub(super) fn set_len(file: impl AsFd, bytes: u64) -> Result<(), Errno> {
    fault::point(Change::Length, &file)?;
    fs::ftruncate(file, bytes)
}

/// Sets the mode.
pub(super) fn set_mode(file: impl AsFd, mode: u32) -> Result<(), Errno> {
    fault::point(Change::Mode, &file)?;
    fs::fchmod(file, Mode::from_raw_mode(mode))
}

/// Sets the mode of the file that a path leads to.
pub(super) fn set_mode_of(dir: impl AsFd, path: impl Arg, mode: u32) -> Result<(), Errno> {
    fault::point(Change::Mode, &dir)?;
    fs::chmodat(dir, path, Mode::from_raw_mode(mode), AtFlags::empty())
}

/// Sets the group.
pub(super) fn set_group(file: impl AsFd, group: u32) -> Result<(), Errno> {
    fault::point(Change::Mode, &file)?;
    fs::fchown(file, None, Some(Gid::from_raw(group)))
}

/// Sets the owner.
pub(super) fn set_owner(file: impl AsFd, owner: u32) -> Result<(), Errno> {
    fault::point(Change::Mode, &file)?;
    fs::fchown(file, Some(Uid::from_raw(owner)), None)
}

/// Sets the times.
pub(super) fn set_times(file: impl AsFd, times: &Timestamps) -> Result<(), Errno> {
    fault::point(Change::Times, &file)?;
    fs::futimens(file, times)
}

/// Sets the times of a name.
pub(super) fn set_times_of(dir: impl AsFd, name: impl Arg, times: &Timestamps, flags: AtFlags) -> Result<(), Errno> {
    fault::point(Change::Times, &dir)?;
    fs::utimensat(dir, name, times, flags)
}

/// Makes a file, or the names in a directory, durable.
pub(super) fn sync(file: impl AsFd) -> Result<(), Errno> {
    fault::point(Change::Sync, &file)?;
    fs::fsync(file)
}

/// Makes everything on a filesystem durable.
pub(super) fn sync_filesystem(dir: impl AsFd) -> Result<(), Errno> {
    fault::point(Change::Sync, &dir)?;
    fs::syncfs(dir)
}
