//! Recognises content that does not compress, from samples of it, so that no time is spent on trying.
//!
//! It first counts how often each byte occurs, which costs next to nothing: in text and programs some bytes are far
//! more frequent than others. Content that looks like noise may still repeat itself, so larger samples of it are
//! compressed.

use std::io;

/// The least content that is probed. Less is compressed with its neighbours, whatever it is: a sample would say too
/// little.
const DENSE_BYTES_MIN: usize = 32 << 10;

/// The number of samples, evenly spread.
const SAMPLES: usize = 4;

/// The bytes of a sample that are counted.
const COUNTED_BYTES: usize = 2 << 10;

/// The bits to a byte above which samples are compressed. Noise has 7.97, compressed files mostly more than 7.9, text
/// and programs less than 7.
const NOISE_BITS: f64 = 7.6;

/// The bytes of a sample that are compressed.
const TRIED_BYTES: usize = 16 << 10;

/// Content is worth compressing if its samples shrink to this part, in percent.
const DENSE_PERCENT: usize = 97;

/// The level for samples: it finds everything there is to find in noise.
const LEVEL: i32 = 1;

/// A probe of content.
pub(super) struct Probe {
    compressor: zstd::bulk::Compressor<'static>,
    sample: Vec<u8>,
    compressed: Vec<u8>,
}

impl Probe {
    /// Makes a probe.
    pub(super) fn new() -> io::Result<Probe> {
        Ok(Probe { compressor: zstd::bulk::Compressor::new(LEVEL)?, sample: Vec::new(), compressed: Vec::new() })
    }

    /// Tells whether content does not compress.
    pub(super) fn is_dense(&mut self, content: &[u8]) -> bool {
        content.len() >= DENSE_BYTES_MIN && looks_like_noise(content) && !self.compresses(content)
    }

    fn compresses(&mut self, content: &[u8]) -> bool {
        self.sample.clear();
        samples(content, TRIED_BYTES).for_each(|sample| self.sample.extend_from_slice(sample));
        self.compressed.clear();
        self.compressed.reserve(zstd::zstd_safe::compress_bound(self.sample.len()));
        match self.compressor.compress_to_buffer(&self.sample, &mut self.compressed) {
            Ok(length) => length * 100 <= self.sample.len() * DENSE_PERCENT,
            Err(_) => true,
        }
    }
}

fn samples(content: &[u8], bytes: usize) -> impl Iterator<Item = &[u8]> {
    let bytes = bytes.min(content.len() / SAMPLES);
    let step = (content.len() - bytes) / (SAMPLES - 1);
    (0..SAMPLES).map(move |number| &content[number * step..][..bytes])
}

/// Tells whether all bytes occur about equally often (Shannon's entropy).
fn looks_like_noise(content: &[u8]) -> bool {
    let mut counts = [0_u32; 256];
    let mut total = 0;
    for sample in samples(content, COUNTED_BYTES) {
        sample.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
        total += sample.len();
    }
    let bits = |&count: &u32| {
        let share = f64::from(count) / total as f64;
        if count == 0 { 0.0 } else { -share * share.log2() }
    };
    counts.iter().map(bits).sum::<f64>() > NOISE_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: &[u8], length: usize) -> Vec<u8> {
        let mut noise = vec![0; length];
        blake3::Hasher::new().update(seed).finalize_xof().fill(&mut noise);
        noise
    }

    fn is_dense(content: &[u8]) -> bool {
        Probe::new().unwrap().is_dense(content)
    }

    #[test]
    fn noise_and_compressed_text_are_dense() {
        assert!(is_dense(&noise(b"a", DENSE_BYTES_MIN)));
        assert!(is_dense(&noise(b"a", 8 << 20)));
        let text: Vec<u8> = noise(b"b", 1 << 20).iter().flat_map(|byte| format!("{byte} ").into_bytes()).collect();
        assert!(!is_dense(&text));
        assert!(is_dense(&zstd::bulk::compress(&text, 9).unwrap()));
    }

    #[test]
    fn what_repeats_itself_or_is_only_partly_noise_is_not_dense() {
        let repeated = noise(b"a", 4 << 10).repeat(32);
        assert!(!is_dense(&repeated));
        let mut half = noise(b"a", 1 << 20);
        half[..512 << 10].fill(b' ');
        assert!(!is_dense(&half));
        assert!(!is_dense(&vec![0; 8 << 20]));
    }

    #[test]
    fn a_little_noise_goes_with_its_neighbours() {
        assert!(!is_dense(&noise(b"a", DENSE_BYTES_MIN - 1)));
        assert!(!is_dense(b""));
    }
}
