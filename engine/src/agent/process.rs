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
