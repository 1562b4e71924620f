//! Files of bytes that nothing can compress, and of bytes that everything can.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::failure::{Context, Result};
use crate::source::made;
use crate::source::tree::Tree;

/// Random bytes by SplitMix64 (Steele, Lea and Flood, 2014): one multiplication more than a counter, and the same
/// everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Begins anew with a seed.
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Returns the next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The content of a file.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Random bytes of that seed.
    Random(u64),
    /// Zeros.
    Zeros,
    /// The same 64 KiB of random bytes again and again.
    Block,
    /// Random bytes of the first seed, with so many of the second put in after that many.
    Inserted { seed: u64, after: u64, inserted: u64 },
}

/// A file that is made.
#[derive(Debug, Clone)]
pub(crate) struct File {
    /// Its path in the tree.
    pub(crate) path: String,
    /// How long it is.
    pub(crate) bytes: u64,
    /// Its content.
    pub(crate) content: Content,
}

/// Makes a tree of these files, unless it stands.
pub(crate) fn ensure_files(tree: &Path, files: impl Iterator<Item = File>) -> Result<Tree> {
    made::ensure(tree, |making| {
        for file in files {
            let path = making.join(&file.path);
            let parent = path.parent().unwrap_or(making);
            fs::create_dir_all(parent).context(|| format!("Could not create `{}`", parent.display()))?;
            write(&path, &file).context(|| format!("Could not write `{}`", path.display()))?;
        }
        Ok(())
    })?;
    Tree::open(tree)
}

fn write(path: &Path, file: &File) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(path)?);
    match file.content {
        Content::Random(seed) => write_random(&mut out, &mut Random::new(seed), file.bytes)?,
        Content::Zeros => write_repeated(&mut out, &[0; 1 << 16], file.bytes)?,
        Content::Block => {
            let mut block = vec![0; 1 << 16];
            Random::new(1).fill(&mut block);
            write_repeated(&mut out, &block, file.bytes)?;
        }
        Content::Inserted { seed, after, inserted } => {
            let mut random = Random::new(seed);
            write_random(&mut out, &mut random, after)?;
            write_random(&mut out, &mut Random::new(!seed), inserted)?;
            write_random(&mut out, &mut random, file.bytes - after - inserted)?;
        }
    }
    out.flush()
}

fn write_random(out: &mut impl Write, random: &mut Random, bytes: u64) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(1 << 16) as usize;
        random.fill(&mut buffer[..length]);
        out.write_all(&buffer[..length])?;
        left -= length as u64;
    }
    Ok(())
}

fn write_repeated(out: &mut impl Write, block: &[u8], bytes: u64) -> std::io::Result<()> {
    let mut left = bytes;
    while left > 0 {
        let length = left.min(block.len() as u64) as usize;
        out.write_all(&block[..length])?;
        left -= length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_are_those_of_the_algorithm() {
        // The first three for the seed 1234567, from the reference implementation in C.
        let mut random = Random::new(1_234_567);
        let three = [random.next(), random.next(), random.next()];
        assert_eq!(three, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn what_is_inserted_moves_the_rest() {
        let mut plain = Vec::new();
        write_random(&mut plain, &mut Random::new(7), 200_000).unwrap();
        let path = std::env::temp_dir().join(format!("bench-inserted-{}", std::process::id()));
        let content = Content::Inserted { seed: 7, after: 65_536, inserted: 1024 };
        write(&path, &File { path: String::new(), bytes: 201_024, content }).unwrap();
        let inserted = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(inserted.len(), 201_024);
        assert_eq!(inserted[..65_536], plain[..65_536]);
        assert_eq!(inserted[66_560..], plain[65_536..]);
    }
}
