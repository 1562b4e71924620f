//! Undoes an adoption: the site is the directory again that it was, with everything that was written to its shared paths
//! since.
//!
//! The steps are those of the adoption in the other order: the directory is exchanged with the link, then each shared path
//! moves back. What was deployed since stays in the deploy path, and is not live any more. A run that was killed is
//! continued by the next one.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::agent::reporter::Reporter;
use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;
use crate::agent::sqlite;
use crate::disk::{Dir, Kind};
use crate::error::{AdoptError, Error};
use crate::event::Phase;
use crate::path::{RelativePath, Shown, push_name, shown_path};
use crate::release::ReleaseId;
use crate::report::UndoReport;

use super::adoption::{AdoptedDirectory, Adoption, ORIGINAL, Subject};
use super::linking;
use super::sharing::{Outcome, Sharing};
use super::standing::{Standing, is_directory};
use super::tool;
use super::ways::is_way;

/// The most paths that are named because they stay in `shared/`.
const LEFT_MAX: usize = 20;

/// The warning where the files of the site were linked.
const NO_RELEASES: &str = "No release remains: the files of the releases are those of the site";

/// Undoes the adoption of a deploy path.
pub(super) fn undo(reporter: &dyn Reporter, lock: &Lock, layout: &mut Layout) -> Result<UndoReport, Error> {
    match read(layout)? {
        Subject::Directory(adopted) => Undo { reporter, lock, adopted: &adopted }.run(layout),
        Subject::Tool(adopted) => tool::undo(lock, layout, &adopted),
    }
}

/// Says what undoing would do.
pub(super) fn look(layout: &Layout) -> Result<UndoReport, Error> {
    let adopted = match read(layout)? {
        Subject::Directory(adopted) => adopted,
        Subject::Tool(adopted) => return Ok(UndoReport { dry_run: true, ..tool::undone(layout, &adopted)? }),
    };
    let kind = Standing::kind_at(&adopted.site)?;
    check_in_place(&adopted, layout, kind)?;
    let cannot = || Error::from(AdoptError::CannotUndo(shown_path(&adopted.site)));
    let site = directory_of(&adopted, layout, kind)?.ok_or_else(cannot)?;
    let left = if kind == Some(Kind::Symlink) { layout.current.live()? } else { None };
    let sharing = Sharing::new(&site, layout)?;
    sharing.check_databases(&adopted.shared)?;
    let (mut shared, mut warnings) = (Vec::new(), Vec::new());
    for path in &adopted.shared {
        match sharing.look(path)? {
            Outcome::Moved => shared.push(path.to_string()),
            Outcome::Stays => warnings.push(stays_warning(layout, path)),
            Outcome::There | Outcome::Gone => {}
        }
    }
    warnings.extend(sharing_left(layout, &adopted)?);
    warnings.extend(adopted.is_linked.then(|| NO_RELEASES.to_owned()));
    Ok(UndoReport { dry_run: true, warnings, ..report(layout, &adopted.site, left, shared) })
}

/// Refuses to undo while another directory stands at the path of the site.
fn check_in_place(adopted: &AdoptedDirectory, layout: &Layout, kind: Option<Kind>) -> Result<(), Error> {
    match adopted.kept_at(&layout.private)?.filter(|_| kind == Some(Kind::Directory)) {
        Some(original) => Err(other_in_place(adopted, &original)),
        None => Ok(()),
    }
}

fn other_in_place(adopted: &AdoptedDirectory, original: &Path) -> Error {
    AdoptError::OtherInPlace { site: shown_path(&adopted.site), original: shown_path(original) }.into()
}

/// Returns the directory of the site, wherever it is now. `kind` is what stands in its place. None: it is nowhere.
fn directory_of(adopted: &AdoptedDirectory, layout: &Layout, kind: Option<Kind>) -> Result<Option<Dir>, Error> {
    match kind {
        Some(Kind::Directory) => Ok(Some(Standing::open(&adopted.site)?.dir)),
        Some(Kind::Symlink) | None => {
            adopted.kept_at(&layout.private)?.map(|kept| Standing::open(&kept).map(|kept| kept.dir)).transpose()
        }
        Some(_) => Ok(None),
    }
}

fn read(layout: &Layout) -> Result<Subject, Error> {
    let missing = || Error::from(AdoptError::NotAdopted(shown_path(layout.root.path())));
    match Adoption::read(layout)?.ok_or_else(missing)?.subject {
        Subject::Directory(adopted) if adopted.is_original_removed => {
            Err(AdoptError::OriginalRemoved(shown_path(&adopted.site)).into())
        }
        subject => Ok(subject),
    }
}

/// Returns the warning for a path that does not move back.
fn stays_warning(layout: &Layout, path: &RelativePath) -> String {
    format!(
        "`{}` stays in `shared/`: something is mounted in it, it is a relative symlink, or its place in the site is taken or gone",
        shown_path(&layout.shared.path().join(path.as_path()))
    )
}

/// Returns a warning for each path in `shared/` that was added since, and that the site does not get.
fn sharing_left(layout: &Layout, adopted: &AdoptedDirectory) -> Result<Vec<String>, Error> {
    let mut left = Vec::new();
    find_left(&layout.shared, &mut Vec::new(), adopted, &mut left)?;
    let warning = |path: &Vec<u8>| {
        let whole = [layout.shared.path().as_os_str().as_bytes(), b"/", path].concat();
        format!("`{}` was added since, and is not in the site", Shown(&whole))
    };
    Ok(left.iter().take(LEFT_MAX).map(warning).collect())
}

fn find_left(dir: &Dir, path: &mut Vec<u8>, adopted: &AdoptedDirectory, left: &mut Vec<Vec<u8>>) -> Result<(), Error> {
    let shared = &adopted.shared;
    for name in dir.names()? {
        let length = path.len();
        push_name(path, &name);
        let own = |known: &RelativePath| known.as_bytes() == path.as_slice();
        let is_beside =
            sqlite::database_of(path).is_some_and(|path| shared.iter().any(|known| known.as_bytes() == path));
        let leads_to = |known: &RelativePath| {
            known.as_bytes().strip_prefix(path.as_slice()).is_some_and(|rest| rest.first() == Some(&b'/'))
        };
        let is_known = shared.iter().any(own) || is_beside || is_way(&adopted.site, dir, &name, path)?;
        match is_directory(dir, &name)? && shared.iter().any(leads_to) {
            true => find_left(&dir.open_dir(&name)?, path, adopted, left)?,
            false if !is_known => left.push(path.clone()),
            false => {}
        }
        path.truncate(length);
    }
    Ok(())
}

fn report(layout: &Layout, site: &Path, left: Option<ReleaseId>, shared: Vec<String>) -> UndoReport {
    UndoReport {
        site: shown_path(site),
        deploy_path: layout.root.path().display().to_string(),
        dry_run: false,
        tool: None,
        left,
        shared,
        remaining: Vec::new(),
        warnings: Vec::new(),
    }
}

struct Undo<'a> {
    reporter: &'a dyn Reporter,
    lock: &'a Lock,
    adopted: &'a AdoptedDirectory,
}

impl Undo<'_> {
    fn run(&self, layout: &mut Layout) -> Result<UndoReport, Error> {
        let site = self.adopted.site.as_path();
        let (Some(parent), Some(name)) = (site.parent(), site.file_name()) else {
            return Err(AdoptError::CannotUndo(shown_path(site)).into());
        };
        let (parent, name) = (Dir::open(parent)?, name.as_encoded_bytes());
        let kind = parent.stat(name)?.map(|stat| stat.kind);
        check_in_place(self.adopted, layout, kind)?;
        self.check_databases(layout, kind)?;
        let left = match kind {
            Some(Kind::Directory) => None,
            Some(Kind::Symlink) => Some(self.exchange_back(layout, &parent, name)?),
            None => {
                self.put_beside(layout, &parent)?;
                let beside = self.adopted.beside.as_bytes();
                if !parent.rename_new(beside, &parent, name)? {
                    return Err(other_in_place(self.adopted, &parent.path_of(beside)));
                }
                parent.sync()?;
                None
            }
            Some(_) => return Err(AdoptError::CannotUndo(shown_path(site)).into()),
        };
        self.remove_link(&parent)?;
        layout.put_current(self.lock, None)?;
        let (shared, mut warnings) = self.give_shared_back(layout, site)?;
        warnings.extend(sharing_left(layout, self.adopted)?);
        warnings.extend(self.separate(layout, site)?);
        Adoption::remove(self.lock, layout)?;
        Ok(UndoReport { warnings, ..report(layout, site, left, shared) })
    }

    /// Puts the directory back in the place of the link. Returns the release that was live.
    fn exchange_back(&self, layout: &Layout, parent: &Dir, name: &[u8]) -> Result<ReleaseId, Error> {
        let cannot = || Error::from(AdoptError::CannotUndo(shown_path(&self.adopted.site)));
        let live = layout.current.live()?.ok_or_else(cannot)?;
        let beside = self.adopted.beside.as_bytes();
        self.put_beside(layout, parent)?;
        self.reporter.began(Phase::Switch);
        if !parent.exchange(beside, parent, name)? {
            return Err(AdoptError::NoExchange(shown_path(parent.path())).into());
        }
        parent.sync()?;
        self.reporter.ended(Phase::Switch);
        Ok(live)
    }

    /// Moves the old directory beside its place.
    fn put_beside(&self, layout: &Layout, parent: &Dir) -> Result<(), Error> {
        let beside = self.adopted.beside.as_bytes();
        if is_directory(parent, beside)? {
            return Ok(());
        }
        if !is_directory(&layout.private, ORIGINAL)? {
            return Err(AdoptError::CannotUndo(shown_path(&layout.private.path_of(ORIGINAL))).into());
        }
        self.remove_link(parent)?;
        layout.private.rename(ORIGINAL, parent, beside)?;
        parent.sync()
    }

    /// Removes the link that stood in the place of the site.
    fn remove_link(&self, parent: &Dir) -> Result<(), Error> {
        let beside = self.adopted.beside.as_bytes();
        if parent.stat(beside)?.is_some_and(|stat| stat.kind == Kind::Symlink) {
            parent.remove_file(beside)?;
            parent.sync()?;
        }
        Ok(())
    }

    /// Refuses databases that this user may not move, before anything changes.
    fn check_databases(&self, layout: &Layout, kind: Option<Kind>) -> Result<(), Error> {
        let Some(site) = directory_of(self.adopted, layout, kind)? else { return Ok(()) };
        Sharing::new(&site, layout)?.check_databases(&self.adopted.shared)
    }

    /// Moves the shared paths back. Returns those that moved, and warnings about others.
    fn give_shared_back(&self, layout: &Layout, site: &Path) -> Result<(Vec<String>, Vec<String>), Error> {
        let standing = Standing::open(site)?;
        let mut sharing = Sharing::new(&standing.dir, layout)?;
        let (mut moved, mut warnings) = (Vec::new(), Vec::new());
        for path in &self.adopted.shared {
            match sharing.give_back(path)? {
                Outcome::Moved => moved.push(path.to_string()),
                Outcome::There => {}
                Outcome::Gone => {
                    warnings.push(format!("`{path}` is not in `shared/` any more, so it did not come back"));
                }
                Outcome::Stays => warnings.push(stays_warning(layout, path)),
            }
        }
        sharing.end_giving_back(&self.adopted.shared)?;
        Ok((moved, warnings))
    }

    /// Separates the files of the site from the store, if they were linked, and gives them their modes back.
    fn separate(&self, layout: &mut Layout, site: &Path) -> Result<Vec<String>, Error> {
        if !self.adopted.is_linked {
            return Ok(Vec::new());
        }
        linking::leave_store(self.lock, layout)?;
        let failed = linking::restore_modes(self.lock, layout, &Standing::open(site)?.dir)?;
        let mut warnings = vec![NO_RELEASES.to_owned()];
        warnings.extend((failed > 0).then(|| format!("{failed} files did not get their old mode and time back")));
        Ok(warnings)
    }
}
