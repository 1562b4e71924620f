//! The names in `shared/` that the configuration does not declare: each is linked as a whole if the release has nothing
//! of that name, and child by child if both have a directory. A file in both is refused: one of the two would be lost
//! unnoticed. Only a placeholder of the release stays without a word. A file beside a SQLite database gets no link: it comes and
//! goes, and SQLite finds it beside the database to which the link leads.

use crate::agent::sqlite::is_beside_database;
use crate::disk::{Dir, Kind};
use crate::error::Error;
use crate::manifest::{Manifest, Node};
use crate::path::{RelativePath, push_name};

use super::copies::BESIDE;
use super::placeholder::is_placeholder;
use super::plan::conflict;

/// A directory in the root of some filesystems.
const LOST_AND_FOUND: &[u8] = b"lost+found";

/// Finds the links to undeclared names.
pub(super) struct Undeclared<'a> {
    /// The manifest of the release.
    pub(super) manifest: &'a Manifest,
    /// The declared paths.
    pub(super) declared: Vec<&'a RelativePath>,
    /// The paths that became shared one by one.
    pub(super) apart: &'a [RelativePath],
    /// The links that were found.
    pub(super) links: Vec<RelativePath>,
}

impl Undeclared<'_> {
    /// Looks at the names of a directory of `shared/`. `number` is that directory in the release, if it has one.
    pub(super) fn find(&mut self, dir: &Dir, number: Option<u32>, path: &mut Vec<u8>) -> Result<(), Error> {
        for name in dir.names()? {
            let length = path.len();
            if name == BESIDE || (length == 0 && name == LOST_AND_FOUND) || is_beside_database(dir, &name)? {
                continue;
            }
            push_name(path, &name);
            self.look_at(dir, &name, number, path)?;
            path.truncate(length);
        }
        Ok(())
    }

    fn look_at(&mut self, dir: &Dir, name: &[u8], number: Option<u32>, path: &mut Vec<u8>) -> Result<(), Error> {
        let own = RelativePath::parse(path).map_err(|reason| Error::Bug(format!("a name in `shared/`: {reason}")))?;
        let node = number.and_then(|number| self.manifest.child(number, name)).map(|named| named.node);
        let leads_to_declared = self.declared.iter().any(|declared| declared.is_within(&own));
        let leads_apart = self.apart.iter().any(|apart| *apart != own && apart.is_within(&own));
        match (dir.stat(name)?.map(|stat| stat.kind), node) {
            _ if self.declared.contains(&&own) => {}
            // The declared path behind it has its own link.
            (Some(Kind::Symlink), _) if leads_to_declared => {}
            (Some(Kind::Directory), Some(Node::Directory(number))) => {
                self.find(&dir.open_dir(name)?, Some(number), path)?;
            }
            (Some(Kind::Directory), None) if leads_to_declared || leads_apart => {
                self.find(&dir.open_dir(name)?, None, path)?;
            }
            (Some(_), None) => self.links.push(own),
            (Some(Kind::File), Some(node)) if is_placeholder(name, node) => {}
            (Some(_), Some(_)) => return Err(conflict(path)),
            (None, _) => {}
        }
        Ok(())
    }
}
