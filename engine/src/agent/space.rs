//! Checks that the disk has space for a release, before anything is received.

use std::collections::BTreeMap;

use crate::disk::Free;
use crate::error::{Error, SiteError};
use crate::link::Link;
use crate::manifest::{Node, ObjectKey};
use crate::path::push_name;

use super::assemble::Assembly;
use super::classify::FurtherCopy;
use super::receive::WantedObjects;
use super::site::layout::Layout;
use super::store::SHARDS;

/// Space for records, the log, and the growth of existing directories.
const MARGIN_BYTES: u64 = 1 << 20;
const MARGIN_INODES: u64 = 64;

/// The space of the inode of a reflinked file and of its list of extents.
const REFLINK_BYTES: u64 = 512;

/// Compares the space that the release still needs with the free space. Private and further copies count in full,
/// because it is not known yet whether the filesystem will share their blocks. A directory counts as one block: few
/// have names for more.
///
/// XFS and Btrfs free the space of removed files a moment later, or at a sync. So a lack of space is only certain
/// after a sync.
pub(crate) fn check(
    layout: &Layout,
    assembly: &Assembly<'_>,
    further_copies: &[FurtherCopy],
    wanted: &WantedObjects,
) -> Result<(), Error> {
    match compare(layout.root.free()?, assembly, further_copies, wanted) {
        Ok(()) => Ok(()),
        Err(_) => {
            layout.root.sync_filesystem()?;
            compare(layout.root.free()?, assembly, further_copies, wanted)
        }
    }
}

fn compare(
    free: Free,
    assembly: &Assembly<'_>,
    further_copies: &[FurtherCopy],
    wanted: &WantedObjects,
) -> Result<(), Error> {
    let mut copies = further_sizes(assembly, further_copies);
    copies.extend(private_sizes(assembly));
    let on_disk = |sum: u64, size: &u64| sum.saturating_add(size.next_multiple_of(free.block_bytes));
    let copied_bytes = copies.iter().fold(0, on_disk);
    let missing = wanted.missing().count();
    // Objects arrive in directories of staging first.
    let directories = (assembly.manifest.directories().len() + missing.min(SHARDS)) as u64;
    let reflinks = if assembly.link == Link::Reflink { linked_files(assembly) } else { 0 };
    let directories_bytes = directories * free.block_bytes + reflinks * REFLINK_BYTES;
    let made_bytes = copied_bytes.saturating_add(directories_bytes + MARGIN_BYTES);
    let needed = wanted.missing_disk_bytes(free.block_bytes).saturating_add(made_bytes);
    if needed > free.bytes {
        return Err(SiteError::NoSpace { needed, free: free.bytes }.into());
    }
    let made = copies.len() as u64 + directories + own_inodes(assembly) + reflinks;
    let needed = missing as u64 + made + MARGIN_INODES;
    match free.inodes {
        Some(free) if needed > free => Err(SiteError::NoInodes { needed, free }.into()),
        _ => Ok(()),
    }
}

/// Returns the number of files with content.
fn linked_files(assembly: &Assembly<'_>) -> u64 {
    assembly.manifest.all_files().filter(|(_, file)| file.size > 0).count() as u64
}

/// Returns the number of empty files and symlinks, which are never links to objects.
fn own_inodes(assembly: &Assembly<'_>) -> u64 {
    let is_own = |&entry: &u32| match assembly.manifest.node(entry) {
        Node::File(file) => file.size == 0,
        Node::Symlink(_) => true,
        Node::Directory(_) => false,
    };
    (0..assembly.manifest.len()).filter(is_own).count() as u64
}

/// Returns the sizes of the further copies, one for each object.
fn further_sizes(assembly: &Assembly<'_>, further_copies: &[FurtherCopy]) -> Vec<u64> {
    let size = |own: &FurtherCopy| assembly.manifest.file(own.entry).map_or(0, |file| file.size);
    let objects: BTreeMap<ObjectKey, u64> = further_copies.iter().map(|own| (own.from.key, size(own))).collect();
    objects.into_values().collect()
}

/// Returns the sizes of the private copies.
fn private_sizes(assembly: &Assembly<'_>) -> Vec<u64> {
    let mut sizes = Vec::new();
    if assembly.copies.is_empty() {
        return sizes;
    }
    for number in 0..assembly.manifest.directories().len() as u32 {
        let directory = assembly.manifest.directory_path(number);
        for named in assembly.manifest.children(number) {
            let Node::File(file) = named.node else { continue };
            let mut path = directory.clone();
            push_name(&mut path, named.name);
            if file.size > 0 && assembly.copies.matches_file(&path) {
                sizes.push(file.size);
            }
        }
    }
    sizes
}
