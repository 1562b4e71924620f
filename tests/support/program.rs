//! Programs that a test writes and then runs.
//!
//! A file cannot be run while any process holds it open for writing ("Text file busy"). Another test may start a
//! process while this one writes, and until that process runs its own program, it holds all open files of this one.
//! So a child writes the file: no process starts from that child.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::sshd::run;

/// Writes a script that everybody may run.
pub(crate) fn write(path: &Path, script: &str) {
    let mut child = Command::new("sh");
    child.args(["-ec", "cat > \"$0.new\"; chmod 755 \"$0.new\"; mv -f \"$0.new\" \"$0\""]).arg(path);
    let mut child = child.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{}", path.display());
}

/// Copies a program, with its mode.
pub(crate) fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg(from).arg(to));
}
