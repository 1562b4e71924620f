//! Compares a release with its manifest, without reading content.
//!
//! Every entry is looked at: kind, mode, size, mtime, owner, and the target of a symlink. A directory is listed only
//! if its stamp shows that its names may have changed (`stamps`). The directories are compared in parallel, and the
//! cost is one `stat` for each entry. An edit in place leaves the inode and the names, so nothing less finds it. Two
//! things do not show: a write that restores the size and the mtime, and a change of extended attributes. The deeper
//! comparison reads the files and finds the first one.
//!
//! Not compared, because they belong to the application: the content of private copies (`copy_paths`) and added
//! names that these patterns match; names that hooks changed before the release was live (`own`).
//!
//! | module | what it owns |
//! |---|---|
//! | `walk` | the comparison of one release |
//! | `links` | the links into `shared/`, which the manifest does not have |
//! | `found` | the differences that were found |
//! | `hooks` | the comparison after hooks |
//! | `repair` | the repair of objects that hooks changed |
//! | `several` | the comparison of several releases |

mod found;
mod hooks;
mod links;
mod repair;
mod several;
mod walk;

#[cfg(test)]
mod tests;

pub(crate) use hooks::after_hooks;
pub(crate) use several::{Compared, compare_one, compare_releases, warning_of};
pub(crate) use walk::{Depth, Stop};
