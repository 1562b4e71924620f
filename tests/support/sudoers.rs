//! Rules for a real `sudo`.

use std::fs;
use std::path::PathBuf;

/// A file of rules for `sudo`. Dropping it removes it.
pub(crate) struct Sudoers(PathBuf);

impl Sudoers {
    /// Writes a file of that name.
    pub(crate) fn write(name: &str, rules: &str) -> Sudoers {
        // `sudo` ignores names with a dot.
        let path = PathBuf::from(format!("/etc/sudoers.d/{name}"));
        fs::write(&path, rules).unwrap();
        super::tree::set_mode(&path, 0o440);
        Sudoers(path)
    }
}

impl Drop for Sudoers {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}
