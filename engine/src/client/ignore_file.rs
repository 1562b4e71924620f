//! Reads the ignore files of the source.
//!
//! A `.deployignore` may be a symlink, often to `.gitignore`. It is followed if it leads to a file in the source:
//! another file would be missing if somebody deployed the same source elsewhere. Anything but a file holds no patterns.
//! A deploy without the patterns could publish the paths that they leave out, so it is refused.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{CWD, FileType};
use rustix::io::Errno;

use crate::error::{Error, SourceError};
use crate::path::Shown;
use crate::scan::content;

/// The name of the file with patterns, in any directory of the source.
pub(crate) const IGNORE_FILE: &[u8] = b".deployignore";

/// The most bytes of an ignore file: as many as git reads.
const BYTES_MAX: u64 = 100 << 20;

/// Reads a `.deployignore`, by its `name` in `directory`. `path` is its path in the source. None if it does not exist.
pub(crate) fn read(source: &Path, directory: impl AsFd, name: &[u8], path: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let failed =
        |errno: Errno| Error::from(SourceError::Unreadable { path: Shown(path).to_string(), source: errno.into() });
    let file = match content::open(directory, OsStr::from_bytes(name)) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        // A symlink.
        Err(Errno::LOOP) => open_target(source, path)?,
        // A socket.
        Err(Errno::NXIO) => return Err(no_patterns(path, "it is a socket".into())),
        Err(errno) => return Err(failed(errno)),
    };
    let kind = content::stat(&file)
        .map_err(|source| Error::from(SourceError::Unreadable { path: Shown(path).to_string(), source }))?
        .kind();
    match kind {
        FileType::RegularFile => {}
        FileType::Directory => return Err(no_patterns(path, "it is a directory".into())),
        _ => return Err(no_patterns(path, "it is not a regular file".into())),
    }
    read_file(&file)
        .map(Some)
        .map_err(|source| Error::from(SourceError::Unreadable { path: Shown(path).to_string(), source }))
}

/// Reads a file, up to the size limit of an ignore file.
pub(crate) fn read_file(file: &File) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(Errno::FBIG.into());
    }
    Ok(text)
}

/// Opens the target of a symlink, in the source.
fn open_target(source: &Path, path: &[u8]) -> Result<File, Error> {
    let unreadable =
        |error: std::io::Error| Error::from(SourceError::Unreadable { path: Shown(path).to_string(), source: error });
    let link = source.join(OsStr::from_bytes(path));
    let told = std::fs::read_link(&link).map_err(unreadable)?;
    let told = Shown(told.as_os_str().as_bytes()).to_string();
    let target = match link.canonicalize() {
        Ok(target) => target,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(no_patterns(path, format!("it is a symlink to `{told}`, which does not exist")));
        }
        Err(error) => return Err(unreadable(error)),
    };
    if !target.starts_with(source.canonicalize().map_err(unreadable)?) {
        return Err(no_patterns(path, format!("it is a symlink to `{told}`, which leads out of the source")));
    }
    content::open(CWD, target.as_os_str()).map_err(|errno| unreadable(errno.into()))
}

fn no_patterns(path: &[u8], reason: String) -> Error {
    Error::from(SourceError::NoPatterns { path: Shown(path).to_string(), reason })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Reads `source/a/.deployignore`, which `make` makes. Returns its text, or the reason why it holds no patterns.
    fn check(make: impl FnOnce(&Path), expected: Result<Option<&str>, &str>) {
        let place = tempfile::tempdir().unwrap();
        let source = place.path().join("source");
        fs::create_dir_all(source.join("a")).unwrap();
        fs::write(source.join(".gitignore"), "in").unwrap();
        fs::write(place.path().join("outside"), "out").unwrap();
        make(&source.join("a/.deployignore"));
        let read = read(&source, File::open(source.join("a")).unwrap(), IGNORE_FILE, b"a/.deployignore");
        let read = read.map(|text| text.map(|text| String::from_utf8(text).unwrap()));
        let read = read.map_err(|error| match error {
            Error::Source(SourceError::NoPatterns { path, reason }) if path == "a/.deployignore" => reason,
            error => error.with_cause(),
        });
        assert_eq!(read.as_ref().map(Option::as_deref).map_err(String::as_str), expected);
    }

    #[test]
    fn an_ignore_file_is_a_file_or_a_symlink_to_one_in_the_source() {
        let link = |target: &'static str| move |path: &Path| symlink(target, path).unwrap();
        check(|_| {}, Ok(None));
        check(|path| fs::write(path, "own").unwrap(), Ok(Some("own")));
        check(link("../.gitignore"), Ok(Some("in")));
        check(link("../../source/.gitignore"), Ok(Some("in")));
        check(|path| symlink(path.with_file_name("../.gitignore"), path).unwrap(), Ok(Some("in")));
        check(link("../../outside"), Err("it is a symlink to `../../outside`, which leads out of the source"));
        check(link("/dev/zero"), Err("it is a symlink to `/dev/zero`, which leads out of the source"));
        check(link("nothing"), Err("it is a symlink to `nothing`, which does not exist"));
        check(link("."), Err("it is a directory"));
        check(
            link(".deployignore"),
            Err("Could not read `a/.deployignore`: Too many levels of symbolic links (os error 40)"),
        );
        check(|path| fs::create_dir(path).unwrap(), Err("it is a directory"));
        check(|path| drop(UnixListener::bind(path).unwrap()), Err("it is a socket"));
        let fifo = |path: &Path| rustix::fs::mknodat(CWD, path, FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        check(fifo, Err("it is not a regular file"));
        let huge = |path: &Path| File::create(path).unwrap().set_len(BYTES_MAX + 1).unwrap();
        check(huge, Err("Could not read `a/.deployignore`: File too large (os error 27)"));
    }
}
