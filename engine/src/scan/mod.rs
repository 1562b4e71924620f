//! Scans a tree: an object of the disk becomes a manifest.

pub(crate) mod content;
pub(crate) mod stat;
