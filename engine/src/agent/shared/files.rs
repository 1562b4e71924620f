//! Single files in `shared/`, such as `.env`: lists, reads and writes them for a person.
//!
//! Nothing is read or written through a symlink. A file is written beside its place and renamed over it, durably: the
//! application sees the old content or the new. The writer names the content that it knows; a file with other content was
//! changed meanwhile, and is left as it is. The lock is held, so no deploy and no other writer comes between.

use std::io::Read;

use rustix::process::geteuid;

use crate::accounts::Accounts;
use crate::disk::{Dir, Kind, Stat};
use crate::error::{Error, SiteError};
use crate::hash::Hash;
use crate::path::{RelativePath, Shown, push_name};
use crate::report::{SharedEntryReport, SharedKind, SharedListReport, SharedWriteReport};
use crate::wire::bounds::{SHARED_FILE_BYTES_MAX, SHARED_LISTED_MAX};

use super::copies::BESIDE;
use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;

/// The mode of a new file: it may hold secrets.
const NEW_MODE: u32 = 0o600;
/// The mode of directories above a new file.
const PARENT_MODE: u32 = 0o755;
/// The permission bits that a file keeps.
const MODE_MASK: u32 = 0o777;

/// A file to write.
pub(crate) struct NewSharedFile<'a> {
    /// Its path.
    pub(crate) path: &'a RelativePath,
    /// The content.
    pub(crate) content: &'a [u8],
    /// The hash of the content that the writer knows. None: the file does not exist.
    pub(crate) known: Option<Hash>,
}

/// Lists the paths with links, and the names beside them. Links of the live release are told.
pub(crate) fn list(layout: &Layout, links: &[RelativePath]) -> Result<SharedListReport, Error> {
    let mut report = SharedListReport::default();
    list_below(&layout.shared, links, &mut Vec::new(), &mut report)?;
    Ok(report)
}

fn list_below(
    dir: &Dir,
    links: &[RelativePath],
    path: &mut Vec<u8>,
    report: &mut SharedListReport,
) -> Result<(), Error> {
    for name in dir.names()? {
        let Some(stat) = dir.stat(&name)? else { continue };
        let length = path.len();
        push_name(path, &name);
        let Ok(own) = RelativePath::parse(path) else { continue };
        let linked = links.binary_search(&own).is_ok();
        if stat.kind == Kind::Directory && !linked && links.iter().any(|link| link.is_within(&own)) {
            list_below(&dir.open_dir(&name)?, links, path, report)?;
        } else if report.paths.len() == SHARED_LISTED_MAX {
            report.paths_left_out += 1;
        } else {
            report.paths.push(entry(path, &stat, linked));
        }
        path.truncate(length);
    }
    Ok(())
}

fn entry(path: &[u8], stat: &Stat, linked: bool) -> SharedEntryReport {
    let kind = match stat.kind {
        Kind::File => SharedKind::File,
        Kind::Directory => SharedKind::Directory,
        Kind::Symlink => SharedKind::Symlink,
        Kind::Other => SharedKind::Other,
    };
    let bytes = (kind == SharedKind::File).then_some(stat.size);
    SharedEntryReport { path: Shown(path).to_string(), kind, bytes, mode: format!("{:04o}", stat.mode), linked }
}

/// Reads a file, if it exists.
pub(crate) fn read(shared: &Dir, path: &RelativePath) -> Result<Option<Vec<u8>>, Error> {
    let Some((dir, name)) = open_above(shared, path)? else { return Ok(None) };
    Ok(read_in(&dir, name)?.map(|(content, _)| content))
}

/// Writes a file.
pub(crate) fn write(_lock: &Lock, shared: &Dir, new: &NewSharedFile<'_>) -> Result<SharedWriteReport, Error> {
    let names: Vec<&[u8]> = new.path.names().collect();
    let (name, above) = names.split_last().ok_or_else(|| Error::Bug("a path without a name".into()))?;
    let mut dir = shared.duplicate()?;
    for name in above {
        let (below, is_new) = dir.ensure_dir(name, PARENT_MODE)?;
        if is_new {
            dir.sync()?;
        }
        dir = below;
    }
    let found = read_in(&dir, name)?;
    if found.as_ref().map(|(content, _)| Hash::of(content)) != new.known {
        return Err(SiteError::SharedChanged(dir.path_of(name).display().to_string()).into());
    }
    let stat = found.as_ref().map(|(_, stat)| *stat);
    let mode = stat.map_or(NEW_MODE, |stat| stat.mode & MODE_MASK);
    let report = SharedWriteReport {
        path: new.path.to_string(),
        written: found.is_none_or(|(content, _)| content != new.content),
        created: stat.is_none(),
        bytes: new.content.len() as u64,
        mode: format!("{mode:04o}"),
        warnings: Vec::new(),
    };
    if report.written {
        check_owner(&dir, name, stat.as_ref())?;
        replace(&dir, name, new.content, mode, stat.map(|stat| stat.gid))?;
    }
    Ok(report)
}

/// Refuses to replace a file of another user: the new one would belong to this user, and its owner could lose access.
fn check_owner(dir: &Dir, name: &[u8], stat: Option<&Stat>) -> Result<(), Error> {
    let Some(stat) = stat.filter(|stat| stat.uid != geteuid().as_raw()) else { return Ok(()) };
    let owner = Accounts::read().user_shown(stat.uid);
    Err(SiteError::SharedOwner { path: dir.path_of(name).display().to_string(), owner }.into())
}

fn replace(dir: &Dir, name: &[u8], content: &[u8], mode: u32, group: Option<u32>) -> Result<(), Error> {
    if dir.stat(BESIDE)?.is_some() {
        dir.remove_tree(BESIDE)?;
    }
    let failed = |e| Error::io("write", dir.path_of(name), e);
    let draft = dir.draft(BESIDE)?;
    draft.file.put_at(content, 0).map_err(failed)?;
    draft.file.set_group_and_mode(group, mode).map_err(failed)?;
    draft.file.sync().map_err(failed)?;
    dir.rename(BESIDE, dir, name)?;
    draft.keep();
    dir.sync()
}

/// Opens the directory that holds a path, if it exists.
fn open_above<'p>(shared: &Dir, path: &'p RelativePath) -> Result<Option<(Dir, &'p [u8])>, Error> {
    let names: Vec<&[u8]> = path.names().collect();
    let Some((last, above)) = names.split_last() else { return Ok(None) };
    let mut dir = shared.duplicate()?;
    for name in above {
        if dir.stat(name)?.is_none() {
            return Ok(None);
        }
        dir = dir.open_dir(name)?;
    }
    Ok(Some((dir, last)))
}

fn read_in(dir: &Dir, name: &[u8]) -> Result<Option<(Vec<u8>, Stat)>, Error> {
    let path = || dir.path_of(name).display().to_string();
    let Some(stat) = dir.stat(name)? else { return Ok(None) };
    match stat.kind {
        Kind::File => {}
        Kind::Symlink => return Err(SiteError::SymlinkInside(path()).into()),
        Kind::Directory | Kind::Other => return Err(SiteError::SharedNotFile(path()).into()),
    }
    let too_large = || Error::from(SiteError::SharedTooLarge { path: path(), most: SHARED_FILE_BYTES_MAX });
    if stat.size > SHARED_FILE_BYTES_MAX {
        return Err(too_large());
    }
    let Some(file) = dir.open_file(name)? else { return Ok(None) };
    let mut content = Vec::new();
    file.take(SHARED_FILE_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .map_err(|e| Error::io("read", dir.path_of(name), e))?;
    if content.len() as u64 > SHARED_FILE_BYTES_MAX { Err(too_large()) } else { Ok(Some((content, stat))) }
}
