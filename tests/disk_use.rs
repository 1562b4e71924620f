//! `du`: its parts add up to what the real `du` counts, and a release frees what is said.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::mount::{Kind, Mount, Turn};
use crate::support::real_tree::noise;
use crate::support::site::{Site, number};
use crate::support::sshd::run;
use crate::support::strace;

/// Returns the bytes and inodes that `du` counts.
fn real(path: &Path) -> (u64, u64) {
    let first = |words: &[&str]| -> u64 {
        let said = run(Command::new("du").args(words).arg(path));
        said.split_whitespace().next().unwrap().parse().unwrap()
    };
    (first(&["-s", "-x", "-B1"]), first(&["-s", "-x", "--inodes"]))
}

fn usage(value: &Value) -> (u64, u64) {
    (number(&value["bytes"]), number(&value["inodes"]))
}

fn write_version(site: &Site, version: u64) {
    for file in 0..300 {
        site.write(&format!("tree/{}/{file}", file % 40), noise(file, 5_000));
    }
    for file in 0..50 {
        site.write(&format!("new/{file}"), noise(1_000 * (version + 1) + file, 20_000));
    }
    site.write("private/copy", noise(77, 40_000));
    site.write("empty", "");
    std::os::unix::fs::symlink("x/".repeat(50), site.source("long")).ok();
}

/// Returns the bytes that the filesystem has free.
fn free(site: &Site) -> u64 {
    let root = std::fs::File::open(site.path("mounted")).unwrap();
    rustix::fs::syncfs(&root).unwrap();
    let vfs = rustix::fs::statvfs(site.path("mounted")).unwrap();
    vfs.f_bavail * vfs.f_frsize
}

/// Checks the total. `du` counts blocks that files share once for each, so where they do the filesystem decides.
fn check(site: &Site, free_before: Option<u64>, what: &str) {
    let report = site.succeed(&["du"]);
    let (mut bytes, inodes) = real(&site.target(""));
    let (total, total_inodes) = usage(&report["total"]);
    if let Some(before) = free_before {
        let taken = before - free(site);
        assert!(total < bytes && total.abs_diff(taken) <= 300_000, "{what}: {taken} of {bytes}, and {report}");
        bytes = total;
    }
    assert_eq!((total, total_inodes), (bytes, inodes), "{what}: {report}");
    let parts = ["store", "trees", "shared", "cache", "staging", "trash", "records", "foreign", "other"];
    let sum = parts.iter().map(|part| usage(&report[part])).fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    assert_eq!(sum, (bytes, inodes), "{what}");
}

#[test]
fn the_parts_add_up_to_what_du_counts() {
    let _turn = Turn::to_remount();
    for kind in [Kind::Ext4, Kind::Btrfs] {
        for link in ["hardlink", "reflink"] {
            if (matches!(kind, Kind::Ext4), link) == (true, "reflink") {
                continue;
            }
            let mut site = Site::new();
            let disk = site.path("disk");
            let Some(()) = Mount::make_disk(kind, &disk) else { continue };
            let Some(_mounted) = Mount::disk(&site.path("mounted"), kind, &disk) else { continue };
            site.move_to(&site.path("mounted/site"));
            let before = matches!(kind, Kind::Btrfs).then(|| free(&site));
            site.configure(&format!("link = '{link}'\ncopy_paths = ['private/']\ngrace = '0s'\n"));
            for version in 0..5 {
                write_version(&site, version);
                site.deploy(&[]);
            }
            let what = format!("{kind:?} {link}");
            check(&site, before, &what);
            // Names of others, in a release and beside it.
            std::fs::create_dir(site.target("releases/old")).unwrap();
            std::fs::write(site.target("releases/old/file"), noise(1, 9_000)).unwrap();
            std::fs::write(site.current("tree/1/added"), noise(1, 9_000)).unwrap();
            std::fs::create_dir_all(site.target("shared/uploads")).unwrap();
            std::fs::write(site.target("shared/uploads/picture"), noise(1, 90_000)).unwrap();
            check(&site, before, &what);
        }
    }
}

#[test]
fn a_release_frees_what_is_its_own() {
    let _turn = Turn::to_remount();
    let mut site = Site::new();
    let disk = site.path("disk");
    let Some(()) = Mount::make_disk(Kind::Ext4, &disk) else { return };
    let Some(_mounted) = Mount::disk(&site.path("mounted"), Kind::Ext4, &disk) else { return };
    site.move_to(&site.path("mounted/site"));
    site.configure("spare = false\ngrace = '0s'\nkeep_manifests = 0\n");
    for version in 0..3 {
        write_version(&site, version);
        site.deploy(&["--release", &(version + 1).to_string()]);
    }
    let report = site.succeed(&["du"]);
    let releases = report["releases"].as_array().unwrap();
    let of = |id: &str| releases.iter().find(|release| release["id"] == id).unwrap_or_else(|| panic!("{report}"));
    let own: Vec<u64> = releases.iter().map(|release| number(&release["own"]["bytes"])).collect();
    assert!(own.is_sorted_by(|one, other| one >= other), "{report}");
    assert_eq!((&of("3")["state"], number(&of("3")["files"])), (&json!("live"), 353));
    assert_eq!(number(&of("1")["shared"]["inodes"]), 301);
    let before = real(&site.target(""));
    site.configure("spare = false\ngrace = '0s'\nkeep_manifests = 0\nkeep_releases = 1\n");
    assert_eq!(site.succeed(&["cleanup"])["removed"], json!(["1"]));
    let after = real(&site.target(""));
    let (bytes, inodes) = usage(&of("1")["own"]);
    // The record, its manifest and its stamps go too.
    assert!((before.0 - after.0).abs_diff(bytes) <= 64 << 10, "{bytes}: {before:?} {after:?}");
    assert!((before.1 - after.1).abs_diff(inodes) <= 5, "{inodes}: {before:?} {after:?}");
}

#[test]
fn objects_are_looked_at_once_and_files_that_link_to_them_never() {
    let site = Site::new();
    for file in 0..500 {
        site.write(&format!("tree/{}/{file}", file % 10), file.to_string());
    }
    site.deploy(&[]);
    site.write("tree/1/1", "another");
    site.deploy(&[]);
    let Some(trace) = strace::trace(&site, &["du"], "newfstatat,statx") else { return };
    // A call names its directory and a name in it.
    let looks = |inside: &str| {
        let is_look = |line: &&str| line.contains(inside) && line.contains(">, \"") && !line.contains(">, \"\"");
        trace.lines().filter(is_look).count()
    };
    assert_eq!(looks("/.cutover/objects/"), 501);
    // The directories are looked at, and no name in them.
    let in_directory = |number: usize| looks(&format!("/tree/{number}>"));
    assert_eq!((0..10).map(in_directory).sum::<usize>(), 0);
    assert!(looks("/tree>") >= 20);
}
