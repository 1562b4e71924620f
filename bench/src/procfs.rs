//! The kernel's account of the server's processes.
//!
//! Processor time is read once before and once after a run, from the listening `sshd`: that of its waited-for
//! children, and theirs in turn. That is exact, costs nothing while the run is timed, and includes the cryptography. It
//! misses a process that outlived its session, which is why the harness waits until the listener has no children.
//!
//! Memory is polled, only in runs that are not timed. `VmHWM` is monotone, so a poll finds the peak but for growth in
//! the last milliseconds before the exit.

use std::fs;
use std::io;
use std::thread;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;

use crate::failure::{Context, Failure, Result};
use crate::process::Running;

/// How often memory is polled: fine enough for the end of a run of some hundred milliseconds, and about one hundredth
/// of a core.
const POLL: Duration = Duration::from_millis(3);

/// Programs under `sshd` that are not the tool which is measured.
const NOT_THE_TOOL: [&str; 7] = ["sshd", "sshd-session", "sshd-auth", "sh", "dash", "bash", "sftp-server"];

/// Returns the seconds of processor time that the process's waited-for children used, with theirs.
pub(crate) fn children_cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).context(|| format!("Could not read `{path}`"))?;
    parse_ticks(&stat)
        .map(|ticks| ticks as f64 / clock_ticks_per_second() as f64)
        .ok_or_else(|| Failure::new(format!("Could not make sense of `{path}`")))
}

/// Returns the children of a process that has only one thread, as `sshd` and shells have.
pub(crate) fn children(pid: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.split_whitespace().filter_map(|word| word.parse().ok()).collect()),
        Err(error) if is_gone(&error) => Ok(Vec::new()),
        Err(error) => Err(error).context(|| format!("Could not read `{path}`")),
    }
}

/// Polls the processes below the listening `sshd` until the client has ended, and returns the most memory of those alive
/// at once: their peaks added up.
pub(crate) fn watch_server(running: &Running<'_>, listener: u32) -> Result<u64> {
    let mut most = 0;
    loop {
        let last = running.is_done();
        most = most.max(memory_below(listener)?);
        if last {
            return Ok(most);
        }
        thread::sleep(POLL);
    }
}

fn memory_below(parent: u32) -> Result<u64> {
    let mut bytes = 0;
    for child in children(parent)? {
        let process = name_and_peak(child)?.filter(|(name, _)| !NOT_THE_TOOL.contains(&name.as_str()));
        bytes += process.map_or(0, |(_, peak)| peak) + memory_below(child)?;
    }
    Ok(bytes)
}

fn name_and_peak(pid: u32) -> Result<Option<(String, u64)>> {
    let path = format!("/proc/{pid}/status");
    match fs::read_to_string(&path) {
        Ok(status) => Ok(parse_status(&status)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error).context(|| format!("Could not read `{path}`")),
    }
}

/// The process ended between two reads.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// A process that is ending has no memory any more and gives nothing.
fn parse_status(status: &str) -> Option<(String, u64)> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let kilobytes: u64 = field("VmHWM:")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some((field("Name:")?.to_owned(), kilobytes * 1024))
}

/// The command's name stands in brackets and may hold anything, so fields are counted from the last bracket. User and
/// system time of the children come thirteen after it.
fn parse_ticks(stat: &str) -> Option<u64> {
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_whitespace().skip(13);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_stat_are_counted_after_the_name() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 1 2 3 4 11 12 130 40 20 0 1 0";
        assert_eq!(parse_ticks(stat), Some(170));
        assert_eq!(parse_ticks("7 (sshd) S 1"), None);
    }

    #[test]
    fn a_process_without_memory_has_no_peak() {
        let status = "Name:\tcutover\nVmPeak:\t 9 kB\nVmHWM:\t   2048 kB\n";
        assert_eq!(parse_status(status), Some(("cutover".to_owned(), 2_097_152)));
        assert_eq!(parse_status("Name:\tcutover\nState:\tZ (zombie)\n"), None);
    }
}
