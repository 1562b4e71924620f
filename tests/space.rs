//! The space that a deploy needs, and that it and a cleanup leave, beside what `statfs` shows.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use serde_json::{Value, json};

use crate::support::mount::{Kind, Mount, Turn};
use crate::support::real_tree::noise;
use crate::support::site::{Site, names, number, text};
use crate::support::sshd::{Sshd, is_root};
use crate::support::wait;

/// A site on a filesystem of its own, with one small release.
struct Disk {
    // Unmounted before the site's directory is removed.
    _mounted: Mount,
    site: Site,
    filesystem: Filesystem,
    _turn: Turn,
}

/// A filesystem of a test.
#[derive(Debug, Clone, Copy)]
enum Filesystem {
    /// A disk in a file.
    Disk(Kind),
    /// ext4 with blocks of 1 KiB.
    SmallBlocks,
    /// ext4 with few inodes.
    FewInodes,
    /// A filesystem in memory.
    Memory,
}

const ALL: [Filesystem; 5] = [
    Filesystem::Disk(Kind::Ext4),
    Filesystem::SmallBlocks,
    Filesystem::Disk(Kind::Xfs),
    Filesystem::Disk(Kind::Btrfs),
    Filesystem::Memory,
];

impl Filesystem {
    fn mount(self, path: &Path) -> Option<Mount> {
        // Root may use what is set apart for root, so nothing is.
        match self {
            Filesystem::Disk(Kind::Ext4) => Mount::ext4(path, "256M", &["-b", "4096", "-m", "0"]),
            Filesystem::SmallBlocks => Mount::ext4(path, "128M", &["-b", "1024", "-m", "0"]),
            Filesystem::FewInodes => Mount::ext4(path, "64M", &["-N", "400", "-m", "0"]),
            Filesystem::Memory => Mount::tmpfs(path, "size=256m,nr_inodes=20000,mode=755"),
            Filesystem::Disk(kind) => {
                let disk = path.with_extension("disk");
                Mount::make_disk(kind, &disk)?;
                Mount::disk(path, kind, &disk)
            }
        }
    }
}

impl Disk {
    fn make(filesystem: Filesystem) -> Option<Disk> {
        let turn = Turn::to_remount();
        let mut site = Site::new();
        let mounted = filesystem.mount(&site.path("mounted"))?;
        site.move_to(&site.path("mounted/site"));
        site.configure("keep_releases = 9\nspare = false\n");
        site.write("small", "one");
        site.deploy(&[]);
        Some(Disk { _mounted: mounted, site, filesystem, _turn: turn })
    }

    /// Returns the free bytes and inodes.
    fn free(&self) -> (u64, u64) {
        let root = fs::File::open(self.site.path("mounted")).unwrap();
        rustix::fs::syncfs(&root).unwrap();
        let vfs = statvfs(self.site.path("mounted")).unwrap();
        (vfs.f_bavail * vfs.f_frsize, vfs.f_favail)
    }

    fn block_bytes(&self) -> u64 {
        statvfs(self.site.path("mounted")).unwrap().f_frsize
    }

    /// Returns the forecast of the space.
    #[track_caller]
    fn forecast(&self) -> Value {
        let ran = self.site.cutover(&["deploy", "--dry-run"]);
        let preview = &ran.json["preview"];
        // A deploy that would be refused has the exit code of that refusal, behind the whole report.
        let is_refused = !preview["refusal"].is_null();
        assert_eq!(ran.code, Some(i32::from(is_refused)), "{}", ran.stderr);
        assert_eq!(is_refused, preview["space"]["fits"] == json!(false), "{preview}");
        preview["space"].clone()
    }

    /// Takes or gives back space until so many bytes are free.
    fn leave_free(&self, bytes: std::ops::RangeInclusive<u64>) {
        let path = self.site.path("mounted/filler");
        for _ in 0..100 {
            let filler = fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
            let free = self.free().0;
            let length = filler.metadata().unwrap().len();
            if free > *bytes.end() {
                let further = (free - bytes.end()).next_multiple_of(self.block_bytes());
                fallocate(&filler, FallocateFlags::empty(), length, further).unwrap();
            } else if free < *bytes.start() && matches!(self.filesystem, Filesystem::Disk(Kind::Btrfs)) {
                // A part of an extent is not given back.
                fs::remove_file(&path).unwrap();
            } else if free < *bytes.start() {
                let less = (bytes.start() - free).next_multiple_of(self.block_bytes());
                filler.set_len(length - less).unwrap();
            } else {
                return;
            }
        }
        panic!("{bytes:?} cannot be left free: {:?}", self.free());
    }
}

/// Writes a tree of some thousand files: small and large ones, many in one directory, symlinks, empty files.
fn write_tree(site: &Site, seed: u64) {
    for directory in 0..60 {
        for file in 0..20_u64 {
            let size = [0, 300, 3_000, 5_000, 20_000, 70_000][(directory * 7 + file as usize) % 6];
            let content = noise(seed * 10_000 + directory as u64 * 20 + file, size);
            site.write(&format!("tree/directory {directory}/file {file}.txt"), content);
        }
    }
    for file in 0..1_500_u64 {
        site.write(&format!("many/a name of some length {file:05}"), noise(seed * 10_000 + 5_000 + file, 600));
    }
    for (link, target) in [("short", "tree"), ("long", &*"x/".repeat(60))] {
        std::os::unix::fs::symlink(target, site.source(link)).unwrap();
    }
}

#[test]
fn the_computed_need_is_what_the_filesystem_shows_afterwards() {
    for filesystem in ALL {
        let Some(disk) = Disk::make(filesystem) else { continue };
        write_tree(&disk.site, 1);
        let need = disk.forecast();
        let (bytes, inodes) = disk.free();
        disk.site.deploy(&[]);
        let (bytes_after, inodes_after) = disk.free();
        let (bytes, inodes) = (bytes.saturating_sub(bytes_after), inodes.saturating_sub(inodes_after));
        let (needed_bytes, needed_inodes) = (number(&need["needed_bytes"]), number(&need["needed_inodes"]));
        let what = format!("{filesystem:?}: {need}, and {bytes} bytes and {inodes} inodes were taken");
        eprintln!("{what}");
        // What Btrfs keeps in its trees is counted, and shown only when the trees grow.
        let spared = if matches!(filesystem, Filesystem::Disk(Kind::Btrfs)) { needed_bytes / 2 } else { 3 << 19 };
        assert!(bytes <= needed_bytes && needed_bytes - bytes <= needed_bytes / 33 + spared, "{what}");
        // Directories of staging, which are gone, and the margin.
        if !matches!(filesystem, Filesystem::Disk(Kind::Btrfs | Kind::Xfs)) {
            assert!(inodes <= needed_inodes && needed_inodes - inodes <= 256 + 40, "{what}");
        }
    }
}

#[test]
fn a_deploy_that_fits_exactly_goes_through_and_one_block_less_is_refused() {
    for filesystem in ALL {
        let Some(disk) = Disk::make(filesystem) else { continue };
        write_tree(&disk.site, 1);
        let site = &disk.site;
        let needed = number(&disk.forecast()["needed_bytes"]).next_multiple_of(disk.block_bytes());
        // The free space of Btrfs changes in larger steps.
        let step = if matches!(filesystem, Filesystem::Disk(Kind::Btrfs)) { 1 << 20 } else { 0 };
        disk.leave_free(needed - disk.block_bytes() - step..=needed - disk.block_bytes());
        let forecast = disk.forecast();
        assert_eq!(forecast["fits"], json!(false), "{filesystem:?}: {forecast}");
        let objects = site.objects();
        let expected = ["Not enough space on the server: the release needs", "and the user `root` has", "`cutover du "];
        site.refused(&["deploy"], 1, &expected);
        assert_eq!((site.objects(), names(&site.target(".cutover/staging"))), (objects, Vec::new()), "{filesystem:?}");
        // The journal of the run takes a block, and so do the directories of staging, which are counted.
        disk.leave_free(needed + 8 * disk.block_bytes()..=needed + 9 * disk.block_bytes() + step);
        assert_eq!(disk.forecast()["fits"], json!(true), "{filesystem:?}: {}", disk.forecast());
        site.deploy_and_compare(&[]);
    }
}

#[test]
fn a_lack_of_inodes_is_found_before_anything_is_sent() {
    let Some(disk) = Disk::make(Filesystem::FewInodes) else { return };
    for file in 0..400_u64 {
        disk.site.write(&format!("file {file}"), noise(file, 500));
    }
    assert_eq!(disk.forecast()["fits"], json!(false));
    let expected = ["Not enough inodes on the server: the release needs", "`cutover du "];
    disk.site.cutover(&["deploy", "--dry-run"]).failed(1, &expected);
    let unchecked = disk.site.deploy(&["--dry-run", "--no-space-check"]);
    assert_eq!(
        (&unchecked["preview"]["space"]["fits"], &unchecked["preview"]["refusal"]),
        (&json!(false), &json!(null))
    );
    let objects = disk.site.objects();
    disk.site.refused(&["deploy"], 1, &["Not enough inodes on the server: the release needs"]);
    assert_eq!(disk.site.objects(), objects);
}

#[test]
fn a_forecast_counts_on_the_release_that_goes_when_space_is_short() {
    let Some(mut disk) = Disk::make(Filesystem::Disk(Kind::Ext4)) else { return };
    disk.site.configure("keep_releases = 1\ngrace = '0s'\n");
    for seed in [1, 2, 3] {
        disk.site.write("large", noise(seed, 8 << 20));
        disk.site.deploy(&[]);
    }
    disk.site.write("large", noise(4, 8 << 20));
    assert!(!disk.site.succeed(&["status"])["spare"].is_null(), "a release waits");
    disk.leave_free(4 << 20..=5 << 20);
    assert_eq!(disk.forecast()["fits"], json!(true));
    disk.site.deploy(&[]);
    disk.site.write("large", noise(5, 64 << 20));
    assert_eq!(disk.forecast()["fits"], json!(false));
    disk.site.refused(&["deploy"], 1, &["Not enough space on the server: the release needs"]);
}

#[test]
fn the_forecast_of_a_first_deploy_has_the_agent_that_is_copied() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/sh");
    let mut site = Site::over(&sshd, &user);
    site.write("small", "one");
    let needed = |site: &Site| number(&site.deploy(&["--dry-run"])["preview"]["space"]["needed_bytes"]);
    let first = needed(&site);
    assert!(!site.target("").exists());
    site.configure("agent_path = '/dev/shm/no-agent-of-cutover'\n");
    let elsewhere = needed(&site);
    site.configure("");
    site.succeed(&["setup"]);
    let bin = site.target(".cutover/bin");
    let agent = fs::metadata(bin.join(&names(&bin)[0])).unwrap().len();
    assert!((agent..agent + (1 << 20)).contains(&(first - elsewhere)), "{first}, {elsewhere}, {agent}");
    assert!(needed(&site) <= elsewhere, "the agent is there");
}

#[test]
fn a_part_of_the_disk_stays_free_unless_the_check_is_left_out() {
    let Some(mut disk) = Disk::make(Filesystem::Disk(Kind::Ext4)) else { return };
    write_tree(&disk.site, 1);
    let keep = |disk: &mut Disk, min_free: &str| {
        disk.site.configure(&format!("keep_releases = 9\nspare = false\nmin_free = '{min_free}'\n"));
    };
    let free = disk.free().0;
    let needed = number(&disk.forecast()["needed_bytes"]);
    keep(&mut disk, &format!("{} B", free - needed + 1_000_000));
    let forecast = disk.forecast();
    assert_eq!((&forecast["fits"], number(&forecast["reserve_bytes"])), (&json!(false), free - needed + 1_000_000));
    disk.site.refused(&["deploy"], 1, &["free, of which `min_free` keeps "]);
    keep(&mut disk, "95%");
    disk.site.refused(&["deploy"], 1, &["free, of which `min_free` keeps "]);
    disk.site.deploy(&["--no-space-check"]);
    keep(&mut disk, "1 MB");
    disk.site.write("another", noise(77, 100_000));
    disk.site.deploy_and_compare(&[]);
}

#[test]
fn an_error_about_space_says_what_a_cleanup_would_free() {
    let Some(mut disk) = Disk::make(Filesystem::Disk(Kind::Ext4)) else { return };
    for version in 0..3 {
        disk.site.write("blob", noise(version, 20_000_000));
        disk.site.deploy(&["--grace", "0s"]);
    }
    disk.site.write("blob", noise(9, 20_000_000));
    disk.leave_free(9_000_000..=10_000_000);
    // Of four releases, the live one stays, and the one that a rollback goes to.
    let expected = ["Hint: Free some on the server", "With fewer `keep_releases`, it frees up to 20."];
    disk.site.refused(&["deploy"], 1, &expected);
    // A release that is due goes before a deploy is refused.
    disk.site.configure("keep_releases = 2\ngrace = '0s'\nspare = false\n");
    disk.site.deploy_and_compare(&[]);
}

#[test]
fn a_spare_that_is_reused_gives_back_what_it_has() {
    let Some(mut disk) = Disk::make(Filesystem::Disk(Kind::Ext4)) else { return };
    disk.site.configure("keep_releases = 1\ngrace = '0s'\n");
    for directory in 0..1_000 {
        disk.site.write(&format!("directory {directory}/file"), "the same");
    }
    for version in ["two", "three", "four"] {
        disk.site.write("small", version);
        disk.site.deploy(&[]);
    }
    let spare = disk.site.succeed(&["du"])["spare"].clone();
    assert!(spare.is_string(), "{spare}");
    disk.site.write("small", "five");
    let needed = number(&disk.forecast()["needed_bytes"]);
    assert!(needed < 1_500_000, "{needed}");
    disk.leave_free(needed + 90_000..=needed + 100_000);
    let report = disk.site.deploy(&[]);
    assert!(report["reused"]["release"].is_string(), "{report}");
}

/// Cleans up, and returns the report, and what the filesystem shows that was freed.
fn cleaned(disk: &Disk) -> (Value, u64, u64) {
    let (bytes, inodes) = disk.free();
    let would = disk.site.succeed(&["cleanup", "--dry-run"]);
    let report = disk.site.succeed(&["cleanup"]);
    for field in ["freed_bytes", "freed_inodes", "objects_removed"] {
        let (would, did) = (number(&would[field]), number(&report[field]));
        assert!(would.abs_diff(did) <= did / 50 + 8, "{field}: {would} and {did}");
    }
    // XFS frees the space of a removed file a moment later.
    let freed = wait::until("the space is free", || {
        let (bytes_after, inodes_after) = disk.free();
        let freed = (bytes_after.saturating_sub(bytes), inodes_after.saturating_sub(inodes));
        (freed.0 + 1_000_000 >= number(&report["freed_bytes"])).then_some(freed)
    });
    (report, freed.0, freed.1)
}

#[test]
fn a_cleanup_frees_what_it_reports() {
    for (filesystem, link) in [
        (Filesystem::Disk(Kind::Ext4), "hardlink"),
        (Filesystem::Memory, "hardlink"),
        (Filesystem::Disk(Kind::Xfs), "reflink"),
        (Filesystem::Disk(Kind::Btrfs), "reflink"),
    ] {
        let Some(mut disk) = Disk::make(filesystem) else { continue };
        let config = format!("link = '{link}'\ncopy_paths = ['private*']\ngrace = '0s'\nspare = false\n");
        disk.site.configure(&format!("{config}keep_releases = 9\n"));
        for version in 0..3_u64 {
            disk.site.write("private copy", noise(version, 3_000_000));
            disk.site.write("blob", noise(100 + version, 6_000_000));
            for file in 0..200 {
                disk.site.write(&format!("tree/{file}/same"), noise(1_000 + file, 9_000));
            }
            disk.site.deploy(&[]);
        }
        disk.site.configure(&format!("{config}keep_releases = 1\nkeep_manifests = 0\n"));
        let (report, bytes, inodes) = cleaned(&disk);
        let (freed_bytes, freed_inodes) = (number(&report["freed_bytes"]), number(&report["freed_inodes"]));
        let what = format!("{filesystem:?} {link}: {report}, and {bytes} bytes and {inodes} inodes are free");
        eprintln!("{what}");
        assert!(freed_bytes > 5_000_000 && freed_bytes.abs_diff(bytes) <= freed_bytes / 12 + 100_000, "{what}");
        if matches!(filesystem, Filesystem::Disk(Kind::Ext4)) {
            assert!(freed_inodes.abs_diff(inodes) <= 4, "{what}");
        }
    }
}

#[test]
fn what_another_user_left_in_a_release_is_named_and_fails_nothing() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    let mut site = Site::over(&sshd, &user);
    site.configure("keep_releases = 1\ngrace = '0s'\nspare = false\n");
    site.write("app/index.php", "1");
    site.deploy(&[]);
    let cache = site.current("app/cache");
    fs::create_dir(&cache).unwrap();
    fs::write(cache.join("page"), "by the web server").unwrap();
    for path in [&cache, &cache.join("page")] {
        std::os::unix::fs::chown(path, Some(33), Some(33)).unwrap();
    }
    let first = site.live().unwrap();
    for version in ["2", "3"] {
        site.write("app/index.php", version);
        let report = site.deploy(&[]);
        if version == "3" {
            assert_eq!(report["removed"], json!([first]));
            let warning = left(&report);
            for words in
                ["1 name in removed releases", "cache/page` (owner www-data)", "`sudo rm -rf --one-file-system /"]
            {
                assert!(warning.contains(words), "{words}: {warning}");
            }
        }
    }
    // Everything else is gone, and the next cleanup tries again.
    let trees = names(&site.target(".cutover/trash"));
    let [tree] = &trees[..] else { panic!("{trees:?}") };
    let tree: PathBuf = site.target(".cutover/trash").join(tree);
    assert_eq!((names(&tree), names(&tree.join("app"))), (vec!["app".to_owned()], vec!["cache".to_owned()]));
    let report = site.succeed(&["cleanup"]);
    assert_eq!(number(&report["left_names"]), 1);
    // The command of the warning removes it.
    let warning = left(&report);
    let command = warning.split('`').find(|part| part.starts_with("sudo ")).unwrap().trim_start_matches("sudo ");
    assert!(std::process::Command::new("sh").args(["-c", command]).status().unwrap().success());
    assert_eq!(number(&site.succeed(&["cleanup"])["left_names"]), 0);
    assert_eq!(names(&site.target(".cutover/trash")), [""; 0]);
}

/// Returns the warning about names of other users.
#[track_caller]
fn left(report: &Value) -> String {
    let warnings = report["warnings"].as_array().unwrap();
    let warning = warnings.iter().find(|warning| text(warning).contains("cannot be removed by this user"));
    text(warning.unwrap_or_else(|| panic!("{report}")))
}
