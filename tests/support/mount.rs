//! Small filesystems of a test's own, unmounted when they are dropped. Where mounting is not allowed, a test that
//! wants one says that it is skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::sshd::run;

/// A mounted filesystem.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// Mounts one in memory that runs no programs.
    pub(crate) fn noexec(path: &Path) -> Option<Mounted> {
        Mounted::tmpfs(path, "noexec,mode=777")
    }

    /// Mounts one in memory.
    pub(crate) fn tmpfs(path: &Path, options: &str) -> Option<Mounted> {
        Mounted::mount(path, &["-t", "tmpfs", "-o", options, "tmpfs"])
    }

    /// Makes and mounts ext4 in an image beside the mount point. `options` are those of `mke2fs`.
    pub(crate) fn ext4(path: &Path, size: &str, options: &[&str]) -> Option<Mounted> {
        let image = path.with_extension("image");
        run(Command::new("truncate").args(["-s", size]).arg(&image));
        run(Command::new("mke2fs").args(["-q", "-F", "-t", "ext4"]).args(options).arg(&image));
        let mounted = Mounted::mount(path, &["-o", "loop", image.to_str().unwrap()])?;
        fs::remove_dir(path.join("lost+found")).unwrap();
        Some(mounted)
    }

    fn mount(path: &Path, words: &[&str]) -> Option<Mounted> {
        fs::create_dir(path).unwrap();
        let mounted = Command::new("mount").args(words).arg(path).output().unwrap();
        if mounted.status.success() {
            return Some(Mounted(path.to_owned()));
        }
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        eprintln!("{test}: skipped, cannot mount: {}", String::from_utf8_lossy(&mounted.stderr));
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").args(["-l"]).arg(&self.0).status().ok();
    }
}
