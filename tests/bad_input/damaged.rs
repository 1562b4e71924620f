//! Releases and files of Cutover that are damaged, lost or of another version.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use super::{check, live_site};

#[test]
fn a_store_of_a_newer_format_is_refused_with_both_numbers() {
    let site = live_site();
    let file = site.target(".cutover/store");
    let store = fs::read_to_string(&file).unwrap();
    fs::write(&file, store.replace("\"format\":1", "\"format\":99")).unwrap();
    check(&site, &["99", "1", "Use the version of Cutover that made the store"]);
    let other_fields = r#"{"format":2,"identity":"abc","generation":7}"#;
    fs::write(&file, other_fields).unwrap();
    check(&site, &["2", "1", "Use the version of Cutover that made the store"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), other_fields);
}

#[test]
fn a_store_file_that_is_lost_or_damaged_is_written_anew_as_the_hint_says() {
    for content in [Some(""), Some("{"), Some("nonsense"), Some(r#"{"format":1}"#), None] {
        for way in ["setup", "deploy"] {
            let site = live_site();
            site.write("version", "two");
            site.deploy(&[]);
            let (live, file) = (site.live().unwrap(), site.target(".cutover/store"));
            let before = fs::read_to_string(&file).unwrap();
            match content {
                Some(content) => fs::write(&file, content).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            let status = site.cutover(&["status"]);
            status.failed(4, &[".cutover/store` is damaged", "Hint: Run `cutover setup"]);
            let ran = site.cutover(if way == "deploy" { &["deploy", "--force"] } else { &["setup"] });
            assert_eq!(ran.code, Some(0), "{content:?} {way}: {}", ran.stderr);
            assert!(ran.stderr.contains("and Cutover wrote a new one"), "{content:?} {way}: {}", ran.stderr);
            // Another identity: what clients knew of it they believe no more.
            let id = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["id"].clone();
            assert_ne!(id(&fs::read_to_string(&file).unwrap()), id(&before));
            assert!(site.release_names().contains(&live));
            site.succeed(&["rollback"]);
            site.write("version", "three");
            site.deploy_and_compare(&[]);
        }
    }
}

#[test]
fn a_release_whose_record_or_manifest_is_damaged_is_told_and_does_not_stop_a_deploy() {
    for name in ["record", "manifest"] {
        let site = live_site();
        let id = site.live().unwrap();
        fs::write(site.target(&format!(".cutover/releases/{id}/{name}")), "damage").unwrap();
        let listed = site.succeed(&["releases"]);
        assert_eq!(listed["releases"][0]["state"], "damaged", "{name}: {listed}");
        site.deploy_and_compare(&[]);
    }
}

#[test]
fn a_release_with_another_manifest_or_none_cannot_be_gone_back_to() {
    let site = live_site();
    let first = site.live().unwrap();
    site.write("another", "file");
    site.deploy_and_compare(&[]);
    let second = site.live().unwrap();
    let manifest = |id: &str| site.target(&format!(".cutover/releases/{id}/manifest"));
    let own = fs::read(manifest(&first)).unwrap();
    for (damage, reason) in [
        (Some(fs::read(manifest(&second)).unwrap()), "its manifest is another one"),
        (Some(own[..40].to_vec()), "its manifest ends too early"),
        (None, "its manifest is missing"),
    ] {
        match damage {
            Some(bytes) => fs::write(manifest(&first), bytes).unwrap(),
            None => fs::remove_file(manifest(&first)).unwrap(),
        }
        for verb in [&["switch", first.as_str()][..], &["rollback"]] {
            let ran = site.cutover(verb);
            assert_ne!(ran.code, Some(0), "{reason}");
            assert!(ran.stderr.contains(reason), "{}", ran.stderr);
            assert_eq!(site.live(), Some(second.clone()), "{reason}");
        }
    }
    fs::write(manifest(&first), own).unwrap();
    site.succeed(&["rollback"]);
    assert_eq!(site.live(), Some(first));
}

#[test]
fn a_release_without_its_tree_is_damaged_and_cannot_be_gone_back_to() {
    let site = live_site();
    let first = site.live().unwrap();
    site.deploy_and_compare(&[]);
    fs::remove_dir_all(site.release(&first)).unwrap();
    let ran = site.cutover(&["switch", &first]);
    assert_ne!(ran.code, Some(0), "{}", ran.stderr);
    assert_ne!(site.live(), Some(first));
}

#[test]
fn a_damaged_release_is_explained_and_named_by_the_run_that_removes_its_record() {
    for verb in ["cleanup", "deploy", "unchanged deploy", "rollback"] {
        let site = live_site();
        let first = site.live().unwrap();
        let second = site.deploy(&[])["release"].as_str().unwrap().to_owned();
        site.write("file", "edited twice");
        site.deploy(&[]);
        fs::remove_dir_all(site.release(&first)).unwrap();
        let warning = format!(
            "Release {first} is damaged: its directory is missing. The next deploy or cleanup removes its record"
        );
        assert_eq!(site.succeed(&["releases"])["warnings"], json!([warning]));
        assert_eq!(site.succeed(&["status"])["warnings"], json!([warning]));
        match verb {
            "cleanup" => {
                assert_eq!(site.succeed(&["cleanup", "--dry-run"])["removed"], json!([first]));
                let report = site.succeed(&["cleanup"]);
                assert_eq!((&report["removed"], &report["warnings"]), (&json!([first]), &json!([])));
            }
            "deploy" => {
                site.write("file", "edited again");
                assert_eq!(site.deploy(&[])["removed"], json!([first]));
            }
            "unchanged deploy" => {
                let report = site.deploy(&[]);
                assert_eq!((&report["state"], &report["removed"]), (&json!("unchanged"), &json!([first])));
            }
            _ => {
                let report = site.succeed(&["rollback"]);
                let warning = format!("The record of damaged release {first} was removed: its directory was missing");
                assert_eq!((&report["release"], &report["warnings"]), (&json!(second), &json!([warning])));
            }
        }
        assert_eq!(site.succeed(&["cleanup"])["removed"], json!([]), "{verb}");
        assert_eq!(site.succeed(&["releases"])["warnings"], json!([]), "{verb}");
    }
}

#[test]
fn a_damaged_release_that_is_live_or_has_a_directory_is_explained() {
    let site = live_site();
    let first = site.live().unwrap();
    site.deploy(&[]);
    let second = site.live().unwrap();
    fs::write(site.target(&format!(".cutover/releases/{first}/manifest")), "damage").unwrap();
    fs::remove_dir_all(site.release(&second)).unwrap();
    let warnings = json!([
        format!(
            "Release {second} is damaged: its directory is missing. It is live: deploy again, or go back to another release"
        ),
        format!(
            "Release {first} is damaged: its manifest is missing or wrong. If nothing serves from it, delete `releases/{first}` on the server; the next deploy or cleanup removes the rest"
        ),
    ]);
    for verb in ["releases", "status"] {
        assert_eq!(site.succeed(&[verb])["warnings"], warnings, "{verb}");
    }
}

#[test]
fn a_switch_to_a_release_whose_shared_files_are_gone_is_done_and_warns() {
    let mut site = live_site();
    for name in [".env", "a", "b", "c/d"] {
        fs::create_dir_all(site.target(&format!("shared/{name}")).parent().unwrap()).unwrap();
        fs::write(site.target(&format!("shared/{name}")), "shared").unwrap();
    }
    // What lies behind a symlink counts.
    fs::write(site.path("elsewhere"), "elsewhere").unwrap();
    symlink(site.path("elsewhere"), site.target("shared/e")).unwrap();
    site.configure("shared_files = ['.env', 'a', 'b', 'c/d', 'e']\n");
    site.deploy(&[]);
    let first = site.live().unwrap();
    site.write("file", "edited again");
    site.deploy(&[]);
    let second = site.live().unwrap();
    let env = |id: &str| format!("Release {id} links to `shared/.env`, which does not exist");

    fs::remove_file(site.target("shared/.env")).unwrap();
    let ran = site.cutover(&["rollback"]);
    ran.failed(0, &[&env(&first)]);
    assert_eq!(ran.json["warnings"], json!([env(&first)]));
    assert_eq!(site.live(), Some(first.clone()));
    assert_eq!(site.succeed(&["status"])["warnings"], json!([env(&first)]));

    fs::remove_file(site.path("elsewhere")).unwrap();
    fs::remove_file(site.target("shared/a")).unwrap();
    let three = format!("Release {second} links to 3 paths that do not exist: `shared/.env`, `shared/a`, `shared/e`");
    assert_eq!(site.succeed(&["switch", &second])["warnings"], json!([three]));
    // A file where a directory was.
    fs::remove_dir_all(site.target("shared/c")).unwrap();
    fs::write(site.target("shared/c"), "").unwrap();
    let four = format!(
        "Release {first} links to 4 paths that do not exist: `shared/.env`, `shared/a`, `shared/c/d` and 1 more"
    );
    assert_eq!(site.succeed(&["rollback"])["warnings"], json!([four]));
    assert_eq!(site.live(), Some(first));
}

/// A damaged release keeps every object until somebody does what the warning says.
#[test]
fn who_does_what_is_said_of_a_damaged_release_has_a_store_in_order() {
    for name in ["record", "manifest"] {
        let mut site = live_site();
        site.configure("keep_releases = 2\ngrace = '0s'\nspare = false\n");
        let id = site.live().unwrap();
        site.deploy(&[]);
        fs::write(site.target(&format!(".cutover/releases/{id}/{name}")), "damage").unwrap();
        // What is warned of is said once, and stands in the object.
        site.write("file", "edited again");
        let ran = site.cutover(&["cleanup"]);
        let said = ran.stderr.matches("may need any of them").count();
        let warnings = ran.json["warnings"].to_string();
        assert_eq!(
            (ran.code, said, warnings.matches("may need any of them").count()),
            (Some(0), 1, 1),
            "{}",
            ran.stderr
        );
        let way_out = format!("delete `releases/{id}` on the server");
        assert!(warnings.contains(&way_out), "{warnings}");
        fs::remove_dir_all(site.release(&id)).unwrap();
        let report = site.deploy(&[]);
        assert_eq!(report["warnings"], json!([]), "{name}");
        assert_eq!(site.succeed(&["cleanup"])["warnings"], json!([]), "{name}");
        assert_eq!(site.objects().len(), 2, "{name}");
    }
}

#[test]
fn a_record_that_cannot_be_read_stops_no_verb() {
    for kind in ["directory", "symlink"] {
        let site = live_site();
        let first = site.live().unwrap();
        for version in ["two", "three"] {
            site.write("version", version);
            site.deploy(&[]);
        }
        let record = site.target(&format!(".cutover/releases/{first}/record"));
        fs::remove_file(&record).unwrap();
        match kind {
            "directory" => fs::create_dir(&record).unwrap(),
            _ => symlink("/etc/passwd", &record).unwrap(),
        }
        for verb in ["status", "releases", "rollback", "cleanup"] {
            site.succeed(&[verb]);
        }
        site.write("version", "four");
        site.deploy_and_compare(&[]);
    }
}
