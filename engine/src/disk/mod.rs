//! Every change to a disk goes through here: making, linking, renaming, removing, syncing.
//!
//! All of it is relative to held directory descriptors and follows no symlink. Errors name the path.
//!
//! What a crash can lose: a name that was made, linked or renamed is durable once its directory was synced; content
//! once the file was. [`Dir::sync_filesystem`] does both for a whole filesystem at once.

mod dir;
mod file;
mod mode;
mod names;
mod removal;
mod stat;

mod filesystem;
mod lock;
mod mount;
mod process;

mod dangling;
mod path;

pub(crate) use dangling::refuse_dangling;
pub(crate) use dir::Dir;
pub(crate) use file::{copy_content, forget_cached};
pub(crate) use filesystem::{Free, keeps_times, mount_of_own_times};
pub(crate) use lock::{is_locked, try_lock};
pub(crate) use mode::{changes_to_work_in, set_group, set_mode, set_mode_and_mtime};
pub(crate) use mount::mount_of_this_boot;
pub(crate) use path::{create_path, create_private_path, remove_path, rename_path};
pub(crate) use process::{raise_open_files, take_usual_umask};
pub(crate) use stat::{Kind, SETGID, Stat, look};
