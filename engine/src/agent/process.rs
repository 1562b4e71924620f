//! Finds processes that live in a release: by working directory, root, program, open file or mapping.
//!
//! Only what this user may see is seen. That is enough for what it is for: not to pull a tree from under a worker that
//! finishes what it began. A process that cannot be looked at, or that ends meanwhile, is passed over.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Returns, for each of `trees`, a process that lives in it, as `name (pid)`.
pub(crate) fn living_in(trees: &[PathBuf]) -> Vec<Option<String>> {
    let mut found = vec![None; trees.len()];
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return found;
    };
    let own = std::process::id().to_string();
    for process in processes.flatten() {
        let pid = process.file_name();
        if !pid.as_bytes().iter().all(u8::is_ascii_digit) || pid.as_bytes() == own.as_bytes() {
            continue;
        }
        for path in paths_of(&process.path()) {
            for (tree, found) in trees.iter().zip(&mut found) {
                if found.is_none() && path.starts_with(tree) {
                    *found = Some(format!("{} ({})", name_of(&process.path()), pid.display()));
                }
            }
        }
    }
    found
}

/// Tells whether something is mounted at a directory or below it, as far as this process sees.
pub(crate) fn is_mounted_below(tree: &Path) -> bool {
    let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    mounts.split(|&byte| byte == b'\n').any(|line| {
        let place = line.split(|&byte| byte == b' ').nth(4).unwrap_or_default();
        Path::new(std::ffi::OsStr::from_bytes(&unescaped(place))).starts_with(tree)
    })
}

/// Reads a path in which spaces, tabs, newlines and backslashes are written as a backslash and three octal digits.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let code = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

fn name_of(process: &Path) -> String {
    let name = std::fs::read(process.join("comm")).unwrap_or_default();
    crate::path::Shown(name.trim_ascii_end()).to_string()
}

fn paths_of(process: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        ["cwd", "root", "exe"].iter().filter_map(|link| std::fs::read_link(process.join(link)).ok()).collect();
    if let Ok(descriptors) = std::fs::read_dir(process.join("fd")) {
        paths.extend(descriptors.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok()));
    }
    if let Ok(maps) = std::fs::read(process.join("maps")) {
        let mapped = maps.split(|&byte| byte == b'\n').filter_map(|line| {
            let at = line.iter().position(|&byte| byte == b'/')?;
            Some(PathBuf::from(std::ffi::OsStr::from_bytes(&line[at..])))
        });
        paths.extend(mapped);
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_mounts_are_read() {
        for (text, expected) in
            [("/a", "/a"), ("/a\\040b\\134", "/a b\\"), ("/a\\04", "/a\\04"), ("/\\777x", "/\\777x")]
        {
            assert_eq!(unescaped(text.as_bytes()), expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn what_is_mounted_is_found() {
        assert!(is_mounted_below(Path::new("/proc")));
        assert!(!is_mounted_below(Path::new("/proc/self/nothing")));
    }
}
