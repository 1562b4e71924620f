//! The mount of an open file, and its name in this boot.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{self, AtFlags, StatxFlags};

use crate::hash::Hash;

/// Requests the id of a mount that is never reused. Linux has it since 6.8, and `rustix` does not name it.
const MNT_ID_UNIQUE: u32 = 0x4000;

/// Returns the id of the mount of an open file, or nothing if neither `statx` (Linux 5.8) nor `/proc` knows it.
pub(crate) fn mount(file: impl AsFd) -> Option<u64> {
    let wanted = StatxFlags::MNT_ID | StatxFlags::from_bits_retain(MNT_ID_UNIQUE);
    if let Ok(statx) = fs::statx(&file, "", AtFlags::EMPTY_PATH, wanted)
        && statx.stx_mask & wanted.bits() != 0
    {
        return Some(statx.stx_mnt_id);
    }
    let path = format!("/proc/self/fdinfo/{}", file.as_fd().as_raw_fd());
    let info = std::fs::read_to_string(path).ok()?;
    info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
}

/// Returns a name for the mount of an open file in this boot, if its id is known.
pub(crate) fn mount_of_this_boot(file: impl AsFd) -> Option<Hash> {
    let (mount, boot) = (mount(file)?, crate::boot::id()?);
    Some(Hash::of(format!("{boot} {mount}").as_bytes()))
}
