//! Plans and makes the links into `shared/`, where files outlive releases.
//!
//! Declared directories and files are linked at their paths. Other names in `shared/` are linked too, unless that is
//! switched off: as a whole if the release has nothing of that name, child by child if both have a directory. If both
//! have a file, the deploy is refused: one of the two would be lost unnoticed.
//!
//! A declared directory is linked as a whole even if the release has a directory of that name: an application that
//! writes there must write to files that outlive the release. The release's files below it are hidden, and a warning
//! counts them.
//!
//! A declared path may be a symlink in `shared/`, or lie behind one, for example on a mounted disk. It is linked like
//! any other, and Cutover writes nothing there. `lost+found` in `shared/` belongs to a filesystem that is mounted
//! there.
//!
//! Links are relative, so that a deploy path can be moved or mounted elsewhere.

use std::io::ErrorKind;

use crate::disk::{Dir, Kind};
use crate::error::{Error, SiteError};
use crate::manifest::{Manifest, Node};
use crate::path::{RelativePath, Shown, push_name};
use crate::release::Record;
use crate::target::Policy;

/// A directory in the root of some filesystems.
const LOST_AND_FOUND: &[u8] = b"lost+found";

/// The mode of directories that a link needs and the release lacks.
const PARENT_MODE: u32 = 0o755;

/// The links into `shared/`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SharedPlan {
    /// The paths, sorted.
    pub(crate) links: Vec<RelativePath>,
    /// The declared directories that hide files of the release, and how many.
    pub(crate) hidden: Vec<(RelativePath, u64)>,
}

/// Plans the links, and refuses conflicts.
pub(crate) fn plan(shared: &Dir, policy: &Policy, manifest: &Manifest) -> Result<SharedPlan, Error> {
    let mut plan = SharedPlan::default();
    for path in &policy.shared_dirs {
        check_parents(manifest, path)?;
        let dir = open_below(shared, path)?;
        match manifest.find(path.names()).map(|named| named.node) {
            None => {}
            Some(Node::Directory(number)) => {
                if let Some(dir) = &dir {
                    refuse_files_in_both(dir, manifest, number, path.as_bytes())?;
                }
                let files = files_below(manifest, number);
                if files > 0 {
                    plan.hidden.push((path.clone(), files));
                }
            }
            Some(_) => return Err(SiteError::SharedDeclared(path.to_string()).into()),
        }
        plan.links.push(path.clone());
    }
    for path in &policy.shared_files {
        check_parents(manifest, path)?;
        if manifest.find(path.names()).is_some() {
            return Err(SiteError::SharedDeclared(path.to_string()).into());
        }
        match stat_below(shared, path)? {
            None => {
                return Err(SiteError::SharedMissing(shared.path().join(path.as_path()).display().to_string()).into());
            }
            Some(Kind::Directory) => {
                return Err(Error::Usage(format!(
                    "`{path}` is in `shared_files` and is a directory: name it in `shared_dirs`"
                )));
            }
            Some(_) => plan.links.push(path.clone()),
        }
    }
    if policy.auto_shared {
        let declared: Vec<RelativePath> = plan.links.clone();
        add_undeclared(shared, manifest, Some(0), &mut Vec::new(), &declared, &mut plan.links)?;
    }
    plan.links.sort_unstable();
    Ok(plan)
}

fn conflict(path: &[u8]) -> Error {
    Error::from(SiteError::SharedConflict(Shown(path).to_string()))
}

/// Refuses a path below a file or symlink of the release.
fn check_parents(manifest: &Manifest, path: &RelativePath) -> Result<(), Error> {
    let mut directory = 0;
    let mut walked = Vec::new();
    for name in path.names() {
        push_name(&mut walked, name);
        if walked.len() == path.as_bytes().len() {
            break;
        }
        match manifest.child(directory, name).map(|named| named.node) {
            None => break,
            Some(Node::Directory(number)) => directory = number,
            Some(_) => return Err(conflict(&walked)),
        }
    }
    Ok(())
}

/// Opens a declared directory. Returns nothing if a dry run finds that it was not made yet.
fn open_below(shared: &Dir, path: &RelativePath) -> Result<Option<Dir>, Error> {
    match first_symlink(shared, path)? {
        PathState::Missing => Ok(None),
        PathState::Inside => shared.open_below(path.as_bytes()).map(Some),
        PathState::Symlink => shared.open_through(path.as_bytes()).map(Some),
    }
}

/// The state of a path in `shared/`.
enum PathState {
    Missing,
    /// It exists, without a symlink on the way.
    Inside,
    /// A symlink of the user is on the way.
    Symlink,
}

fn first_symlink(shared: &Dir, path: &RelativePath) -> Result<PathState, Error> {
    let mut dir = shared.duplicate()?;
    let mut names = path.names().peekable();
    while let Some(name) = names.next() {
        match dir.stat(name)?.map(|stat| stat.kind) {
            None => return Ok(PathState::Missing),
            Some(Kind::Symlink) => return Ok(PathState::Symlink),
            Some(_) if names.peek().is_some() => dir = dir.open_dir(name)?,
            Some(_) => {}
        }
    }
    Ok(PathState::Inside)
}

fn stat_below(shared: &Dir, path: &RelativePath) -> Result<Option<Kind>, Error> {
    let names: Vec<&[u8]> = path.names().collect();
    let Some((last, above)) = names.split_last() else {
        return Ok(None);
    };
    let mut dir = shared.duplicate()?;
    for name in above {
        dir = match dir.stat(name)?.map(|stat| stat.kind) {
            None => return Ok(None),
            Some(Kind::Symlink) => dir.open_through(name)?,
            Some(_) => dir.open_dir(name)?,
        };
    }
    Ok(dir.stat(last)?.map(|stat| stat.kind))
}

fn files_below(manifest: &Manifest, directory: u32) -> u64 {
    let below = |named: crate::manifest::EntryRef<'_>| match named.node {
        Node::Directory(number) => files_below(manifest, number),
        _ => 1,
    };
    manifest.children(directory).map(below).sum()
}

fn refuse_files_in_both(dir: &Dir, manifest: &Manifest, directory: u32, path: &[u8]) -> Result<(), Error> {
    for named in manifest.children(directory) {
        let Some(stat) = dir.stat(named.name)? else { continue };
        let mut path = path.to_vec();
        push_name(&mut path, named.name);
        match (named.node, stat.kind) {
            (Node::Directory(number), Kind::Directory) => {
                refuse_files_in_both(&dir.open_dir(named.name)?, manifest, number, &path)?;
            }
            _ => return Err(conflict(&path)),
        }
    }
    Ok(())
}

fn add_undeclared(
    dir: &Dir,
    manifest: &Manifest,
    directory: Option<u32>,
    path: &mut Vec<u8>,
    declared: &[RelativePath],
    links: &mut Vec<RelativePath>,
) -> Result<(), Error> {
    for name in dir.names()? {
        let length = path.len();
        if length == 0 && name == LOST_AND_FOUND {
            continue;
        }
        push_name(path, &name);
        let own = RelativePath::parse(path).map_err(|reason| Error::Bug(format!("a name in `shared/`: {reason}")))?;
        let node = directory.and_then(|number| manifest.child(number, &name)).map(|named| named.node);
        let leads_to_declared = declared.iter().any(|declared| declared.is_within(&own));
        let kind = dir.stat(&name)?.map(|stat| stat.kind);
        match (kind, node) {
            _ if declared.contains(&own) => {}
            // The declared path behind it has its own link.
            (Some(Kind::Symlink), _) if leads_to_declared => {}
            (Some(Kind::Directory), Some(Node::Directory(number))) => {
                add_undeclared(&dir.open_dir(&name)?, manifest, Some(number), path, declared, links)?;
            }
            (Some(Kind::Directory), None) if leads_to_declared => {
                add_undeclared(&dir.open_dir(&name)?, manifest, None, path, declared, links)?;
            }
            (Some(_), None) => links.push(own),
            (Some(_), Some(_)) => return Err(conflict(path)),
            (None, _) => {}
        }
        path.truncate(length);
    }
    Ok(())
}

/// Makes the links in a tree whose directories still allow their owner to write.
pub(crate) fn link(tree: &Dir, plan: &SharedPlan) -> Result<(), Error> {
    for path in &plan.links {
        let names: Vec<&[u8]> = path.names().collect();
        let Some((last, above)) = names.split_last() else {
            continue;
        };
        let mut dir = tree.duplicate()?;
        for name in above {
            dir = dir.ensure_dir(name, PARENT_MODE)?.0;
        }
        dir.remove_tree(last)?;
        dir.symlink(&target(path), last)?;
    }
    Ok(())
}

/// Returns the target of a link. From `releases/<id>/a/b`, in the directory `releases/<id>/a`, the deploy path is
/// three levels up.
pub(crate) fn target(path: &RelativePath) -> Vec<u8> {
    let mut target = b"../".repeat(path.names().count() + 1);
    target.extend_from_slice(b"shared/");
    target.extend_from_slice(path.as_bytes());
    target
}

/// The most paths that a warning names.
const NAMED_MAX: usize = 3;

/// Returns a warning if a release links to paths in `shared/` that do not exist any more. A path that cannot be looked
/// at, for another reason, may exist.
pub(crate) fn missing_warning(shared: &Dir, record: &Record) -> Option<String> {
    let is_missing = |path: &&RelativePath| {
        std::fs::metadata(shared.path().join(path.as_path()))
            .is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
    };
    let missing: Vec<&RelativePath> = record.shared.iter().filter(is_missing).collect();
    let named: Vec<String> = missing.iter().take(NAMED_MAX).map(|path| format!("`shared/{path}`")).collect();
    let (id, count, named) = (&record.id, missing.len(), named.join(", "));
    match count {
        0 => None,
        1 => Some(format!("Release {id} links to {named}, which does not exist")),
        2..=NAMED_MAX => Some(format!("Release {id} links to {count} paths that do not exist: {named}")),
        _ => Some(format!(
            "Release {id} links to {count} paths that do not exist: {named} and {} more",
            count - NAMED_MAX
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::hash::Hash;
    use crate::manifest::{Builder, File, ObjectKey};

    fn manifest() -> Manifest {
        let file = File { key: ObjectKey { hash: Hash::of(b"x"), mode: 0o444 }, size: 1 };
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        builder.directory(b"config").unwrap();
        builder.file(b"index.php", file).unwrap();
        builder.directory(b"storage").unwrap();
        builder.begin(0o755).unwrap();
        builder.file(b"app.php", file).unwrap();
        builder.begin(0o755).unwrap();
        builder.file(b"keep", file).unwrap();
        builder.finish().unwrap()
    }

    fn path(text: &str) -> RelativePath {
        RelativePath::parse(text.as_bytes()).unwrap()
    }

    fn check(dirs: &[&str], files: &[&str], stand: &[&str], expected: Result<&[&str], &str>) {
        let place = tempfile::tempdir().unwrap();
        for name in stand {
            let at = place.path().join(name);
            std::fs::create_dir_all(if name.ends_with('/') { &at } else { at.parent().unwrap() }).unwrap();
            if !name.ends_with('/') {
                std::fs::write(at, "shared").unwrap();
            }
        }
        let policy = Policy {
            shared_dirs: dirs.iter().map(|text| path(text)).collect(),
            shared_files: files.iter().map(|text| path(text)).collect(),
            ..Policy::default()
        };
        let planned = plan(&Dir::open(Path::new(place.path())).unwrap(), &policy, &manifest());
        let planned = planned.map(|plan| plan.links.iter().map(ToString::to_string).collect::<Vec<_>>());
        match (planned, expected) {
            (Ok(links), Ok(expected)) => assert_eq!(links, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().starts_with(expected), "{error}"),
            (planned, expected) => panic!("{planned:?} is not {expected:?}"),
        }
    }

    #[test]
    fn what_stands_in_shared_is_linked() {
        check(&[], &[], &[".env", "uploads/a"], Ok(&[".env", "uploads"]));
        check(&[], &[], &["config/local.php", "config/deep/x"], Ok(&["config/deep", "config/local.php"]));
        check(&["storage"], &[], &["storage/logs/x"], Ok(&["storage"]));
        check(&["data/a"], &[], &["data/a/x", "data/b"], Ok(&["data/a", "data/b"]));
        check(&[], &[".env"], &[".env"], Ok(&[".env"]));
    }

    #[test]
    fn what_is_in_both_is_refused() {
        check(&[], &[], &["index.php"], Err("`index.php` is both"));
        check(&[], &[], &["config/app.php"], Err("`config/app.php` is both"));
        check(&[], &[], &["index.php/x"], Err("`index.php` is both"));
        check(&["storage"], &[], &["storage/keep"], Err("`storage/keep` is both"));
        check(&["index.php/x"], &[], &["index.php/x/"], Err("`index.php` is both"));
        check(&[], &["config/app.php"], &["config/app.php"], Err("`config/app.php` is a file in the source"));
        check(&[], &[".env"], &[], Err("The shared file"));
    }

    #[test]
    fn links_are_relative_to_where_they_stand() {
        assert_eq!(target(&path(".env")), b"../../shared/.env");
        assert_eq!(target(&path("storage/app/public")), b"../../../../shared/storage/app/public");
    }
}
