//! Cleanup and retention: what they remove, and what they leave.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::immutable::Immutable;
use crate::support::mount::Mount;
use crate::support::site::{Site, names, number};
use crate::support::tree::assert_same;

use super::deploy_named;

/// What of a release cannot be removed.
#[derive(Debug, Clone, Copy)]
enum Stuck {
    File,
    Directory,
    Whole,
}

#[test]
fn a_cleanup_removes_what_retention_gives_up_and_its_objects() {
    let site = Site::new();
    for name in ["A", "B", "C", "D"] {
        site.write("version", name);
        site.deploy(&[]);
    }
    // Within the grace nothing went.
    let ids = site.release_names();
    assert_eq!(ids.len(), 4);
    let kept = site.succeed(&["cleanup"]);
    assert_eq!((&kept["removed"], &kept["kept"]), (&json!([]), &json!([{ "id": ids[0], "reason": "grace" }])));
    let would = site.succeed(&["cleanup", "--grace", "0s", "--dry-run"]);
    assert_eq!((&would["dry_run"], &would["removed"]), (&json!(true), &json!([ids[0]])));
    assert_eq!(site.release_names(), ids);
    let did = site.succeed(&["cleanup", "--grace", "0s"]);
    assert_eq!((&did["removed"], number(&did["objects_removed"])), (&json!([ids[0]]), 1));
    assert_eq!(site.release_names(), ids[1..]);
    assert_eq!(site.objects().len(), 3);
    assert_eq!(did["objects_removed"], would["objects_removed"]);
    assert_eq!(did["freed_bytes"], would["freed_bytes"]);
}

#[test]
fn what_cannot_be_removed_never_fails_a_deploy_that_is_live() {
    for stuck in [Stuck::File, Stuck::Directory, Stuck::Whole] {
        let site = Site::new();
        let Some(_mounted) = Mount::ext4(&site.target(""), "32M", &[]) else { return };
        site.write("deep/only-in-the-first", "first");
        let first = deploy_named(&site, "A");
        fs::remove_dir_all(site.source("deep")).unwrap();
        let (below, told) = match stuck {
            Stuck::File => ("deep/only-in-the-first", "Warning: Could not remove `"),
            Stuck::Directory => ("deep", "/deep/only-in-the-first`"),
            Stuck::Whole => ("", "Warning: Could not rename to `"),
        };
        let mut immutable = Immutable::make(&site.release(&first).join(below));
        let mut second = String::new();
        for name in ["B", "C", "D", "E"] {
            site.write("version", name);
            let ran = site.cutover(&["deploy", "--grace", "0s"]);
            // Two others may stand before the first one is due.
            let words = if ["D", "E"].contains(&name) { told } else { "" };
            ran.failed(0, &[words]);
            assert_eq!(ran.json["state"], "live");
            // What else was due is removed, and told.
            assert_eq!(ran.json["removed"].as_array().unwrap().contains(&json!(second)), name == "E", "{stuck:?}");
            assert_same(&site.path("source"), &site.current(""));
            if name == "B" {
                second = site.live().unwrap();
            }
        }
        let trash = site.target(".cutover/trash");
        let gone = names(&trash).into_iter().find(|name| name.starts_with(&first) && !name.ends_with("-record"));
        immutable.follow(&gone.map_or_else(|| site.release(&first), |name| trash.join(name)).join(below));
        drop(immutable);
        site.succeed(&["cleanup", "--grace", "0s"]);
        assert_eq!(names(&trash), [""; 0]);
        assert!(!site.release_names().contains(&first), "{stuck:?}");
        assert_eq!(site.objects().len(), 3, "{stuck:?}");
    }
}

/// What of a release is damaged.
#[derive(Debug, Clone, Copy)]
enum Damaged {
    Record,
    Manifest,
    Tree,
}

#[test]
fn while_a_release_is_damaged_no_object_is_removed() {
    for damaged in [Damaged::Record, Damaged::Manifest, Damaged::Tree] {
        let site = Site::new();
        let ids: Vec<String> = ["A", "B", "C"].iter().map(|name| deploy_named(&site, name)).collect();
        let of_the_second = match damaged {
            Damaged::Record => site.target(&format!(".cutover/releases/{}/record", ids[1])),
            Damaged::Manifest => site.target(&format!(".cutover/releases/{}/manifest", ids[1])),
            Damaged::Tree => site.release(&ids[1]),
        };
        let aside = site.path("aside");
        fs::rename(&of_the_second, &aside).unwrap();
        match damaged {
            Damaged::Record | Damaged::Manifest => fs::write(&of_the_second, "damage").unwrap(),
            // Something else stands there, so it is not the rest of a removal.
            Damaged::Tree => fs::write(&of_the_second, "no directory").unwrap(),
        }
        // A release whose record cannot be read does not count as one that is kept.
        let more = if let Damaged::Manifest = damaged { &["D"][..] } else { &["D", "E"] };
        more.iter().for_each(|name| drop(deploy_named(&site, name)));
        assert!(!site.release_names().contains(&ids[0]), "{damaged:?}");
        let report = site.cutover(&["cleanup", "--grace", "0s"]);
        report.failed(0, &[]);
        let warnings = report.json["warnings"].to_string();
        assert!(
            warnings.contains(&format!("No object was removed, because release {} may need any of them", ids[1])),
            "{warnings}"
        );
        let objects = (number(&report.json["objects_removed"]), site.objects().len());
        assert_eq!(objects, (0, 3 + more.len()), "{damaged:?}");
        // Made whole again, it is a release as ever, and what nobody needs goes.
        fs::remove_file(&of_the_second).unwrap();
        fs::rename(&aside, &of_the_second).unwrap();
        assert_eq!(fs::read_to_string(site.release(&ids[1]).join("version")).unwrap(), "B");
        site.succeed(&["cleanup", "--grace", "0s"]);
        assert_eq!(site.objects().len(), site.release_names().len(), "{damaged:?}");
    }
}

#[test]
fn a_directory_that_is_not_ours_is_left_alone_and_named() {
    let site = Site::new();
    deploy_named(&site, "A");
    fs::create_dir(site.release("20010101000000")).unwrap();
    fs::write(site.release("20010101000000/file"), "mine").unwrap();
    fs::create_dir(site.release("backup")).unwrap();
    for name in ["B", "C", "D", "E"] {
        site.write("version", name);
        let ran = site.cutover(&["deploy", "--grace", "0s"]);
        ran.failed(
            0,
            &["releases/20010101000000` was not made by Cutover", "releases/backup` was not made by Cutover"],
        );
    }
    site.succeed(&["cleanup", "--grace", "0s"]);
    assert_eq!(fs::read_to_string(site.release("20010101000000/file")).unwrap(), "mine");
    assert_eq!(site.release_names().len(), 5);
    assert_eq!(site.succeed(&["releases"])["foreign"], json!(["20010101000000", "backup"]));
    assert_eq!(site.succeed(&["status"])["foreign"], json!(["20010101000000", "backup"]));
    let ran = site.cutover(&["switch", "20010101000000"]);
    ran.failed(1, &["20010101000000"]);
}

#[test]
fn a_release_that_a_process_lives_in_stays() {
    let site = Site::new();
    let first = deploy_named(&site, "A");
    let mut inhabitant = Command::new("cat");
    inhabitant.current_dir(site.release(&first)).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut inhabitant = inhabitant.spawn().unwrap();
    for name in ["B", "C", "D"] {
        deploy_named(&site, name);
    }
    assert_eq!(site.release_names().len(), 4);
    let report = site.succeed(&["cleanup", "--grace", "0s"]);
    let reason = format!("cat ({}) lives in it", inhabitant.id());
    assert_eq!(report["kept"], json!([{ "id": first, "reason": reason }]));
    drop(inhabitant.stdin.take());
    inhabitant.wait().unwrap();
    assert_eq!(site.succeed(&["cleanup", "--grace", "0s"])["removed"], json!([first]));
}
