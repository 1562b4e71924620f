//! Where a run was made, and with which programs: figures without these mean nothing.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::failure::Result;
use crate::invocation::Invocation;

/// The machine. Its name is left out.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's model.
    pub(crate) cpu: String,
    /// Processors that this program may use.
    pub(crate) cores: usize,
    /// Memory.
    pub(crate) memory_bytes: u64,
    /// The kernel's version.
    pub(crate) kernel: String,
    /// The distribution.
    pub(crate) system: String,
    /// The filesystem that is deployed to.
    pub(crate) filesystem: String,
    /// Load averages when the run began: others at work spoil it.
    pub(crate) load: String,
}

/// The programs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Versions {
    /// The line of `cutover --version`.
    pub(crate) cutover: String,
    /// Its hash: a version says little while it is developed.
    pub(crate) cutover_sha256: String,
    /// The first line of `rsync --version`.
    pub(crate) rsync: String,
    /// The line of `ssh -V`.
    pub(crate) ssh: String,
    /// The server's side.
    pub(crate) sshd: String,
}

impl Machine {
    /// Looks around, also at the filesystem of the server's directory; an unknown field stays empty.
    pub(crate) fn look(server: &Path) -> Machine {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let memory = field(&read("/proc/meminfo"), "MemTotal", ':');
        let kilobytes: u64 = memory.trim_end_matches("kB").trim().parse().unwrap_or(0);
        let load: Vec<String> = read("/proc/loadavg").split(' ').take(3).map(str::to_owned).collect();
        let filesystem = Invocation::new("findmnt").args(["-n", "-o", "FSTYPE,OPTIONS", "-T"]).arg(server).text();
        Machine {
            cpu: field(&read("/proc/cpuinfo"), "model name", ':'),
            cores: std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            memory_bytes: kilobytes * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: field(&read("/etc/os-release"), "PRETTY_NAME", '=').trim_matches('"').to_owned(),
            filesystem: filesystem.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
            load: load.join(" "),
        }
    }
}

impl Versions {
    /// Asks each program.
    pub(crate) fn ask(cutover: &Path, sshd: &Path) -> Result<Versions> {
        let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
        let sha256 = Invocation::new("sha256sum").args([cutover]).text()?;
        // OpenSSH prints its version to stderr. `sshd -V` is newer than the others and fails where it is missing.
        let openssh = |program: &Path| {
            let script = Invocation::new("sh").args(["-c", r#""$1" -V 2>&1; true"#, "sh"]);
            script.args([program]).text()
        };
        Ok(Versions {
            cutover: Invocation::new(cutover).args(["--version"]).text()?,
            cutover_sha256: sha256.split_whitespace().next().unwrap_or_default().to_owned(),
            rsync: first_line(Invocation::new("rsync").args(["--version"]).text()?),
            ssh: first_line(openssh(Path::new("ssh"))?),
            sshd: first_line(openssh(sshd)?),
        })
    }
}

fn field(text: &str, name: &str, separator: char) -> String {
    let mut lines = text.lines().filter_map(|line| line.split_once(separator));
    let found = lines.find(|(key, _)| key.trim() == name);
    found.map_or_else(String::new, |(_, value)| value.trim().to_owned())
}
