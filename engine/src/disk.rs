//! Every change to a disk goes through here: making, linking, renaming, removing, syncing.
//!
//! All of it is relative to held directory descriptors and follows no symlink, so a directory that is replaced by a
//! symlink while Cutover works leads nowhere. A path of several names is opened without a symlink and without a mount on
//! the way. Modes are set through a descriptor. Errors name the path. That every change passes through one file is what
//! allows each of them to be made to fail in tests.
//!
//! What a crash can lose: a name that was made, linked or renamed is durable once its directory was synced; content
//! once the file was. [`Dir::sync_filesystem`] does both for a whole filesystem at once.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    self, AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, StatVfs, StatxFlags, Timespec, Timestamps,
};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};

use crate::error::{DamageError, Error, SiteError};
use crate::hash::Hash;

/// What is read of a file of ours at most, in bytes: the longest manifest that the wire carries, and its placements. A
/// larger one is damage.
const OWN_FILE_BYTES_MAX: u64 = 5 << 28;

/// Filesystems that change a directory's mtime and ctime whenever a name comes or goes, as `statfs` names them: ext2 to ext4,
/// XFS, Btrfs, tmpfs, F2FS, ZFS, bcachefs. An overlay shows the times of its uppermost layer alone, one over a network may
/// show old ones, and one in user space what it likes.
const KEEPS_TIMES: [u32; 7] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0xf2f5_2010, 0x2fc1_2fc1, 0xca45_1a4e];

/// The bit by which a directory passes its group on to what is made in it.
pub(crate) const SETGID: u32 = 0o2000;

/// What a directory grants its owner while things in it are changed.
const OWNER_ALL: u32 = 0o700;

/// What lets others exchange the names in a directory.
const OTHERS_WRITE: u32 = 0o022;

/// A removal holds at most this many nested directories open. It moves deeper ones to the top first: a tree of any depth
/// takes a bounded stack and a bounded number of descriptors.
const REMOVAL_DEPTH: usize = 64;

/// An overlay, as `statfs` names it: a file in it has the times of the file that it is in its upper or lower layer.
const OVERLAY: u32 = 0x794c_7630;

/// What a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symlink.
    Symlink,
    /// A socket, fifo or device.
    Other,
}

impl From<FileType> for Kind {
    fn from(file_type: FileType) -> Kind {
        match file_type {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            _ => Kind::Other,
        }
    }
}

/// What `stat` says of a name, as far as Cutover cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// What it is.
    pub(crate) kind: Kind,
    /// The permission bits, with setuid, setgid and sticky.
    pub(crate) mode: u32,
    /// The owner.
    pub(crate) uid: u32,
    /// The owner's group.
    pub(crate) gid: u32,
    /// Bytes of content.
    pub(crate) size: u64,
    /// The mtime in seconds.
    pub(crate) mtime: i64,
    /// The nanoseconds of the mtime.
    pub(crate) mtime_nanos: u32,
    /// The ctime in nanoseconds.
    pub(crate) ctime: i64,
    /// How many links.
    pub(crate) links: u64,
    /// The inode.
    pub(crate) inode: u64,
    /// The filesystem.
    pub(crate) device: u64,
    /// The disk that it takes, in bytes.
    pub(crate) disk_bytes: u64,
}

impl Stat {
    /// Tells whether its mtime is just this second.
    pub(crate) fn has_mtime(&self, second: u32) -> bool {
        (self.mtime, self.mtime_nanos) == (i64::from(second), 0)
    }

    /// Tells whether a directory passes this group on to what is made in it.
    pub(crate) fn passes_on(&self, group: u32) -> bool {
        self.gid == group && self.mode & SETGID != 0
    }
}

impl From<fs::Stat> for Stat {
    fn from(stat: fs::Stat) -> Stat {
        Stat {
            kind: FileType::from_raw_mode(stat.st_mode).into(),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: stat.st_size as u64,
            mtime: stat.st_mtime,
            mtime_nanos: stat.st_mtime_nsec as u32,
            ctime: stat.st_ctime.saturating_mul(1_000_000_000).saturating_add(stat.st_ctime_nsec as i64),
            links: stat.st_nlink,
            inode: stat.st_ino,
            device: stat.st_dev,
            disk_bytes: stat.st_blocks as u64 * 512,
        }
    }
}

/// Free space of a filesystem.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Free {
    /// Bytes free to this user.
    pub(crate) bytes: u64,
    /// Inodes free; none where the filesystem does not count them.
    pub(crate) inodes: Option<u64>,
    /// The size of a block.
    pub(crate) block_bytes: u64,
}

impl From<StatVfs> for Free {
    fn from(vfs: StatVfs) -> Free {
        Free {
            bytes: vfs.f_bavail * vfs.f_frsize,
            inodes: (vfs.f_files > 0).then_some(vfs.f_favail),
            block_bytes: vfs.f_frsize.max(512),
        }
    }
}

/// A held directory.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

const OPEN_DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn os(name: &[u8]) -> &OsStr {
    OsStr::from_bytes(name)
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Dir {
    /// Opens a directory by a path that the user gave; symlinks on the way are followed.
    pub(crate) fn open(path: &Path) -> Result<Dir, Error> {
        match fs::open(path, OPEN_DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Dir { fd, path: path.to_owned() }),
            Err(Errno::NOTDIR) => Err(SiteError::NotDirectory(path.display().to_string()).into()),
            Err(errno) => Err(Error::io("open the directory", path, errno)),
        }
    }

    /// Holds the same directory once more.
    pub(crate) fn again(&self) -> Result<Dir, Error> {
        let fd = self.fd.try_clone().map_err(|e| Error::io("hold", &self.path, e))?;
        Ok(Dir { fd, path: self.path.clone() })
    }

    /// Opens the same directory once more, with locks of its own.
    pub(crate) fn reopen(&self) -> Result<Dir, Error> {
        let fd =
            fs::openat(&self.fd, ".", OPEN_DIRECTORY, Mode::empty()).map_err(|e| Error::io("open", &self.path, e))?;
        Ok(Dir { fd, path: self.path.clone() })
    }

    /// Holds the directory above it, whatever path it was reached by; the root's is the root. `path` is for messages.
    pub(crate) fn above(&self, path: &Path) -> Result<Dir, Error> {
        // One above may be such that its names are not for this user to read.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, "..", flags, Mode::empty()).map_err(|e| Error::io("look at", path, e))?;
        Ok(Dir { fd, path: path.to_owned() })
    }

    /// Returns the path, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a name in it, for messages.
    pub(crate) fn path_of(&self, name: &[u8]) -> PathBuf {
        self.path.join(os(name))
    }

    fn error(&self, action: &'static str, name: &[u8], errno: Errno) -> Error {
        Error::io(action, self.path_of(name), errno)
    }

    /// Opens a directory in it, not through a symlink.
    pub(crate) fn open_dir(&self, name: &[u8]) -> Result<Dir, Error> {
        match fs::openat(&self.fd, os(name), OPEN_DIRECTORY | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => Ok(Dir { fd, path: self.path_of(name) }),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(match self.stat(name)?.map(|stat| stat.kind) {
                Some(Kind::Symlink) => Error::from(SiteError::SymlinkInside(self.path_of(name).display().to_string())),
                _ => Error::from(SiteError::NotDirectory(self.path_of(name).display().to_string())),
            }),
            Err(errno) => Err(self.error("open the directory", name, errno)),
        }
    }

    /// Opens a directory in it, not through a symlink and not where something is mounted.
    pub(crate) fn open_own_dir(&self, name: &[u8]) -> Result<Dir, Error> {
        let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        match fs::openat2(&self.fd, os(name), OPEN_DIRECTORY | OFlags::NOFOLLOW, Mode::empty(), resolve) {
            Ok(fd) => Ok(Dir { fd, path: self.path_of(name) }),
            Err(Errno::XDEV) => Err(self.mounted_inside(name)),
            // Linux before 5.6, or a filter of system calls.
            Err(Errno::NOSYS | Errno::PERM) => {
                let dir = self.open_dir(name)?;
                match (self.mount(), dir.mount()) {
                    (Some(own), Some(other)) if own == other => Ok(dir),
                    (Some(_), Some(_)) => Err(self.mounted_inside(name)),
                    _ => Err(SiteError::MountsUnknown(self.path_of(name).display().to_string()).into()),
                }
            }
            // It says more of what is wrong.
            Err(Errno::LOOP | Errno::NOTDIR) => self.open_dir(name),
            Err(errno) => Err(self.error("open the directory", name, errno)),
        }
    }

    fn mounted_inside(&self, name: &[u8]) -> Error {
        Error::from(SiteError::MountedInside(self.path_of(name).display().to_string()))
    }

    /// Opens a directory by a path of one or more names below it, with no symlink and no mount on the way.
    pub(crate) fn open_below(&self, path: &[u8]) -> Result<Dir, Error> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        if let Ok(fd) = fs::openat2(&self.fd, os(path), OPEN_DIRECTORY | OFlags::NOFOLLOW, Mode::empty(), resolve) {
            return Ok(Dir { fd, path: self.path_of(path) });
        }
        // One name at a time: this works on every kernel, and the error names the directory that is wrong.
        path.split(|&byte| byte == b'/').try_fold(self.again()?, |dir, name| match name {
            b"" | b"." | b".." => Err(Error::Bug(format!("`{}` is no path below a directory", os(path).display()))),
            name => dir.open_own_dir(name),
        })
    }

    /// Opens a directory whose names are about to be changed: its owner may do everything in it then, and nobody else may
    /// exchange names. The mode of another user's directory cannot be changed; it is opened as it is.
    pub(crate) fn open_to_change(&self, name: &[u8]) -> Result<Dir, Error> {
        let dir = match self.open_own_dir(name) {
            // A directory that its owner may not read, as an application may leave one.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                self.let_owner_in(name)?;
                self.open_own_dir(name)?
            }
            other => other?,
        };
        let mode = dir.own_stat()?.mode;
        if changes_to_work_in(mode) {
            match fs::fchmod(&dir.fd, Mode::from_raw_mode((mode | OWNER_ALL) & !OTHERS_WRITE)) {
                Ok(()) | Err(Errno::PERM) => {}
                Err(errno) => return Err(self.error("set the mode of", name, errno)),
            }
        }
        Ok(dir)
    }

    /// Lets its owner into a directory that may not be opened. The directory is held by a descriptor that follows no link,
    /// and its mode is set through that. Without `/proc` it is set by name, where nobody else can exchange the name.
    fn let_owner_in(&self, name: &[u8]) -> Result<(), Error> {
        let failed = |errno: Errno| self.error("set the mode of", name, errno);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = fs::openat(&self.fd, os(name), flags, Mode::empty()).map_err(failed)?;
        match (self.mount(), mount(&held)) {
            (Some(own), Some(other)) if own == other => {}
            (Some(_), Some(_)) => return Err(self.mounted_inside(name)),
            _ => return Err(SiteError::MountsUnknown(self.path_of(name).display().to_string()).into()),
        }
        let mode = Mode::from_raw_mode(OWNER_ALL);
        match fs::chmodat(fs::CWD, fd_path(&held), mode, AtFlags::empty()) {
            Err(Errno::NOENT) => {
                let own = self.own_stat()?;
                if own.mode & OTHERS_WRITE != 0 || own.uid != rustix::process::geteuid().as_raw() {
                    return Err(SiteError::MountsUnknown(self.path_of(name).display().to_string()).into());
                }
                fs::chmodat(&self.fd, os(name), mode, AtFlags::empty()).map_err(failed)
            }
            other => other.map_err(failed),
        }
    }

    /// Returns what tells its mount from others; nothing where the system does not say.
    pub(crate) fn mount(&self) -> Option<u64> {
        mount(&self.fd)
    }

    /// Makes a directory with exactly this mode, whatever the umask, and opens it. Below a directory that passes its group
    /// on it has that group and passes it on too.
    pub(crate) fn create_dir(&self, name: &[u8], mode: u32) -> Result<Dir, Error> {
        // Made with the mode that it is to have, so that a crash before the next line can only leave it too strict by the
        // umask.
        fs::mkdirat(&self.fd, os(name), Mode::from_raw_mode(mode))
            .map_err(|e| self.error("create the directory", name, e))?;
        let dir = self.open_dir(name)?;
        let made = dir.own_stat()?.mode;
        if made & !SETGID != mode {
            dir.set_mode(mode | made & SETGID)?;
        }
        Ok(dir)
    }

    /// Gives it a group that it passes on, where this user may do that.
    pub(crate) fn set_group_to_pass_on(&self, group: u32) {
        let changed = fs::fchown(&self.fd, None, Some(fs::Gid::from_raw(group)));
        if let (Ok(()), Ok(stat)) = (changed, self.own_stat()) {
            fs::fchmod(&self.fd, Mode::from_raw_mode(stat.mode | SETGID)).ok();
        }
    }

    /// Opens a directory by a path below it, through symlinks, to look at what is there.
    pub(crate) fn open_through(&self, path: &[u8]) -> Result<Dir, Error> {
        match fs::openat(&self.fd, os(path), OPEN_DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Dir { fd, path: self.path_of(path) }),
            Err(Errno::NOENT) => {
                refuse_dangling(&self.path_of(path))?;
                Err(SiteError::MissingBehindLink(self.path_of(path).display().to_string()).into())
            }
            Err(Errno::NOTDIR) => Err(SiteError::NotDirectory(self.path_of(path).display().to_string()).into()),
            Err(errno) => Err(self.error("open the directory", path, errno)),
        }
    }

    /// Opens a directory, making it with exactly this mode where it does not exist. Says whether it was made.
    pub(crate) fn ensure_dir(&self, name: &[u8], mode: u32) -> Result<(Dir, bool), Error> {
        if self.stat(name)?.is_some() {
            return Ok((self.open_dir(name)?, false));
        }
        match self.create_dir(name, mode) {
            Ok(dir) => Ok((dir, true)),
            // Another one made it at the same moment.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                Ok((self.open_dir(name)?, false))
            }
            Err(error) => Err(error),
        }
    }

    /// Sets its own mode.
    pub(crate) fn set_mode(&self, mode: u32) -> Result<(), Error> {
        set_mode(&self.fd, mode).map_err(|e| Error::io("set the mode of", &self.path, e))
    }

    /// Sets its own mtime, where it is another.
    pub(crate) fn set_mtime(&self, second: u32) -> Result<(), Error> {
        let stat = self.own_stat()?;
        if stat.has_mtime(second) {
            return Ok(());
        }
        fs::futimens(&self.fd, &times(second)).map_err(|e| Error::io("set the mtime of", &self.path, e))
    }

    /// Sets the mtime of a name, and of nothing that it leads to: of what it is at one moment, held by a descriptor that
    /// follows no link. A kernel that takes none for this (before 5.8) sets it by name.
    pub(crate) fn set_mtime_of(&self, name: &[u8], second: u32) -> Result<(), Error> {
        let failed = |errno: Errno| self.error("set the mtime of", name, errno);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = fs::openat(&self.fd, os(name), flags, Mode::empty()).map_err(failed)?;
        match fs::utimensat(&held, "", &times(second), AtFlags::EMPTY_PATH) {
            Err(Errno::INVAL) => fs::utimensat(&self.fd, os(name), &times(second), AtFlags::SYMLINK_NOFOLLOW),
            other => other,
        }
        .map_err(failed)
    }

    /// Tells whether it has extended attributes, as access control lists are.
    pub(crate) fn has_attributes(&self) -> Result<bool, Error> {
        match fs::flistxattr_query(&self.fd) {
            Ok(0) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            Ok(_) => Ok(true),
            Err(errno) => Err(Error::io("look at the attributes of", &self.path, errno)),
        }
    }

    /// Says what a name is; nothing where there is none.
    pub(crate) fn stat(&self, name: &[u8]) -> Result<Option<Stat>, Error> {
        match fs::statat(&self.fd, os(name), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error("look at", name, errno)),
        }
    }

    /// Says what it is itself.
    pub(crate) fn own_stat(&self) -> Result<Stat, Error> {
        fs::fstat(&self.fd).map(Stat::from).map_err(|e| Error::io("look at", &self.path, e))
    }

    /// Returns the names in it, sorted.
    pub(crate) fn names(&self) -> Result<Vec<Vec<u8>>, Error> {
        let failed = |errno: Errno| Error::io("list the directory", &self.path, errno);
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Returns the names in it, each with the inode that the directory has for it.
    pub(crate) fn names_and_inodes(&self) -> Result<Vec<(Vec<u8>, u64)>, Error> {
        let failed = |errno: Errno| Error::io("list the directory", &self.path, errno);
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push((name.to_vec(), entry.ino()));
            }
        }
        Ok(names)
    }

    /// Reads a file of ours; nothing where there is none.
    pub(crate) fn read(&self, name: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.open_file(name)? else {
            return Ok(None);
        };
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let mut content = Vec::with_capacity(size.min(OWN_FILE_BYTES_MAX) as usize + 1);
        file.take(OWN_FILE_BYTES_MAX + 1)
            .read_to_end(&mut content)
            .map_err(|e| Error::io("read", self.path_of(name), e))?;
        if content.len() as u64 > OWN_FILE_BYTES_MAX {
            let path = self.path_of(name).display().to_string();
            return Err(DamageError::File { path, reason: "it is too large".into() }.into());
        }
        Ok(Some(content))
    }

    /// Opens a file for reading, not through a symlink; nothing where there is none.
    pub(crate) fn open_file(&self, name: &[u8]) -> Result<Option<File>, Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        match fs::openat(&self.fd, os(name), flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd.into())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error("open", name, errno)),
        }
    }

    /// Makes a file that does not exist yet, for this user alone, and opens it for writing.
    pub(crate) fn create_file(&self, name: &[u8]) -> Result<File, Error> {
        self.create_file_with(name, 0o600)
    }

    /// Makes a file that does not exist yet with this mode, less the umask, and opens it for writing.
    pub(crate) fn create_file_with(&self, name: &[u8], mode: u32) -> Result<File, Error> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, os(name), flags, Mode::from_raw_mode(mode))
            .map_err(|e| self.error("create", name, e))?;
        Ok(fd.into())
    }

    /// Makes a file that only takes space.
    pub(crate) fn create_reserve(&self, name: &[u8], bytes: u64) -> Result<(), Error> {
        let mut file = self.create_file(name)?;
        let taken = match fs::fallocate(&file, fs::FallocateFlags::empty(), 0, bytes) {
            // A filesystem that packs what it stores makes nothing of what repeats itself.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                File::open("/dev/urandom").and_then(|noise| io::copy(&mut noise.take(bytes), &mut file)).map(drop)
            }
            taken => taken.map_err(io::Error::from),
        };
        if taken.is_err() {
            self.remove_file(name)?;
        }
        taken.map_err(|e| Error::io("write", self.path_of(name), e))
    }

    /// Opens a file for writing at its end, making it where it does not exist.
    pub(crate) fn append_file(&self, name: &[u8]) -> Result<File, Error> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&self.fd, os(name), flags, Mode::from_raw_mode(0o600))
            .map_err(|e| self.error("open", name, e))?;
        Ok(fd.into())
    }

    /// Opens an existing file for writing; nothing where there is none, or none that this user may write.
    pub(crate) fn write_file(&self, name: &[u8]) -> Result<Option<File>, Error> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match fs::openat(&self.fd, os(name), flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd.into())),
            Err(Errno::NOENT | Errno::ACCESS) => Ok(None),
            Err(errno) => Err(self.error("open", name, errno)),
        }
    }

    /// Makes a file with the content of another one, durably.
    pub(crate) fn copy_file(&self, from: &File, name: &[u8]) -> Result<(), Error> {
        let file = self.create_file(name)?;
        copy_content(from, &file).map_err(|e| Error::io("copy", self.path_of(name), e))?;
        file.sync_all().map_err(|e| Error::io("sync", self.path_of(name), e))
    }

    /// Gives a name its first content, durably. Says whether nothing stood there.
    pub(crate) fn put_new(&self, name: &[u8], content: &[u8], temporary: &[u8]) -> Result<bool, Error> {
        self.write_new(temporary, content, name)?;
        let is_first = self.rename_new(temporary, self, name)?;
        self.remove_file(temporary)?;
        self.sync()?;
        Ok(is_first)
    }

    /// Gives a name new content: all of it or, after a crash, the old. Durable when it returns.
    pub(crate) fn replace(&self, name: &[u8], content: &[u8]) -> Result<(), Error> {
        let temporary = [b".", name, b".new"].concat();
        self.remove_file(&temporary)?;
        self.write_new(&temporary, content, name)?;
        self.rename(&temporary, self, name)?;
        self.sync()
    }

    /// Writes a new file, durably, under a temporary name. Where that fails, nothing is left of it.
    fn write_new(&self, temporary: &[u8], content: &[u8], name: &[u8]) -> Result<(), Error> {
        let mut file = self.create_file(temporary)?;
        let written = file.write_all(content).map_err(|e| Error::io("write", self.path_of(name), e));
        let written = written.and_then(|()| file.sync_all().map_err(|e| Error::io("sync", self.path_of(name), e)));
        if written.is_err() {
            self.remove_file(temporary).ok();
        }
        written
    }

    /// Renames a name to one in another directory, replacing what stands there.
    pub(crate) fn rename(&self, name: &[u8], to: &Dir, new_name: &[u8]) -> Result<(), Error> {
        fs::renameat(&self.fd, os(name), &to.fd, os(new_name)).map_err(|e| to.error("rename to", new_name, e))
    }

    /// Renames a name to one in another directory, where nothing stands. Says whether that was so.
    pub(crate) fn rename_new(&self, name: &[u8], to: &Dir, new_name: &[u8]) -> Result<bool, Error> {
        match fs::renameat_with(&self.fd, os(name), &to.fd, os(new_name), RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // Some network and FUSE filesystems know no flags; under the lock nobody else makes names here.
            Err(Errno::INVAL | Errno::NOSYS) => {
                if to.stat(new_name)?.is_some() {
                    return Ok(false);
                }
                self.rename(name, to, new_name).map(|()| true)
            }
            Err(errno) => Err(to.error("rename to", new_name, errno)),
        }
    }

    /// Links a file of this directory to a path below another one. The errno is left to the caller, for whom a
    /// refused link is not a failure.
    pub(crate) fn link(&self, name: &[u8], to: &Dir, path: &[u8]) -> Result<(), Errno> {
        fs::linkat(&self.fd, os(name), &to.fd, os(path), AtFlags::empty())
    }

    /// Makes a symlink.
    pub(crate) fn symlink(&self, target: &[u8], name: &[u8]) -> Result<(), Error> {
        fs::symlinkat(os(target), &self.fd, os(name)).map_err(|e| self.error("create the symlink", name, e))
    }

    /// Returns the target of a symlink; nothing where there is none, or something else.
    pub(crate) fn read_link(&self, name: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match fs::readlinkat(&self.fd, os(name), Vec::new()) {
            Ok(target) => Ok(Some(target.into_bytes())),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(errno) => Err(self.error("read the symlink", name, errno)),
        }
    }

    /// Removes a file or symlink, where there is one. Says whether there was.
    pub(crate) fn remove_file(&self, name: &[u8]) -> Result<bool, Error> {
        match fs::unlinkat(&self.fd, os(name), AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.error("remove", name, errno)),
        }
    }

    /// Removes a name and all below it: never through a symlink, never where something is mounted.
    pub(crate) fn remove_tree(&self, name: &[u8]) -> Result<(), Error> {
        if !self.is_directory_after_unlink(name)? {
            return Ok(());
        }
        let top = self.open_to_change(name)?;
        let mut moved_up = 0;
        loop {
            let before = moved_up;
            top.empty(&top, 0, &mut moved_up)?;
            if moved_up == before {
                break;
            }
        }
        drop(top);
        fs::unlinkat(&self.fd, os(name), AtFlags::REMOVEDIR).map_err(|e| self.error("remove", name, e))
    }

    /// Removes a name, unless it is a directory. Says whether it is one.
    fn is_directory_after_unlink(&self, name: &[u8]) -> Result<bool, Error> {
        match fs::unlinkat(&self.fd, os(name), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(false),
            Err(Errno::ISDIR) => Ok(true),
            // What POSIX asks for where the name is a directory; also said of a file that nobody may change.
            Err(Errno::PERM) if self.stat(name)?.is_some_and(|stat| stat.kind == Kind::Directory) => Ok(true),
            Err(errno) => Err(self.error("remove", name, errno)),
        }
    }

    /// Removes all that is in it. Directories that lie too deep below `top` are moved there, and counted.
    fn empty(&self, top: &Dir, depth: usize, moved_up: &mut u64) -> Result<(), Error> {
        for name in self.names()? {
            if !self.is_directory_after_unlink(&name)? {
                continue;
            }
            // Moving a directory to another parent needs write permission on the directory itself.
            let child = self.open_to_change(&name)?;
            if depth < REMOVAL_DEPTH {
                child.empty(top, depth + 1, moved_up)?;
                drop(child);
                fs::unlinkat(&self.fd, os(&name), AtFlags::REMOVEDIR).map_err(|e| self.error("remove", &name, e))?;
            } else {
                drop(child);
                while !self.rename_new(&name, top, format!("deep-{moved_up}").as_bytes())? {
                    *moved_up += 1;
                }
                *moved_up += 1;
            }
        }
        Ok(())
    }

    /// Removes a directory, where there is one and nothing is in it.
    pub(crate) fn remove_empty_dir(&self, name: &[u8]) -> Result<(), Error> {
        match fs::unlinkat(&self.fd, os(name), AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            Err(errno) => Err(self.error("remove", name, errno)),
        }
    }

    /// Makes its names durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        fs::fsync(&self.fd).map_err(|e| Error::io("sync the directory", &self.path, e))
    }

    /// Makes everything on its filesystem durable. The kernel reports a failed write to whoever held a descriptor from
    /// before it (since Linux 5.8), which this one does.
    pub(crate) fn sync_filesystem(&self) -> Result<(), Error> {
        fs::syncfs(&self.fd).map_err(|e| Error::io("sync the filesystem of", &self.path, e))
    }

    /// Says how much is free.
    pub(crate) fn free(&self) -> Result<Free, Error> {
        fs::fstatvfs(&self.fd).map(Free::from).map_err(|e| Error::io("look at the filesystem of", &self.path, e))
    }

    /// Tries whether its filesystem keeps whole seconds alone, with its own mtime.
    pub(crate) fn keeps_whole_seconds(&self) -> Result<bool, Error> {
        let at = Timespec { tv_sec: 1, tv_nsec: 500_000_000 };
        fs::futimens(&self.fd, &Timestamps { last_access: at, last_modification: at })
            .map_err(|e| Error::io("set the mtime of", &self.path, e))?;
        Ok(self.own_stat()?.mtime_nanos == 0)
    }

    /// See [`keeps_times`].
    pub(crate) fn keeps_times(&self) -> Result<bool, Error> {
        keeps_times(&self.fd).map_err(|e| Error::io("look at the filesystem of", &self.path, e))
    }
}

/// Tells whether somebody holds the exclusive lock of an open file or directory, without keeping others from it.
pub(crate) fn is_locked(file: impl AsFd) -> Result<bool, Errno> {
    try_flock(file, fs::FlockOperation::NonBlockingLockShared).map(|is_taken| !is_taken)
}

/// Takes an exclusive lock on an open file or directory, if nobody holds it. Says whether it was taken. The kernel lets go of
/// it when the process ends, however it ends.
pub(crate) fn try_lock(file: impl AsFd) -> Result<bool, Errno> {
    try_flock(file, fs::FlockOperation::NonBlockingLockExclusive)
}

fn try_flock(file: impl AsFd, operation: fs::FlockOperation) -> Result<bool, Errno> {
    match fs::flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Tells whether [`Dir::open_to_change`] gives a directory of this mode another one.
pub(crate) fn changes_to_work_in(mode: u32) -> bool {
    mode & OWNER_ALL != OWNER_ALL || mode & OTHERS_WRITE != 0
}

/// Returns the path by which the kernel leads to an open file, whatever its name is now.
fn fd_path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Asks for the number of a mount that is never given twice, which Linux has since 6.8 and `rustix` does not name.
const MNT_ID_UNIQUE: u32 = 0x4000;

/// Returns what tells the mount of an open file from others; nothing where neither `statx` (Linux 5.8) nor `/proc` says it.
pub(crate) fn mount(file: impl AsFd) -> Option<u64> {
    let wanted = StatxFlags::MNT_ID | StatxFlags::from_bits_retain(MNT_ID_UNIQUE);
    if let Ok(statx) = fs::statx(&file, "", AtFlags::EMPTY_PATH, wanted)
        && statx.stx_mask & wanted.bits() != 0
    {
        return Some(statx.stx_mnt_id);
    }
    let path = format!("/proc/self/fdinfo/{}", file.as_fd().as_raw_fd());
    let info = std::fs::read_to_string(path).ok()?;
    info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
}

/// Names the mount of an open file in this boot; nothing where that is not known.
pub(crate) fn mount_of_this_boot(file: impl AsFd) -> Option<Hash> {
    let (mount, boot) = (mount(file)?, crate::boot::id()?);
    Some(Hash::of(format!("{boot} {mount}").as_bytes()))
}

/// Names the mount of an open file, where an equal ctime there means that nothing was changed: where this kernel writes what
/// is changed, and gives it the time. A read-only mount may be an image that was made with any times, and a filesystem over
/// a network or in user space shows what it likes.
pub(crate) fn mount_of_own_times(file: impl AsFd + Copy) -> Result<Option<Hash>, Errno> {
    let kind = fs::fstatfs(file)?.f_type as u32;
    let is_read_only = fs::fstatvfs(file)?.f_flag.contains(fs::StatVfsMountFlags::RDONLY);
    if is_read_only || !(kind == OVERLAY || KEEPS_TIMES.contains(&kind)) {
        return Ok(None);
    }
    Ok(mount_of_this_boot(file))
}

/// Tells whether the filesystem of an open directory changes a directory's times whenever a name in it comes or goes: whoever
/// finds them as they were need not list it again.
pub(crate) fn keeps_times(dir: impl AsFd) -> Result<bool, Errno> {
    Ok(KEEPS_TIMES.contains(&(fs::fstatfs(dir)?.f_type as u32)))
}

/// Gives an open file another group, where it has another.
pub(crate) fn set_group(file: &File, group: u32) -> Result<(), Errno> {
    if fs::fstat(file)?.st_gid == group {
        return Ok(());
    }
    fs::fchown(file, None, Some(fs::Gid::from_raw(group)))
}

/// Sets a mode where it is another: to look costs a tenth of a change, which goes through the filesystem's journal.
pub(crate) fn set_mode(file: impl AsFd, mode: u32) -> Result<(), Errno> {
    if fs::fstat(&file)?.st_mode & 0o7777 == mode {
        return Ok(());
    }
    fs::fchmod(&file, Mode::from_raw_mode(mode))
}

/// Takes the usual umask, whatever the login gave this process: a stricter one would make it change the mode of each file.
pub(crate) fn take_usual_umask() {
    rustix::process::umask(Mode::from_raw_mode(0o022));
}

/// Lets this process have as many files open as it may ask for: directories are held open, and some servers begin with
/// no more than 1,024.
pub(crate) fn raise_open_files() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // Where it cannot be raised it may suffice all the same.
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok();
}

/// Makes the next read of an open file come from the disk. After a failed sync the cache holds content that the disk does
/// not have, marked clean ("fsyncgate": Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
/// What is not on the disk yet stays in the cache, so the caller syncs before.
pub(crate) fn forget_cached(file: &File) -> Result<(), Errno> {
    fs::fadvise(file, 0, None, fs::Advice::DontNeed)
}

/// Says what an open file is.
pub(crate) fn look(file: &File) -> Result<Stat, Errno> {
    fs::fstat(file).map(Stat::from)
}

/// Gives an open file its final mode and mtime.
pub(crate) fn set_mode_and_mtime(file: &File, mode: u32, second: u32) -> Result<(), Errno> {
    set_mode(file, mode)?;
    fs::futimens(file, &times(second))
}

fn times(second: u32) -> Timestamps {
    let at = Timespec { tv_sec: i64::from(second), tv_nsec: 0 };
    Timestamps { last_access: at, last_modification: at }
}

/// Makes the content of `to` that of `from`: shared blocks where the filesystem can, a copy in the kernel or through
/// memory where it cannot. `to` is empty.
pub(crate) fn copy_content(from: &File, to: &File) -> io::Result<()> {
    if fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    // `io::copy` between files uses copy_file_range where that works.
    let (mut from, mut to) = (from, to);
    io::copy(&mut from, &mut to).map(drop)
}

/// Refuses a path that does not exist because it, or a directory above it, is a symlink to nothing.
pub(crate) fn refuse_dangling(path: &Path) -> Result<(), Error> {
    for above in path.ancestors() {
        if let Ok(target) = std::fs::read_link(above)
            && !above.exists()
        {
            let shown = |path: &Path| crate::path::Shown(path.as_os_str().as_bytes()).to_string();
            let target = above.parent().unwrap_or(Path::new("/")).join(target);
            return Err(SiteError::DanglingLink { path: shown(above), target: shown(&target) }.into());
        }
    }
    Ok(())
}

/// Makes the directories of a path that the user gave, durably, with mode 0755, whatever the umask.
pub(crate) fn create_path(path: &Path) -> Result<Dir, Error> {
    match Dir::open(path) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => refuse_dangling(path)?,
        other => return other,
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Dir::open(path);
    };
    let parent = create_path(parent)?;
    let dir = parent.create_dir(name.as_bytes(), 0o755)?;
    parent.sync()?;
    Ok(dir)
}

/// Makes a directory of this user's own, for state, with what is missing above it.
pub(crate) fn create_private_path(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| Error::io("create the directory", path, e))
}

/// Renames a file of this machine's state, where there is one.
pub(crate) fn rename_path(path: &Path, to: &Path) -> Result<(), Error> {
    match std::fs::rename(path, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("rename", path, error)),
        _ => Ok(()),
    }
}

/// Removes a file of this machine's state, where there is one.
pub(crate) fn remove_path(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode_of(path: &Path) -> u32 {
        path.symlink_metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_tree_of_any_depth_is_removed() {
        const DEPTH: usize = 3_000;
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open(place.path()).unwrap();
        let mut dir = root.create_dir(b"deep", 0o755).unwrap();
        for level in 0..DEPTH {
            // Names that a removal gives to what it moves up.
            let name = format!("deep-{}", level % 7);
            dir.create_file(b"file").unwrap();
            dir = dir.create_dir(name.as_bytes(), if level % 3 == 0 { 0o500 } else { 0o755 }).unwrap_or_else(|_| {
                dir.set_mode(0o755).unwrap();
                dir.create_dir(name.as_bytes(), 0o755).unwrap()
            });
        }
        drop(dir);
        root.remove_tree(b"deep").unwrap();
        assert_eq!(root.names().unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_directory_that_is_changed_is_its_owners_alone() {
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open(place.path()).unwrap();
        for (mode, expected) in [(0o777, 0o755), (0o775, 0o755), (0o755, 0o755), (0o1777, 0o1755), (0o000, 0o700)] {
            std::fs::create_dir(place.path().join("directory")).unwrap();
            std::fs::set_permissions(place.path().join("directory"), PermissionsExt::from_mode(mode)).unwrap();
            root.open_to_change(b"directory").unwrap();
            // Root may open a directory of any mode; its owner's rights are added all the same.
            assert_eq!(mode_of(&place.path().join("directory")) & !0o1000, expected & !0o1000, "{mode:o}");
            root.remove_tree(b"directory").unwrap();
        }
    }

    #[test]
    fn nothing_is_opened_or_changed_through_a_symlink() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(place.path().join("outside/below")).unwrap();
        std::fs::set_permissions(place.path().join("outside"), PermissionsExt::from_mode(0o777)).unwrap();
        std::fs::create_dir(place.path().join("inside")).unwrap();
        let inside = Dir::open(&place.path().join("inside")).unwrap();
        symlink("../outside", place.path().join("inside/link")).unwrap();
        inside.create_dir(b"real", 0o755).unwrap().create_dir(b"below", 0o755).unwrap();
        assert!(inside.open_below(b"real/below").is_ok());
        for path in [&b"link"[..], b"link/below", b"real/../link/below", b"../outside"] {
            assert!(inside.open_below(path).is_err(), "{path:?}");
        }
        assert!(inside.open_to_change(b"link").is_err());
        assert!(inside.let_owner_in(b"link").is_err());
        inside.set_mtime_of(b"link", 7).unwrap();
        assert!(inside.stat(b"link").unwrap().unwrap().has_mtime(7));
        let outside = Dir::open(&place.path().join("outside")).unwrap();
        assert!(!outside.own_stat().unwrap().has_mtime(7));
        inside.remove_tree(b"link").unwrap();
        assert_eq!(
            (mode_of(&place.path().join("outside")), outside.names().unwrap()),
            (0o777, vec![b"below".to_vec()])
        );
    }

    #[test]
    fn a_mount_is_told_from_the_one_above_it() {
        let root = Dir::open(Path::new("/")).unwrap();
        let proc = Dir::open(Path::new("/proc")).unwrap();
        assert_eq!(root.mount().unwrap(), Dir::open(Path::new("/")).unwrap().mount().unwrap());
        assert_ne!(root.mount().unwrap(), proc.mount().unwrap());
        assert!(matches!(root.open_own_dir(b"proc"), Err(Error::Site(SiteError::MountedInside(_)))));
    }
}
