//! The space of a release's tree: its directories, and the files that are not links to objects.
//!
//! A directory is looked at, and listed only if its stamp does not show that it has the names of the manifest. A name that
//! the manifest does not have is counted with everything in it. A file that replaced one of the manifest at its path
//! counts as a link: a comparison finds it.

use rayon::prelude::*;

use crate::agent::site::layout::Layout;
use crate::agent::stamp::Stamp;
use crate::agent::stamps::Stamps;
use crate::disk::{Dir, Kind, OwnBlocks, Usage};
use crate::error::Error;
use crate::link::Link;
use crate::manifest::{EntryRef, Manifest, Node};
use crate::path::push_name;
use crate::pattern::Patterns;
use crate::release::Record;

/// A tree with the facts about it.
struct Tree<'a> {
    manifest: &'a Manifest,
    stamps: Option<Stamps>,
    copies: Patterns,
    link: Link,
    blocks: OwnBlocks,
}

/// Returns the space of a release without its objects.
pub(super) fn usage(layout: &Layout, record: &Record, manifest: &Manifest) -> Result<Usage, Error> {
    let name = record.id.as_str().as_bytes();
    let tree = Tree {
        manifest,
        stamps: Stamps::read(&layout.records.open_dir(name)?)?,
        copies: Patterns::parse(record.copy_paths.iter().map(String::as_str), "`copy_paths`")?,
        link: record.link,
        blocks: layout.own_blocks(record.link)?,
    };
    tree.directory(0, &layout.releases.open_dir(name)?, &[])
}

impl Tree<'_> {
    fn directory(&self, number: u32, dir: &Dir, path: &[u8]) -> Result<Usage, Error> {
        let stat = dir.own_stat()?;
        let mut sum = Usage { bytes: stat.disk_bytes, inodes: 1 };
        let hash = &self.manifest.directories()[number as usize].hash;
        let has_names = self.stamps.as_ref().is_some_and(|stamps| stamps.has_names_of(hash, Stamp::of(&stat)));
        if !has_names {
            sum += self.added(number, dir)?;
        }
        let mut below = Vec::new();
        for named in self.manifest.children(number) {
            match named.node {
                Node::Directory(child) => below.push((child, named.name)),
                _ => sum += self.name(dir, path, named)?,
            }
        }
        let directory = |(child, name): (u32, &[u8])| {
            // A link into `shared/` may stand in its place.
            match dir.stat(name)? {
                Some(stat) if stat.kind == Kind::Directory => {
                    let mut path = path.to_vec();
                    push_name(&mut path, name);
                    self.directory(child, &dir.open_dir(name)?, &path)
                }
                _ => dir.own_usage_of(name, self.blocks),
            }
        };
        let below = below.into_par_iter().map(directory);
        below.try_reduce(Usage::default, |one, other| Ok(one + other)).map(|below| sum + below)
    }

    /// Returns the space of the names that the manifest does not have.
    fn added(&self, number: u32, dir: &Dir) -> Result<Usage, Error> {
        let mut wanted = self.manifest.children(number).map(|named| named.name).peekable();
        let mut sum = Usage::default();
        for name in dir.names()? {
            while wanted.next_if(|wanted| *wanted < name.as_slice()).is_some() {}
            if wanted.next_if(|wanted| *wanted == name.as_slice()).is_none() {
                sum += dir.own_usage_of(&name, self.blocks)?;
            }
        }
        Ok(sum)
    }

    /// Returns the space of a file or a symlink.
    fn name(&self, dir: &Dir, path: &[u8], named: EntryRef<'_>) -> Result<Usage, Error> {
        let is_looked_at = match named.node {
            Node::File(file) if file.size > 0 => {
                let mut path = path.to_vec();
                push_name(&mut path, named.name);
                self.link == Link::Reflink || !self.copies.is_empty() && self.copies.matches_file(&path)
            }
            Node::Symlink(target) if self.manifest.text(target).len() >= SHORT_TARGET => true,
            // Neither takes more than an inode.
            Node::File(_) | Node::Symlink(_) => return Ok(Usage { bytes: 0, inodes: 1 }),
            Node::Directory(_) => false,
        };
        match is_looked_at {
            true => dir.own_usage_of(named.name, self.blocks),
            false => Ok(Usage::default()),
        }
    }
}

/// The shortest target that may take more than an inode.
const SHORT_TARGET: usize = 60;
