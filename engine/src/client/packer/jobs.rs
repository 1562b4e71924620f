//! Gathers files into the jobs of packing threads.

use crate::chunk::LARGE_FILE_BYTES;
use crate::client::outgoing_file::{OldFile, OldVersion, OutgoingFile};
use crate::manifest::Manifest;
use crate::wire::block::{BLOCK_BYTES_MAX, BLOCK_ITEMS_MAX, PACKED_BYTES_MAX};

/// The most content of a container of deltas, old or new, in bytes: both sides hold both. It is less than a block on
/// the wire: if nothing is alike, a container holds all of the new content, and its numbers.
pub(super) const DELTA_BYTES_MAX: usize = PACKED_BYTES_MAX - (1 << 20);

/// The largest file that travels with its neighbours, if the server has nothing of it. On kernel sources, where large
/// files are much alike, that takes one percent less than parts of its own.
pub(super) const WHOLE_BYTES_MAX: u64 = 4 << 20;

/// A job of a packing thread.
pub(super) enum Job {
    Files(Vec<u32>),
    Deltas(Vec<(u32, OldFile)>),
    Large(OutgoingFile),
}

/// Gathers neighbouring small files into blocks. Each large file is a job.
pub(super) fn jobs(manifest: &Manifest, outgoing_files: Vec<OutgoingFile>) -> Vec<Job> {
    let mut jobs = Vec::new();
    let mut files = Vec::new();
    let mut bytes = 0;
    let mut deltas = Vec::new();
    let mut delta_bytes = 0;
    for outgoing in depth_first(manifest, outgoing_files) {
        let size = manifest.file(outgoing.entry).map_or(0, |file| file.size);
        if size > WHOLE_BYTES_MAX || (size >= LARGE_FILE_BYTES && (outgoing.skip > 0 || outgoing.old.is_some())) {
            jobs.push(Job::Large(outgoing));
            continue;
        }
        if let Some(OldVersion::Small(old)) = outgoing.old {
            let larger = size.max(old.file.size) as usize;
            if delta_bytes + larger > DELTA_BYTES_MAX || deltas.len() == BLOCK_ITEMS_MAX {
                jobs.push(Job::Deltas(std::mem::take(&mut deltas)));
                delta_bytes = 0;
            }
            deltas.push((outgoing.entry, old));
            delta_bytes += larger;
            continue;
        }
        if bytes + size as usize > BLOCK_BYTES_MAX || files.len() == BLOCK_ITEMS_MAX {
            jobs.push(Job::Files(std::mem::take(&mut files)));
            bytes = 0;
        }
        files.push(outgoing.entry);
        bytes += size as usize;
    }
    if !files.is_empty() {
        jobs.push(Job::Files(files));
    }
    if !deltas.is_empty() {
        jobs.push(Job::Deltas(deltas));
    }
    jobs
}

/// Sorts by directory, depth first. Files near in the tree are alike, and should be in one block. Indices of the
/// manifest are breadth first.
fn depth_first(manifest: &Manifest, mut outgoing_files: Vec<OutgoingFile>) -> Vec<OutgoingFile> {
    let mut ranks = vec![0; manifest.directories().len()];
    let mut rank = 0_u32;
    let mut open = vec![0];
    while let Some(directory) = open.pop() {
        ranks[directory as usize] = rank;
        rank += 1;
        let first = open.len();
        open.extend(manifest.directories_in(directory).map(|(number, _)| number));
        open[first..].reverse();
    }
    outgoing_files.sort_by_cached_key(|outgoing| (ranks[manifest.holder(outgoing.entry) as usize], outgoing.entry));
    outgoing_files
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::client::outgoing_file::outgoing_files;
    use crate::hash::Hash;
    use crate::manifest::{Builder, File, ObjectKey};

    #[test]
    fn a_block_of_files_holds_no_more_files_than_a_block() {
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        for number in 0..70_000 {
            let key = ObjectKey { hash: Hash::of(b"x"), mode: 0o444 };
            builder.file(format!("{number:05}").as_bytes(), File { key, size: 1 }).unwrap();
        }
        let manifest = builder.finish().unwrap();
        let entries: Vec<u32> = manifest.all_files().map(|(entry, _)| entry).collect();
        let jobs = jobs(&manifest, outgoing_files(entries.clone(), &[], &HashMap::new()));
        let in_jobs = |job: &Job| match job {
            Job::Files(entries) => entries.clone(),
            Job::Large(_) | Job::Deltas(_) => Vec::new(),
        };
        let in_jobs: Vec<Vec<u32>> = jobs.iter().map(in_jobs).collect();
        assert!(in_jobs.iter().all(|files| files.len() <= BLOCK_ITEMS_MAX));
        assert_eq!(in_jobs.concat(), entries);
    }
}
