//! Objects that were damaged or changed by hand.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::real_tree::noise;
use crate::support::site::{Site, number};
use crate::support::sshd::{is_root, run};
use crate::support::tree::{self, Stat, assert_no_path_deceives, assert_same, stat};

use super::{releases, rename_in_turn};

/// What can happen to an object behind our back.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Written,
    Truncated,
    Touched,
    MadeWritable,
    Removed,
}

impl Damage {
    /// Tells whether the content is still there.
    fn spares_content(self) -> bool {
        matches!(self, Damage::Touched | Damage::MadeWritable)
    }

    fn do_to(self, object: &Path) {
        let set_mtime = |file: &fs::File| {
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
        };
        // Root may write to what is read-only; others would have to make it writable first.
        match self {
            Damage::Written => {
                tree::set_mode(object, 0o644);
                fs::write(object, "DAMAGED!").unwrap();
                tree::set_mode(object, 0o444);
                set_mtime(&fs::File::open(object).unwrap());
            }
            Damage::Truncated => {
                tree::set_mode(object, 0o644);
                fs::OpenOptions::new().write(true).open(object).unwrap().set_len(3).unwrap();
                tree::set_mode(object, 0o444);
            }
            Damage::Touched => set_mtime(&fs::File::open(object).unwrap()),
            Damage::MadeWritable => tree::set_mode(object, 0o666),
            Damage::Removed => fs::remove_file(object).unwrap(),
        }
    }
}

/// What is deployed after the damage.
#[derive(Debug, Clone, Copy)]
enum Next {
    Forced,
    Edited,
    EditedByAnotherClient,
    Moved,
}

#[test]
fn what_was_damaged_is_right_in_the_next_release() {
    use Damage::{MadeWritable, Removed, Touched, Truncated, Written};
    for damage in [Written, Truncated, Touched, MadeWritable, Removed] {
        for next in [Next::Forced, Next::Edited, Next::EditedByAnotherClient, Next::Moved] {
            let site = Site::new();
            site.write("file", "content.");
            site.write("deep/copy", "content.");
            site.write("other", "other");
            site.deploy(&[]);
            damage.do_to(&site.object_of("file"));
            match next {
                Next::Forced => {}
                Next::Edited => site.write("other", "edited"),
                Next::EditedByAnotherClient => {
                    site.write("other", "edited");
                    site.forget();
                }
                Next::Moved => fs::rename(site.source("file"), site.source("deep/moved")).unwrap(),
            }
            let ran = site.cutover(&["deploy", "--force"]);
            assert_eq!(ran.code, Some(0), "{damage:?} {next:?}: {}", ran.stderr);
            // Where it is linked again its damage is seen, and told.
            let is_told = ran.stderr.contains(match damage.spares_content() {
                true => "was changed on the server, and Cutover restored it",
                false => "was changed or removed on the server",
            });
            assert!(!damage.spares_content() || number(&ran.json["sent_bytes"]) < 1000, "{damage:?} {next:?}");
            assert!(is_told || matches!(next, Next::Moved), "{damage:?} {next:?}: {}", ran.stderr);
            println!("{damage:?} {next:?} {is_told}");
            assert_same(&site.path("source"), &site.current(""));
            for object in site.objects() {
                assert_eq!(stat(&object).mode & 0o222, 0, "{damage:?} {next:?}");
            }
        }
    }
}

#[test]
fn what_was_damaged_is_replaced_once_whatever_is_deployed_after() {
    use Damage::{MadeWritable, Removed, Touched, Truncated, Written};
    for damage in [Written, Truncated, Touched, MadeWritable, Removed] {
        println!("{damage:?}");
        let mut site = Site::new();
        site.configure("keep_releases = 10\n");
        site.write("file", "content.");
        let first = site.deploy_and_compare(&[]);
        site.deploy_and_compare(&["--force"]);
        damage.do_to(&site.object_of("file"));
        let replacements = u64::from(!damage.spares_content());
        assert_eq!(number(&site.deploy(&["--force"])["objects_new"]), replacements);
        let replaced = stat(&site.object_of("file"));
        let deploy_another = |path: &str| {
            site.write(path, "content.");
            let report = site.deploy(&[]);
            assert_eq!(number(&report["objects_new"]), 0, "{damage:?} {path}");
            assert_same(&site.path("source"), &site.current(""));
            for path in ["file", path] {
                let Stat { inode, mtime, .. } = stat(&site.object_of(path));
                assert_eq!((inode, mtime), (replaced.inode, replaced.mtime), "{damage:?} {path}");
            }
        };
        ["one", "two", "three"].iter().for_each(|path| deploy_another(path));
        // A base from before the damage says another second.
        site.succeed(&["switch", &first, "--force"]);
        site.forget();
        deploy_another("four");
        deploy_another("five");
    }
}

/// Makes a site with two files of equal size that have changed places, so that each content has a further copy.
fn site_with_further_copies(bytes: usize) -> Site {
    let site = Site::new();
    site.write("one", noise(1, bytes));
    site.write("other", noise(2, bytes));
    site.deploy(&[]);
    rename_in_turn(&site, "one", "other");
    site.deploy(&[]);
    assert_eq!(further(&site).len(), 2);
    site
}

/// Returns the further copies of objects.
fn further(site: &Site) -> Vec<PathBuf> {
    site.objects().into_iter().filter(|object| object.to_str().unwrap().ends_with("-444.1")).collect()
}

#[test]
fn where_an_object_is_damaged_its_further_copy_is_used() {
    for damage in [Damage::Removed, Damage::Touched, Damage::MadeWritable] {
        let site = site_with_further_copies(8);
        for object in site.objects().iter().filter(|object| !further(&site).contains(object)) {
            damage.do_to(object);
        }
        let before = further(&site);
        site.write("third", noise(1, 8));
        site.write("fourth", noise(2, 8));
        let report = site.deploy(&[]);
        assert_eq!(number(&report["objects_new"]), 0, "{damage:?}");
        assert_same(&site.path("source"), &site.current(""));
        assert!(before.contains(&site.object_of("third")) && before.contains(&site.object_of("fourth")));
        assert_no_path_deceives(&releases(&site));
    }
}

#[test]
fn where_a_further_copy_is_damaged_the_object_is_used() {
    for damage in [Damage::Removed, Damage::Touched, Damage::MadeWritable] {
        let site = site_with_further_copies(1 << 20);
        further(&site).iter().for_each(|object| damage.do_to(object));
        // At their places the objects would deceive, so copies are made of them, and nothing is sent.
        let report = site.deploy(&["--force"]);
        assert_eq!(number(&report["objects_new"]), if damage.spares_content() { 0 } else { 2 }, "{damage:?}");
        assert!(number(&report["sent_bytes"]) < 2048, "{damage:?} {}", report["sent_bytes"]);
        assert_same(&site.path("source"), &site.current(""));
        assert_no_path_deceives(&releases(&site));
        assert_eq!(number(&site.deploy(&["--force"])["objects_new"]), 0, "{damage:?}");
    }
}

#[test]
fn an_insertion_is_put_together_from_a_further_copy_too() {
    let site = site_with_further_copies(4 << 20);
    for object in site.objects().iter().filter(|object| !further(&site).contains(object)) {
        fs::remove_file(object).unwrap();
    }
    let mut content = noise(2, 4 << 20);
    content.splice(1000..1000, noise(3, 10_000));
    site.write("one", content);
    let report = site.deploy(&[]);
    assert!(number(&report["sent_bytes"]) < 1 << 20, "{}", report["sent_bytes"]);
    assert_same(&site.path("source"), &site.current(""));
}

#[test]
fn modes_and_times_that_were_changed_by_hand_are_put_right_and_nothing_is_sent() {
    let mut site = Site::new();
    site.configure("keep_releases = 2\ngrace = '0s'\n");
    for at in 0..200_u64 {
        site.write(&format!("app/{at}"), noise(at, 20_000));
    }
    // The last of them has a release to reuse.
    for version in ["one", "two", "three", "four"] {
        site.write("version", version);
        site.deploy(&[]);
        let by_hand = ["chmod -R u+w \"$1\"", "find \"$1\" -type f -exec touch {} +"];
        for script in by_hand {
            let live = format!("{}/", site.current("").display());
            run(Command::new("sh").args(["-c", script, "sh", &live]));
            site.write("version", format!("{version} {script}"));
            let report = site.deploy(&[]);
            assert!(number(&report["sent_bytes"]) < 2048, "{}", report["sent_bytes"]);
            assert_eq!(number(&report["objects_new"]), 1);
            assert!(report["warnings"].to_string().contains("200 stored files"), "{}", report["warnings"]);
            assert_same(&site.path("source"), &site.current(""));
            assert!((0..200).all(|at| stat(&site.current(&format!("app/{at}"))).mode & 0o222 == 0));
        }
    }
    assert_eq!(site.deploy(&["--force"])["warnings"].as_array().unwrap().len(), 0);
}

#[test]
fn what_another_user_owns_is_no_object() {
    if !is_root() {
        return;
    }
    const OTHER: u32 = 33;
    let mut site = Site::new();
    site.configure("keep_releases = 2\ngrace = '0s'\n");
    site.write("app", "code: good");
    site.deploy(&[]);
    for version in 0..6 {
        let object = site.object_of("app");
        let before = stat(&object);
        chown(&object, Some(OTHER), None).unwrap();
        tree::set_mode(&object, 0o644);
        fs::write(&object, "code: evil").unwrap();
        let file = fs::File::open(&object).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(before.mtime.0 as u64)).unwrap();
        tree::set_mode(&object, 0o444);
        match version % 3 {
            0 => site.write("version", format!("{version}")),
            1 => site.write(&format!("copy{version}"), "code: good"),
            _ => {
                site.write("version", format!("{version}"));
                site.forget();
            }
        }
        site.deploy_and_compare(&[]);
        assert_eq!(fs::metadata(site.current("app")).unwrap().uid(), 0);
    }
}

/// A copy is made of what an object holds, and that may have been written to with size, mode and mtime put back.
#[test]
fn a_private_copy_has_the_content_of_the_manifest() {
    let mut site = Site::new();
    site.configure("copy_paths = ['config.php']\n");
    site.write("config.php", "content");
    site.write("version", "one");
    site.deploy(&[]);
    let objects = site.objects();
    let object = objects.iter().find(|object| fs::read(object).unwrap() == b"content").unwrap();
    let before = stat(object);
    tree::set_mode(object, 0o644);
    fs::write(object, "CONTENT").unwrap();
    let file = fs::File::open(object).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(before.mtime.0 as u64)).unwrap();
    tree::set_mode(object, 0o444);
    site.write("version", "two");
    let report = site.deploy(&[]);
    assert_eq!(fs::read_to_string(site.current("config.php")).unwrap(), "content");
    assert!(report["warnings"].to_string().contains("This release has the right content"), "{}", report["warnings"]);
}
