//! Power cuts: a release is on the disk before `current` leads to it.
//!
//! The deploy path is a filesystem on a disk that is a file. The file contains everything that the filesystem has
//! written to the disk, and nothing that is still in memory. A copy of the file, made while the deploy is stopped, is
//! the disk after a power cut at that moment. The copies are mounted at the end, like the disk of a server that
//! starts again.
//!
//! Such a cut may lose less than the system calls allow: ext4 makes all names durable with any one file. So the order
//! of system calls is checked too, only by the documented promise of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, waitid};
use tempfile::TempDir;

use crate::support::mount::{Kind, Mount, Turn};
use crate::support::real_tree::noise;
use crate::support::site::{RunResult, Site, text};
use crate::support::sshd::{is_root, run};
use crate::support::strace;
use crate::support::tree::Tree;
use crate::support::wait;

/// How much of a release is new: there are several ways to make it durable.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// So little that each file and directory is synced by itself.
    Little,
    /// So much that the whole filesystem is.
    Much,
    /// Little, with files that are copies.
    Copies,
}

/// What is seen of a deploy at the moment of the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Staging,
    Content,
    Objects,
    Release,
    Live,
    Returned,
}

/// A disk as it was when the power was cut.
struct Cut {
    name: String,
    copy: PathBuf,
    /// What may be live on it.
    live: Vec<Option<String>>,
}

/// A site on a disk of its own.
struct Machine {
    // Unmounted before the site's directory is removed.
    mounted: Option<Mount>,
    site: Site,
    kind: Kind,
    place: TempDir,
    versions: BTreeMap<String, Tree>,
    cuts: Vec<Cut>,
}

impl Machine {
    /// Makes one, unless the tests do not run as root or know no such filesystem.
    fn start(kind: Kind) -> Option<Machine> {
        if !is_root() {
            return None;
        }
        // A disk in memory is a disk all the same, and its copies cost nothing.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        Mount::make_disk(kind, &place.path().join("disk"))?;
        let mut site = Site::new();
        let mounted = Mount::disk(&site.path("mounted"), kind, &place.path().join("disk"))?;
        site.move_to(&site.path("mounted/site"));
        Some(Machine { mounted: Some(mounted), site, kind, place, versions: BTreeMap::new(), cuts: Vec::new() })
    }

    /// Edits the source, and keeps what it is now as the version of a release.
    fn edit(&mut self, release: usize, change: Change) {
        edit(&self.site, release, change);
        self.versions.insert(release.to_string(), Tree::read(&self.site.path("source")));
    }

    /// Deploys, and cuts the power again and again.
    fn deploy(&mut self, release: usize) {
        let id = release.to_string();
        let (objects, standing) = match release {
            1 => (Vec::new(), Vec::new()),
            _ => (self.site.objects(), self.site.release_names()),
        };
        let before = self.site.live();
        let words = ["deploy", "--release", &id, "--grace", "0s"];
        let deploy = self.site.command(&words).spawn().unwrap();
        // Before the first release is live there is nothing that a cut could harm.
        let moments = [Seen::Staging, Seen::Content, Seen::Objects, Seen::Release, Seen::Live];
        for seen in moments.into_iter().skip(if release == 1 { 4 } else { 0 }) {
            let site = &self.site;
            wait::until("there is something to see", || {
                let is_seen = match seen {
                    _ if site.live() == Some(id.clone()) => true,
                    Seen::Staging => fs::read_dir(site.target(".cutover/staging")).unwrap().next().is_some(),
                    Seen::Content => staged_files(site) > 0,
                    Seen::Objects => site.objects() != objects,
                    Seen::Release => site.release_names() != standing,
                    Seen::Live | Seen::Returned => false,
                };
                (is_seen || has_ended(&deploy)).then_some(())
            });
            if !stop(&deploy) {
                break;
            }
            let live = self.site.live();
            self.cut(&id, seen, vec![before.clone(), live]);
            kill_process(Pid::from_child(&deploy), Signal::CONT).unwrap();
        }
        RunResult::wait(deploy).succeeded();
        self.cut(&id, Seen::Returned, vec![Some(id.clone())]);
    }

    /// Takes a copy of the disk.
    fn cut(&mut self, id: &str, seen: Seen, live: Vec<Option<String>>) {
        let name = format!("{id}-{seen:?}");
        let beside = self.site.path("mounted");
        fs::write(beside.join(&name), "never synced").unwrap();
        if seen != Seen::Returned {
            // Another program syncs a file of its own: that may bring names to the disk, but no content of others.
            let mut other = fs::File::create(beside.join(format!("{name}-other"))).unwrap();
            other.write_all(b"other").unwrap();
            other.sync_all().unwrap();
        }
        let copy = self.place.path().join(&name);
        run(Command::new("cp").arg("--sparse=always").arg(self.place.path().join("disk")).arg(&copy));
        self.cuts.push(Cut { name, copy, live });
    }

    /// Comes up again after each cut, and deploys.
    fn check(&mut self) {
        drop(self.mounted.take());
        for (number, cut) in std::mem::take(&mut self.cuts).into_iter().enumerate() {
            let at = self.site.path(&format!("mounted-{number}"));
            eprintln!("{:?} {}", self.kind, cut.name);
            let _mounted = Mount::disk(&at, self.kind, &cut.copy).expect("a disk can be mounted after a power cut");
            let spared = fs::read(at.join(&cut.name)).unwrap_or_default();
            assert_ne!(spared, b"never synced", "what was never synced is there: no power was cut");
            self.site.move_to(&at.join("site"));
            self.check_releases(&cut);
            fs::remove_file(cut.copy).unwrap();
        }
    }

    fn check_releases(&self, cut: &Cut) {
        let live = self.site.live();
        assert!(cut.live.contains(&live), "{live:?} is live and not of {:?}", cut.live);
        if let Some(live) = live {
            Tree::read(&self.site.current("")).assert_equals(&self.versions[&live]);
        }
        self.site.deploy_and_compare(&["--force"]);
        for release in self.site.succeed(&["releases"])["releases"].as_array().unwrap() {
            assert_ne!(release["state"], "damaged", "{release}");
            let id = text(&release["id"]);
            if let Some(version) = self.versions.get(&id) {
                Tree::read(&self.site.release(&id)).assert_equals(version);
            }
        }
    }
}

/// Edits the source into what a release is to be.
fn edit(site: &Site, release: usize, change: Change) {
    for file in 0..40 {
        let content = if file % 9 == release { noise(release as u64, 30_000) } else { vec![b'0'; 100 + file] };
        site.write(&format!("dir-{}/file-{file}", file % 8), content);
    }
    fs::remove_file(site.source(&format!("dir-{release}/file-{release}"))).unwrap();
    site.write("data/settings", format!("release {release}"));
    if let Change::Much = change {
        for file in 0..300 {
            site.write(&format!("new-{}/{release}-{file}", file % 50), noise(file, 2000 + release));
        }
    }
}

fn staged_files(site: &Site) -> usize {
    let below = |directory: &Path| -> Vec<PathBuf> {
        fs::read_dir(directory).into_iter().flatten().map_while(Result::ok).map(|entry| entry.path()).collect()
    };
    let runs = below(&site.target(".cutover/staging"));
    let shards = runs.into_iter().flat_map(|run| below(&run.join("objects")));
    shards.map(|shard| below(&shard).len()).sum()
}

/// Stops a process with all its threads. Says whether it had not ended.
fn stop(child: &Child) -> bool {
    kill_process(Pid::from_child(child), Signal::STOP).unwrap();
    state(child, WaitIdOptions::STOPPED | WaitIdOptions::EXITED).is_some_and(|state| state.stopped())
}

fn has_ended(child: &Child) -> bool {
    state(child, WaitIdOptions::EXITED | WaitIdOptions::NOHANG).is_some()
}

/// Asks for a child's state, and leaves it to be asked for again.
fn state(child: &Child, options: WaitIdOptions) -> Option<WaitIdStatus> {
    waitid(WaitId::Pid(Pid::from_child(child)), options | WaitIdOptions::NOWAIT).unwrap()
}

fn whenever_the_power_is_cut(kind: Kind) {
    let _turn = Turn::to_remount();
    for change in [Change::Little, Change::Much, Change::Copies] {
        eprintln!("{change:?}");
        let Some(mut machine) = Machine::start(kind) else { return };
        if let Change::Copies = change {
            machine.site.configure("copy_paths = ['/data']\n");
        }
        for release in 1..3 {
            machine.edit(release, change);
            machine.deploy(release);
        }
        machine.check();
    }
}

#[test]
fn whenever_the_power_is_cut_a_whole_release_is_live_on_ext4() {
    whenever_the_power_is_cut(Kind::Ext4);
}

#[test]
fn whenever_the_power_is_cut_a_whole_release_is_live_on_xfs() {
    whenever_the_power_is_cut(Kind::Xfs);
}

#[test]
fn whenever_the_power_is_cut_a_whole_release_is_live_on_btrfs() {
    whenever_the_power_is_cut(Kind::Btrfs);
}

/// What a trace of system calls says is not durable, if nothing is but what was asked for: a file and its attributes by
/// an `fsync` of it, a name by one of its directory, everything by a `syncfs`.
#[derive(Default)]
struct NotDurable {
    paths: BTreeSet<PathBuf>,
    changes: usize,
}

/// A system call: its name, the paths of its descriptors, its strings, and all of its text.
struct Call<'a> {
    name: &'a str,
    descriptors: Vec<&'a str>,
    strings: Vec<&'a str>,
    text: &'a str,
}

impl<'a> Call<'a> {
    fn parse(text: &'a str) -> Option<Call<'a>> {
        let (name, _) = text.split_once('(')?;
        let between = |open: char, close: char| {
            let mut found = Vec::new();
            let mut rest = text;
            while let Some((inside, after)) = rest.split_once(open).and_then(|(_, after)| after.split_once(close)) {
                found.push(inside);
                rest = after;
            }
            found
        };
        Some(Call { name, descriptors: between('<', '>'), strings: between('"', '"'), text })
    }

    fn path(&self, descriptor: usize, string: usize) -> PathBuf {
        Path::new(self.descriptors[descriptor]).join(self.strings[string])
    }
}

impl NotDurable {
    fn note(&mut self, call: &Call<'_>) {
        match call.name {
            // Set again to what it was each time.
            "fchmod" if call.descriptors[0].ends_with("/.cutover") => {}
            // These two are for people: nothing needs them.
            "openat" if ["lock", "log"].contains(&call.strings[0]) => {}
            "openat" if call.text.contains("O_CREAT") => self.named(call.path(0, 0)),
            "mkdirat" => self.named(call.path(0, 0)),
            // The new link's name; the content belongs to the name that it was written under.
            "linkat" => self.changed(parent(&call.path(1, 1))),
            "symlinkat" => self.changed(parent(&call.path(0, 1))),
            // A name that comes back is removed again.
            "unlinkat" => self.paths.retain(|path| !path.starts_with(call.path(0, 0))),
            "renameat" | "renameat2" => self.renamed(&call.path(0, 0), &call.path(1, 1)),
            "write" | "pwrite64" | "ftruncate" | "fchmod" | "utimensat" => self.changed(call.descriptors[0].into()),
            "copy_file_range" => self.changed(call.descriptors[1].into()),
            "fsync" | "fdatasync" => drop(self.paths.remove(Path::new(call.descriptors[0]))),
            "syncfs" => self.paths.clear(),
            _ => {}
        }
    }

    fn changed(&mut self, path: PathBuf) {
        if !is_hint(&path) {
            self.changes += 1;
            self.paths.insert(path);
        }
    }

    fn named(&mut self, path: PathBuf) {
        if !is_hint(&path) {
            self.changed(parent(&path));
        }
        self.changed(path);
    }

    fn renamed(&mut self, from: &Path, to: &Path) {
        let moved = |path: PathBuf| match path.strip_prefix(from) {
            Ok(below) if below.as_os_str().is_empty() => to.to_owned(),
            Ok(below) => to.join(below),
            Err(_) => path,
        };
        self.paths = std::mem::take(&mut self.paths).into_iter().map(moved).collect();
        self.changed(parent(from));
        self.changed(parent(to));
    }

    /// Returns what is not durable of all that a release needs.
    fn needed(&self, deploy_path: &Path) -> Vec<&PathBuf> {
        // No holder of the lock survives a power cut, so its number need not. A journal may lose its last lines.
        let private = ["staging", "trash", "lock", "fence", "log", "journals"]
            .map(|name| deploy_path.join(".cutover").join(name));
        let is_needed = |path: &PathBuf| path.starts_with(deploy_path) && !private.iter().any(|p| path.starts_with(p));
        self.paths.iter().filter(|path| is_needed(path)).collect()
    }
}

/// What a run saw of a release is a hint for a later one of the same boot.
fn is_hint(path: &Path) -> bool {
    path.ends_with("seen")
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap().to_owned()
}

/// Joins the two halves of calls that another thread's call stands between. A sync counts from its first half: what is
/// changed while it runs may miss it.
fn whole_calls(trace: &str) -> Vec<String> {
    let mut begun: BTreeMap<&str, &str> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((thread, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        if let Some(beginning) = text.strip_suffix(" <unfinished ...>") {
            match beginning.contains("sync") {
                true => calls.push(format!("{beginning}) = 0")),
                false => drop(begun.insert(thread, beginning)),
            }
        } else if let Some((_, end)) = text.split_once(" resumed>") {
            calls.extend(begun.remove(thread).map(|beginning| format!("{beginning}{end}")));
        } else {
            calls.push(text.to_owned());
        }
    }
    calls.retain(|call| !call.contains(") = -1 "));
    calls
}

/// Runs a verb under `strace`, and returns its calls. Nothing where no process may be traced.
fn trace(site: &Site, words: &[&str]) -> Option<Vec<String>> {
    let calls = "openat,mkdirat,linkat,symlinkat,unlinkat,renameat,renameat2,write,pwrite64,ftruncate,fchmod,utimensat,\
                 copy_file_range,fsync,fdatasync,syncfs";
    strace::trace(site, words, calls).map(|trace| whole_calls(&trace))
}

/// Checks that all is durable when a switch begins, and the switch when the verb returns. Returns how many changes there
/// were before the switch.
fn check_order(site: &Site, calls: &[String]) -> usize {
    let deploy_path = site.target("").canonicalize().unwrap();
    let mut not_durable = NotDurable::default();
    let mut before_switch = None;
    for call in calls.iter().filter_map(|call| Call::parse(call)) {
        if call.name == "symlinkat" && call.strings[1].starts_with(".current.cutover-") {
            assert_eq!(not_durable.needed(&deploy_path), [] as [&PathBuf; 0], "when the switch began");
            before_switch = Some(not_durable.changes);
        }
        not_durable.note(&call);
    }
    assert_eq!(not_durable.needed(&deploy_path), [] as [&PathBuf; 0], "when all was done");
    before_switch.expect("there was a switch")
}

#[test]
fn everything_is_durable_before_the_switch_and_the_switch_before_the_answer() {
    for change in [Change::Little, Change::Much, Change::Copies] {
        let mut site = Site::new();
        if let Change::Copies = change {
            site.configure("copy_paths = ['/data']\nshared_dirs = ['logs']\n");
        }
        for release in 1..3 {
            edit(&site, release, change);
            let Some(calls) = trace(&site, &["deploy", "--grace", "0s"]) else { return };
            let changes = check_order(&site, &calls);
            assert!(changes > 50, "{changes}");
        }
        let calls = trace(&site, &["rollback"]).unwrap();
        check_order(&site, &calls);
    }
}
