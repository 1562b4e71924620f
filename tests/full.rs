//! On a disk without a free block a rollback and a cleanup work, and the next deploy finds the freed space.

use std::fs;
use std::io::Write;
use std::process::Command;

use crate::support::mount::{Kind, Mount, Turn};
use crate::support::real_tree::noise;
use crate::support::site::{Site, names};
use crate::support::sshd::run;

/// A site on a full disk, with four releases of which the last three stand.
struct FullDisk {
    // Unmounted before the site's directory is removed.
    mounted: Option<Mount>,
    site: Site,
    kind: Kind,
    _turn: Turn,
}

impl FullDisk {
    fn make(kind: Kind) -> Option<FullDisk> {
        let turn = Turn::to_remount();
        let mut site = Site::new();
        Mount::make_disk(kind, &site.path("disk"))?;
        let mounted = Mount::disk(&site.path("mounted"), kind, &site.path("disk"))?;
        site.move_to(&site.path("mounted/site"));
        for version in 0..4 {
            site.write("version", format!("{version}"));
            site.write("blob", noise(version, 6_000_000));
            site.deploy(&["--grace", "0s"]);
        }
        fill(&site);
        drop(mounted);
        fs::rename(site.path("disk"), site.path("full")).unwrap();
        Some(FullDisk { mounted: None, site, kind, _turn: turn })
    }

    /// Goes back to how it was when it was full.
    fn reset(&mut self) -> Option<()> {
        drop(self.mounted.take());
        let (full, disk) = (self.site.path("full"), self.site.path("disk"));
        run(Command::new("cp").arg("--sparse=always").args([&full, &disk]));
        self.site.configure("");
        fs::remove_dir(self.site.path("mounted")).ok();
        self.mounted = Some(Mount::disk(&self.site.path("mounted"), self.kind, &disk)?);
        Some(())
    }
}

/// Fills the disk until not a byte fits, and no name.
fn fill(site: &Site) {
    let mut file = fs::File::create(site.path("mounted/filler")).unwrap();
    // What was promised room and is not written yet may leave some.
    for size in [8 << 20, 1 << 20, 4096, 4096, 512, 512, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
        file.sync_data().ok();
    }
    for number in 0..2_000 {
        let name = site.path(&format!("mounted/filler-{number}-{}", "x".repeat(200)));
        if fs::write(&name, [0; 4096]).is_err() {
            break;
        }
    }
}

#[test]
fn a_deploy_whose_hook_fills_the_disk_leaves_the_old_release_live_and_a_way_back() {
    let _turn = Turn::to_remount();
    let mut site = Site::new();
    let (disk, mounted) = (site.path("disk"), site.path("mounted"));
    let Some(()) = Mount::make_disk(Kind::Ext4, &disk) else { return };
    let Some(_mounted) = Mount::disk(&mounted, Kind::Ext4, &disk) else { return };
    site.move_to(&site.path("mounted/site"));
    for version in ["one", "two"] {
        site.write("version", version);
        site.deploy(&[]);
    }
    let live = site.live().unwrap();
    let filler = site.path("mounted/filler").display().to_string();
    let write = |size: &str| format!("dd if=/dev/zero bs={size} >> {filler} 2>/dev/null");
    let run = ["1M", "4096", "512", "1"].map(write).join("; ") + "; sync; true";
    site.configure(&format!("[[hooks]]\nname = 'fill'\nphase = 'before_switch'\nrun = '{run}'\n"));
    site.write("version", "three");
    // The record of a release says where a rollback from it goes: without it, the release does not go live.
    site.refused(&["deploy"], 1, &["/record`", "No space left on device", "Hint: Free some space", &live]);
    assert_eq!(site.live(), Some(live));
    site.configure("");
    site.succeed(&["rollback"]);
    assert_eq!(fs::read_to_string(site.current("version")).unwrap(), "one");
    fs::remove_file(filler).unwrap();
    site.deploy_and_compare(&[]);
    site.succeed(&["rollback"]);
    assert_eq!(fs::read_to_string(site.current("version")).unwrap(), "one");
}

#[derive(Debug, Clone, Copy)]
enum Verb {
    Rollback,
    Switch,
    Cleanup,
}

#[test]
fn on_a_full_disk_a_rollback_and_a_cleanup_work() {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        let Some(mut disk) = FullDisk::make(kind) else { continue };
        for verb in [Verb::Rollback, Verb::Switch, Verb::Cleanup] {
            let Some(()) = disk.reset() else { continue };
            check(verb, &mut disk.site, &format!("{kind:?} {verb:?}"));
        }
    }
}

fn check(verb: Verb, site: &mut Site, what: &str) {
    let version = |site: &Site| fs::read_to_string(site.current("version")).unwrap();
    let (live, objects) = (site.live().unwrap(), site.objects().len());
    match verb {
        Verb::Rollback => {
            site.succeed(&["rollback"]);
            assert_eq!(version(site), "2", "{what}");
        }
        Verb::Switch => {
            site.succeed(&["switch", &site.release_names()[1]]);
            site.succeed(&["switch", &live]);
            assert_eq!(version(site), "3", "{what}");
            site.succeed(&["rollback"]);
            assert_eq!(version(site), "2", "{what}");
        }
        Verb::Cleanup => {
            site.configure("keep_releases = 2\n");
            let report = site.succeed(&["cleanup", "--grace", "0s"]);
            assert_eq!(site.release_names().len(), 2, "{what} {report}");
            assert!(site.objects().len() < objects, "{what} {report}");
            assert_eq!(names(&site.target(".cutover/trash")), [""; 0], "{what}");
            // There is room for a small release now.
            site.write("blob", "small");
            site.deploy_and_compare(&[]);
        }
    }
    assert!(site.succeed(&["status"])["lock"].is_null(), "{what}");
}
