//! Examines what the user may use on the server: processes, open files, and the umask that its login shell sets.
//!
//! Cutover sets its own umask, so only hooks with the login shell see that one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use crate::command::{Invocation, Mask};
use crate::hook::{Command, Shell};
use crate::path::shown_path;
use crate::report::Finding;

use super::look::Look;
use super::place::Place;

/// An agent with a receiver for each processor takes about 20 threads, and a hook some processes.
const PROCESSES_LEFT: u64 = 32;

/// Directories are held open: those of a path, of the store, and of each thread that works on a tree.
const FILES: u64 = 512;

/// The longest time that a login shell may take.
const SHELL_TIMEOUT: Duration = Duration::from_secs(20);

/// The bits without which others can neither read nor enter.
const HIDES_FROM_OTHERS: u32 = 0o005;

/// The files in which a login shell finds its umask.
const PROFILES: [&str; 5] = [".profile", ".bash_profile", ".bash_login", ".zprofile", ".zshenv"];

pub(super) fn look(place: &Place<'_>) -> Look {
    let mut look = Look::default();
    let user = || place.user.clone();
    if let Some(left) = processes_left(place).filter(|&left| left < PROCESSES_LEFT) {
        look.find(Finding::FewProcesses { user: user(), left });
    }
    // The agent has raised the limit as far as it may.
    if let Some(limit) = getrlimit(Resource::Nofile).maximum.filter(|&limit| limit < FILES) {
        look.find(Finding::FewFiles { user: user(), limit });
    }
    if let Some(umask) = umask_of_login_shell().filter(|umask| umask & HIDES_FROM_OTHERS != 0) {
        let file = profile_with_umask(place).map(|file| shown_path(&file));
        look.find(Finding::Umask { user: user(), umask, file });
    }
    look
}

/// Returns how many processes and threads the user may still start, by its own limit and those of its control groups. The
/// limit does not count for root.
fn processes_left(place: &Place<'_>) -> Option<u64> {
    let own = getrlimit(Resource::Nproc).current.filter(|_| !place.is_root());
    let own = own.map(|limit| limit.saturating_sub(threads_of(place.uid)));
    own.into_iter().chain(left_in_groups()).min()
}

fn threads_of(user: u32) -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let threads = |path: PathBuf| {
        let is_own = fs::metadata(&path).is_ok_and(|metadata| metadata.uid() == user);
        let tasks = path.join("task");
        if is_own { fs::read_dir(tasks).map_or(0, |tasks| tasks.count() as u64) } else { 0 }
    };
    entries.flatten().map(|entry| threads(entry.path())).sum()
}

/// Returns how many more processes each control group above this process allows.
fn left_in_groups() -> Vec<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(own) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else { return Vec::new() };
    let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let left = |group: &Path| {
        let group = Path::new("/sys/fs/cgroup").join(group);
        Some(number(group.join("pids.max"))?.saturating_sub(number(group.join("pids.current"))?))
    };
    Path::new(own).ancestors().filter_map(left).collect()
}

/// Returns the umask of a login shell, as a hook with `shell = "login"` has it.
fn umask_of_login_shell() -> Option<u32> {
    let command =
        Command { run: "umask".to_owned(), shell: Shell::Login, timeout: Some(SHELL_TIMEOUT), ..Command::default() };
    let mut last = String::new();
    let mask = Mask::new(&[]);
    let invocation = Invocation { command: &command, directory: Path::new("/"), variables: &[], mask: &mask };
    invocation.run(|line| last = line, || false).ok()?;
    u32::from_str_radix(last.trim(), 8).ok()
}

/// Returns the file that sets such a umask, as a number at the beginning of a line.
fn profile_with_umask(place: &Place<'_>) -> Option<PathBuf> {
    let home = place.accounts.home(place.uid)?;
    let hides = |line: &str| umask_set_by(line).is_some_and(|umask| umask & HIDES_FROM_OTHERS != 0);
    let sets_umask = |file: &PathBuf| fs::read_to_string(file).is_ok_and(|text| text.lines().any(hides));
    PROFILES.map(|name| home.join(name)).into_iter().find(sets_umask)
}

/// Returns the umask that a line sets. Other commands may follow on the line.
fn umask_set_by(line: &str) -> Option<u32> {
    let rest = line.trim_start().strip_prefix("umask")?;
    let number = rest.trim_start_matches([' ', '\t']);
    let digits = number.len() - number.trim_start_matches(|digit| ('0'..='7').contains(&digit)).len();
    if number.len() == rest.len() { None } else { u32::from_str_radix(&number[..digits], 8).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_umask_is_a_number_at_the_beginning_of_a_line() {
        let check = |line: &str, expected: Option<u32>| assert_eq!(umask_set_by(line), expected, "{line}");
        check("umask 077", Some(0o077));
        check(" \tumask\t0027; else :; fi", Some(0o027));
        for line in ["umask", "umask077", "umask u=rwx,go=", "umask -S 027", "# umask 077", "umasks 077"] {
            check(line, None);
        }
    }
}
