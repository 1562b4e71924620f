//! Sets up a deploy path: makes its missing parts.
//!
//! This comes before the lock, and two first deploys may do it at once. Existing directories stay, and the first
//! store file wins.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::access;
use crate::disk::{self, Dir, Kind, SETGID};
use crate::error::{DamageError, Error, SiteError};
use crate::path::RelativePath;
use crate::report::SetupReport;
use crate::shared_path::Missing;
use crate::target::Policy;

use super::current::{check_current, open_current};
use super::layout::Layout;
use super::parts::{PRIVATE, PRIVATE_MODE, PUBLIC_MODE, RELEASES, SHARED, check_empty, check_owner, holds_releases};
use super::store_file::{STORE, StoreFile};
use crate::agent::reporter::Reporter;
use crate::agent::token::random_name;

/// The directories in `.cutover/`.
const PRIVATE_PARTS: [&str; 5] = ["objects", "releases", "staging", "trash", "bin"];
/// Digits in the name of a directory of `objects/`.
const SHARD_DIGITS: usize = 2;

impl Layout {
    /// Opens a deploy path, and makes its missing parts. A store file that is missing or damaged is written anew,
    /// with another identity and a warning. Clients then forget all that they knew of the store; nothing else is lost.
    pub(crate) fn set_up(
        path: &Path,
        policy: &Policy,
        reporter: &dyn Reporter,
    ) -> Result<(Layout, SetupReport), Error> {
        access::check_before(path)?;
        let root = disk::create_path(path)?;
        check_owner(&root)?;
        let known = read_known(&root, policy, reporter)?;
        let mut created = NewDirectories::default();
        let private = make_directories(&root, &mut created)?;
        let store = match known {
            Some(store) => store,
            None => StoreFile::create(&root, &private, policy.current_path.clone())?,
        };
        let (deploy_path, id) = (root.path().display().to_string(), store.id.clone());
        let report = SetupReport { deploy_path, store: id, created: created.0, warnings: Vec::new() };
        let layout = Layout::hold(root, store, policy)?;
        layout.pass_group_on()?;
        Ok((layout, report))
    }

    /// Makes the missing parts of the deploy path of another tool, which has releases already.
    pub(crate) fn take_over(path: &Path, reporter: &dyn Reporter) -> Result<Layout, Error> {
        let root = Dir::open(path)?;
        check_owner(&root)?;
        check_not_within(&root)?;
        if root.stat(PRIVATE)?.is_some_and(|stat| stat.kind == Kind::Directory) && StoreFile::read(&root)?.is_some() {
            return Layout::set_up(path, &Policy::default(), reporter).map(|(layout, _)| layout);
        }
        let private = make_directories(&root, &mut NewDirectories::default())?;
        let store = StoreFile::create(&root, &private, None)?;
        let layout = Layout::hold(root, store, &Policy::default())?;
        layout.pass_group_on()?;
        Ok(layout)
    }

    /// Makes the declared directories of `shared/`, empty, so that an administrator can fill them before the first deploy.
    /// A deploy makes them itself, with what the release has there.
    pub(crate) fn make_shared(&self, policy: &Policy, report: &mut SetupReport) -> Result<(), Error> {
        let mut created = NewDirectories(std::mem::take(&mut report.created));
        let made = policy.shared_dirs.iter().filter(|wanted| wanted.missing == Missing::Create);
        let result =
            made.into_iter().try_for_each(|wanted| make_shared(&self.root, &self.shared, &wanted.path, &mut created));
        report.created = created.0;
        result
    }

    /// If the deploy path passes its group on, gives that group to directories that were made before it did. A
    /// directory that cannot be changed stays as it is, because files can be made in it all the same.
    pub(crate) fn pass_group_on(&self) -> Result<(), Error> {
        let root = self.root.own_stat()?;
        if root.mode & SETGID == 0 {
            return Ok(());
        }
        let lacks_it = |dir: &Dir| Ok::<_, Error>(!dir.own_stat()?.passes_on(root.gid));
        if lacks_it(&self.objects)? {
            for name in self.objects.names()?.iter().filter(|name| name.len() == SHARD_DIGITS) {
                self.objects.open_dir(name)?.set_group_to_pass_on(root.gid);
            }
        }
        for dir in [&self.private, &self.releases, &self.objects, &self.records, &self.staging, &self.trash] {
            if lacks_it(dir)? {
                dir.set_group_to_pass_on(root.gid);
            }
        }
        Ok(())
    }
}

/// Reads the store file, and renames a damaged one. Returns nothing if there is none; then the path must be empty.
fn read_known(root: &Dir, policy: &Policy, reporter: &dyn Reporter) -> Result<Option<StoreFile>, Error> {
    match StoreFile::read(root) {
        Err(Error::Damage(DamageError::Store { .. })) => {
            let (private, aside) = (root.open_dir(PRIVATE)?, format!(".store-damaged-{}", random_name()?));
            private.rename(STORE, &private, aside.as_bytes())?;
            reporter.warn(renewal_warning(root, "damaged"));
            Ok(None)
        }
        Ok(None) if holds_releases(root)? => {
            reporter.warn(renewal_warning(root, "missing"));
            Ok(None)
        }
        Ok(None) => {
            check_empty(root)?;
            check_not_within(root)?;
            check_current(&open_current(root, policy.current_path.as_deref())?)?;
            Ok(None)
        }
        known => known,
    }
}

/// The directories that were made, as text.
#[derive(Default)]
struct NewDirectories(Vec<String>);

impl NewDirectories {
    /// Opens a directory, or makes it durably if it is missing.
    fn ensure(&mut self, above: &Dir, shown: &str, name: &[u8], mode: u32) -> Result<Dir, Error> {
        let (dir, is_new) = above.ensure_dir(name, mode)?;
        if is_new {
            self.0.push(shown.to_owned());
            above.sync()?;
        }
        Ok(dir)
    }
}

/// Makes the directories of a deploy path. Returns `.cutover`.
fn make_directories(root: &Dir, created: &mut NewDirectories) -> Result<Dir, Error> {
    let private = created.ensure(root, ".cutover", PRIVATE, PRIVATE_MODE)?;
    private.set_mode(PRIVATE_MODE | private.own_stat()?.mode & SETGID)?;
    for name in PRIVATE_PARTS {
        let part = created.ensure(&private, &format!(".cutover/{name}"), name.as_bytes(), PRIVATE_MODE)?;
        if name == "bin" {
            // The start of an agent requires exactly this mode, without the setgid bit.
            part.set_mode(PRIVATE_MODE)?;
        }
    }
    created.ensure(root, "releases", RELEASES, PUBLIC_MODE)?;
    created.ensure(root, "shared", SHARED, PUBLIC_MODE)?;
    Ok(private)
}

/// Makes a declared directory in `shared/`.
fn make_shared(root: &Dir, shared: &Dir, wanted: &RelativePath, created: &mut NewDirectories) -> Result<(), Error> {
    let mut shown = PathBuf::from("shared");
    let mut above = shared.duplicate()?;
    for name in wanted.names() {
        shown.push(OsStr::from_bytes(name));
        if above.stat(name)?.is_some_and(|stat| stat.kind == Kind::Symlink) {
            // It leads to data outside the deploy path, where Cutover makes nothing.
            return root.open_through(shown.as_os_str().as_bytes()).map(drop);
        }
        above = created.ensure(&above, &shown.display().to_string(), name, PUBLIC_MODE)?;
    }
    Ok(())
}

/// Refuses a deploy path inside another one, which would treat it as its own or as foreign.
pub(crate) fn check_not_within(root: &Dir) -> Result<(), Error> {
    let real = std::fs::canonicalize(root.path()).map_err(|e| Error::io("resolve", root.path(), e))?;
    let store = Path::new(OsStr::from_bytes(PRIVATE)).join(OsStr::from_bytes(STORE));
    match real.ancestors().skip(1).find(|above| above.join(&store).exists()) {
        None => Ok(()),
        Some(above) => {
            let [path, outer] = [real.as_path(), above].map(|path| path.display().to_string());
            Err(Error::Site(SiteError::WithinAnother { path, outer }))
        }
    }
}

fn renewal_warning(root: &Dir, what: &str) -> String {
    let path = root.path_of(PRIVATE).join(OsStr::from_bytes(STORE));
    format!(
        "`{}` was {what}, and Cutover wrote a new one: the next deploy of each client sends more than usual",
        path.display()
    )
}
