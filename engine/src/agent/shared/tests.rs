//! Plans for a small release: what is linked, copied, made, hidden and refused.

use std::path::Path;

use super::plan::NewContent;
use super::*;
use crate::disk::Dir;
use crate::hash::Hash;
use crate::manifest::{Builder, File, ObjectKey};
use crate::path::RelativePath;
use crate::shared_path::{Conflict, Missing, SharedPath};

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
    builder.file(b"note", file).unwrap();
    builder.finish().unwrap()
}

fn path(text: &str) -> RelativePath {
    RelativePath::parse(text.as_bytes()).unwrap()
}

fn plan_of(policy: &Policy, stand: &[&str]) -> Result<SharedPlan, Error> {
    let place = tempfile::tempdir().unwrap();
    for name in stand {
        let at = place.path().join(name);
        std::fs::create_dir_all(if name.ends_with('/') { &at } else { at.parent().unwrap() }).unwrap();
        if !name.ends_with('/') {
            std::fs::write(at, "shared").unwrap();
        }
    }
    plan(&SharedRoot::open(&Dir::open(Path::new(place.path())).unwrap()).unwrap(), policy, &manifest(), None, &[])
}

fn policy(dirs: &[&str], files: &[&str]) -> Policy {
    Policy {
        shared_dirs: dirs.iter().map(|text| SharedPath::directory(path(text))).collect(),
        shared_files: files.iter().map(|text| SharedPath::file(path(text))).collect(),
        ..Policy::default()
    }
}

fn check(dirs: &[&str], files: &[&str], stand: &[&str], expected: Result<&[&str], &str>) {
    let planned = plan_of(&policy(dirs, files), stand);
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
    check(&["storage"], &[], &["storage/note"], Ok(&["storage"]));
    check(&["data/a"], &[], &["data/a/x", "data/b"], Ok(&["data/a", "data/b"]));
    check(&[], &[".env"], &[".env"], Ok(&[".env"]));
}

#[test]
fn what_is_in_both_is_refused() {
    check(&[], &[], &["index.php"], Err("`index.php` is both"));
    check(&[], &[], &["config/app.php"], Err("`config/app.php` is both"));
    check(&[], &[], &["index.php/x"], Err("`index.php` is both"));
    check(&["index.php/x"], &[], &["index.php/x/"], Err("`index.php` is both"));
    check(&["index.php"], &[], &[], Err("`index.php` is a file in the source"));
    check(&[], &["config/app.php"], &["config/app.php"], Err("`config/app.php` is a file in the source"));
    check(&[], &[".env"], &[], Err("The shared path"));
}

/// What the plan does: links, copies, what is made, and the number of hidden files.
type Done = (Vec<String>, Vec<String>, Vec<String>, u64);

fn done(plan: &SharedPlan) -> Done {
    let (mut copies, mut made) = (Vec::new(), Vec::new());
    for new in &plan.new {
        match new {
            NewContent::Copy { path, .. } => copies.push(path.to_string()),
            NewContent::Directory(path) | NewContent::File(path) => made.push(path.to_string()),
        }
    }
    let links = plan.links.iter().map(ToString::to_string).collect();
    (links, copies, made, plan.hidden.iter().map(|hidden| hidden.files).sum())
}

/// The expected plan: links, copies, what is made, and the number of hidden files.
type Expected<'a> = Result<(&'a [&'a str], &'a [&'a str], &'a [&'a str], u64), &'a str>;

#[track_caller]
fn check_rule(policy: &Policy, stand: &[&str], expected: Expected<'_>) {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>();
    match (plan_of(policy, stand), expected) {
        (Ok(plan), Ok((links, copies, made, hidden))) => {
            assert_eq!(done(&plan), (owned(links), owned(copies), owned(made), hidden));
        }
        (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
        (planned, expected) => panic!("{planned:?} is not {expected:?}"),
    }
}

#[test]
fn each_rule_for_a_directory_that_the_release_has_too() {
    let check = |conflict: Conflict, stand: &[&str], expected: Expected<'_>| {
        let declared = SharedPath { conflict, ..SharedPath::directory(path("storage")) };
        check_rule(&Policy { shared_dirs: vec![declared], ..Policy::default() }, stand, expected);
    };
    const LINK: &[&str] = &["storage"];
    // A directory that is new, or empty and unused, is filled.
    for conflict in [Conflict::Link, Conflict::Seed, Conflict::Merge] {
        check(conflict, &[], Ok((LINK, LINK, &[], 0)));
        check(conflict, &["storage/"], Ok((LINK, &["storage/note"], &[], 0)));
    }
    for conflict in [Conflict::Seed, Conflict::Merge] {
        check(conflict, &["storage/upload"], Ok((LINK, &["storage/note"], &[], 0)));
        check(conflict, &["storage/note"], Ok((LINK, &[], &[], 1)));
    }
    check(Conflict::Link, &["storage/upload"], Ok((LINK, &[], &[], 1)));
    check(Conflict::Keep, &["storage/upload"], Ok((&[], &[], &[], 0)));
    check(Conflict::Error, &["storage/upload"], Err("`storage` is both"));
}

#[test]
fn each_rule_for_a_file_that_the_release_has_too() {
    let check = |conflict: Conflict, missing: Missing, stand: &[&str], expected: Expected<'_>| {
        let declared = SharedPath { path: path("config/app.php"), conflict, missing };
        check_rule(&Policy { shared_files: vec![declared], ..Policy::default() }, stand, expected);
    };
    const LINK: &[&str] = &["config/app.php"];
    let there = LINK;
    check(Conflict::Link, Missing::Required, there, Ok((LINK, &[], &[], 1)));
    check(Conflict::Link, Missing::Required, &[], Err("The shared path"));
    check(Conflict::Link, Missing::Optional, &[], Ok((&[], &[], &[], 0)));
    check(Conflict::Link, Missing::Create, &[], Ok((LINK, &[], LINK, 1)));
    check(Conflict::Seed, Missing::Required, there, Ok((LINK, &[], &[], 1)));
    check(Conflict::Seed, Missing::Required, &[], Ok((LINK, LINK, &[], 0)));
    check(Conflict::Keep, Missing::Required, there, Ok((&[], &[], &[], 0)));
    check(Conflict::Error, Missing::Optional, &[], Err("`config/app.php` is a file in the source"));
}

#[test]
fn each_rule_for_a_path_that_shared_lacks() {
    let check = |missing: Missing, expected: Expected<'_>| {
        let directory = SharedPath { missing, ..SharedPath::directory(path("logs")) };
        check_rule(&Policy { shared_dirs: vec![directory], ..Policy::default() }, &[], expected);
        let file = SharedPath { missing, ..SharedPath::file(path("logs")) };
        check_rule(&Policy { shared_files: vec![file], ..Policy::default() }, &[], expected);
    };
    check(Missing::Create, Ok((&["logs"], &[], &["logs"], 0)));
    check(Missing::Optional, Ok((&[], &[], &[], 0)));
    check(Missing::Required, Err("does not exist"));
}
