//! Carries files over: copies files that only the live release has, such as a plugin that was installed on the server,
//! into the new one, if the patterns of `carry_over` match them.
//!
//! A file in the live release's manifest came with a source, and goes with it, unless that release was adopted and the source
//! did not have the file. A path in the new manifest belongs to the
//! new source. So neither an old version nor a deleted file comes back.
//!
//! Everything is opened through no symlink and no mount. A symlink is carried as it is if it stays in the release; links
//! into `shared/`, and others that lead out of the release, are not.

use crate::disk::{Dir, Kind, OWNER_ALL, Stat};
use crate::error::{Error, SiteError};
use crate::manifest::{Manifest, Node};
use crate::path::{RelativePath, push_name};
use crate::pattern::Patterns;

use super::assemble::Assembly;
use super::site::own::Addition;

/// The permission bits that a copy keeps.
const MODE_MASK: u32 = 0o777;

/// The source and the destination of files that are carried over.
pub(crate) struct CarryOver<'a> {
    /// The live release's tree.
    pub(crate) from: &'a Dir,
    /// The live release's manifest.
    pub(crate) old: &'a Manifest,
    /// The source of that release, if it was made of an adopted site: what it lacks came from the server.
    pub(crate) source: Option<&'a Manifest>,
    /// The new release, complete but for its links.
    pub(crate) assembly: &'a Assembly<'a>,
    /// The patterns.
    pub(crate) patterns: &'a Patterns,
    /// The links of both releases into `shared/`.
    pub(crate) links: Vec<&'a RelativePath>,
}

/// A directory of the live release, and its number in each manifest that has it.
struct Place<'d> {
    dir: &'d Dir,
    stat: Option<Stat>,
    old: Option<u32>,
    new: Option<u32>,
}

impl CarryOver<'_> {
    /// Copies the files. Returns what was made.
    pub(crate) fn run(&self) -> Result<Vec<Addition>, Error> {
        let mut made = Vec::new();
        let root = Place { dir: self.from, stat: None, old: Some(0), new: Some(0) };
        self.walk(&root, &mut Vec::new(), &mut made)?;
        Ok(made)
    }

    /// Copies from a directory and those below it.
    fn walk(&self, place: &Place<'_>, path: &mut Vec<u8>, made: &mut Vec<Addition>) -> Result<(), Error> {
        for name in place.dir.names()? {
            let length = path.len();
            push_name(path, &name);
            self.look_at(place, &name, path, made)?;
            path.truncate(length);
        }
        Ok(())
    }

    fn look_at(
        &self,
        place: &Place<'_>,
        name: &[u8],
        path: &mut Vec<u8>,
        made: &mut Vec<Addition>,
    ) -> Result<(), Error> {
        // A file may vanish: the release is live.
        let Some(stat) = place.dir.stat(name)? else { return Ok(()) };
        let Ok(own) = RelativePath::parse(path) else { return Ok(()) };
        if self.links.iter().any(|link| own.is_within(link)) {
            return Ok(());
        }
        let child = |manifest: &Manifest, number: Option<u32>| {
            number.and_then(|number| manifest.child(number, name)).map(|named| named.node)
        };
        let is_foreign = self.source.is_some_and(|source| source.find(own.names()).is_none());
        let old = child(self.old, place.old).filter(|_| !is_foreign);
        let new = child(self.assembly.manifest, place.new);
        match stat.kind {
            Kind::Directory => {
                if matches!(new, Some(Node::File(_) | Node::Symlink(_))) {
                    return Ok(());
                }
                let dir = match place.dir.open_own_dir(name) {
                    Err(Error::Site(SiteError::MountedInside(_))) => return Ok(()),
                    other => other?,
                };
                let number = |node| if let Some(Node::Directory(number)) = node { Some(number) } else { None };
                let below = Place { dir: &dir, stat: Some(stat), old: number(old), new: number(new) };
                self.walk(&below, path, made)
            }
            Kind::File | Kind::Symlink if old.is_none() && new.is_none() && self.patterns.matches_file(path) => {
                self.copy(place, name, &stat, own, made)
            }
            Kind::File | Kind::Symlink | Kind::Other => Ok(()),
        }
    }

    fn copy(
        &self,
        place: &Place<'_>,
        name: &[u8],
        stat: &Stat,
        path: RelativePath,
        made: &mut Vec<Addition>,
    ) -> Result<(), Error> {
        let target = match stat.kind {
            Kind::Symlink => match place.dir.read_link(name)?.filter(|target| stays_inside(&path, target)) {
                None => return Ok(()),
                target => target,
            },
            _ => None,
        };
        let to = self.ensure_above(place, &path, made)?;
        if to.stat(name)?.is_some() {
            return Ok(());
        }
        match target {
            Some(target) => to.symlink(&target, name)?,
            None => copy_file(place.dir, name, stat, &to)?,
        }
        self.assembly.note_link(&path);
        self.assembly.count_copy("carry_over");
        made.extend(to.stat(name)?.map(|stat| Addition { path, stat }));
        Ok(())
    }

    /// Opens the directory of a path in the new release. Makes those that are missing, with the modes of the live release.
    fn ensure_above(&self, place: &Place<'_>, path: &RelativePath, made: &mut Vec<Addition>) -> Result<Dir, Error> {
        let mode = place.stat.map_or(OWNER_ALL, |stat| stat.mode & MODE_MASK | OWNER_ALL);
        let names: Vec<&[u8]> = path.names().collect();
        let (mut dir, mut walked) = (self.assembly.staging.tree.duplicate()?, Vec::new());
        for name in names.iter().take(names.len().saturating_sub(1)) {
            push_name(&mut walked, name);
            let (below, is_new) = dir.ensure_dir(name, mode)?;
            if let (true, Ok(path)) = (is_new, RelativePath::parse(&walked)) {
                self.assembly.note_link(&path);
                made.push(Addition { path, stat: below.own_stat()? });
            }
            dir = below;
        }
        Ok(dir)
    }
}

/// Copies a file, with its mode and mtime.
fn copy_file(from: &Dir, name: &[u8], stat: &Stat, to: &Dir) -> Result<(), Error> {
    let failed = |e| Error::io("carry over", from.path_of(name), e);
    let vanished = || failed(std::io::ErrorKind::NotFound.into());
    let content = from.open_file(name)?.ok_or_else(vanished)?;
    let copy = to.create_file(name)?;
    copy.fill_from(&content).map_err(failed)?;
    copy.finish(stat.mode & MODE_MASK, u32::try_from(stat.mtime).unwrap_or_default()).map_err(failed)
}

/// Returns whether the target of a symlink at a path stays in the release, by its names alone.
fn stays_inside(path: &RelativePath, target: &[u8]) -> bool {
    if target.first() == Some(&b'/') {
        return false;
    }
    let mut depth = path.names().count() as i64 - 1;
    target.split(|&byte| byte == b'/').all(|name| {
        depth += match name {
            b"" | b"." => 0,
            b".." => -1,
            _ => 1,
        };
        depth >= 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symlink_is_carried_if_its_names_stay_in_the_release() {
        let check = |path: &str, target: &str, expected: bool| {
            let path = RelativePath::parse(path.as_bytes()).unwrap();
            assert_eq!(stays_inside(&path, target.as_bytes()), expected, "{path} {target}");
        };
        check("plugins/new/link", "../other", true);
        check("plugins/new/link", "../../other", true);
        check("plugins/new/link", "../../../shared/x", false);
        check("link", "a/../b", true);
        check("link", "a/../../b", false);
        check("link", "/srv", false);
    }
}
