//! The stamps of a release and of the store, kept for the deploy that reuses that release.
//!
//! ```text
//! .cutover/releases/<id>/seen
//!
//! hash         32 bytes: blake3 of all that follows
//! boot         32 bytes: hash of the boot's identity and of the mount's
//! shards       256 times: inode and ctime of a directory of objects
//! directories  count; of each, by number, inode and ctime, and the first 8 bytes of its hash in the manifest
//! objects      count; of each entry the inode of its object; 0 if there is none or it is not known
//! ```
//!
//! Numbers are varints. Inodes and ctimes are differences from the one before.
//!
//! No name in a directory changes without the directory's ctime, and no program can set a ctime. So a directory with
//! the same inode and ctime still has the same names, each for the same inode. A change within the clock tick of the
//! stamp would not show: a directory that changed in that tick has no stamp, and counts as changed. The same applies
//! to a directory with a link into `shared/`, because the manifest does not have that name. A ctime without a
//! fraction of a second may come from a filesystem that keeps none: its tick is the whole second.
//!
//! The file is a hint. If it is missing, cut off, altered, or from another boot or mount, every directory is listed;
//! otherwise each one whose stamp differs. It says nothing about the content of files: a reuse checks every file.

use std::collections::HashMap;
use std::time::Duration;

use crate::bytes::{ByteReader, Malformed, put_number, put_signed};
use crate::disk::{self, Dir};
use crate::error::Error;
use crate::hash::Hash;
use crate::manifest::encode::INTRODUCED;
use crate::manifest::placement::Placement;
use crate::manifest::{Manifest, ObjectKey};

use super::site::records::ManifestView;
use super::stamp::{Moment, Stamp};
use super::store::{SHARDS, Store};

const SEEN: &[u8] = b"seen";

/// The longest clock tick of Linux: a hundredth of a second. Most systems have four ticks in that time.
const TICK_MAX: Duration = Duration::from_millis(10);
const CHECK_EVERY: Duration = Duration::from_millis(1);

/// The stamps of a release that was just made.
#[derive(Debug)]
pub(crate) struct NewStamps<'a> {
    /// The stamps of its directories, by number.
    pub(crate) directories: &'a [Stamp],
    /// For each entry, the inode of its object; 0 if there is none or it is not known.
    pub(crate) inodes: &'a [u64],
    /// A moment when only this run could reach the release, and nothing in it changed any more.
    pub(crate) moment: Moment,
}

/// The stamps of a release and of the store, read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamps {
    shards: Vec<Stamp>,
    /// By inode: the ctime, and the first bytes of the directory's hash in the manifest.
    directories: HashMap<u64, (i64, u64)>,
    inodes: Vec<u64>,
}

impl Stamps {
    /// Reads the stamps beside a record. Returns nothing if they cannot be trusted.
    pub(crate) fn read(record: &Dir) -> Result<Option<Stamps>, Error> {
        let Some(boot) = disk::mount_of_this_boot(record) else { return Ok(None) };
        Ok(record.read(SEEN)?.and_then(|bytes| Stamps::from_bytes(&bytes, boot).ok()))
    }

    /// Tells whether a directory still has the names that the manifest has for the directory with this hash.
    pub(crate) fn has_names_of(&self, hash: &Hash, stamp: Stamp) -> bool {
        stamp.is_known() && self.directories.get(&stamp.inode) == Some(&(stamp.ctime, print(hash)))
    }

    /// Returns the inode of the object that an entry was linked to, if it is known.
    pub(crate) fn inode(&self, entry: u32) -> Option<u64> {
        self.inodes.get(entry as usize).copied().filter(|&inode| inode != 0)
    }

    fn from_bytes(bytes: &[u8], boot: Hash) -> Result<Stamps, Malformed> {
        let (hash, rest) = bytes.split_first_chunk().ok_or(Malformed)?;
        let mut reader = ByteReader::new(rest);
        if Hash::of(rest) != Hash::from_bytes(*hash) || Hash::from_bytes(reader.array()?) != boot {
            return Err(Malformed);
        }
        let limit = rest.len() as u64;
        let mut last = Stamp::default();
        let shards = (0..SHARDS).map(|_| read_stamp(&mut reader, &mut last)).collect::<Result<_, _>>()?;
        let mut directories = HashMap::new();
        for _ in 0..reader.number_within(limit)? {
            let Stamp { inode, ctime } = read_stamp(&mut reader, &mut last)?;
            directories.insert(inode, (ctime, u64::from_le_bytes(reader.array()?)));
        }
        let count = reader.number_within(limit)? as usize;
        let (mut inodes, mut inode) = (Vec::with_capacity(count), 0_u64);
        for _ in 0..count {
            inode = inode.wrapping_add(reader.signed()? as u64);
            inodes.push(inode);
        }
        Ok(Stamps { shards, directories, inodes })
    }
}

/// Writes the stamps of a new release beside its record.
pub(crate) fn write(record: &Dir, store: &Store, manifest: &Manifest, stamps: &NewStamps<'_>) -> Result<(), Error> {
    let Some(boot) = disk::mount_of_this_boot(record) else { return Ok(()) };
    let bytes = to_bytes(&shards(store)?, manifest, stamps, boot);
    record.create_file_of(SEEN, &bytes).map(drop)
}

fn to_bytes(shards: &[Stamp], manifest: &Manifest, stamps: &NewStamps<'_>, boot: Hash) -> Vec<u8> {
    let mut bytes = vec![0; size_of::<Hash>()];
    bytes.extend_from_slice(boot.as_bytes());
    let mut last = Stamp::default();
    shards.iter().for_each(|&stamp| put_stamp(&mut bytes, &mut last, stamp));
    put_number(&mut bytes, stamps.directories.len() as u64);
    for (stamp, directory) in stamps.directories.iter().zip(manifest.directories()) {
        put_stamp(&mut bytes, &mut last, stamp.if_before(stamps.moment));
        bytes.extend_from_slice(&print(&directory.hash).to_le_bytes());
    }
    put_number(&mut bytes, stamps.inodes.len() as u64);
    let mut before = 0;
    for &inode in stamps.inodes {
        put_signed(&mut bytes, inode.wrapping_sub(before) as i64);
        before = inode;
    }
    let hash = Hash::of(&bytes[size_of::<Hash>()..]);
    bytes[..size_of::<Hash>()].copy_from_slice(hash.as_bytes());
    bytes
}

/// Returns the stamps of the shards, after the tick of their last change. That takes a few milliseconds; listing all
/// shards would take longer.
fn shards(store: &Store) -> Result<Vec<Stamp>, Error> {
    let mut waited = Duration::ZERO;
    loop {
        let (moment, stamps) = (Moment::now(), store.stamps()?);
        if waited >= TICK_MAX || stamps.iter().all(|stamp| stamp.latest() < moment.0) {
            return Ok(stamps.into_iter().map(|stamp| stamp.if_before(moment)).collect());
        }
        std::thread::sleep(CHECK_EVERY);
        waited += CHECK_EVERY;
    }
}

fn put_stamp(bytes: &mut Vec<u8>, last: &mut Stamp, stamp: Stamp) {
    put_signed(bytes, stamp.inode.wrapping_sub(last.inode) as i64);
    put_signed(bytes, stamp.ctime.wrapping_sub(last.ctime));
    *last = stamp;
}

fn read_stamp(reader: &mut ByteReader<'_>, last: &mut Stamp) -> Result<Stamp, Malformed> {
    let inode = last.inode.wrapping_add(reader.signed()? as u64);
    let ctime = last.ctime.wrapping_add(reader.signed()?);
    *last = Stamp { inode, ctime };
    Ok(*last)
}

fn print(hash: &Hash) -> u64 {
    hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The inodes of objects that the base names, known without listing the store.
pub(crate) struct KnownObjects<'a> {
    base: ManifestView<'a>,
    origins: &'a [u32],
    inodes: Vec<u64>,
    /// Whether each shard still has its stamp.
    is_unchanged: Vec<bool>,
}

impl<'a> KnownObjects<'a> {
    /// Combines the stamps of the base with the present store. `origins` maps entries of the new manifest to entries
    /// of the base.
    pub(crate) fn new(
        seen: Stamps,
        store: &Store,
        base: ManifestView<'a>,
        origins: &'a [u32],
    ) -> Result<KnownObjects<'a>, Error> {
        let is_same = |(then, now): (&Stamp, &Stamp)| then.is_known() && then == now;
        let is_unchanged = seen.shards.iter().zip(&store.stamps()?).map(is_same).collect();
        Ok(KnownObjects { base, origins, inodes: seen.inodes, is_unchanged })
    }

    /// Returns the inode of the object that an entry of the new manifest links to, if it is known.
    pub(crate) fn inode(&self, entry: u32, key: ObjectKey, placement: Placement) -> Option<u64> {
        let origin = self.origins[entry as usize];
        let is_as_in_base = || {
            self.base.placements[origin as usize] == placement
                && self.base.manifest.file(origin).is_some_and(|file| file.key == key)
        };
        let shard = usize::from(key.hash.as_bytes()[0]);
        if origin == INTRODUCED || !self.is_unchanged[shard] || !is_as_in_base() {
            return None;
        }
        self.inodes.get(origin as usize).copied().filter(|&inode| inode != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::manifest::Builder;

    fn manifest() -> Manifest {
        let mut builder = Builder::new();
        builder.begin(0o755).unwrap();
        builder.directory(b"directory").unwrap();
        builder.begin(0o755).unwrap();
        builder.symlink(b"link", b"to").unwrap();
        builder.finish().unwrap()
    }

    fn kept() -> Vec<u8> {
        let directories = vec![Stamp { inode: 7, ctime: 99 }, Stamp { inode: u64::MAX, ctime: 100 }];
        let stamps = NewStamps { directories: &directories, inodes: &[0, 5], moment: Moment(100) };
        let shards: Vec<Stamp> = (0..SHARDS as u64).map(|inode| Stamp { inode, ctime: i64::MAX }).collect();
        to_bytes(&shards, &manifest(), &stamps, Hash::of(b"boot"))
    }

    #[test]
    fn what_was_seen_reads_back_but_for_what_changed_in_the_same_tick() {
        let seen = Stamps::from_bytes(&kept(), Hash::of(b"boot")).unwrap();
        let manifest = manifest();
        let [root, directory] = [0, 1].map(|number: usize| manifest.directories()[number].hash);
        assert_eq!(seen.inodes, [0, 5]);
        assert_eq!(seen.shards[9], Stamp { inode: 9, ctime: i64::MAX });
        assert!(seen.has_names_of(&root, Stamp { inode: 7, ctime: 99 }));
        for (hash, inode, ctime) in [(&root, 7, 98), (&root, 8, 99), (&directory, 7, 99), (&directory, u64::MAX, 100)] {
            assert!(!seen.has_names_of(hash, Stamp { inode, ctime }), "{inode} {ctime}");
        }
        assert!(!seen.has_names_of(&directory, Stamp::default()));
    }

    #[test]
    fn a_change_in_a_second_without_fractions_may_have_come_until_its_end() {
        const SECOND: i64 = 1_000_000_000;
        let check = |ctime: i64, moment: i64, is_known: bool| {
            assert_eq!(Stamp { inode: 7, ctime }.if_before(Moment(moment)).is_known(), is_known, "{ctime} {moment}");
        };
        check(5 * SECOND, 5 * SECOND + 1, false);
        check(5 * SECOND, 6 * SECOND - 1, false);
        check(5 * SECOND, 6 * SECOND, true);
        check(5 * SECOND + 1, 5 * SECOND + 2, true);
    }

    #[test]
    fn what_was_altered_or_cut_off_or_is_of_another_boot_is_not_believed() {
        let bytes = kept();
        let boot = Hash::of(b"boot");
        assert!(Stamps::from_bytes(&bytes, Hash::of(b"another boot")).is_err());
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(Stamps::from_bytes(&altered, boot).is_err(), "{at}");
            assert!(Stamps::from_bytes(&bytes[..at], boot).is_err(), "{at}");
        }
    }
}
