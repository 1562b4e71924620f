//! Data of a failed sync is read from the disk again before it is used, and every failed sync is reported.
//!
//! After a failed write the kernel keeps the content in its cache and marks it clean. A disk whose file was changed
//! behind the filesystem's back is in the same state: cache and disk have different content.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::SystemTime;

use crate::support::mount::{Kind, Mount, Turn};
use crate::support::real_tree::noise;
use crate::support::site::{Site, names};
use crate::support::sshd::run;
use crate::support::strace;
use crate::support::tree::assert_same;
use crate::support::wait;

const FILES: u64 = 40;
const FILE_BYTES: usize = 50_000;

/// A site whose deploy path is on a disk of its own.
struct Disk {
    // Unmounted before the site's directory is removed.
    mounted: Option<Mount>,
    site: Site,
    _turn: Turn,
}

impl Disk {
    fn new() -> Option<Disk> {
        let turn = Turn::to_remount();
        let mut site = Site::new();
        Mount::make_disk(Kind::Ext4, &site.path("disk"))?;
        let mounted = Mount::disk(&site.path("mounted"), Kind::Ext4, &site.path("disk"))?;
        site.move_to(&site.path("mounted/site"));
        Some(Disk { mounted: Some(mounted), site, _turn: turn })
    }

    fn write_files(&self) {
        (0..FILES).for_each(|at| self.site.write(&format!("data/{at}"), noise(at, FILE_BYTES)));
    }

    /// Writes something else to the disk than the cache holds of the files, and returns for how many of them that was done.
    fn lose_content(&self) -> usize {
        run(Command::new("sync").arg("-f").arg(self.site.path("mounted")));
        let disk = fs::read(self.site.path("disk")).unwrap();
        let file = fs::OpenOptions::new().write(true).open(self.site.path("disk")).unwrap();
        let lost: Vec<Vec<u8>> = (0..FILES).step_by(2).map(|at| noise(at, FILE_BYTES)[..1024].to_vec()).collect();
        let blocks = disk.chunks_exact(1024).enumerate().filter(|(_, block)| lost.iter().any(|lost| lost == block));
        blocks.map(|(at, _)| file.write_all_at(&[b'x'; 1024], at as u64 * 1024).unwrap()).count()
    }

    /// Comes up again: what the cache held is gone.
    fn mount_again(&mut self) {
        drop(self.mounted.take());
        fs::remove_dir(self.site.path("mounted")).unwrap();
        self.mounted = Mount::disk(&self.site.path("mounted"), Kind::Ext4, &self.site.path("disk"));
    }

    fn releases(&self) -> Vec<PathBuf> {
        let places = ["releases", ".cutover/releases"].map(|place| self.site.target(place));
        places.iter().flat_map(|place| names(place).into_iter().map(|name| place.join(name))).collect()
    }
}

#[test]
fn content_that_a_failed_sync_left_only_in_the_cache_is_sent_again() {
    let Some(mut disk) = Disk::new() else { return };
    disk.site.write("version", "one");
    disk.site.deploy(&[]);
    disk.write_files();
    let Some(ran) = strace::inject(&disk.site, &["deploy"], "syncfs:error=EIO", None) else { return };
    ran.failed(3, &["Could not sync the filesystem", "The site still serves release"]);
    assert_eq!(disk.lose_content(), FILES as usize / 2);
    disk.site.deploy_and_compare(&[]);
    disk.mount_again();
    assert_same(&disk.site.path("source"), &disk.site.current(""));
}

#[test]
fn objects_that_no_release_names_are_read_from_the_disk_before_they_are_used() {
    let Some(mut disk) = Disk::new() else { return };
    disk.write_files();
    disk.site.deploy(&["--no-switch"]);
    // What a run leaves that died, or whose sync failed, after it had published its objects.
    disk.releases().iter().for_each(|path| fs::remove_dir_all(path).unwrap());
    assert_eq!(disk.lose_content(), FILES as usize / 2);
    // An object of this very second is not used in any case.
    let made = SystemTime::now();
    wait::until("the next second", || (made.elapsed().unwrap().as_secs() > 0).then_some(()));
    disk.site.deploy_and_compare(&[]);
    disk.mount_again();
    assert_same(&disk.site.path("source"), &disk.site.current(""));
}

/// Where a sync fails when what other runs left is to be used, nothing of it is used.
#[test]
fn what_is_left_on_a_disk_that_does_not_sync_is_sent_again() {
    let Some(disk) = Disk::new() else { return };
    disk.write_files();
    let Some(ran) = strace::inject(&disk.site, &["deploy"], "syncfs:error=EIO", None) else { return };
    ran.failed(3, &["Could not sync the filesystem"]);
    let mut staged = Command::new("find");
    staged.arg(disk.site.target(".cutover/staging")).args(["-type", "f"]);
    assert_eq!(run(&mut staged).lines().count(), FILES as usize);
    let ran = strace::inject(&disk.site, &["deploy"], "syncfs:error=EIO:when=1", None).unwrap();
    let sent = ran.succeeded()["sent_bytes"].as_u64().unwrap();
    assert!(sent >= FILES * FILE_BYTES as u64, "{sent}");
}

/// Each file and each directory is synced singly where little is new: a failure of any of them is told.
#[test]
fn no_failed_sync_goes_untold() {
    let site = Site::new();
    site.write("app/deep/version", "0");
    site.write("app/other", "other");
    site.deploy(&[]);
    let mut told = 0;
    for at in 1.. {
        site.write("app/deep/version", format!("{at}"));
        let before = site.live();
        let Some(ran) = strace::inject(&site, &["deploy"], &format!("fsync:error=EIO:when={at}"), None) else { return };
        let warnings = ran.json["warnings"].as_array().map_or(0, Vec::len);
        if ran.code == Some(0) && warnings == 0 {
            // There were no more of them.
            assert_same(&site.path("source"), &site.current(""));
            break;
        }
        assert!(ran.stderr.contains("Could not sync"), "{at}: {}", ran.stderr);
        if site.live() != before {
            assert_same(&site.path("source"), &site.current(""));
        }
        told += 1;
    }
    assert!(told > 10, "{told}");
    site.deploy_and_compare(&["--force"]);
}

#[test]
fn a_release_whose_names_may_not_be_on_the_disk_does_not_stand() {
    let site = Site::new();
    site.write("version", "one");
    site.deploy(&[]);
    let standing = site.release_names();
    site.write("version", "two");
    for place in ["releases", ".cutover/releases", ".cutover/objects"] {
        let place = site.target(place);
        let Some(ran) = strace::inject(&site, &["deploy"], "fsync:error=EIO", Some(&place)) else { return };
        ran.failed(3, &["Could not sync the directory", &format!("The site still serves release {}.", standing[0])]);
        assert_eq!(site.release_names(), standing, "{}", place.display());
    }
    site.deploy_and_compare(&[]);
}
