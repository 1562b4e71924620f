//! Filesystems that lack an ability or space.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::mount::{Kind, Mount};
use crate::support::site::Site;
use crate::support::sshd::run;
use crate::support::strace;

use super::{Target, chown};

/// A target on a disk of its own.
fn on_disk(kind: Kind) -> Option<(Target, Mount)> {
    let mut target = Target::bare()?;
    let (disk, mounted) = (target.home("image"), target.home("disk"));
    Mount::make_disk(kind, &disk)?;
    let mount = Mount::disk(&mounted, kind, &disk)?;
    let lost = mounted.join("lost+found");
    if lost.exists() {
        fs::remove_dir(lost).unwrap();
    }
    target.give(&mounted);
    target.site.move_on_server(&target.user.clone(), &mounted.join("shop"));
    target.keep_agent_elsewhere("");
    Some((target, mount))
}

#[test]
fn what_a_filesystem_can_do_is_tried() {
    for (kind, reflinks) in [(Kind::Ext4, false), (Kind::Xfs, true), (Kind::Btrfs, true)] {
        let Some((mut target, _mount)) = on_disk(kind) else { return };
        target.site.deploy(&[]);
        target.is_healthy(&[]);
        let checks = target.examine(&[]).json["checks"].clone();
        let facts = checks.as_array().unwrap().iter().find(|check| check["check"] == "filesystem").unwrap();
        let facts = facts["facts"].to_string();
        let expected = if reflinks { "\"reflinks\"" } else { "\"no reflinks\"" };
        for fact in [expected, "\"hardlinks\"", "\"symlinks\"", "\"exchange of names\"", "\"openat2\"", "\"locks\""] {
            assert!(facts.contains(fact), "{kind:?} {fact}: {facts}");
        }
        target.keep_agent_elsewhere("link = 'reflink'");
        target.has(&[], if reflinks { &[] } else { &["no-reflinks"] });
    }
}

/// A filesystem on which a call fails, as FAT has no links.
#[test]
fn a_filesystem_without_links_is_told() {
    for (call, id) in [("linkat", "no-hardlinks"), ("symlinkat", "no-symlinks")] {
        let site = Site::new();
        fs::create_dir(site.target("")).unwrap();
        let injection = format!("{call}:error=EPERM");
        let Some(ran) = strace::inject(&site, &["doctor"], &injection, None) else { return };
        let found = ran.json["findings"].as_array().unwrap_or_else(|| panic!("{}", ran.stderr)).clone();
        assert_eq!((ran.code, found.len(), &found[0]["id"]), (Some(1), 1, &id.into()), "{found:?}");
        assert!(found[0]["message"].as_str().unwrap().contains("Operation not permitted"), "{found:?}");
    }
}

#[test]
fn a_part_on_another_mount_is_unmounted_by_the_fix() {
    let Some(target) = Target::deployed() else { return };
    let Some(_mount) = Mount::onto_itself(&target.site.target("releases")) else { return };
    let found = target.has(&[], &["other-mount"]);
    assert!(found["message"].as_str().unwrap().contains("/site/releases`"), "{found}");
    target.fix(&found);
    target.is_healthy(&[]);
}

#[test]
fn too_little_space_is_told_before_anything_is_sent() {
    let Some(mut target) = Target::bare() else { return };
    let mounted = target.home("small");
    let Some(_mount) = Mount::tmpfs(&mounted, "size=4m,mode=755") else { return };
    target.give(&mounted);
    target.site.move_on_server(&target.user.clone(), &mounted.join("shop"));
    target.keep_agent_elsewhere("");
    target.site.write("large", vec![7; 8 << 20]);
    target.has(&[], &["not-enough-space"]);
    run(Command::new("mount").args(["-o", "remount,size=32m"]).arg(&mounted));
    target.is_healthy(&[]);
    target.site.deploy(&[]);
    // A later deploy sends what is new, and may fit.
    run(Command::new("mount").args(["-o", "remount,size=16m"]).arg(&mounted));
    target.has(&[], &["space-tight"]);
    fs::remove_file(target.site.source("large")).unwrap();
    target.is_healthy(&[]);
    for name in 0..200 {
        target.site.write(&format!("small/{name}"), name.to_string());
    }
    run(Command::new("mount").args(["-o", "remount,nr_inodes=150"]).arg(&mounted));
    target.has(&[], &["inodes-tight"]);
}

#[test]
fn a_disk_without_a_free_block_is_full() {
    let Some(mut target) = Target::bare() else { return };
    let mounted = target.home("full");
    let Some(_mount) = Mount::tmpfs(&mounted, "size=16m,mode=755") else { return };
    target.give(&mounted);
    target.site.move_on_server(&target.user.clone(), &mounted.join("shop"));
    target.keep_agent_elsewhere("");
    target.site.deploy(&[]);
    let filler = mounted.join("filler");
    // It ends when no space is left.
    Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", filler.display())).output().unwrap();
    chown("root", &filler);
    target.has(&[], &["disk-full"]);
    fs::remove_file(filler).unwrap();
    target.is_healthy(&[]);
}

#[test]
fn a_quota_that_is_used_up_is_told_apart_from_a_full_disk() {
    let Some((mut target, _mount)) = on_disk(Kind::Btrfs) else { return };
    let (disk, limited) = (target.home("disk"), target.home("disk/limited"));
    let btrfs = |words: &[&str], path: &Path| run(Command::new("btrfs").args(words).arg(path));
    btrfs(&["quota", "enable"], &disk);
    btrfs(&["subvolume", "create"], &limited);
    target.give(&limited);
    target.site.move_on_server(&target.user.clone(), &limited.join("shop"));
    target.site.deploy(&[]);
    btrfs(&["qgroup", "limit", "8M"], &limited);
    // It ends when the quota is used up.
    let write = format!("dd if=/dev/urandom bs=4k of={}", limited.join("filler").display());
    Command::new("sudo").args(["-u", &target.user, "sh", "-c", &write]).output().unwrap();
    run(&mut Command::new("sync"));
    target.has(&[], &["quota-reached"]);
    btrfs(&["qgroup", "limit", "none"], &limited);
    target.is_healthy(&[]);
}
