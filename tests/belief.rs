//! The client's belief about the server may be wrong: the server may be reinstalled, and others deploy and clean up.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::real_tree::noise;
use crate::support::site::{Site, number};
use crate::support::tree::{self, assert_same};

/// Files of this size are cut when they are sent, so that their next version is described without a question.
const CUT_BYTES: usize = 20 << 20;

/// Inserts bytes into the large file.
fn insert(site: &Site, seed: u64) {
    let large = site.source("large");
    let mut content = fs::read(&large).unwrap();
    content.splice(9_000_000..9_000_000, noise(seed, 10_000));
    fs::write(large, content).unwrap();
}

/// A site with a large file, deployed twice by one client.
fn site_of_a_large_file() -> Site {
    let site = Site::new();
    site.write("large", noise(1, CUT_BYTES));
    site.deploy_and_compare(&[]);
    insert(&site, 2);
    let release = site.deploy_and_compare(&[]);
    assert_eq!(site.live(), Some(release));
    site
}

/// Deploys what has changed since, and returns how many bytes were sent.
#[track_caller]
fn sent(site: &Site) -> u64 {
    let report = site.deploy(&[]);
    assert_eq!(report["state"], "live");
    assert_same(&site.path("source"), &site.current(""));
    number(&report["sent_bytes"])
}

#[test]
fn a_large_file_goes_whole_to_a_target_that_was_made_anew() {
    let site = site_of_a_large_file();
    fs::remove_dir_all(site.target("")).unwrap();
    insert(&site, 3);
    let bytes = sent(&site);
    assert!(bytes > CUT_BYTES as u64, "{bytes} bytes");
}

#[test]
fn a_large_file_is_described_in_terms_of_another_release_that_is_known_here() {
    let site = site_of_a_large_file();
    // The live release cannot serve as the base any more; the one before does.
    let records = site.target(".cutover/releases").join(site.live().unwrap());
    fs::write(records.join("manifest"), "no manifest").unwrap();
    insert(&site, 3);
    let bytes = sent(&site);
    assert!(bytes < 60_000, "{bytes} bytes");
}

#[test]
fn a_large_file_is_described_in_terms_of_another_release_that_is_not_known_here() {
    let site = site_of_a_large_file();
    let others = site.path("other-state").to_str().unwrap().to_owned();
    for seed in 3..7 {
        insert(&site, seed);
        site.deploy(&["--state-dir", &others, "--grace", "0s"]);
    }
    insert(&site, 7);
    let bytes = sent(&site);
    assert!(bytes < 60_000, "{bytes} bytes");
}

#[test]
fn little_goes_unasked_to_a_server_that_does_not_have_the_base() {
    // Of these a delta is expected to come to very little.
    const FILES: u64 = 12;
    let site = Site::new();
    let write = |seed| {
        (0..FILES).for_each(|file| site.write(&format!("file-{file}"), noise(seed * FILES + file + 1, (1 << 20) - 1)));
    };
    write(0);
    site.deploy_and_compare(&[]);
    fs::remove_dir_all(site.target("")).unwrap();
    write(1);
    let bytes = sent(&site);
    assert!(bytes >> 20 < FILES + 3, "{bytes} bytes");
}

/// The same server may have two names, and a deploy path two spellings. The store's identity is one.
#[test]
fn a_store_that_is_known_under_another_name_costs_no_more_for_it() {
    let mut site = Site::new();
    for file in 0..4_000 {
        site.write(&format!("{}/{file}", file % 40), format!("file {file}"));
    }
    site.deploy(&[]);
    let (real, alias) = (site.target(""), site.path("alias"));
    symlink(&real, &alias).unwrap();
    site.move_to(&alias);
    let unchanged = site.deploy(&[]);
    assert_eq!(unchanged["state"], "unchanged");
    assert!(number(&unchanged["sent_bytes"]) + number(&unchanged["received_bytes"]) < 1_000, "{unchanged}");
    site.write("7/7", "edited");
    for name in ["other", "third"] {
        symlink(&real, site.path(name)).unwrap();
        site.move_to(&site.path(name));
        site.write("7/7", name);
        let report = site.deploy(&[]);
        assert_eq!(report["state"], "live");
        assert!(number(&report["sent_bytes"]) + number(&report["received_bytes"]) < 3_000, "{report}");
        assert_same(&site.path("source"), &site.current(""));
    }
}

#[test]
fn what_a_client_of_an_earlier_base_changed_is_counted_against_the_live_release() {
    let site = Site::new();
    let other = site.path("other-state").to_str().unwrap().to_owned();
    for file in ["one", "two"] {
        site.write(file, noise(1, 3000));
    }
    site.deploy(&[]);
    site.deploy(&["--state-dir", &other]);
    site.write("one", noise(2, 3000));
    site.deploy(&[]);
    // The other client describes both edits against the first release, and promises their hashes.
    site.write("two", noise(3, 3000));
    let report = site.deploy(&["--state-dir", &other]);
    assert_eq!(["files_new", "files_changed", "files_removed"].map(|count| number(&report[count])), [0, 1, 0]);
}

#[test]
fn an_edited_object_is_told_also_when_its_content_comes_unasked() {
    let site = Site::new();
    let other = site.path("other-state").to_str().unwrap().to_owned();
    site.write("edited", noise(1, 3000));
    site.deploy(&[]);
    site.deploy(&["--state-dir", &other]);
    site.write("edited", noise(2, 3000));
    site.deploy(&[]);
    let object = site.object_of("edited");
    tree::set_mode(&object, 0o644);
    fs::write(&object, "edited in place").unwrap();
    site.write("more", "more");
    let report = site.deploy(&["--state-dir", &other]);
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("`edited` (content)") && warnings.contains("The stored content of 1 file"), "{report}");
    assert_eq!(fs::read(site.current("edited")).unwrap(), noise(2, 3000));
}
