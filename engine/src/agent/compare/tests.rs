//! Releases that were changed on the server, and hooks that change a new one.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::several::compare_releases;
use super::{Depth, Stop, after_hooks};
use crate::agent::site::Site;
use crate::agent::site::layout::Layout;
use crate::agent::site::lock::Lock;
use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::event::Silent;
use crate::procedure::Procedure;
use crate::release::{Provenance, ReleaseId};
use crate::request::{Context, DeployRequest, SourceRequest};
use crate::target::{Destination, HookEdits, Policy, Reach, Target};
use crate::verbs::deploy;

/// A source, a deploy path and a state directory.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// Makes a place with a live release `1` and a ready release `2` of the same files.
    fn new() -> Place {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        for (name, content) in
            [("a/one", "content of one"), ("a/two", "content of two"), ("three", "three"), ("empty", "")]
        {
            let path = place.dir.path().join("source").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        place.deploy("1", false);
        fs::write(place.dir.path().join("source/four"), "four").unwrap();
        place.deploy("2", true);
        place
    }

    fn deploy(&self, release: &str, no_switch: bool) {
        let context = Context {
            lock: Default::default(),
            target: Target { destination: Destination::Local(self.dir.path().join("site")), reach: Reach::default() },
            policy: Policy::default(),
            procedure: Procedure::default(),
            provenance: Provenance::default(),
            state_dir: self.dir.path().join("state"),
            observer: Arc::new(Silent),
            cancel: Cancel::default(),
        };
        let source = SourceRequest { directory: self.dir.path().join("source"), ..SourceRequest::default() };
        let release = Some(release.parse().unwrap());
        let request = DeployRequest { source, release, no_switch, ..DeployRequest::default() };
        deploy(&context, &request).unwrap();
    }

    fn path(&self, release: &str, path: &str) -> PathBuf {
        self.dir.path().join("site/releases").join(release).join(path)
    }

    fn site(&self) -> Site {
        let layout = Layout::open(&self.dir.path().join("site"), &Policy::default()).unwrap().unwrap();
        let lock = Lock::for_test(&layout.private);
        Site::hold(lock, layout).unwrap()
    }

    /// Compares both releases, and returns the differences: the releases, and the paths with their kinds.
    fn differences(&self) -> Vec<String> {
        let site = self.site();
        let records: Vec<_> = site.releases.records.iter().collect();
        let compared = compare_releases(&site.layout, &records, Depth::Stat, &Stop::default()).unwrap();
        assert!(compared.failed.is_empty());
        let shown = compared.differences.iter().map(|group| {
            let ids: Vec<&str> = group.releases.iter().map(ReleaseId::as_str).collect();
            format!("{} {group}", ids.join("+"))
        });
        shown.collect()
    }

    fn after_hooks(&self, policy: HookEdits) -> Result<Vec<String>, Error> {
        after_hooks(&self.site(), &"2".parse().unwrap(), policy).map(|effects| effects.warnings)
    }
}

fn append(path: &Path) {
    let mode = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
    let mut content = fs::read(path).unwrap();
    content.extend_from_slice(b" and more");
    fs::write(path, content).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn touch(path: &Path) {
    fs::File::open(path).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
}

fn replace(path: &Path, content: &str) {
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
}

#[test]
fn an_edit_in_place_is_named_once_with_all_releases_that_it_hits() {
    let place = Place::new();
    assert_eq!(place.differences(), Vec::<String>::new());
    append(&place.path("1", "a/one"));
    replace(&place.path("2", "three"), "other");
    set_mode(&place.path("2", "a/two"), 0o555);
    fs::write(place.path("2", "a/new"), "new").unwrap();
    fs::remove_file(place.path("1", "empty")).unwrap();
    assert_eq!(
        place.differences(),
        ["1 `empty` (missing)", "1+2 `a/one` (content), `a/two` (mode)", "2 `a/new` (added), `three` (replaced)",]
    );
}

#[test]
fn what_hooks_add_replace_and_remove_belongs_to_the_release() {
    let place = Place::new();
    fs::create_dir(place.path("2", "cache")).unwrap();
    fs::write(place.path("2", "a/made"), "made").unwrap();
    replace(&place.path("2", "three"), "built");
    fs::remove_file(place.path("2", "four")).unwrap();
    set_mode(&place.path("2", "a"), 0o700);
    set_mode(&place.path("2", ""), 0o711);
    assert_eq!(place.after_hooks(HookEdits::Refuse).unwrap(), Vec::<String>::new());
    assert_eq!(place.differences(), Vec::<String>::new());
    fs::write(place.path("2", "cache/later"), "later").unwrap();
    assert_eq!(place.differences(), Vec::<String>::new());
    replace(&place.path("2", "three"), "later");
    fs::write(place.path("2", "a/later"), "later").unwrap();
    assert_eq!(place.differences(), ["2 `a/later` (added), `three` (replaced)"]);
}

#[test]
fn what_a_hook_changed_in_place_is_repaired_in_every_release() {
    let place = Place::new();
    append(&place.path("2", "a/one"));
    set_mode(&place.path("2", "a/two"), 0o777);
    touch(&place.path("2", "three"));
    let warnings = place.after_hooks(HookEdits::Repair).unwrap();
    let expected = "A hook changed 3 files in place that other releases share, and they were repaired: `a/one` \
                    (content), `a/two` (mode), `three` (content)";
    assert_eq!(warnings, [expected]);
    assert_eq!(place.differences(), Vec::<String>::new());
    for release in ["1", "2"] {
        assert_eq!(fs::read(place.path(release, "a/one")).unwrap(), b"content of one");
    }
    let inode = |release: &str| fs::metadata(place.path(release, "a/one")).unwrap().ino();
    assert_eq!(inode("1"), inode("2"));
    assert_eq!(fs::read_dir(place.dir.path().join("site/.cutover/staging")).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_repaired_is_refused_and_what_is_allowed_is_kept() {
    let place = Place::new();
    set_mode(&place.path("2", "a/one"), 0o644);
    fs::write(place.path("2", "a/one"), "other words!!!").unwrap();
    set_mode(&place.path("2", "a/two"), 0o777);
    for policy in [HookEdits::Repair, HookEdits::Refuse] {
        let error = place.after_hooks(policy).unwrap_err();
        assert_eq!(error.kind(), Kind::Damage);
        assert!(error.to_refusal().causes[0].starts_with("`a/one` (content)"), "{:?}", error.to_refusal());
    }
    // The mode is right again, because the live release was hit.
    assert_eq!(place.differences(), ["1+2 `a/one` (content)"]);
    let warnings = place.after_hooks(HookEdits::Allow).unwrap();
    assert_eq!(
        warnings,
        ["A hook changed 1 file in place that other releases share, and the edits stay: `a/one` (content)"]
    );
    assert_eq!(place.differences(), ["1 `a/one` (content)"]);
}

#[test]
fn the_deeper_comparison_finds_what_no_stat_shows() {
    let place = Place::new();
    let path = place.path("1", "a/one");
    let metadata = fs::metadata(&path).unwrap();
    set_mode(&path, 0o644);
    fs::write(&path, "content of two").unwrap();
    fs::File::open(&path).unwrap().set_modified(metadata.modified().unwrap()).unwrap();
    set_mode(&path, metadata.mode());
    assert_eq!(place.differences(), Vec::<String>::new());
    let site = place.site();
    let records: Vec<_> = site.releases.records.iter().collect();
    let compared = compare_releases(&site.layout, &records, Depth::Content, &Stop::default()).unwrap();
    let shown: Vec<String> = compared.differences.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["`a/one` (content)"]);
}
