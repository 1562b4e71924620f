//! A verb under `strace`.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::site::{RunResult, Site};
use super::sshd::skipped;

/// Runs a verb in which system calls fail, as in `-e inject=…` of `strace`: those on one path, if one is given.
/// Returns nothing if no process may be traced.
pub(crate) fn inject(site: &Site, words: &[&str], injection: &str, path: Option<&Path>) -> Option<RunResult> {
    let calls = injection.split_once(':').unwrap().0;
    let mut options = vec!["-o".to_owned(), "/dev/null".to_owned()];
    options.extend(["-e".to_owned(), format!("trace={calls}"), "-e".to_owned(), format!("inject={injection}")]);
    options.extend(path.into_iter().flat_map(|path| ["-P".to_owned(), path.to_str().unwrap().to_owned()]));
    run(site, words, &options)
}

/// Runs a verb, which must succeed, and returns the `strace` output for these calls, of all its threads and with the
/// paths of descriptors. Returns nothing if no process may be traced.
pub(crate) fn trace(site: &Site, words: &[&str], calls: &str) -> Option<String> {
    let output = site.path("trace");
    let options =
        ["--seccomp-bpf", "-y", "-s", "4096", "-e", &format!("trace={calls}"), "-o", output.to_str().unwrap()];
    let ran = run(site, words, &options.map(str::to_owned))?;
    ran.succeeded();
    Some(fs::read_to_string(output).unwrap())
}

/// Returns a shell script in the place of `ssh`, see [`Site::reach_by_script`]. The agent stops as soon as it has
/// renamed a name within the directory `within` in which the file `mark` exists. Returns nothing if no process may be
/// traced.
///
/// The kernel hangs up on a stopped process when its parent, the client, dies. A server's `sshd` does not.
pub(crate) fn stopping_at_rename(within: &Path, mark: &Path) -> Option<String> {
    let ran = Command::new("strace").args(["-o", "/dev/null", "true"]).output().unwrap();
    if !ran.status.success() {
        skipped(&format!("no process may be traced: {}", String::from_utf8_lossy(&ran.stderr)));
        return None;
    }
    let [within, mark] = [within, mark].map(|path| path.to_str().unwrap());
    Some(format!(
        "#!/bin/sh\nfor command; do :; done\n[ -e '{mark}' ] || exec sh -c \"$command\"\n\
         trap '' HUP\nexec strace -f -qq -e signal=none -o /dev/null -P '{within}' -e trace=renameat,renameat2 \
         -e inject=renameat,renameat2:signal=STOP sh -c \"$command\"\n"
    ))
}

fn run(site: &Site, words: &[&str], options: &[String]) -> Option<RunResult> {
    let command = site.command(words);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "signal=none"]).args(options);
    strace.arg(command.get_program()).args(command.get_args());
    strace.env("HOME", site.path("home")).current_dir(site.path(""));
    let ran = RunResult::of(&strace.output().unwrap());
    if ran.stderr.contains("ptrace(PTRACE_TRACEME") || ran.stderr.contains("PTRACE_SEIZE") {
        skipped(&format!("no process may be traced: {}", ran.stderr));
        return None;
    }
    Some(ran)
}
