//! Plans the declared paths: which get a link, what is copied or made for them in `shared/`, and what they hide.

use crate::disk::Kind;
use crate::error::{Error, SiteError};
use crate::manifest::{EntryRef, Manifest, Node};
use crate::path::{RelativePath, push_name};
use crate::shared_path::{Conflict, Missing, SharedPath};

use super::comparison::{Comparison, Earlier, HiddenFiles, has_content, has_only_placeholders};
use super::plan::{LiveRelease, NewContent, SharedPlan, conflict};
use super::shared_root::{PathState, SharedRoot};

/// Plans declared paths.
pub(super) struct Declared<'a> {
    /// `shared/`.
    pub(super) root: &'a SharedRoot,
    /// The manifest of the release.
    pub(super) manifest: &'a Manifest,
    /// The live release.
    pub(super) live: Option<&'a LiveRelease<'a>>,
    /// The plan so far.
    pub(super) plan: SharedPlan,
}

impl<'a> Declared<'a> {
    /// Plans a directory.
    pub(super) fn add_directory(&mut self, declared: &SharedPath) -> Result<(), Error> {
        let path = &declared.path;
        self.check_parents(path)?;
        let state = self.root.state(path)?;
        check_directory(self.root, path, state)?;
        let named = self.manifest.find(path.names());
        match (named.map(|named| named.node), declared.conflict) {
            (Some(node), Conflict::Keep) if !self.is_empty(node) => return Ok(()),
            (Some(node), Conflict::Error) if !self.is_empty(node) => return Err(conflict(path.as_bytes())),
            (None | Some(Node::Directory(_)) | Some(_), Conflict::Link) => {}
            (None | Some(Node::Directory(_)), _) => {}
            (Some(_), _) => return Err(SiteError::SharedDeclared(path.to_string()).into()),
        }
        if matches!(state, PathState::Missing | PathState::MissingBehindLink)
            && !self.may_be_missing(declared, state)?
        {
            return Ok(());
        }
        match named.map(|named| named.node) {
            Some(Node::Directory(number)) => self.fill_directory(declared, state, number)?,
            Some(_) => {
                self.hide(path, named);
                self.make(path, state, NewContent::Directory(path.clone()));
            }
            None => self.make(path, state, NewContent::Directory(path.clone())),
        }
        self.plan.links.push(path.clone());
        Ok(())
    }

    /// Plans a file.
    pub(super) fn add_file(&mut self, declared: &SharedPath) -> Result<(), Error> {
        let path = &declared.path;
        self.check_parents(path)?;
        let state = self.root.state(path)?;
        if state == PathState::Inside(Kind::Directory) {
            return Err(Error::Usage(format!(
                "`{path}` is in `shared_files` and is a directory: name it in `shared_dirs`"
            )));
        }
        let is_missing = matches!(state, PathState::Missing | PathState::MissingBehindLink);
        let named = self.manifest.find(path.names());
        let node = named.map(|named| named.node);
        match (node, declared.conflict) {
            (None, _) => {}
            (Some(_), Conflict::Keep) => return Ok(()),
            (Some(Node::File(_) | Node::Symlink(_)), Conflict::Link) => {}
            (Some(Node::File(_) | Node::Symlink(_)), Conflict::Seed) if state == PathState::Missing => {
                self.plan.new.push(NewContent::Copy { declared: path.clone(), path: path.clone() });
                self.plan.links.push(path.clone());
                return Ok(());
            }
            (Some(Node::File(_) | Node::Symlink(_)), Conflict::Seed) => {}
            (Some(_), _) => return Err(SiteError::SharedDeclared(path.to_string()).into()),
        }
        if is_missing {
            if !self.may_be_missing(declared, state)? {
                return Ok(());
            }
            self.plan.new.push(NewContent::File(path.clone()));
        }
        self.hide(path, named);
        self.plan.links.push(path.clone());
        Ok(())
    }

    fn is_empty(&self, node: Node) -> bool {
        matches!(node, Node::Directory(number) if has_only_placeholders(self.manifest, number))
    }

    /// Tells whether a missing path gets a link: because it is made. Refuses one that is required.
    fn may_be_missing(&self, declared: &SharedPath, state: PathState) -> Result<bool, Error> {
        let shown = self.root.shown(&declared.path);
        match (declared.missing, state) {
            (Missing::Optional, _) => Ok(false),
            (Missing::Create, PathState::Missing) => Ok(true),
            (Missing::Create, _) => Err(SiteError::MissingBehindLink(shown).into()),
            (Missing::Required, _) => Err(SiteError::SharedMissing(shown).into()),
        }
    }

    fn make(&mut self, path: &RelativePath, state: PathState, new: NewContent) {
        debug_assert_eq!(new.declared(), path);
        if state == PathState::Missing {
            self.plan.new.push(new);
        }
    }

    /// Plans the copies from a directory of the release, and finds what the link hides.
    fn fill_directory(&mut self, declared: &SharedPath, state: PathState, number: u32) -> Result<(), Error> {
        let path = &declared.path;
        if state == PathState::Missing {
            self.plan.new.push(NewContent::Copy { declared: path.clone(), path: path.clone() });
            return Ok(());
        }
        let dir = self.root.open_directory(path, state)?;
        let earlier = self.earlier(path);
        // An empty directory that no release uses yet is filled like a new one.
        let is_unused =
            earlier.is_none() && dir.as_ref().is_some_and(|dir| dir.names().is_ok_and(|all| all.is_empty()));
        let mut comparison = Comparison {
            manifest: self.manifest,
            conflict: if is_unused { Conflict::Seed } else { declared.conflict },
            may_copy: state == PathState::Inside(Kind::Directory),
            copies: Vec::new(),
            hidden: HiddenFiles::below(path),
        };
        comparison.compare(dir.as_ref(), number, earlier, &mut path.as_bytes().to_vec())?;
        let Comparison { copies, hidden, .. } = comparison;
        let copies = copies.into_iter().map(|copy| NewContent::Copy { declared: path.clone(), path: copy });
        self.plan.new.extend(copies);
        self.plan.hidden.extend(Some(hidden).filter(|hidden| hidden.files > 0));
        Ok(())
    }

    /// Returns the live release's directory at a declared path, if its link hid it.
    fn earlier(&self, path: &RelativePath) -> Option<Earlier<'a>> {
        let manifest = self.live.filter(|live| live.shares(path))?.manifest();
        match manifest.find(path.names())?.node {
            Node::Directory(number) => Some(Earlier { manifest, number }),
            _ => None,
        }
    }

    /// Notes that the link hides a file or symlink of the release, unless the live release's link hid the same, or
    /// `shared/` has the same content.
    fn hide(&mut self, path: &RelativePath, named: Option<EntryRef<'_>>) {
        let Some(named) = named else { return };
        let before = self.live.filter(|live| live.shares(path)).and_then(|live| live.manifest().find(path.names()));
        let is_settled = match (named.node, before.map(|before| before.node)) {
            (Node::File(own), Some(Node::File(before))) => own == before,
            (Node::Symlink(_), Some(Node::Symlink(_))) => true,
            _ => false,
        };
        if !is_settled && !self.is_in_shared(path, named.node) {
            let mut hidden = HiddenFiles::below(path);
            hidden.add(path.as_bytes());
            self.plan.hidden.push(hidden);
        }
    }

    fn is_in_shared(&self, path: &RelativePath, node: Node) -> bool {
        let Node::File(file) = node else { return false };
        let above = path.as_path().parent().map(|above| self.root.shown_path(above));
        let name = path.names().last().unwrap_or_default();
        let Some(dir) = above.and_then(|above| crate::disk::Dir::open(&above).ok()) else { return false };
        let stat = dir.stat(name).ok().flatten();
        stat.is_some_and(|stat| has_content(Some(&dir), name, file, &stat))
    }

    /// Refuses a path below a file or symlink of the release.
    fn check_parents(&self, path: &RelativePath) -> Result<(), Error> {
        let mut directory = 0;
        let mut walked = Vec::new();
        for name in path.names() {
            push_name(&mut walked, name);
            if walked.len() == path.as_bytes().len() {
                break;
            }
            match self.manifest.child(directory, name).map(|named| named.node) {
                None => break,
                Some(Node::Directory(number)) => directory = number,
                Some(_) => return Err(conflict(&walked)),
            }
        }
        Ok(())
    }
}

/// Refuses something in `shared/` that is no directory at the path of one.
fn check_directory(root: &SharedRoot, path: &RelativePath, state: PathState) -> Result<(), Error> {
    match state {
        PathState::Inside(Kind::Directory) | PathState::Missing | PathState::MissingBehindLink => Ok(()),
        PathState::Inside(_) => Err(SiteError::NotDirectory(root.shown(path)).into()),
        // A symlink that leads nowhere, or to a file, is refused here.
        PathState::Symlink => root.open_directory(path, state).map(drop),
    }
}
