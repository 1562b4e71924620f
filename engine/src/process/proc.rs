//! The properties that `/proc` shows of one process.
//!
//! All users may read its name, its parent and its start. Only a user who may trace it can read its links.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Errno;

use crate::accounts::Accounts;
use crate::path::Shown;

/// The length of a stat file: at most 52 numbers and a name.
const STAT_BYTES_MAX: usize = 2048;

/// The flag of a thread of the kernel itself.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The kernel refuses to show this process.
#[derive(Debug)]
pub(crate) struct AccessDenied;

/// The content of `/proc/<pid>/stat`, which all users may read.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) parent: u32,
    /// Its process group.
    pub(crate) group: u32,
    /// Its session. All processes of a group are of one session.
    pub(crate) session: u32,
    pub(crate) is_zombie: bool,
    pub(crate) is_kernel: bool,
    pub(crate) threads: u64,
    /// The range of its start, in milliseconds of this boot.
    pub(crate) started: Range<u64>,
}

impl Process {
    /// Reads the stat file of a process. Returns nothing if there is no such process, or it is not shown.
    pub(crate) fn read(pid: u32) -> Result<Option<Process>, AccessDenied> {
        let read = || {
            let stat = open(format!("/proc/{pid}/stat"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
            let mut bytes = [0; STAT_BYTES_MAX];
            let length = rustix::io::read(&stat, &mut bytes)?;
            Ok(Process::from_stat(&bytes[..length]))
        };
        match read() {
            Ok(Some(process)) => Ok(Some(process)),
            Err(Errno::NOENT | Errno::SRCH) => Ok(None),
            Ok(None) | Err(_) => Err(AccessDenied),
        }
    }

    /// Parses `1 (name) S 0 …`. The name may contain anything.
    fn from_stat(bytes: &[u8]) -> Option<Process> {
        let (open, close) =
            (bytes.iter().position(|&byte| byte == b'(')?, bytes.iter().rposition(|&byte| byte == b')')?);
        let fields: Vec<&str> = std::str::from_utf8(bytes.get(close + 2..)?).ok()?.split_ascii_whitespace().collect();
        // The first field here is the third of the file, the state.
        let number = |at: usize| fields.get(at - 3)?.parse::<u64>().ok();
        let tick = 1000 / rustix::param::clock_ticks_per_second().clamp(1, 1000);
        let start = number(22)? * tick;
        Some(Process {
            name: Shown(bytes.get(open + 1..close)?).to_string(),
            parent: number(4)? as u32,
            group: number(5)? as u32,
            session: number(6)? as u32,
            is_zombie: matches!(*fields.first()?, "Z" | "X"),
            is_kernel: number(9)? & KERNEL_THREAD != 0,
            threads: number(20)?,
            started: start..start + tick,
        })
    }
}

/// The target of a link in `/proc`.
pub(crate) enum LinkTarget {
    Path(PathBuf),
    /// It is longer than the kernel returns.
    TooLong,
    /// The process has ended.
    Gone,
}

pub(crate) fn read_link(link: &Path) -> Result<LinkTarget, AccessDenied> {
    match rustix::fs::readlinkat(CWD, link, Vec::new()) {
        Ok(text) => Ok(LinkTarget::Path(PathBuf::from(OsStr::from_bytes(text.as_bytes())))),
        Err(Errno::NOENT | Errno::SRCH) => Ok(LinkTarget::Gone),
        Err(Errno::NAMETOOLONG) => Ok(LinkTarget::TooLong),
        Err(_) => Err(AccessDenied),
    }
}

pub(crate) fn entries(dir: &Path) -> Result<Vec<PathBuf>, AccessDenied> {
    match fs::read_dir(dir) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        Err(_) => Err(AccessDenied),
    }
}

pub(crate) fn name_of(pid: u32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    Shown(name.trim_ascii_end()).to_string()
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// Returns the user of a process, by name if this machine knows it, else by number.
pub(crate) fn user_of(pid: u32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().nth(1)?;
    let uid: u32 = uid.parse().ok()?;
    Some(Accounts::read().user_name(uid).unwrap_or_else(|| format!("user {uid}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = b"7 (a) b (c) S 5 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 1234 99 0";
        let process = Process::from_stat(stat).unwrap();
        assert_eq!((process.name.as_str(), process.parent, process.threads), ("a) b (c", 5, 3));
        assert_eq!((process.is_zombie, process.is_kernel, process.started), (false, false, 12_340..12_350));
        let kernel = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 24 0 0";
        assert!(Process::from_stat(kernel).unwrap().is_kernel);
        for cut in 0..stat.len() - 15 {
            assert!(Process::from_stat(&stat[..cut]).is_none(), "{cut}");
        }
    }
}
