//! Proves that a release is the source, with tools that everybody knows.
//!
//! rsync compares kinds, link targets and every file's content, and finds files that should not be there; `find` lists kind,
//! mode and link target of each path. Write bits are left out: objects are read-only. A figure for a wrong result is
//! worth nothing, so a difference fails the scenario.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::failure::{Context, Failure, Result};
use crate::invocation::Invocation;

/// Path first, so that both lists sort alike although the modes differ; `\001` and `\0` occur in no sane path.
const LIST: &str = r#"find "$1" -printf '%P\001%y %m %l\0' | LC_ALL=C sort -z"#;

/// Fails unless two directories hold the same.
pub(crate) fn ensure_same(source: &Path, deployed: &Path) -> Result<()> {
    ensure_same_content(source, deployed)?;
    ensure_same_kinds_and_modes(source, deployed)
}

fn ensure_same_content(source: &Path, deployed: &Path) -> Result<()> {
    let rsync = Invocation::new("rsync").args(["-rlcn", "--delete", "--itemize-changes"]);
    let rsync = rsync.args([source.join(""), deployed.join("")]);
    let differences = rsync.text()?;
    if differences.is_empty() {
        return Ok(());
    }
    let some: Vec<&str> = differences.lines().take(10).collect();
    Err(Failure::new(format!("The release is not the source: `{rsync}` prints\n{}", some.join("\n"))))
}

fn ensure_same_kinds_and_modes(source: &Path, deployed: &Path) -> Result<()> {
    // The lists are compared as they come: holding them would show up as memory of every program started later.
    let (mut there, mut here) = (list(source)?, list(deployed)?);
    loop {
        let (source_line, deployed_line) = (next_line(&mut there)?, next_line(&mut here)?);
        if source_line != deployed_line {
            return Err(Failure::new(format!(
                "The release is not the source: {source_line:?} there, {deployed_line:?} deployed"
            )));
        }
        if source_line.is_none() {
            return Ok(());
        }
    }
}

struct List {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Drop for List {
    fn drop(&mut self) {
        // Only a list that differs is left before its end.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn list(path: &Path) -> Result<List> {
    let mut command = Command::new("sh");
    command.args(["-c", LIST, "sh"]).arg(path.join("")).stdout(Stdio::piped());
    let mut child = command.spawn().context(|| "Could not run `find`")?;
    let stdout = child.stdout.take().ok_or_else(|| Failure::new("`find` has no stdout"))?;
    Ok(List { child, lines: BufReader::new(stdout) })
}

fn next_line(list: &mut List) -> Result<Option<String>> {
    let mut record = Vec::new();
    let read = list.lines.read_until(0, &mut record).context(|| "Could not read what `find` prints")?;
    if read == 0 {
        return Ok(None);
    }
    record.pop();
    without_write_bits(&record)
        .map(Some)
        .ok_or_else(|| Failure::new(format!("`find` printed {:?}", String::from_utf8_lossy(&record))))
}

fn without_write_bits(record: &[u8]) -> Option<String> {
    let split = record.iter().position(|&byte| byte == 1)?;
    let (path, rest) = record.split_at(split);
    let rest = String::from_utf8_lossy(&rest[1..]).into_owned();
    let mut words = rest.splitn(3, ' ');
    let (kind, mode, link) = (words.next()?, words.next()?, words.next()?);
    let mode = u32::from_str_radix(mode, 8).ok()? & 0o7555;
    Some(format!("{kind} {mode:o} {link} {}", path.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_bits_are_left_out() {
        let check = |record: &[u8], expected: &str| {
            assert_eq!(without_write_bits(record).as_deref(), Some(expected));
        };
        check(b"a/b\x01f 644 ", "f 444  a/b");
        check(b"a/b\x01f 444 ", "f 444  a/b");
        check(b"\x01d 755 ", "d 555  ");
        check(b"l\x01l 777 to here", "l 555 to here l");
    }
}
