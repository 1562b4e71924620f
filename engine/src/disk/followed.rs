//! Files of the application that this user reads by a name of the configuration.
//!
//! The way may lead through symlinks, because the directories of `shared/` are linked. But other users may write to some
//! of these directories: a symlink of theirs could lead to a file that only this user may read. Each link is therefore
//! opened itself, and followed only if it is of this user or of root.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat, readlinkat};
use rustix::io::Errno;

/// The most symlinks on the way, as in Linux.
const LINKS_MAX: usize = 40;

/// The user that every link of the system belongs to.
const ROOT: u32 = 0;

/// Opens a regular file to read. Refuses a symlink of another user on the way.
pub(crate) fn open_followed(path: &Path) -> io::Result<File> {
    const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    let own = rustix::process::geteuid().as_raw();
    let open = |at: &_, name: &OsStr, flags| openat(at, name, flags, Mode::empty());
    let root = || openat(CWD, "/", LOOK, Mode::empty());
    let mut dir = root()?;
    // The next name is the last one.
    let mut names = names(path);
    let mut links = 0;
    while let Some(name) = names.pop() {
        let found = open(&dir, &name, LOOK)?;
        let stat = fstat(&found)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            if ![own, ROOT].contains(&stat.st_uid) {
                return Err(io::Error::other("it is behind a symlink of another user"));
            }
            links += 1;
            if links > LINKS_MAX {
                return Err(Errno::LOOP.into());
            }
            let target = OsString::from_vec(readlinkat(&found, "", Vec::new())?.into_bytes());
            if target.as_bytes().starts_with(b"/") {
                dir = root()?;
            }
            names.extend(self::names(Path::new(&target)));
        } else if names.is_empty() {
            // Opening a fifo would wait for a writer, without this flag.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = File::from(open(&dir, &name, flags)?);
            let is_file = file.metadata()?.is_file();
            return if is_file { Ok(file) } else { Err(io::Error::other("it is no file")) };
        } else {
            dir = found;
        }
    }
    Err(io::Error::other("it is no file"))
}

/// Returns the names of a path, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let names: Vec<OsString> = names.collect();
    names.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::{lchown, symlink};

    use super::*;

    fn read(path: &Path) -> Result<String, String> {
        let mut text = String::new();
        open_followed(path).and_then(|mut file| file.read_to_string(&mut text)).map_err(|error| error.to_string())?;
        Ok(text)
    }

    #[test]
    fn own_links_are_followed_and_those_of_others_are_not() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir_all(at("shared/storage")).unwrap();
        fs::create_dir_all(at("releases/1")).unwrap();
        fs::write(at("secret"), "secret").unwrap();
        fs::write(at("shared/storage/log"), "log").unwrap();
        symlink("../../shared/storage", at("releases/1/storage")).unwrap();
        symlink(at("shared/storage/log"), at("releases/1/log")).unwrap();
        symlink("releases/1", at("current")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("../../secret", at("shared/storage/link")).unwrap();
        for path in ["current/storage/log", "current/log", "current/../1/./storage/log"] {
            assert_eq!(read(&at(path)), Ok("log".to_owned()), "{path}");
        }
        assert_eq!(read(&at("current/storage/link")), Ok("secret".to_owned()));
        assert_eq!(read(&at("current/storage")), Err("it is no file".to_owned()));
        assert_eq!(read(Path::new("/")), Err("it is no file".to_owned()));
        assert!(read(&at("loop")).unwrap_err().contains("symbolic links"));
        assert!(read(&at("none")).unwrap_err().contains("No such file"));
        std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap();
        assert_eq!(read(&at("fifo")), Err("it is no file".to_owned()));
        if rustix::process::geteuid().is_root() {
            lchown(at("shared/storage/link"), Some(65534), None).unwrap();
            let refused = Err("it is behind a symlink of another user".to_owned());
            assert_eq!(read(&at("current/storage/link")), refused);
            lchown(at("releases/1/storage"), Some(65534), None).unwrap();
            assert_eq!(read(&at("current/storage/log")), refused);
        }
    }
}
