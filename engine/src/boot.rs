//! The identity of this boot.
//!
//! What holds within one boot alone is kept with it: the start of a process, the number of a mount, the inodes and ctimes
//! that were seen of a disk which another system may have changed since.

/// Returns the identity, as hexadecimal digits and dashes; nothing without `/proc`.
pub(crate) fn id() -> Option<String> {
    let bytes = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let id = String::from_utf8(bytes).ok()?;
    Some(id.trim_end().to_owned()).filter(|id| id.len() >= 8)
}
