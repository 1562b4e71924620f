//! The directories that the application writes to: they get a mode, and a group.
//!
//! A directory of the configuration gets them with all directories below it that the release has. Its files do not: most
//! are links to objects, which all releases share. A directory that neither the release nor `shared/` has is made.
//!
//! A directory that lies in `shared/` belongs to the server: it gets mode and group if the deploying user owns it, and
//! only where the release has that directory too, because `shared/` may have a million others.

use std::collections::HashSet;

use rustix::process::{getegid, geteuid, getgroups};

use crate::accounts::{Accounts, ROOT};
use crate::disk::Dir;
use crate::error::{Error, SiteError};
use crate::manifest::{Manifest, Node};
use crate::path::RelativePath;
use crate::writable::Writable;

use super::site::own::Addition;

/// Returns the number of the group, if one is given. Refuses a group that this user cannot give directories to.
pub(crate) fn group_of(writable: &Writable) -> Result<Option<u32>, Error> {
    let group = writable.group.as_deref().filter(|_| !writable.directories.is_empty());
    group.map(own_group).transpose()
}

/// The writable directories of one release.
#[derive(Debug, Default)]
pub(crate) struct WritableDirectories {
    mode: u32,
    group: Option<u32>,
    /// The directories of the release, by number.
    numbers: HashSet<u32>,
    /// Those that neither has.
    missing: Vec<RelativePath>,
    /// Those in `shared/`.
    shared: Vec<RelativePath>,
}

impl WritableDirectories {
    /// Finds the directories, and refuses a group that this user cannot give them.
    pub(crate) fn find(
        writable: &Writable,
        manifest: &Manifest,
        links: &[RelativePath],
    ) -> Result<WritableDirectories, Error> {
        let mut found = WritableDirectories {
            mode: writable.mode.unwrap_or(Writable::MODE),
            group: group_of(writable)?,
            ..WritableDirectories::default()
        };
        for path in &writable.directories {
            let is_shared = links.iter().any(|link| path.is_within(link));
            found.shared.extend(links.iter().filter(|link| link.is_within(path) && *link != path).cloned());
            match manifest.find(path.names()).map(|named| named.node) {
                Some(Node::Directory(number)) if is_shared => found.add_shared(manifest, number, path),
                Some(Node::Directory(number)) => found.add(manifest, number),
                None if is_shared => found.shared.push(path.clone()),
                None => found.missing.push(path.clone()),
                Some(_) if is_shared => {}
                Some(_) => return Err(SiteError::WritableFile(path.to_string()).into()),
            }
        }
        Ok(found)
    }

    fn add(&mut self, manifest: &Manifest, number: u32) {
        self.numbers.insert(number);
        manifest.directories_in(number).for_each(|(child, _)| self.add(manifest, child));
    }

    fn add_shared(&mut self, manifest: &Manifest, number: u32, path: &RelativePath) {
        self.shared.push(path.clone());
        for (child, _) in manifest.directories_in(number) {
            if let Ok(below) = RelativePath::parse(&manifest.directory_path(child)) {
                self.add_shared(manifest, child, &below);
            }
        }
    }

    /// Returns the mode of a directory of the release, if it is one of these.
    pub(crate) fn mode_of(&self, number: u32) -> Option<u32> {
        self.numbers.contains(&number).then_some(self.mode)
    }

    /// Gives a directory of the release its group, if it is one of these.
    pub(crate) fn set_group(&self, number: u32, dir: &Dir) -> Result<(), Error> {
        match self.group.filter(|_| self.numbers.contains(&number)) {
            Some(group) => dir.set_group(group),
            None => Ok(()),
        }
    }

    /// Returns the directories that neither the release nor `shared/` has.
    pub(crate) fn missing(&self) -> &[RelativePath] {
        &self.missing
    }

    /// Makes the directories that neither the release nor `shared/` has. Returns what was made.
    pub(crate) fn make_missing(&self, tree: &Dir) -> Result<Vec<Addition>, Error> {
        const PARENT_MODE: u32 = 0o755;
        let mut made = Vec::new();
        for path in &self.missing {
            let mut dir = tree.duplicate()?;
            let mut walked = Vec::new();
            for name in path.names() {
                crate::path::push_name(&mut walked, name);
                let (below, is_new) = dir.ensure_dir(name, PARENT_MODE)?;
                if walked.as_slice() == path.as_bytes() {
                    self.give(&below)?;
                }
                if let (true, Ok(path)) = (is_new, RelativePath::parse(&walked)) {
                    made.push(Addition { path, stat: below.own_stat()? });
                }
                dir = below;
            }
        }
        Ok(made)
    }

    /// Gives the directories in `shared/` mode and group. Returns a warning if one of them belongs to another user.
    pub(crate) fn give_shared(&self, shared: &Dir) -> Result<Option<String>, Error> {
        let mut others = Vec::new();
        for path in &self.shared {
            // A path that is missing, or behind a symlink, is not ours to change.
            let Ok(dir) = shared.open_below(path.as_bytes()) else { continue };
            let stat = dir.own_stat()?;
            let is_right =
                stat.mode & !0o2000 == self.mode & !0o2000 && self.group.is_none_or(|group| group == stat.gid);
            if is_right {
                continue;
            }
            if stat.uid == geteuid().as_raw() || geteuid().is_root() {
                self.give(&dir)?;
            } else {
                others.push(format!("`shared/{path}`"));
            }
        }
        Ok((!others.is_empty()).then(|| {
            format!(
                "Another user owns {}, so its mode and group stay as they are. Change them on the server, or leave it out of \
                 `writable_dirs`",
                others.join(", ")
            )
        }))
    }

    fn give(&self, dir: &Dir) -> Result<(), Error> {
        if let Some(group) = self.group {
            dir.set_group(group)?;
        }
        dir.set_mode(self.mode | dir.own_stat()?.mode & 0o2000)
    }
}

/// Finds a group that this user may give to files.
fn own_group(name: &str) -> Result<u32, Error> {
    let accounts = Accounts::read();
    let unknown = || Error::from(SiteError::GroupUnknown(name.to_owned()));
    let group = accounts.group_number(name).or_else(|| name.parse().ok()).ok_or_else(unknown)?;
    let (user, own) = (geteuid(), getegid().as_raw());
    let others = getgroups().map_err(|e| Error::io("read the groups of", "this process", e))?;
    if user.as_raw() == ROOT || own == group || others.iter().any(|other| other.as_raw() == group) {
        return Ok(group);
    }
    let user = accounts.user_name(user.as_raw()).unwrap_or_else(|| user.as_raw().to_string());
    Err(SiteError::NotInGroup { user, group: name.to_owned() }.into())
}
