//! Content is hashed on the server before it is used: content altered on the way, and content left by an earlier
//! boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::real_tree::noise;
use crate::support::site::{Site, number};
use crate::support::sshd::{Sshd, is_root, run};
use crate::support::tree::{self, Tree, assert_same};

const MIB: usize = 1 << 20;

/// A file that is sent with others, and one that is sent in parts and written as it comes.
const SIZES: [usize; 2] = [200_000, 3 * MIB];

/// Runs a command and passes on what it is told, but alters a byte after `FIRST` and then one in every `NEXT`. Ends
/// when the command does, as `ssh` does.
const ALTERING: &str = r#"
my ($command, $at, $next) = ($ARGV[0], 0, FIRST);
$SIG{CHLD} = sub { wait; exit $? >> 8 };
open(my $out, "|-", "sh", "-c", $command) or die;
while (1) {
  my $length = sysread(STDIN, my $bytes, 65536) or last;
  for (; $next < $at + $length; $next += NEXT) { substr($bytes, $next - $at, 1) ^= chr 1 }
  $at += $length;
  for (my $written = 0; $written < $length;) { $written += syswrite($out, $bytes, $length - $written, $written) }
}
$SIG{CHLD} = "DEFAULT";
close $out;
exit $? >> 8;
"#;

/// Makes a site whose agent is in place and reached by a line that [`alter`] can spoil.
fn site_behind_a_line() -> Site {
    let mut site = Site::new();
    site.reach_by_script(&format!(
        "#!/bin/sh\nfor command; do :; done\ncase $command in\n\
         *' cutover start '*) exec perl '{}' \"$command\" ;;\n*) exec sh -c \"$command\" ;;\nesac\n",
        site.path("altering.pl").display()
    ));
    alter(&site, 1 << 40, 1);
    site.succeed(&["setup"]);
    site
}

/// Has the line alter one byte of what the client says to the agent, and then one in every `next`.
fn alter(site: &Site, first: usize, next: usize) {
    let altering = ALTERING.replace("FIRST", &first.to_string()).replace("NEXT", &next.to_string());
    fs::write(site.path("altering.pl"), altering).unwrap();
}

#[test]
fn content_that_was_altered_on_its_way_is_asked_for_again() {
    let site = site_behind_a_line();
    for size in SIZES {
        alter(&site, size / 2, 1 << 40);
        site.write("file", noise(1, size));
        let report = site.deploy(&[]);
        assert_same(&site.path("source"), &site.current(""));
        let sent = number(&report["sent_bytes"]);
        assert!(sent > 2 * size as u64, "{sent} bytes for {size} that were sent twice");
    }
}

#[test]
fn content_that_never_arrives_whole_is_never_stored() {
    let site = site_behind_a_line();
    site.write("small", "small");
    site.deploy_and_compare(&[]);
    let objects = site.objects();
    for size in SIZES {
        alter(&site, size / 4, size / 2);
        site.write("file", noise(1, size));
        site.refused(&["deploy"], 4, &["`file`", "arrived damaged"]);
        assert_eq!(site.objects(), objects);
        // Nor is it kept for the next deploy.
        let altered = |path: &[u8]| path.windows(9).any(|part| part == b"/objects/") && path.ends_with(b"-444");
        assert!(!Tree::read(&site.target(".cutover/staging")).entries.keys().any(|path| altered(path)));
    }
}

/// What an earlier run has left of a file in staging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// All of it.
    Whole,
    /// All of it, but for one byte.
    Altered,
    /// As much, but zeros: its content was not on the disk when the power was cut.
    Zeros,
    /// Its first 2 MiB.
    Beginning,
    /// Its first 2 MiB, but for one byte.
    AlteredBeginning,
}

impl Left {
    fn of(self, mut content: Vec<u8>) -> Vec<u8> {
        match self {
            Left::Whole => {}
            Left::Altered => content[1000] ^= 1,
            Left::Zeros => content.fill(0),
            Left::Beginning => content.truncate(2 * MIB),
            Left::AlteredBeginning => {
                content.truncate(2 * MIB);
                content[1000] ^= 1;
            }
        }
        content
    }

    /// Says what must be sent of a file of so many MiB.
    fn lacking(self, mib: usize) -> usize {
        match self {
            Left::Whole => 0,
            Left::Altered | Left::Zeros => mib,
            Left::Beginning => mib - 2,
            Left::AlteredBeginning => mib - 2 + mib,
        }
    }
}

/// Leaves content in the staging of an earlier boot, under the name of an object. Returns where.
fn leave(site: &Site, object: &Path, content: Vec<u8>) -> PathBuf {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    // The name of a run begins with the boot that it was in.
    let staged = site.target(".cutover/staging/00000000-0123456789abcdef/objects").join(name(object.parent().unwrap()));
    fs::create_dir_all(&staged).unwrap();
    let left = staged.join(name(object));
    fs::write(&left, content).unwrap();
    left
}

#[test]
fn what_an_earlier_boot_left_in_staging_is_hashed_before_it_is_used() {
    for left in [Left::Whole, Left::Altered, Left::Zeros, Left::Beginning, Left::AlteredBeginning] {
        let mib = 3;
        let content = noise(1, mib * MIB);
        let site = Site::new();
        site.write("file", &content);
        site.deploy(&[]);
        let object = site.object_of("file");
        fs::remove_dir_all(site.target("")).unwrap();
        site.succeed(&["setup"]);
        leave(&site, &object, left.of(content));
        let report = site.deploy(&[]);
        assert_same(&site.path("source"), &site.current(""));
        let (sent, lacking) = (number(&report["sent_bytes"]) as usize, left.lacking(mib) * MIB);
        assert!((lacking..lacking + 100_000).contains(&sent), "{left:?}: {sent} bytes were sent for {lacking}");
    }
}

/// A file that had its mode before all of it was on the disk, and an agent that has no more rights than others.
#[test]
fn a_beginning_that_a_power_cut_left_read_only_is_gone_on_with() {
    if !is_root() {
        return;
    }
    let mut sshd = Sshd::start();
    let user = sshd.add_user("/bin/bash");
    for lanes in ["1", "2"] {
        let site = Site::over(&sshd, &user);
        let content = noise(1, 3 * MIB);
        site.write("file", &content);
        site.deploy(&[]);
        let object = site.object_of("file");
        fs::remove_dir_all(site.target("")).unwrap();
        site.succeed(&["setup"]);
        let left = leave(&site, &object, Left::Beginning.of(content));
        tree::set_mode(left, 0o444);
        run(Command::new("chown").arg("-R").arg(&user).arg(site.target(".cutover/staging")));
        let sent = number(&site.deploy(&["--lanes", lanes])["sent_bytes"]) as usize;
        assert_same(&site.path("source"), &site.current(""));
        assert!((MIB..MIB + 100_000).contains(&sent), "{lanes} lanes: {sent} bytes were sent for {MIB}");
    }
}

/// What is wanted is there in another mode, or was: it is altered, and where its copy was tried the beginning lay.
#[test]
fn a_beginning_that_a_copy_took_the_place_of_is_not_gone_on_with() {
    let site = Site::new();
    let content = noise(1, 3 * MIB);
    site.write("file", &content);
    site.deploy(&[]);
    let object = site.object_of("file");
    let mut altered = content.clone();
    altered[1000] ^= 1;
    let modified = fs::metadata(&object).unwrap().modified().unwrap();
    tree::set_mode(&object, 0o644);
    fs::write(&object, altered).unwrap();
    fs::File::options().write(true).open(&object).unwrap().set_modified(modified).unwrap();
    tree::set_mode(&object, 0o444);
    let wanted = object.to_str().unwrap().replace("-444", "-555");
    leave(&site, Path::new(&wanted), Left::Beginning.of(content));
    tree::set_mode(site.source("file"), 0o755);
    // With so much to send, the client hears what is there before it begins.
    site.write("other", noise(2, 2 * MIB));
    let sent = number(&site.deploy(&[])["sent_bytes"]) as usize;
    assert_same(&site.path("source"), &site.current(""));
    let lacking = (2 + 3) * MIB;
    assert!((lacking..lacking + 100_000).contains(&sent), "{sent} bytes were sent for {lacking}");
}
