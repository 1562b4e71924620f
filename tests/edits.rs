//! Releases that somebody changed on the server: five ways to change a file, each found before a rollback, a switch, a
//! deploy of the same source, and by a status.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::mount::{Kind, Mount, Turn};
use crate::support::real_tree::noise;
use crate::support::site::{Site, number, text};
use crate::support::sshd::{Sshd, is_root, run};
use crate::support::tree::{self, assert_same, stat};

/// A way to change a file of a release.
#[derive(Debug, Clone, Copy)]
enum Edit {
    /// WordPress' updater: it sets the mode and writes over the file.
    WordPress,
    /// `:wq!` in vim, which keeps the inode.
    Vim,
    /// `>>` in a shell.
    Append,
    /// `chmod`.
    Chmod,
    /// Another file in its place.
    Replace,
}

const EDITS: [Edit; 5] = [Edit::WordPress, Edit::Vim, Edit::Append, Edit::Chmod, Edit::Replace];

/// The functions of WordPress that its updater copies files with. Without WordPress: the same calls.
const UPDATER: &str = r"
    define('ABSPATH', '/usr/share/wordpress/');
    define('FS_CHMOD_FILE', 0644);
    $classes = ABSPATH . 'wp-admin/includes/class-wp-filesystem-';
    class WP_Error {}
    function mbstring_binary_safe_encoding() {}
    function reset_mbstring_encoding() {}
    if (is_file($classes . 'direct.php')) {
        require $classes . 'base.php';
        require $classes . 'direct.php';
        $files = new WP_Filesystem_Direct(null);
        $files->chmod($argv[1], FS_CHMOD_FILE);
        $done = $files->put_contents($argv[1], '<?php // version 2', FS_CHMOD_FILE);
    } else {
        chmod($argv[1], FS_CHMOD_FILE);
        $done = file_put_contents($argv[1], '<?php // version 2');
    }
    exit($done ? 0 : 1);
";

impl Edit {
    /// Changes a file that is the deploying user's and read-only.
    fn apply(self, file: &Path) {
        let sh = |script: &str| drop(run(Command::new("sh").args(["-c", script, "sh"]).arg(file)));
        match self {
            Edit::WordPress => drop(run(Command::new("php").args(["-r", UPDATER, "--"]).arg(file))),
            Edit::Vim => {
                let keys = ["set backupcopy=yes", "normal Goadded by hand", "wq!"];
                let commands = keys.iter().flat_map(|keys| ["-c", keys]);
                drop(run(Command::new("vim").args(["-u", "NONE", "-es"]).args(commands).arg(file)));
            }
            Edit::Append => sh("chmod u+w \"$1\" && echo '// appended' >> \"$1\" && chmod u-w \"$1\""),
            Edit::Chmod => sh("chmod 666 \"$1\""),
            Edit::Replace => sh("cp \"$1\" \"$1.new\" && echo >> \"$1.new\" && mv -f \"$1.new\" \"$1\""),
        }
    }

    /// Returns the kind of the difference.
    fn kind(self) -> &'static str {
        match self {
            Edit::Chmod => "mode",
            Edit::Replace => "replaced",
            Edit::WordPress | Edit::Vim | Edit::Append => "content",
        }
    }

    /// Tells whether other releases that link to the file have the change too.
    fn hits_others(self) -> bool {
        !matches!(self, Edit::Replace)
    }

    /// Returns the name of the changed file with its kind, as messages have it.
    fn named(self) -> String {
        format!("`wp/plugin.php` ({})", self.kind())
    }
}

/// Makes a site whose releases share `wp/plugin.php`.
fn site() -> Site {
    let site = Site::new();
    site.write("wp/plugin.php", "<?php // version 1\n");
    site.write("index.php", "<?php require 'wp/plugin.php';\n");
    site
}

fn deploy_version(site: &Site, version: &str, flags: &[&str]) -> String {
    site.write("version", version);
    text(&site.deploy(flags)["release"])
}

/// Returns the releases and paths of a group of differences.
fn group(of: &Value) -> (Vec<String>, Vec<String>) {
    let path = |path: &Value| format!("{} {}", text(&path["path"]), text(&path["kind"]));
    let releases = of["releases"].as_array().unwrap().iter().map(text).collect();
    (releases, of["paths"].as_array().unwrap().iter().map(path).collect())
}

#[track_caller]
fn assert_warned(report: &Value, words: &str) {
    assert!(report["warnings"].to_string().contains(words), "{words:?} is not in {}", report["warnings"]);
}

#[test]
fn a_rollback_to_a_release_that_was_edited_is_refused_with_the_names() {
    for edit in EDITS {
        let site = site();
        let one = deploy_version(&site, "one", &[]);
        let two = deploy_version(&site, "two", &[]);
        edit.apply(&site.release(&one).join("wp/plugin.php"));
        let refused = site.refused(&["rollback"], 4, &[&edit.named(), &one, "not what was deployed", "--force"]);
        assert_eq!(text(&refused.json["error"]["kind"]), "damage");
        assert_eq!(refused.stderr.contains(&format!("the same in {two}")), edit.hits_others(), "{}", refused.stderr);

        let report = site.succeed(&["rollback", "--force"]);
        assert_eq!(site.live(), Some(one.clone()));
        assert_warned(&report, &edit.named());
        let (releases, paths) = group(&report["differences"][0]);
        assert_eq!(releases, if edit.hits_others() { vec![one, two] } else { vec![one] }, "{edit:?}");
        assert_eq!(paths, [format!("wp/plugin.php {}", edit.kind())]);
    }
}

#[test]
fn a_rollback_away_from_a_release_that_was_edited_warns() {
    let site = site();
    let one = deploy_version(&site, "one", &[]);
    let two = deploy_version(&site, "two", &[]);
    Edit::Replace.apply(&site.release(&two).join("wp/plugin.php"));
    let report = site.succeed(&["rollback"]);
    assert_eq!(site.live(), Some(one));
    assert_warned(&report, &format!("Release {two} was changed on the server"));
    assert_warned(&report, &Edit::Replace.named());
}

#[test]
fn a_switch_to_a_release_that_was_edited_is_refused_with_the_names() {
    for edit in EDITS {
        let site = site();
        let one = deploy_version(&site, "one", &[]);
        let two = deploy_version(&site, "two", &["--no-switch"]);
        edit.apply(&site.release(&two).join("wp/plugin.php"));
        site.refused(&["switch", &two], 4, &[&edit.named(), &two, "--force"]);
        assert_eq!(site.live(), Some(one));
        let report = site.succeed(&["switch", &two, "--force"]);
        assert_eq!(site.live(), Some(two));
        assert_warned(&report, &edit.named());
    }
}

/// Edits the live release, and deploys the source that it was made of.
fn deploy_the_same(site: &Site, edit: Edit) {
    let one = deploy_version(site, "one", &[]);
    assert_eq!(site.deploy(&[])["state"], "unchanged");
    edit.apply(&site.current("wp/plugin.php"));
    let dry = site.deploy(&["--dry-run"]);
    assert_eq!((text(&dry["state"]), group(&dry["edited"]).0), ("live".to_owned(), vec![one.clone()]), "{edit:?}");
    let report = site.deploy(&[]);
    assert_eq!(report["state"], "live");
    assert_eq!(group(&report["edited"]), (vec![one.clone()], vec![format!("wp/plugin.php {}", edit.kind())]));
    assert_warned(&report, &edit.named());
    assert_ne!(site.live(), Some(one));
    assert_same(&site.path("source"), &site.current(""));
    let again = site.deploy(&[]);
    assert_eq!((text(&again["state"]), &again["edited"]), ("unchanged".to_owned(), &Value::Null));
}

#[test]
fn a_deploy_of_the_same_source_names_the_edits_and_makes_the_release_anew() {
    for edit in EDITS {
        deploy_the_same(&site(), edit);
    }
}

#[test]
fn a_deploy_over_ssh_compares_the_live_release_while_it_scans() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    let site = Site::over(&sshd, &user);
    site.write("wp/plugin.php", "<?php // version 1\n");
    deploy_the_same(&site, Edit::Append);
}

#[test]
fn a_name_that_was_added_to_the_live_release_is_told_and_nothing_is_made_anew() {
    let site = site();
    let one = deploy_version(&site, "one", &[]);
    fs::write(site.current("wp/error_log"), "trouble").unwrap();
    let report = site.deploy(&[]);
    assert_eq!((text(&report["state"]), site.live()), ("unchanged".to_owned(), Some(one)));
    assert_eq!(group(&report["edited"]).1, ["wp/error_log added"]);
    assert_warned(&report, "`wp/error_log` (added)");
}

#[test]
fn a_deploy_of_another_source_names_the_edits_that_it_leaves() {
    for edit in EDITS {
        let site = site();
        let one = deploy_version(&site, "one", &[]);
        edit.apply(&site.release(&one).join("wp/plugin.php"));
        site.write("version", "two");
        for flags in [&["--dry-run"][..], &[]] {
            let report = site.deploy(flags);
            let expected = (vec![one.clone()], vec![format!("wp/plugin.php {}", edit.kind())]);
            assert_eq!(group(&report["edited"]), expected);
            assert_warned(&report, "The new release has the content of the source");
        }
        let right = fs::read_to_string(site.current("wp/plugin.php")).unwrap();
        assert_eq!(right, "<?php // version 1\n");
    }
}

#[test]
fn a_deploy_of_another_source_is_silent_about_names_that_were_added() {
    let site = site();
    deploy_version(&site, "one", &[]);
    fs::write(site.current("wp/error_log"), "trouble").unwrap();
    site.write("version", "two");
    let report = site.deploy(&[]);
    assert_eq!((&report["edited"], &report["warnings"]), (&Value::Null, &Value::Array(Vec::new())));
}

#[test]
fn a_rollback_to_a_release_with_added_names_warns() {
    let site = site();
    let one = deploy_version(&site, "one", &[]);
    fs::write(site.current("wp/error_log"), "trouble").unwrap();
    deploy_version(&site, "two", &[]);
    let report = site.succeed(&["rollback"]);
    assert_eq!(site.live(), Some(one.clone()));
    assert_warned(&report, "`wp/error_log` (added)");
    deploy_version(&site, "three", &[]);
    assert_warned(&site.succeed(&["switch", &one]), "`wp/error_log` (added)");
    site.cutover(&["status", "--check"]).failed(4, &["not what was deployed", "`copy_paths`"]);
}

#[test]
fn a_status_names_the_edits_and_ends_with_4() {
    for edit in EDITS {
        let site = site();
        let one = deploy_version(&site, "one", &[]);
        let two = deploy_version(&site, "two", &[]);
        let clean = site.succeed(&["status", "--check"]);
        assert_eq!(clean["comparison"]["differences"], Value::Array(Vec::new()));
        assert_eq!(clean["comparison"]["content"], false);
        assert_eq!(site.succeed(&["status"])["comparison"], Value::Null);

        edit.apply(&site.release(&two).join("wp/plugin.php"));
        let told = site.cutover(&["status", "--check"]);
        told.failed(4, &["not what was deployed", "makes the live release anew"]);
        let differences = told.json["comparison"]["differences"].as_array().unwrap();
        let expected = if edit.hits_others() { vec![one, two] } else { vec![two] };
        assert_eq!(differences.len(), 1, "{differences:?}");
        assert_eq!(group(&differences[0]), (expected, vec![format!("wp/plugin.php {}", edit.kind())]));
        site.succeed(&["status"]);
    }
    let site = site();
    let one = deploy_version(&site, "one", &[]);
    deploy_version(&site, "two", &[]);
    Edit::Replace.apply(&site.release(&one).join("wp/plugin.php"));
    site.cutover(&["status", "--check"]).failed(4, &[&one, "deploy their source instead"]);
}

#[test]
fn a_status_that_reads_the_files_finds_an_edit_that_no_stat_shows() {
    let site = site();
    deploy_version(&site, "one", &[]);
    let file = site.current("wp/plugin.php");
    let before = fs::metadata(&file).unwrap();
    tree::set_mode(&file, 0o644);
    fs::write(&file, "<?php // version X\n").unwrap();
    fs::File::open(&file).unwrap().set_modified(before.modified().unwrap()).unwrap();
    fs::set_permissions(&file, before.permissions()).unwrap();
    site.succeed(&["status", "--check"]);
    let told = site.cutover(&["status", "--content"]);
    told.failed(4, &["not what was deployed"]);
    assert_eq!(told.json["comparison"]["content"], true);
    assert_eq!(group(&told.json["comparison"]["differences"][0]).1, ["wp/plugin.php content"]);
}

#[test]
fn the_first_twenty_edits_are_named_and_the_rest_is_counted() {
    let site = site();
    (0..30).for_each(|at| site.write(&format!("file{at:02}"), format!("content {at}")));
    deploy_version(&site, "one", &[]);
    run(Command::new("sh").args(["-c", "chmod 666 \"$1\"/file*", "sh"]).arg(site.current("")));
    let told = site.cutover(&["status", "--check"]);
    told.failed(4, &[]);
    let group = &told.json["comparison"]["differences"][0];
    assert_eq!((group["paths"].as_array().unwrap().len(), number(&group["total"])), (20, 30));
}

#[test]
fn what_belongs_to_the_application_is_no_difference() {
    let mut site = site();
    site.configure("copy_paths = ['config.php', 'cache/']\nshared_dirs = ['uploads']\n");
    site.write("config.php", "<?php // default");
    site.write("cache/.keep", "keep");
    site.write_shared("uploads/picture", "picture");
    let one = deploy_version(&site, "one", &[]);
    deploy_version(&site, "two", &[]);
    let at = site.release(&one);
    fs::write(at.join("config.php"), "<?php // edited").unwrap();
    fs::write(at.join("cache/made"), "made").unwrap();
    fs::write(at.join("uploads/other"), "other").unwrap();
    site.succeed(&["status", "--content"]);
    fs::remove_file(at.join("config.php")).unwrap();
    fs::remove_file(at.join("uploads")).unwrap();
    site.refused(&["rollback"], 4, &["`config.php` (missing)", "`uploads` (missing)"]);
}

/// Makes a site with a live release, and then a hook before the switch.
fn site_with_hook(run: &str, more: &str) -> (Site, String) {
    let mut site = site();
    let one = deploy_version(&site, "one", &[]);
    let hook = format!("[[hooks]]\nname = 'change'\nphase = 'before_switch'\nrun = '{run}'\n");
    site.configure(&format!("{more}\n{hook}"));
    site.write("version", "two");
    (site, one)
}

#[test]
fn what_a_hook_adds_and_replaces_is_no_difference_later() {
    let run = "mkdir cache && echo x > cache/x && echo made > wp/made && sed -i s/1/2/ wp/plugin.php && rm index.php";
    let (site, one) = site_with_hook(run, "");
    let two = text(&site.deploy(&[])["release"]);
    fs::write(site.current("cache/later"), "later").unwrap();
    assert_eq!(site.succeed(&["status", "--check"])["comparison"]["differences"], Value::Array(Vec::new()));
    assert_eq!(site.deploy(&[])["state"], "unchanged");
    site.succeed(&["rollback"]);
    assert_eq!(site.live(), Some(one));
    site.succeed(&["switch", &two]);
    fs::write(site.current("wp/made"), "changed").unwrap();
    site.cutover(&["status", "--check"]).failed(4, &["not what was deployed", "`copy_paths`"]);
}

#[test]
fn what_a_hook_changes_in_place_is_named_and_repaired_before_the_switch() {
    let run = "chmod u+w wp/plugin.php && echo x >> wp/plugin.php && touch index.php";
    let (site, one) = site_with_hook(run, "");
    let report = site.deploy(&[]);
    assert_warned(&report, "A hook changed 2 files in place that other releases share, and they were repaired");
    assert_warned(&report, "`index.php` (content), `wp/plugin.php` (content)");
    assert_same(&site.path("source"), &site.current(""));
    assert_eq!(fs::read_to_string(site.release(&one).join("wp/plugin.php")).unwrap(), "<?php // version 1\n");
    site.succeed(&["status", "--check"]);
}

#[test]
fn what_a_hook_changes_in_place_is_refused_or_stays_where_the_config_says_so() {
    let run = "chmod u+w wp/plugin.php && echo x >> wp/plugin.php";
    let (site, one) = site_with_hook(run, "hook_edits = 'refuse'");
    site.refused(&["deploy"], 4, &["A hook changed 1 file in place", "`wp/plugin.php` (content)", "copy_paths"]);
    assert_eq!(site.live(), Some(one));
    site.succeed(&["status", "--check"]);

    let (site, one) = site_with_hook(run, "hook_edits = 'allow'");
    assert_warned(&site.deploy(&[]), "and the edits stay: `wp/plugin.php` (content)");
    let told = site.cutover(&["status", "--check"]);
    told.failed(4, &[]);
    assert_eq!(group(&told.json["comparison"]["differences"][0]).0, [one]);
}

#[test]
fn what_a_hook_after_the_switch_changes_in_place_is_named_and_repaired_too() {
    for phase in ["after_switch", "after_deploy"] {
        let (mut site, one) = site_with_hook("", "");
        site.configure(&format!("[[hooks]]\nname = 'change'\nphase = '{phase}'\nrun = 'chmod -R g+w wp'\n"));
        let report = site.deploy(&[]);
        assert_warned(&report, "A hook changed 1 file in place that other releases share, and they were repaired");
        site.succeed(&["status", "--check"]);
        site.configure("");
        site.succeed(&["rollback"]);
        assert_eq!(site.live(), Some(one));
    }
}

/// Mounts a disk, and makes a site on it.
fn site_on(kind: Kind, disk: &Path) -> Option<(Mount, Site)> {
    Mount::make_disk(kind, &disk.join("disk"))?;
    let mount = Mount::disk(&disk.join("mount"), kind, &disk.join("disk"))?;
    let mut site = site();
    site.move_to(&disk.join("mount/site"));
    site.configure("link = 'reflink'\n");
    Some((mount, site))
}

#[test]
fn with_reflinks_an_edit_stays_in_its_release() {
    for kind in [Kind::Xfs, Kind::Btrfs] {
        let _turn = Turn::to_remount();
        let disk = tempfile::tempdir().unwrap();
        let Some((_mount, site)) = site_on(kind, disk.path()) else { continue };
        (0..50).for_each(|at| site.write(&format!("noise/{at}"), noise(at, 20_000)));
        let one = deploy_version(&site, "one", &[]);
        let two = deploy_version(&site, "two", &[]);
        assert_same(&site.path("source"), &site.current(""));
        assert_ne!(stat(&site.release(&one).join("wp/plugin.php")).inode, stat(&site.current("wp/plugin.php")).inode);
        Edit::Append.apply(&site.current("wp/plugin.php"));
        let told = site.cutover(&["status", "--check"]);
        told.failed(4, &[]);
        assert_eq!(group(&told.json["comparison"]["differences"][0]).0, std::slice::from_ref(&two));
        site.succeed(&["rollback"]);
        assert_eq!(site.live(), Some(one));
        // A release that was edited is reused, but for the edits.
        for version in ["three", "four", "five", "six"] {
            deploy_version(&site, version, &["--grace", "0s"]);
            assert_same(&site.path("source"), &site.current(""));
        }
        // The release that the rollback left is bad, and stays as it is.
        let told = site.cutover(&["status", "--content"]);
        told.failed(4, &[]);
        let differences = told.json["comparison"]["differences"].as_array().unwrap();
        assert_eq!(differences.iter().map(|edited| group(edited).0).collect::<Vec<_>>(), [[two]]);
    }
}

#[test]
fn reflinks_are_refused_where_the_filesystem_has_none() {
    let mut site = Site::in_memory();
    site.configure("link = 'reflink'\n");
    site.write("file", "content");
    site.refused(&["deploy"], 1, &["has no reflinks", "link = \"hardlink\""]);
}

#[test]
fn a_release_with_hardlinks_becomes_one_with_reflinks_and_back() {
    let _turn = Turn::to_remount();
    let disk = tempfile::tempdir().unwrap();
    let Some((_mount, mut site)) = site_on(Kind::Btrfs, disk.path()) else { return };
    for (version, link) in ["hardlink", "reflink", "hardlink", "hardlink", "reflink", "reflink"].iter().enumerate() {
        site.configure(&format!("link = '{link}'\nkeep_releases = 2\n"));
        deploy_version(&site, &version.to_string(), &["--grace", "0s"]);
        assert_same(&site.path("source"), &site.current(""));
        let links = fs::metadata(site.current("wp/plugin.php")).unwrap();
        assert_eq!(links.permissions().mode() & 0o777, 0o444);
        assert_eq!(stat(&site.current("wp/plugin.php")).links > 1, *link == "hardlink", "{version} {link}");
        site.succeed(&["status", "--check"]);
    }
}
