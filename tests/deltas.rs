//! Deltas: the bytes that they save, and that no release depends on them.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::real_tree::noise;
use crate::support::site::{Site, number};
use crate::support::tree::{self, assert_same};

const FILES: usize = 400;
const LINES: usize = 600;

/// Lines that are like no others.
fn line(file: usize, line: usize) -> String {
    let noise = (file * LINES + line + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{noise:016x} of line {line}\n")
}

fn path(file: usize) -> String {
    format!("directory-{}/file-{file}", file % 20)
}

/// A deployed site of text files.
fn site() -> Site {
    let site = Site::new();
    for file in 0..FILES {
        site.write(&path(file), (0..LINES).map(|at| line(file, at)).collect::<String>());
    }
    site.deploy_and_compare(&[]);
    site
}

/// Inserts a line into each file.
fn edit(site: &Site, edit: usize) {
    for file in 0..FILES {
        let path = site.source(&path(file));
        let text = fs::read_to_string(&path).unwrap();
        let at = text.match_indices('\n').nth((file * 7 + edit * 31) % LINES).unwrap().0 + 1;
        let (before, after) = text.split_at(at);
        fs::write(path, format!("{before}edit {edit}\n{after}")).unwrap();
    }
}

/// What a deploy cost.
struct Cost {
    sent_bytes: u64,
    round_trips: u64,
}

/// Deploys and compares.
#[track_caller]
fn cost(site: &Site) -> Cost {
    let report = site.deploy(&[]);
    assert_eq!(report["state"], "live");
    assert_same(&site.path("source"), &site.current(""));
    Cost { sent_bytes: number(&report["sent_bytes"]), round_trips: number(&report["round_trips"]) }
}

/// As [`cost`], where only the bytes matter.
#[track_caller]
fn sent(site: &Site) -> u64 {
    cost(site).sent_bytes
}

/// What an edit of all files may cost: the line and its place in each of them.
const EDIT_BYTES_MAX: u64 = FILES as u64 * 16;
/// What the files take as they are, compressed.
const WHOLE_BYTES_MIN: u64 = (FILES * LINES * 8) as u64;

#[test]
fn an_edit_costs_what_was_edited_deploy_after_deploy() {
    let site = site();
    for number in 0..4 {
        edit(&site, number);
        let Cost { sent_bytes, round_trips } = cost(&site);
        assert!(sent_bytes < EDIT_BYTES_MAX, "{sent_bytes} bytes for edit {number}");
        assert_eq!(round_trips, 1, "all goes in one flight");
    }
}

#[test]
fn what_was_edited_takes_as_little_of_the_content_cache() {
    let site = site();
    let bytes = |site: &Site| -> u64 { cached(site, "pack").iter().map(|pack| pack.metadata().unwrap().len()).sum() };
    let mut before = bytes(&site);
    for number in 0..4 {
        edit(&site, number);
        sent(&site);
        let kept = bytes(&site) - before;
        // Beside the line and its place, those of all edits before: what is kept is in terms of the first version.
        assert!(kept < EDIT_BYTES_MAX * (number as u64 + 2), "{kept} bytes for edit {number}");
        before += kept;
    }
}

#[test]
fn a_first_deploy_waits_only_to_hear_that_nothing_is_there() {
    let site = Site::new();
    for number in 0..50 {
        site.write(&format!("dir-{}/file-{number}", number % 5), format!("text {}", number / 2));
    }
    assert_eq!(cost(&site).round_trips, 2, "one until it is ready, one for all content");
}

/// The files of the content cache with this extension.
fn cached(site: &Site, extension: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(site.path("state/content")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|own| own == extension)).collect()
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = fs::read(path).unwrap();
    change(&mut content);
    fs::write(path, content).unwrap();
}

#[test]
fn a_content_cache_that_was_damaged_costs_bytes_and_nothing_else() {
    type Damage = fn(&Site);
    // Where content is not what an index says of it, files go whole; where there is no index, signatures are asked for.
    let (whole, signed) = (WHOLE_BYTES_MIN..u64::MAX, EDIT_BYTES_MAX..WHOLE_BYTES_MIN / 4);
    let damages: [(&str, &Range<u64>, Damage); 6] = [
        ("removed", &signed, |site| fs::remove_dir_all(site.path("state/content")).unwrap()),
        ("packs removed", &signed, |site| cached(site, "pack").iter().for_each(|pack| fs::remove_file(pack).unwrap())),
        ("packs cut off", &whole, |site| {
            cached(site, "pack").iter().for_each(|pack| change(pack, |content| content.truncate(100)));
        }),
        ("packs altered", &whole, |site| {
            for pack in cached(site, "pack") {
                change(&pack, |content| content.iter_mut().step_by(50).for_each(|byte| *byte ^= 1));
            }
        }),
        ("indexes altered", &signed, |site| {
            cached(site, "index").iter().for_each(|index| change(index, |content| content[40] ^= 1));
        }),
        ("indexes empty", &signed, |site| cached(site, "index").iter().for_each(|index| change(index, Vec::clear))),
    ];
    let site = site();
    for (number, (what, expected, damage)) in damages.into_iter().enumerate() {
        edit(&site, number * 2);
        damage(&site);
        let lost = sent(&site);
        assert!(expected.contains(&lost), "{what}: {lost} bytes");
        // What was sent is at hand again.
        edit(&site, number * 2 + 1);
        let edited = sent(&site);
        assert!(edited < EDIT_BYTES_MAX, "{what}: {edited} bytes");
    }
}

#[test]
fn a_content_cache_that_cannot_be_had_is_told_and_costs_bytes() {
    let site = site();
    fs::remove_dir_all(site.path("state/content")).unwrap();
    fs::write(site.path("state/content"), "a file").unwrap();
    edit(&site, 0);
    let ran = site.cutover(&["deploy"]);
    assert!(ran.stderr.contains("state/content"), "{}", ran.stderr);
    ran.succeeded();
    assert_same(&site.path("source"), &site.current(""));
}

#[test]
fn an_old_object_that_is_not_what_it_was_costs_bytes_and_nothing_else() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 3] = [
        ("removed", |object| fs::remove_file(object).unwrap()),
        ("altered", |object| change(object, |content| content[LINES] ^= 1)),
        ("cut off", |object| change(object, |content| content.truncate(LINES))),
    ];
    for (what, damage) in damages {
        let site = site();
        let object = site.object_of(&path(0));
        tree::set_mode(&object, 0o644);
        damage(&object);
        if object.exists() {
            tree::set_mode(&object, 0o444);
        }
        edit(&site, 0);
        let Cost { sent_bytes, round_trips } = cost(&site);
        assert!(sent_bytes > EDIT_BYTES_MAX, "{what}: {sent_bytes} bytes");
        assert_eq!(round_trips, 3, "{what}: the hashes are asked for, then the content");
    }
}

#[test]
fn another_client_in_between_costs_no_more_than_what_it_changed() {
    let site = site();
    let state = |name: &str| site.path(name).to_str().unwrap().to_owned();
    let others = state("other-state");
    edit(&site, 0);
    let signed = number(&site.deploy(&["--state-dir", &others])["sent_bytes"]);
    assert!(signed > EDIT_BYTES_MAX, "{signed} bytes by a client that has nothing");
    // The release that this client knows still stands: what was changed since is described in terms of that.
    edit(&site, 1);
    let both = sent(&site);
    assert!(both < 2 * EDIT_BYTES_MAX, "{both} bytes");
    for number in 2..6 {
        edit(&site, number);
        site.deploy(&["--state-dir", &others, "--grace", "0s"]);
    }
    // Now it does not, and what stands this client never had.
    edit(&site, 6);
    assert!(sent(&site) > EDIT_BYTES_MAX);
    edit(&site, 7);
    let edited = sent(&site);
    assert!(edited < EDIT_BYTES_MAX, "{edited} bytes");
}

#[test]
fn what_the_server_has_anywhere_is_not_sent() {
    let site = site();
    // A file moved, one copied, two that are alike, one that takes the place of another.
    fs::rename(site.source(&path(0)), site.source("moved")).unwrap();
    fs::copy(site.source(&path(1)), site.source("copied")).unwrap();
    site.write("twin-1", "of one content");
    site.write("twin-2", "of one content");
    fs::copy(site.source(&path(2)), site.source(&path(3))).unwrap();
    let Cost { sent_bytes, round_trips } = cost(&site);
    assert!(sent_bytes < 700, "{sent_bytes} bytes");
    assert_eq!(round_trips, 1);
    // What an earlier release has, and still stands.
    fs::rename(site.source("moved"), site.source(&path(0))).unwrap();
    let before = fs::read(site.source(&path(4))).unwrap();
    edit(&site, 0);
    sent(&site);
    edit(&site, 1);
    fs::write(site.source(&path(4)), before).unwrap();
    let Cost { round_trips, .. } = cost(&site);
    assert_eq!(round_trips, 1);
}

#[test]
fn going_back_to_what_stands_costs_nothing() {
    let site = site();
    let before = fs::read(site.source(&path(0))).unwrap();
    site.write(&path(0), "another content");
    sent(&site);
    fs::write(site.source(&path(0)), before).unwrap();
    let Cost { sent_bytes, round_trips } = cost(&site);
    assert!(sent_bytes < 500, "{sent_bytes} bytes");
    assert_eq!(round_trips, 1);
}

#[test]
fn another_mode_is_made_on_the_server() {
    let site = site();
    for file in 0..FILES {
        tree::set_mode(site.source(&path(file)), 0o755);
    }
    let Cost { sent_bytes, round_trips } = cost(&site);
    assert!(sent_bytes < FILES as u64 * 8, "{sent_bytes} bytes");
    assert_eq!(round_trips, 1);
    assert_eq!(site.current(&path(0)).metadata().unwrap().permissions().mode() & 0o777, 0o555);
    // Where what it would be made of is not what it was, it is sent.
    let object = site.object_of(&path(0));
    tree::set_mode(&object, 0o755);
    change(&object, |content| content[LINES] ^= 1);
    tree::set_mode(&object, 0o555);
    tree::set_mode(site.source(&path(0)), 0o600);
    assert_eq!(cost(&site).round_trips, 2);
}

#[test]
fn files_of_which_nothing_stayed_go_in_blocks_that_fit() {
    // As many as a block holds, each as large as a delta is made for.
    let files = || (0..9).map(|file| format!("file-{file}"));
    let site = Site::new();
    files().zip(1..).for_each(|(path, seed)| site.write(&path, noise(seed, (1 << 20) - 1)));
    site.deploy_and_compare(&[]);
    files().zip(11..).for_each(|(path, seed)| site.write(&path, noise(seed, (1 << 20) - 1)));
    let bytes = sent(&site);
    assert!((9 << 20..10 << 20).contains(&bytes), "{bytes} bytes");
}

/// Bytes like no others.
fn write_large(site: &Site, seed: u64, bytes: usize) -> PathBuf {
    site.write("large", noise(seed, bytes));
    site.source("large")
}

/// Bytes sent and received by a deploy, and its round trips.
#[track_caller]
fn both_ways(site: &Site) -> (u64, u64) {
    let report = site.deploy(&[]);
    assert_same(&site.path("source"), &site.current(""));
    (number(&report["sent_bytes"]) + number(&report["received_bytes"]), number(&report["round_trips"]))
}

#[test]
fn an_insertion_into_a_large_file_costs_little_more_than_itself() {
    const INSERTED: usize = 1000;
    let site = Site::new();
    let large = write_large(&site, 1, 20 << 20);
    site.write("other", "text");
    site.deploy_and_compare(&[]);
    // Its chunks are known, as it was cut when it was sent.
    change(&large, |content| drop(content.splice(9_000_000..9_000_000, noise(2, INSERTED))));
    let (bytes, round_trips) = both_ways(&site);
    assert!(bytes < 4_000, "{bytes} bytes");
    assert_eq!(round_trips, 2);
    // At both ends, and something removed.
    change(&large, |content| drop(content.splice(..0, noise(3, INSERTED))));
    change(&large, |content| content.extend(noise(4, INSERTED)));
    change(&large, |content| drop(content.drain(5_000_000..5_300_000)));
    let (bytes, _) = both_ways(&site);
    assert!(bytes < 12_000, "{bytes} bytes");
    // A client that knows nothing asks for its chunks.
    fs::remove_dir_all(site.path("state")).unwrap();
    change(&large, |content| drop(content.splice(9_000_000..9_000_000, noise(5, INSERTED))));
    let (bytes, round_trips) = both_ways(&site);
    assert!(bytes < 12_000, "{bytes} bytes");
    assert!(round_trips <= 4, "{round_trips}");
}
