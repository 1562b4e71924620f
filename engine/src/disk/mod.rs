//! All changes to a disk: creating, linking, renaming, removing, syncing.
//!
//! They are relative to held directory descriptors and follow no symlink. Errors name the path. A writable file
//! leaves this module as a [`NewFile`], a [`Draft`], a [`TextFile`] or a [`LockFile`], never as a `File`; so every change
//! to a disk passes the one file `call`, and tests can make each of these calls fail (`fault`).
//!
//! A name that was created, linked or renamed is durable once its directory was synced, and content once its file
//! was: until then a crash can lose it. [`Dir::sync_filesystem`] does both for a whole filesystem.

mod dir;
mod draft;
mod file;
mod mode;
mod names;
mod removal;
mod stat;
mod text;
mod usage;

mod cost;
mod filesystem;
mod lease;
mod lock;
mod mount;
mod process;
mod range_lock;
mod rights;

mod dangling;
mod followed;
mod path;

mod call;
mod fault;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use cost::CostKind;
pub(crate) use cost::Costs;
pub(crate) use dangling::refuse_dangling;
pub(crate) use dir::Dir;
pub(crate) use draft::Draft;
pub(crate) use file::{NewFile, forget_cached, sync_file};
pub(crate) use filesystem::{Free, is_immutable, is_local, is_noexec, keeps_times, may_write, mount_of_own_times};
pub(crate) use followed::open_followed;
pub(crate) use lease::Lease;
pub(crate) use lock::{LockFile, is_locked, try_lock};
pub(crate) use mode::{OWNER_ALL, needs_mode_change, set_group, set_mode, set_mode_and_mtime, set_mode_and_times};
pub(crate) use mount::mount_of_this_boot;
pub(crate) use path::{create_path, create_private_path, remove_path, rename_path};
pub(crate) use process::{raise_open_files, set_usual_umask};
pub(crate) use range_lock::{RangeLock, try_lock_range};
pub(crate) use removal::{LeftName, Removal};
pub(crate) use stat::{Kind, SETGID, Stat, file_stat};
pub(crate) use text::TextFile;
pub(crate) use usage::{OwnBlocks, Usage};
