//! The identity of this boot.
//!
//! Some facts hold within one boot only and are stored with this identity: the start of a process, the number of a
//! mount, the inodes and ctimes of a disk that another system may have changed since.

/// Returns the identity as hexadecimal digits and dashes. None if `/proc` is missing.
pub(crate) fn id() -> Option<String> {
    let bytes = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let id = String::from_utf8(bytes).ok()?;
    Some(id.trim_end().to_owned()).filter(|id| id.len() >= 8)
}
