//! Moves paths of a site into `shared/`, and back, while the application uses them.
//!
//! Into `shared/`: a link stands ready at the path's place there, and leads to that place itself. One exchange then gives the
//! link to the site and the path to `shared/`. Directories and files keep their inodes: a program that has one open, or is
//! about to open it by its path, finds the same one before and after.
//!
//! Back into the site: a file gets its name there in the place of the link, and has two names for a moment. A directory is
//! exchanged with the link. Then a link that leads to the site takes the place in `shared/`: a program that remembers the place,
//! as PHP does for two minutes, still finds the same file. That link stands ready in `.cutover/`, so the place in `shared/` of a
//! directory leads nowhere for some microseconds only.
//!
//! A database moves with the files beside it (`database`). Its owner must be able to make such files in `shared/`: if it may in
//! the site, the directory in `shared/` gets the group of the database, and write permission for it.
//!
//! The link in the site is absolute, because the site itself moves later. A path has moved once its name in `shared/` is no
//! longer a link; the next run skips it.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::thread;

use rustix::io::Errno;

use crate::agent::mounts::find_mounted_below;
use crate::agent::shared;
use crate::agent::site::layout::Layout;
use crate::agent::sqlite::is_database;
use crate::disk::{Dir, Kind, Stat};
use crate::error::{AdoptError, Error};
use crate::path::{RelativePath, Shown, shown_path};

use super::database::{self, GRACE, HeldDatabase};
use super::database_owner::let_owner_write;
use super::standing::if_there;
use super::watch::Watch;
use super::ways;

/// The name in `.cutover/` of a link that is about to take another name.
const LINK: &[u8] = b"adoption-link";
/// The name in `.cutover/` of a file that is about to take its name in the site.
const FILE: &[u8] = b"adoption-file";

/// The mode of a directory until it has its rights.
const PRIVATE_MODE: u32 = 0o700;

/// The paths of a site, and their places in `shared/`.
pub(super) struct Sharing<'a> {
    site: &'a Dir,
    layout: &'a Layout,
    /// The path of `shared/`, without symlinks.
    root: PathBuf,
    /// The locks of readers that keep the `-wal` of the databases that moved.
    readers: Vec<File>,
    /// Watches the old names of those databases.
    watch: Option<Watch>,
}

/// What became of a path that was to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It moved.
    Moved,
    /// It was there already.
    There,
    /// It is in neither place.
    Gone,
    /// It stays in `shared/`: the site has no directory for it any more.
    Stays,
}

/// The place of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the site.
    Site,
    /// In `shared/`, and a link in the site.
    Shared,
    /// Nothing is at the path in the site.
    Nowhere,
}

impl<'a> Sharing<'a> {
    /// Takes a site and its deploy path.
    pub(super) fn new(site: &'a Dir, layout: &'a Layout) -> Result<Sharing<'a>, Error> {
        Ok(Sharing { site, layout, root: shared::root(&layout.shared)?, readers: Vec::new(), watch: None })
    }

    /// Moves a path into `shared/`.
    pub(super) fn share(&mut self, path: &RelativePath) -> Result<Outcome, Error> {
        let link = self.link(path);
        match self.place(path, &link)? {
            Place::Shared => return Ok(Outcome::There),
            Place::Nowhere => return Ok(Outcome::Gone),
            Place::Site => {}
        }
        let (site, name) = self.site.open_above(path.as_bytes())?;
        let shared = self.make_parents(path)?;
        if is_same(&shared, &site, name)? {
            // Undoing was killed between its two names.
            shared.remove_file(name)?;
        }
        match shared.stat(name)? {
            None => shared.symlink(&link, name)?,
            // A run that was killed has made the link.
            Some(_) if shared.read_link(name)?.as_ref() == Some(&link) => {}
            // An adoption was undone.
            Some(_) if shared.read_link(name)? == Some(self.way_back(path)) => self.put_link(&link, &shared, name)?,
            Some(_) => {
                return Err(
                    AdoptError::InShared { path: path.to_string(), whole: shown_path(&shared.path_of(name)) }.into()
                );
            }
        }
        let database = HeldDatabase::hold(&site, name)?;
        let prepared = database.as_ref().map_or(Ok(()), |database| {
            let_owner_write(&site, name, &shared)?;
            database.link_beside(name, &site, &shared)
        });
        let is_exchanged = prepared.and_then(|()| site.exchange(name, &shared, name));
        if !matches!(is_exchanged, Ok(true)) {
            let is_free = shared.remove_file(name);
            let are_free = database.iter().try_for_each(|database| database.unlink_beside(name, &shared));
            // The first error is the reason.
            is_exchanged?;
            is_free?;
            are_free?;
            return Err(AdoptError::NoExchange(self.shown_site()).into());
        }
        if let Some(database) = database {
            self.watch(&site, &shared, name)?;
            self.readers.extend(database.close_free_names(name, &site, &shared)?);
        }
        shared.sync()?;
        site.sync()?;
        Ok(Outcome::Moved)
    }

    /// Closes the old names of the files beside databases that moved into `shared/`, now or in an earlier run.
    pub(super) fn end_sharing(&mut self, paths: &[RelativePath]) -> Result<(), Error> {
        let mut moved = Vec::new();
        for path in paths {
            if self.is_shared(path)? {
                let (site, name) = self.site.open_above(path.as_bytes())?;
                moved.extend(self.parents(path)?.map(|shared| (site, shared, name)));
            }
        }
        self.close(&moved)
    }

    /// Moves a path back into the site.
    pub(super) fn give_back(&mut self, path: &RelativePath) -> Result<Outcome, Error> {
        let link = self.link(path);
        let place = self.place(path, &link)?;
        let Some(shared) = self.parents(path)? else { return self.forget(path, place) };
        let is_there =
            shared.stat(name_of(path))?.is_some() && shared.read_link(name_of(path))?.as_ref() != Some(&link);
        let (site, name) = match self.site.open_above(path.as_bytes()) {
            Ok(held) => held,
            Err(Error::Io { .. } | Error::Site(_)) if is_there => return Ok(Outcome::Stays),
            Err(Error::Io { .. } | Error::Site(_)) => return Ok(Outcome::Gone),
            Err(error) => return Err(error),
        };
        let is_way = shared.read_link(name)? == Some(self.way_back(path));
        if place == Place::Shared {
            let Some(stat) = shared.stat(name)? else { return self.forget(path, place) };
            if self.must_stay(path, &shared, name)? {
                return Ok(Outcome::Stays);
            }
            self.return_to(&site, &shared, name, &stat)?;
        } else if is_there && !is_way && !is_same(&shared, &site, name)? {
            return Ok(Outcome::Stays);
        }
        self.leave_way_back(path, &link, &site, &shared)?;
        shared.sync()?;
        site.sync()?;
        Ok(if place == Place::Shared { Outcome::Moved } else { Outcome::There })
    }

    /// Returns whether a path works in `shared/` only: something is mounted in it, or it is a link that is relative to its
    /// place.
    fn must_stay(&self, path: &RelativePath, shared: &Dir, name: &[u8]) -> Result<bool, Error> {
        let is_relative = shared.read_link(name)?.is_some_and(|target| target.first() != Some(&b'/'));
        Ok(is_relative || find_mounted_below(&self.root.join(path.as_path())).is_some())
    }

    /// Closes the old names of the files beside databases that moved back, now or in an earlier run.
    pub(super) fn end_giving_back(&mut self, paths: &[RelativePath]) -> Result<(), Error> {
        let mut moved = Vec::new();
        for path in paths {
            let Some(shared) = self.parents(path)? else { continue };
            if shared.read_link(name_of(path))? == Some(self.way_back(path)) {
                let Ok((site, name)) = self.site.open_above(path.as_bytes()) else { continue };
                moved.push((shared, site, name));
            }
        }
        self.close(&moved)
    }

    /// Returns whether a path is in `shared/`, so that undoing would move it back.
    pub(super) fn is_shared(&self, path: &RelativePath) -> Result<bool, Error> {
        if self.place(path, &self.link(path))? != Place::Shared {
            return Ok(false);
        }
        let stat = self.parents(path)?.map(|shared| shared.stat(name_of(path))).transpose()?;
        Ok(stat.flatten().is_some())
    }

    /// Returns what undoing would do with a path.
    pub(super) fn look(&self, path: &RelativePath) -> Result<Outcome, Error> {
        if !self.is_shared(path)? {
            return Ok(Outcome::There);
        }
        let (shared, name) = self.layout.shared.open_above(path.as_bytes())?;
        Ok(if self.must_stay(path, &shared, name)? { Outcome::Stays } else { Outcome::Moved })
    }

    /// Checks that the databases in `shared/` can move back.
    pub(super) fn check_databases(&self, paths: &[RelativePath]) -> Result<(), Error> {
        for path in paths {
            if self.is_shared(path)?
                && let Some(shared) = self.parents(path)?
                && let Some(error) = database::check_lockable(&shared, name_of(path))?.into_iter().next()
            {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Closes the old names beside the databases among paths that moved. Each has its old directory, its new one, and its name.
    fn close(&mut self, moved: &[(Dir, Dir, &[u8])]) -> Result<(), Error> {
        let is_open = |(from, to, name): &&(Dir, Dir, &[u8])| {
            Ok::<_, Error>(is_database(to, name)? && !database::is_closed(name, from)?)
        };
        let mut open = Vec::new();
        for place in moved {
            if is_open(&place)? {
                open.push(place);
            }
        }
        for (from, to, name) in &open {
            // It moved in an earlier run, after which nobody watched.
            if !self.watch.as_ref().is_some_and(|watch| watch.has(from, name)) {
                let put = |target: &[u8], dir: &Dir, name: &[u8]| self.put_link(target, dir, name);
                database::settle_journal(name, from, to, None, &put)?;
                self.watch(from, to, name)?;
            }
        }
        if !open.is_empty() {
            thread::sleep(GRACE);
        }
        self.watch.take().map_or(Ok(()), Watch::end)?;
        let put = |target: &[u8], dir: &Dir, name: &[u8]| self.put_link(target, dir, name);
        for (from, to, name) in open {
            database::close_names(name, from, to, &put)?;
            from.sync()?;
            to.sync()?;
        }
        self.readers.clear();
        Ok(())
    }

    /// Watches the old names of a database that moved.
    fn watch(&mut self, from: &Dir, to: &Dir, name: &[u8]) -> Result<(), Error> {
        let watch = match self.watch.take() {
            Some(watch) => watch,
            None => Watch::begin(&self.layout.private)?,
        };
        watch.add(from, to, name)?;
        self.watch = Some(watch);
        Ok(())
    }

    /// Gives a path in `shared/` its name in the site, where the link is.
    fn return_to(&mut self, site: &Dir, shared: &Dir, name: &[u8], stat: &Stat) -> Result<(), Error> {
        let database = HeldDatabase::hold(shared, name)?;
        match &database {
            Some(database) => database.link_beside(name, shared, site)?,
            None => database::open_names(name, site, shared)?,
        }
        let has_two_names = stat.kind == Kind::File && self.give_second_name(shared, site, name)?;
        if !has_two_names && !shared.exchange(name, site, name)? {
            return Err(AdoptError::NoExchange(self.shown_site()).into());
        }
        if let Some(database) = database {
            self.watch(shared, site, name)?;
            self.readers.extend(database.close_free_names(name, shared, site)?);
        }
        Ok(())
    }

    /// Gives a file in `shared/` its name in the site too, in the place of the link. Returns false if the kernel does not allow
    /// this user a second name.
    fn give_second_name(&self, shared: &Dir, site: &Dir, name: &[u8]) -> Result<bool, Error> {
        let private = &self.layout.private;
        private.remove_file(FILE)?;
        match shared.link(name, private, FILE) {
            Ok(()) => private.rename(FILE, site, name).map(|()| true),
            Err(Errno::PERM | Errno::ACCESS | Errno::MLINK) => Ok(false),
            Err(errno) => Err(Error::io("link to", shared.path_of(name), errno)),
        }
    }

    /// Puts the link that leads to the site into `shared/`, in the place of a path that is in the site now.
    fn leave_way_back(&self, path: &RelativePath, link: &[u8], site: &Dir, shared: &Dir) -> Result<(), Error> {
        let name = name_of(path);
        let id = |dir: &Dir| Ok::<_, Error>(dir.stat(name)?.map(|stat| stat.id()));
        let own = id(shared)?;
        let is_over = shared.read_link(name)?.as_deref() == Some(link) || own == id(site)?;
        if own.is_some() && is_over { self.put_link(&self.way_back(path), shared, name) } else { Ok(()) }
    }

    /// Removes the link in the site to a path that is in `shared/` no more.
    fn forget(&self, path: &RelativePath, place: Place) -> Result<Outcome, Error> {
        if place == Place::Shared {
            let (site, name) = self.site.open_above(path.as_bytes())?;
            site.remove_file(name)?;
            return Ok(Outcome::Gone);
        }
        Ok(Outcome::There)
    }

    /// Gives a name to a link, whatever has the name now.
    fn put_link(&self, target: &[u8], dir: &Dir, name: &[u8]) -> Result<(), Error> {
        let private = &self.layout.private;
        // A run that was killed may have left one.
        private.remove_file(LINK)?;
        private.symlink(target, LINK)?;
        private.rename(LINK, dir, name)
    }

    /// Returns the target of the link in the site.
    fn link(&self, path: &RelativePath) -> Vec<u8> {
        shared::absolute_target(&self.root, path)
    }

    /// Returns the target of the link that undoing leaves in `shared/`.
    fn way_back(&self, path: &RelativePath) -> Vec<u8> {
        ways::target(self.site.path(), path.as_bytes())
    }

    fn shown_site(&self) -> String {
        Shown(self.site.path().as_os_str().as_bytes()).to_string()
    }

    fn place(&self, path: &RelativePath, link: &[u8]) -> Result<Place, Error> {
        let (site, name) = match self.site.open_above(path.as_bytes()) {
            Ok(held) => held,
            Err(Error::Io { .. } | Error::Site(_)) => return Ok(Place::Nowhere),
            Err(error) => return Err(error),
        };
        match site.stat(name)? {
            None => Ok(Place::Nowhere),
            Some(stat) if stat.kind == Kind::Symlink && site.read_link(name)?.as_deref() == Some(link) => {
                Ok(Place::Shared)
            }
            Some(_) => Ok(Place::Site),
        }
    }

    /// Makes the directories above a path in `shared/`, and returns the last. Nobody gets more rights on one than on that of the
    /// site.
    fn make_parents(&self, path: &RelativePath) -> Result<Dir, Error> {
        let (mut above, mut in_site) = (self.layout.shared.duplicate()?, self.site.duplicate()?);
        let mut names = path.names().peekable();
        while let Some(name) = names.next().filter(|_| names.peek().is_some()) {
            in_site = in_site.open_below(name)?;
            let (below, is_new) = above.ensure_dir(name, PRIVATE_MODE)?;
            if is_new {
                below.take_rights_of(&in_site.own_stat()?)?;
                above.sync()?;
            }
            above = below;
        }
        Ok(above)
    }

    /// Returns the directory above a path in `shared/`, if it exists.
    fn parents(&self, path: &RelativePath) -> Result<Option<Dir>, Error> {
        Ok(if_there(self.layout.shared.open_above(path.as_bytes()))?.map(|(dir, _)| dir))
    }
}

/// Returns whether a name is the same file in two directories.
pub(super) fn is_same(one: &Dir, other: &Dir, name: &[u8]) -> Result<bool, Error> {
    let id = |stat: Stat| (stat.kind == Kind::File).then_some(stat.id());
    let one = one.stat(name)?.and_then(id);
    Ok(one.is_some() && one == other.stat(name)?.and_then(id))
}

/// Returns the last name of a path.
fn name_of(path: &RelativePath) -> &[u8] {
    path.names().last().unwrap_or_default()
}
