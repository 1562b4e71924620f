//! The look at a site before anything changes: what becomes shared, what is missing in the source, what prevents the
//! adoption, and the space that it needs.
//!
//! All obstacles are found at once, so that one round with the administrator is enough.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::access;
use crate::accounts::Accounts;
use crate::agent::site::layout::Layout;
use crate::agent::space::{self, Lack, Need};
use crate::agent::token::{RANDOM_NAME_DIGITS, is_random, random_name};
use crate::disk::{Dir, Kind};
use crate::error::{AdoptError, Error};
use crate::manifest::Manifest;
use crate::path::{RelativePath, Shown, shown_path};
use crate::pattern::Patterns;
use crate::report::{FoundKind, FoundPath, FoundSite, SurveyReport};
use crate::target::Policy;
use crate::units::Bytes;
use crate::wire::message::AdoptBegin;

use super::adoption::{Adoption, Subject};
use super::claim;
use super::database;
use super::found::Found;
use super::hazards;
use super::inventory::{Inventory, Row};
use super::lister::Lister;
use super::obstacles::Obstacles;
use super::readers::Readers;
use super::rights::{check_readers, check_writable};
use super::rules;
use super::running::Running;
use super::standing::{Standing, nearest, open_part, user, user_name};
use super::tool::Tool;

/// The most leftovers that are listed.
const LISTED_MAX: usize = 400;
/// The most databases of the release that are named.
const DATABASES_MAX: usize = 20;
/// The most paths that become shared. Each release has a link for each.
const SHARED_MAX: usize = 1000;
/// The beginning of the name of a directory in which an ability is tried. A token follows.
const TRIAL: &str = ".cutover-trial-";
/// The mode of a directory in which an ability is tried.
const TRIAL_MODE: u32 = 0o700;
/// Space for records, directories of staging, and the growth of directories.
const MARGIN_BYTES: u64 = 1 << 20;
/// Inodes for records and the directories of the store.
const MARGIN_INODES: u64 = 400;

/// A site, and the deploy path that it gets.
pub(super) struct Survey<'a> {
    /// The site.
    pub(super) site: &'a Path,
    /// The deploy path.
    pub(super) deploy_path: &'a Path,
    /// The configuration.
    pub(super) policy: &'a Policy,
    /// The request.
    pub(super) begin: &'a AdoptBegin,
    /// The source.
    pub(super) source: &'a Manifest,
}

impl Survey<'_> {
    /// Looks at the site.
    pub(super) fn look(&self) -> Result<SurveyReport, Error> {
        match Found::at(self.site, self.deploy_path)? {
            Found::Directory(standing) => self.directory(&standing),
            Found::Tool(tool) => self.tool(&tool),
            Found::Adopted => self.adopted(),
        }
    }

    fn report(&self, found: FoundSite) -> SurveyReport {
        SurveyReport {
            site: shown_path(self.site),
            deploy_path: shown_path(self.deploy_path),
            found,
            obstacles: Vec::new(),
            paths: Vec::new(),
            paths_left_out: 0,
            files: 0,
            bytes: 0,
            files_of_source: 0,
            source_files: self.source.files(),
            owners: Vec::new(),
            directory_owners: Vec::new(),
            running: Vec::new(),
            written: Vec::new(),
            held: Vec::new(),
            differing_files: 0,
            differing_example: None,
            databases: Vec::new(),
            acl_names: Vec::new(),
            served_above: None,
            private_files: 0,
            private_example: None,
            user: user_name(user()),
            reflinks: false,
            space: None,
            warnings: Vec::new(),
        }
    }

    /// Refuses a site that is adopted, unless the adoption lacks its last step.
    fn adopted(&self) -> Result<SurveyReport, Error> {
        let policy = Policy { current_path: Some(self.site.to_owned()), ..Policy::default() };
        let layout = Layout::open(self.deploy_path, &policy)?;
        if let Some(layout) = layout
            && let Some(Adoption { subject: Subject::Directory(adopted), .. }) = Adoption::read(&layout)?
            && adopted.is_unfinished()?
        {
            return Ok(self.report(FoundSite::Begun));
        }
        Err(AdoptError::IsAdopted { site: shown_path(self.site), deploy_path: shown_path(self.deploy_path) }.into())
    }

    fn tool(&self, tool: &Tool) -> Result<SurveyReport, Error> {
        let releases = tool.ids();
        let mut obstacles = Obstacles::default();
        obstacles.add(tool.check_idle());
        let root = Dir::open(&tool.root)?;
        obstacles.add(access::check(&root));
        obstacles.add(check_writable(&root, &tool.root));
        let releases_dir = root.open_dir(b"releases")?;
        let shared = BTreeMap::new();
        let written = BTreeSet::new();
        let lister = self.lister(&shared, &written, &written, &root, None)?;
        let mut inventory = lister.list(&releases_dir.open_dir(tool.live.as_str().as_bytes())?)?;
        // All releases are read.
        let mut others = 0;
        for other in releases.iter().filter(|id| **id != tool.live) {
            let other = lister.list(&releases_dir.open_dir(other.as_str().as_bytes())?)?;
            others += other.kept.disk_bytes;
            inventory.unreadable.0 += other.unreadable.0;
            inventory.unreadable.1 = inventory.unreadable.1.or(other.unreadable.1);
        }
        let found = FoundSite::Tool { tool: tool.name.to_owned(), releases, live: tool.live.clone() };
        let mut report = SurveyReport { deploy_path: shown_path(&tool.root), ..self.report(found) };
        self.fill(&mut report, &inventory, &root, &mut obstacles)?;
        self.warn_of_others(&mut report, others);
        // Its files stay where they are.
        report.paths.clear();
        report.obstacles = obstacles.0;
        Ok(report)
    }

    fn directory(&self, standing: &Standing) -> Result<SurveyReport, Error> {
        let mut obstacles = Obstacles::default();
        self.check_place(standing, &mut obstacles);
        let shared = self.shared()?;
        let running = Running::find_in(self.site);
        let beside = self.beside(&shared, &standing.dir)?;
        let readers = Readers::of(standing)?;
        let lister = self.lister(&shared, &running.written, &beside, &standing.dir, Some(&readers))?;
        let mut inventory = lister.list(&standing.dir)?;
        self.find_carried(&mut inventory)?;
        let mut report = self.report(FoundSite::Directory);
        report.running = running.programs;
        report.held = hazards::held(standing, &inventory, &running.written)?;
        let named = hazards::named_by_acl(self.site);
        obstacles.add(check_readers(standing, &named));
        if let (count, Some((path, reader))) = &inventory.locked_out {
            obstacles.push(readers.refusal(*count, path, *reader, shown_path(self.site)));
        }
        report.acl_names = named.into_iter().map(|(name, _)| name).collect();
        report.served_above = hazards::served_above(self.deploy_path);
        obstacles.add(claim::check_not_begun_elsewhere(standing, &inventory, self.deploy_path));
        report.written = inventory.written.iter().map(|path| Shown(path).to_string()).collect();
        // The command that lets this user read a site comes before those that let it write to parts of it.
        self.fill(&mut report, &inventory, &standing.dir, &mut obstacles)?;
        self.check_shared(standing, &inventory, &mut obstacles)?;
        report.obstacles = obstacles.0;
        Ok(report)
    }

    /// Tells leftovers that later releases carry on from others.
    fn find_carried(&self, inventory: &mut Inventory) -> Result<(), Error> {
        let patterns = Patterns::parse(self.policy.carry_over.iter().map(String::as_str), "`carry_over`")?;
        for row in inventory.rows.iter_mut().filter(|row| row.kind == FoundKind::Leftover) {
            // The patterns are those of files.
            let file = [row.path.as_bytes(), if row.is_directory { b"/file" } else { b"" }].concat();
            if patterns.matches_file(&file) {
                row.kind = FoundKind::Carried;
            }
        }
        Ok(())
    }

    fn lister<'l>(
        &'l self,
        shared: &'l BTreeMap<Vec<u8>, FoundKind>,
        written: &'l BTreeSet<Vec<u8>>,
        beside: &'l BTreeSet<Vec<u8>>,
        dir: &Dir,
        readers: Option<&'l Readers>,
    ) -> Result<Lister<'l>, Error> {
        let costs = dir.free()?.costs;
        let (kept, writable) = (&self.begin.keep, &self.policy.writable.directories);
        Ok(Lister { source: self.source, shared, beside, kept, writable, written, user: user(), readers, costs })
    }

    /// Returns the paths beside the databases that are shared. Some of these may be in `shared/` already.
    fn beside(&self, shared: &BTreeMap<Vec<u8>, FoundKind>, site: &Dir) -> Result<BTreeSet<Vec<u8>>, Error> {
        let there = open_part(self.deploy_path, b"shared")?;
        let roots: Vec<&Dir> = [Some(site), there.as_ref()].into_iter().flatten().collect();
        let paths: Vec<RelativePath> = shared.keys().flat_map(|path| RelativePath::parse(path)).collect();
        Ok(rules::beside(&database::databases_among(&roots, paths.iter())?))
    }

    /// Returns the paths that the configuration or the caller shares, and those that an earlier run has moved.
    fn shared(&self) -> Result<BTreeMap<Vec<u8>, FoundKind>, Error> {
        let mut shared = BTreeMap::new();
        for path in moved_before(self.deploy_path)?.iter().chain(&self.begin.share) {
            shared.insert(path.as_bytes().to_vec(), FoundKind::Named);
        }
        for declared in self.policy.shared_dirs.iter().chain(&self.policy.shared_files) {
            shared.insert(declared.path.as_bytes().to_vec(), FoundKind::Declared);
        }
        Ok(shared)
    }

    fn fill(
        &self,
        report: &mut SurveyReport,
        inventory: &Inventory,
        dir: &Dir,
        obstacles: &mut Obstacles,
    ) -> Result<(), Error> {
        let accounts = Accounts::read();
        let name = |user: u32| accounts.user_shown(user);
        let (shared, others): (Vec<&Row>, Vec<&Row>) = inventory.rows.iter().partition(|row| row.kind.is_shared());
        if shared.len() > SHARED_MAX {
            obstacles.push(AdoptError::TooManyShared { count: shared.len(), most: SHARED_MAX }.into());
        }
        let listed = shared.iter().take(SHARED_MAX).chain(others.iter().take(LISTED_MAX));
        report.paths = listed.map(|row| FoundPath::from(*row)).collect();
        report.paths.sort_by(|one, other| one.path.cmp(&other.path));
        report.paths_left_out = others.len().saturating_sub(LISTED_MAX) as u64;
        (report.files, report.bytes) = (inventory.kept.files, inventory.kept.bytes);
        report.files_of_source = inventory.files_of_source;
        let numbered = |(&user, (count, path)): (&u32, &(u64, Vec<u8>))| {
            let path = if path.is_empty() { ".".to_owned() } else { Shown(path).to_string() };
            (name(user), *count, path)
        };
        report.owners = inventory.owners.iter().map(numbered).collect();
        report.directory_owners = inventory.foreign.iter().map(numbered).collect();
        report.private_files = inventory.private.0;
        report.differing_files = inventory.differing.0;
        report.differing_example = inventory.differing.1.as_deref().map(|path| Shown(path).to_string());
        report.databases = inventory.databases.iter().take(DATABASES_MAX).map(|path| Shown(path).to_string()).collect();
        report.private_example = inventory.private.1.as_deref().map(|path| Shown(path).to_string());
        if let (count, Some((path, owner))) = &inventory.unreadable {
            let (path, owner) = (Shown(path).to_string(), name(*owner));
            let (user, site) = (report.user.clone(), shown_path(self.site));
            obstacles.push(AdoptError::Unreadable { path, count: *count, user, owner, site }.into());
        }
        let free = dir.free()?;
        // The files of another tool are never linked.
        let is_linked = self.begin.link && report.found == FoundSite::Directory;
        let place = if report.found == FoundSite::Directory { self.deploy_path.parent() } else { Some(dir.path()) };
        report.reflinks = trial(place, Dir::shares_blocks).unwrap_or(false);
        let copies = if report.reflinks || is_linked { 0 } else { inventory.kept.disk_bytes };
        let files = if is_linked { 0 } else { inventory.kept.files };
        let need = Need {
            bytes: copies + inventory.directories * free.costs.block_bytes + MARGIN_BYTES,
            inodes: files + inventory.directories + MARGIN_INODES,
        };
        let space = space::report(need, &free, self.policy.min_free);
        match space::lack(&space) {
            Some(Lack::Bytes(shortage)) => obstacles.push(AdoptError::NoSpace(shortage).into()),
            Some(Lack::Inodes(shortage)) => obstacles.push(AdoptError::NoInodes(shortage).into()),
            None => {}
        }
        report.space = Some(space);
        Ok(())
    }

    /// Warns if the disk may become full with what the other releases of a tool have of their own. Only reading all of it
    /// would tell how much that is.
    fn warn_of_others(&self, report: &mut SurveyReport, others: u64) {
        let Some(space) = report.space.as_ref().filter(|_| !report.reflinks) else { return };
        if space.needed_bytes + others > space.free_bytes {
            report.warnings.push(format!(
                "The other releases may need up to {} more: what several releases have alike is stored once. If the disk \
                 becomes full, nothing is lost, and the site is served",
                Bytes(others)
            ));
        }
    }
}

/// Tries an ability of the filesystem in a directory that is removed again, in the nearest one on a path. None if this user
/// may not make one.
pub(super) fn trial(place: Option<&Path>, ability: impl FnOnce(&Dir) -> Result<bool, Error>) -> Option<bool> {
    let place = Dir::open(&nearest(place?)?).ok()?;
    remove_trials(&place).ok()?;
    let name = format!("{TRIAL}{}", random_name().ok()?);
    let dir = place.create_dir(name.as_bytes(), TRIAL_MODE).ok()?;
    let is_able = ability(&dir).ok();
    place.remove_tree(name.as_bytes()).ok()?;
    is_able
}

impl From<&Row> for FoundPath {
    fn from(row: &Row) -> FoundPath {
        FoundPath {
            path: row.path.clone(),
            kind: row.kind,
            directory: row.is_directory,
            files: row.counts.files,
            bytes: row.counts.bytes,
        }
    }
}

/// Returns the paths that an earlier run, which nobody made final, has moved into `shared/`.
pub(super) fn moved_before(deploy_path: &Path) -> Result<Vec<RelativePath>, Error> {
    let Some(private) = open_part(deploy_path, b".cutover")? else { return Ok(Vec::new()) };
    match Adoption::read_in(&private)?.filter(|adoption| !adoption.is_over()).map(|adoption| adoption.subject) {
        Some(Subject::Directory(adopted)) => Ok(adopted.shared),
        _ => Ok(Vec::new()),
    }
}

/// Removes the trials of runs that were killed: directories of this user with a name of exactly their form.
fn remove_trials(place: &Dir) -> Result<(), Error> {
    let is_trial =
        |name: &[u8]| name.strip_prefix(TRIAL.as_bytes()).is_some_and(|token| is_random(token, RANDOM_NAME_DIGITS));
    for name in place.names()?.into_iter().filter(|name| is_trial(name)) {
        if place.stat(&name)?.is_some_and(|stat| stat.kind == Kind::Directory && stat.uid == user()) {
            place.remove_tree(&name)?;
        }
    }
    Ok(())
}

/// Returns whether the filesystem exchanges two names of a directory.
pub(super) fn exchanges(dir: &Dir) -> Result<bool, Error> {
    const NAMES: [&[u8]; 2] = [b"one", b"other"];
    NAMES.iter().try_for_each(|name| dir.create_file(name).map(drop))?;
    dir.exchange(NAMES[0], dir, NAMES[1])
}
