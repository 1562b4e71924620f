//! Finds the programs that run in a site, and the files of it that they have open for writing.
//!
//! A program that runs keeps its working directory and its open files when the site becomes a link: they are those of the old
//! directory. It must be restarted to see a release. What it writes to an open file goes to the old one, unless that file
//! moves into `shared/`.
//!
//! The kernel shows this of processes that this user may trace: its own, and for root all. Other ones are not found, and
//! neither are those in another mount namespace, whose paths differ. A program that opens its files anew for each request,
//! as PHP does, need not be found.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::process::{LinkTarget, entries, name_of, read_link};

/// The most programs that are named.
const NAMED_MAX: usize = 5;
/// The flags with which a file is open for writing: `O_WRONLY` or `O_RDWR`.
const WRITE_FLAGS: u32 = 0o3;

/// The programs that run in a directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Running {
    /// The processes, as `name (pid)`, by number.
    pub(super) programs: Vec<String>,
    /// The files below the directory that they have open for writing, as paths below it.
    pub(super) written: BTreeSet<Vec<u8>>,
}

impl Running {
    /// Looks at all processes.
    pub(super) fn find_in(directory: &Path) -> Running {
        let mut running = Running::default();
        let Ok(directory) = fs::canonicalize(directory) else { return running };
        let Ok(processes) = fs::read_dir("/proc") else { return running };
        let own = std::process::id();
        let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
        let mut pids: Vec<u32> = processes.flatten().filter_map(number).filter(|&pid| pid != own).collect();
        pids.sort_unstable();
        pids.into_iter().for_each(|pid| running.look_at(pid, &directory));
        running
    }

    fn look_at(&mut self, pid: u32, directory: &Path) {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let is_in = |path: PathBuf| path.starts_with(directory);
        let mut lives = ["cwd", "exe"].iter().any(|link| target(&process.join(link)).is_some_and(is_in))
            || has_mapped(&process, directory);
        for descriptor in entries(&process.join("fd")).unwrap_or_default() {
            let Some(path) = target(&descriptor) else { continue };
            let Ok(below) = path.strip_prefix(directory) else { continue };
            lives = true;
            if is_open_to_write(&process, &descriptor) {
                self.written.insert(below.as_os_str().as_bytes().to_vec());
            }
        }
        if lives {
            self.programs.push(format!("{} ({pid})", name_of(pid)));
        }
    }

    /// Names the programs. None: there is none.
    pub(super) fn names(&self) -> Option<String> {
        let (first, others) = self.programs.split_at(self.programs.len().min(NAMED_MAX));
        match (first.join(", "), others.len()) {
            (first, _) if first.is_empty() => None,
            (first, 0) => Some(first),
            (first, others) => Some(format!("{first} and {others} more")),
        }
    }
}

fn target(link: &Path) -> Option<PathBuf> {
    match read_link(link) {
        Ok(LinkTarget::Path(path)) if path.has_root() => Some(path),
        _ => None,
    }
}

/// Returns whether a process has a file below a directory in its memory, such as a library or a module.
fn has_mapped(process: &Path, directory: &Path) -> bool {
    let maps = fs::read(process.join("maps")).unwrap_or_default();
    let lines = maps.split(|&byte| byte == b'\n');
    let paths = lines.filter_map(|line| line.iter().position(|&byte| byte == b'/').map(|at| &line[at..]));
    paths.map(|path| Path::new(OsStr::from_bytes(path))).any(|path| path.starts_with(directory))
}

fn is_open_to_write(process: &Path, descriptor: &Path) -> bool {
    let Some(number) = descriptor.file_name() else { return false };
    let info = fs::read_to_string(process.join("fdinfo").join(number)).unwrap_or_default();
    let flags = info.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_some_and(|flags| flags & WRITE_FLAGS != 0)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_program_is_found_by_its_directory_and_by_the_files_that_it_writes() {
        let place = tempfile::tempdir().unwrap();
        let site = place.path().join("site");
        fs::create_dir_all(site.join("data")).unwrap();
        assert_eq!(Running::find_in(&site), Running::default());
        fs::write(site.join("read"), "").unwrap();
        let mut program = Command::new("sleep");
        program.arg("60").current_dir(&site).stdin(fs::File::open(site.join("read")).unwrap());
        let mut in_it = program.stdout(fs::File::create(site.join("data/log")).unwrap()).spawn().unwrap();
        let mut beside =
            Command::new("sleep").arg("60").current_dir(place.path()).stdin(Stdio::null()).spawn().unwrap();
        let found = Running::find_in(&site);
        assert_eq!(found.names(), Some(format!("sleep ({})", in_it.id())));
        assert_eq!(found.written, BTreeSet::from([b"data/log".to_vec()]));
        for program in [&mut in_it, &mut beside] {
            program.kill().unwrap();
            program.wait().unwrap();
        }
    }
}
