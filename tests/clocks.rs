//! Clocks that are coarse or were wrong: no change is missed, no release stays for a year, no rollback goes to a
//! wrong release.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::mount::{Mount, Turn};
use crate::support::site::{Site, text};
use crate::support::sshd::{is_root, run};
use crate::support::tree;

const A_YEAR: u64 = 365 * 24 * 3600;

/// Changes what the record of a release says, as a clock that was wrong would have had it.
fn change_record(site: &Site, id: &str, change: impl FnOnce(&mut Value)) {
    let path = site.target(&format!(".cutover/releases/{id}/record"));
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut record);
    fs::write(&path, record.to_string()).unwrap();
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_clock_that_was_a_year_ahead_keeps_no_release_for_a_year() {
    let mut site = Site::new();
    site.configure("keep_releases = 2\ngrace = '0s'\nspare = false\n");
    for version in ["one", "two"] {
        site.write("version", version);
        site.deploy(&[]);
    }
    let ahead = now() + A_YEAR;
    for id in site.release_names() {
        change_record(&site, &id, |record| {
            record["created"] = json!(ahead);
            record["went_live"] = json!([ahead]);
            if !record["retired"].is_null() {
                record["retired"] = json!(ahead + 1);
            }
        });
    }
    for version in ["three", "four"] {
        site.write("version", version);
        site.deploy(&[]);
        assert_eq!(site.release_names().len(), 2, "{version}");
    }
}

#[test]
fn no_clock_decides_where_a_rollback_goes() {
    let site = Site::new();
    let ids: Vec<String> = ["one", "two", "three"]
        .iter()
        .map(|version| {
            site.write("version", version);
            text(&site.deploy(&[])["release"])
        })
        .collect();
    // The first went live when the clock was a year ahead.
    change_record(&site, &ids[0], |record| record["went_live"] = json!([now() + A_YEAR]));
    site.succeed(&["rollback"]);
    assert_eq!(site.live().as_ref(), Some(&ids[1]));
    // Where the link is gone, a rollback goes to what was live last.
    fs::remove_file(site.target("current")).unwrap();
    site.succeed(&["rollback"]);
    assert_eq!(site.live().as_ref(), Some(&ids[1]));
}

/// An edit in place in the second of the deploy, with size and mode as they were, on a filesystem of whole seconds.
#[test]
fn an_edit_in_the_second_of_the_deploy_is_seen_also_where_times_are_whole_seconds() {
    if !is_root() {
        return;
    }
    let mut site = Site::new();
    let Some(_mounted) = Mount::ext4(&site.path("mounted"), "32M", &["-I", "128"]) else { return };
    site.move_to(&site.path("mounted/site"));
    site.write("app", "code: good");
    for version in 0..6 {
        site.write("version", format!("{version}"));
        let report = site.deploy(&[]);
        assert_eq!(fs::read_to_string(site.current("app")).unwrap(), "code: good", "{report}");
        let path = site.current("app");
        tree::set_mode(&path, 0o644);
        fs::write(&path, "code: evil").unwrap();
        tree::set_mode(&path, 0o444);
    }
}

/// Two disks that are mounted in turn, alike in inodes and times, and not in content.
#[test]
fn another_disk_at_the_same_place_is_another_source_however_alike_its_times_are() {
    if !is_root() {
        return;
    }
    let _turn = Turn::to_remount();
    for options in ["loop,ro", "loop"] {
        for place in ["source/disk", "source"] {
            let site = Site::new();
            let image = site.path("image");
            if place == "source" {
                fs::remove_dir(site.path("source")).unwrap();
            }
            fs::create_dir(site.path("content")).unwrap();
            fs::write(site.path("content/version"), "version 1.2.1").unwrap();
            run(Command::new("truncate").args(["-s", "8M"]).arg(&image));
            let content = site.path("content");
            run(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4", "-d", content.to_str().unwrap()]).arg(&image));
            // What was changed a moment ago is read again in any case.
            for (path, field) in
                ["/", "/version", "/lost+found"].iter().flat_map(|path| [(path, "ctime"), (path, "mtime")])
            {
                let set = format!("set_inode_field {path} {field} 20200101000000");
                run(Command::new("debugfs").args(["-w", "-R", &set]).arg(&image));
            }
            for version in ["version 1.2.1", "version 1.2.2", "version 1.2.3"] {
                // The second and third are the first with other content.
                let mut bytes = fs::read(&image).unwrap();
                let at = bytes.windows(12).position(|bytes| bytes == b"version 1.2.").unwrap();
                bytes[at..at + version.len()].copy_from_slice(version.as_bytes());
                fs::write(&image, bytes).unwrap();
                let Some(mounted) = Mount::image(&site.path(place), options, &image) else { return };
                let report = site.deploy(&[]);
                let deployed =
                    fs::read_to_string(site.current(if place == "source" { "version" } else { "disk/version" }));
                assert_eq!(deployed.unwrap(), version, "{options} {place}: {report}");
                drop(mounted);
                fs::remove_dir(site.path(place)).unwrap();
            }
        }
    }
}
