//! The space that new names take on a filesystem, by its kind.
//!
//! ```text
//! kind        content              inode        directory                       further names
//! ext4, else  whole blocks         set apart    a block, then leaves, 2/3 full  free
//! XFS         whole blocks         512 bytes    in the inode, then blocks       free
//! Btrfs       whole blocks, or     in a tree    in a tree                       in a tree
//!             in a tree if small
//! tmpfs       whole pages          set apart    free                            an inode each
//! ```
//!
//! Trees of Btrfs are counted twice, because a disk of its own has each of them twice, and half as much again, because
//! their nodes are not full. `statfs` does not show that space until a new part of the disk is given to the trees.
//!
//! Nothing here reads a disk. The figures are those of the default options of each filesystem.

/// The kind of a filesystem, as far as it decides the space that names take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CostKind {
    /// Inodes are set apart, and a directory has at least one block: ext4, and every kind that is not known.
    Blocks,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// A filesystem in memory.
    Memory,
}

/// The cost of names on a filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Costs {
    /// The kind.
    pub(crate) kind: CostKind,
    /// The size of a block.
    pub(crate) block_bytes: u64,
}

/// An inode of XFS.
const XFS_INODE_BYTES: u64 = 512;
/// The part of an inode of XFS for names or a target: without its head and a small attribute.
const XFS_INLINE_BYTES: u64 = 280;
/// The longest content that Btrfs keeps in a tree.
const BTRFS_INLINE_MAX: u64 = 2048;
/// An inode of Btrfs in its tree, with its place, the reference of its extent and the sums of its first blocks.
const BTRFS_INODE_BYTES: u64 = 400;
/// A name of Btrfs: it stands in two indexes of the directory and in the inode.
const BTRFS_NAME_BYTES: u64 = 170;
/// The longest target of a symlink that ext4 keeps in the inode.
const EXT4_TARGET_MAX: u64 = 59;
/// The longest target that tmpfs keeps without a page.
const MEMORY_TARGET_MAX: u64 = 127;

impl Costs {
    /// Returns the bytes of a file's content, with its inode.
    pub(crate) fn file(&self, size: u64) -> u64 {
        let blocks = size.next_multiple_of(self.block_bytes);
        match self.kind {
            CostKind::Blocks | CostKind::Memory => blocks,
            CostKind::Xfs => blocks + XFS_INODE_BYTES,
            CostKind::Btrfs if size <= BTRFS_INLINE_MAX => in_tree(BTRFS_INODE_BYTES + size),
            // Each block has a sum of 4 bytes.
            CostKind::Btrfs => blocks + in_tree(BTRFS_INODE_BYTES + blocks / self.block_bytes * 4),
        }
    }

    /// Returns the bytes of a file that shares its blocks with another one.
    pub(crate) fn reflink(&self) -> u64 {
        self.file(0)
            + match self.kind {
                // The reference of an extent, in the tree of all extents.
                CostKind::Xfs => 24,
                CostKind::Btrfs => in_tree(80),
                CostKind::Blocks | CostKind::Memory => 0,
            }
    }

    /// Returns the bytes of a symlink.
    pub(crate) fn symlink(&self, target_bytes: u64) -> u64 {
        let is_inline = target_bytes
            <= match self.kind {
                CostKind::Blocks => EXT4_TARGET_MAX,
                CostKind::Xfs => XFS_INLINE_BYTES,
                CostKind::Btrfs => u64::MAX,
                CostKind::Memory => MEMORY_TARGET_MAX,
            };
        let own = if self.kind == CostKind::Btrfs { in_tree(target_bytes) } else { 0 };
        self.file(0) + own + if is_inline { 0 } else { target_bytes.next_multiple_of(self.block_bytes) }
    }

    /// Returns the bytes of a directory with names of so many bytes together.
    pub(crate) fn directory(&self, names: u64, names_bytes: u64) -> u64 {
        match self.kind {
            CostKind::Memory => 0,
            CostKind::Blocks => self.block_bytes * self.indexed_blocks(24 + names * 10 + names_bytes, 12),
            CostKind::Xfs if 10 + names * 8 + names_bytes <= XFS_INLINE_BYTES => XFS_INODE_BYTES,
            CostKind::Xfs => {
                // Behind the names there is an index with 8 bytes for each.
                let (names_bytes, index_bytes) = (names * 16 + names_bytes, names * 8);
                let together = names_bytes + index_bytes + 72;
                let blocks = match together <= self.block_bytes {
                    true => 1,
                    false => {
                        self.indexed_blocks(names_bytes, 64).max(2) + index_bytes.div_ceil(self.block_bytes * 2 / 3)
                    }
                };
                XFS_INODE_BYTES + blocks * self.block_bytes
            }
            CostKind::Btrfs => in_tree(BTRFS_INODE_BYTES) + self.names(names, names_bytes),
        }
    }

    /// Returns the bytes of names of files that exist, beside the blocks of their directory.
    pub(crate) fn names(&self, names: u64, names_bytes: u64) -> u64 {
        match self.kind {
            CostKind::Btrfs => in_tree(names * BTRFS_NAME_BYTES + names_bytes * 3),
            CostKind::Blocks | CostKind::Xfs | CostKind::Memory => 0,
        }
    }

    /// Tells whether a copy shares the blocks of its original, with the default options of the filesystem.
    pub(crate) fn shares_blocks(&self) -> bool {
        matches!(self.kind, CostKind::Xfs | CostKind::Btrfs)
    }

    /// Returns the inodes of a further name of a file.
    pub(crate) fn link_inodes(&self) -> u64 {
        u64::from(self.kind == CostKind::Memory)
    }

    /// Returns the space that must be free beside that of a release: for records, the log, the journal of the run, and
    /// the growth of existing directories. XFS writes nothing any more before its last forty blocks are used, and gives
    /// out inodes by 64.
    pub(crate) fn margin_bytes(&self) -> u64 {
        match self.kind {
            CostKind::Blocks | CostKind::Memory => 256 << 10,
            CostKind::Xfs | CostKind::Btrfs => 1 << 20,
        }
    }

    /// Returns the blocks of names, where a directory of more than one block has an index, and leaves that are split in
    /// the middle when they are full.
    fn indexed_blocks(&self, bytes: u64, tail_bytes: u64) -> u64 {
        let leaf = self.block_bytes - tail_bytes;
        if bytes <= leaf { 1 } else { 1 + (bytes * 3).div_ceil(leaf * 2) }
    }
}

/// Returns the space of an item in the trees of Btrfs.
fn in_tree(bytes: u64) -> u64 {
    bytes * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(kind: CostKind) -> Costs {
        Costs { kind, block_bytes: 4096 }
    }

    #[test]
    fn content_takes_whole_blocks_and_an_inode_where_inodes_take_space() {
        let check = |kind, size, expected| assert_eq!(costs(kind).file(size), expected, "{kind:?} {size}");
        check(CostKind::Blocks, 0, 0);
        check(CostKind::Blocks, 1, 4096);
        check(CostKind::Blocks, 4097, 8192);
        check(CostKind::Memory, 4096, 4096);
        check(CostKind::Xfs, 1, 4608);
        check(CostKind::Btrfs, 100, 1500);
        check(CostKind::Btrfs, 4096, 4096 + 3 * 404);
    }

    #[test]
    fn a_directory_takes_a_block_until_its_names_do_not_fit() {
        let check = |kind, names, expected| assert_eq!(costs(kind).directory(names, names * 6), expected, "{kind:?}");
        check(CostKind::Blocks, 0, 4096);
        check(CostKind::Blocks, 253, 4096);
        check(CostKind::Blocks, 1000, 4096 * 7);
        check(CostKind::Xfs, 10, 512);
        check(CostKind::Xfs, 100, 512 + 4096);
        check(CostKind::Memory, 1000, 0);
    }

    #[test]
    fn a_short_target_is_in_the_inode() {
        let check = |kind, bytes, expected| assert_eq!(costs(kind).symlink(bytes), expected, "{kind:?} {bytes}");
        check(CostKind::Blocks, 59, 0);
        check(CostKind::Blocks, 60, 4096);
        check(CostKind::Memory, 127, 0);
        check(CostKind::Xfs, 100, 512);
    }
}
