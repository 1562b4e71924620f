//! Names this build by its sources, so that a client knows an agent of the same ones: they understand each other.

use std::path::Path;
use std::{env, fs, io};

/// FNV-1a. The hash of the standard library may change with its version, and the agents for two architectures may be
/// built with two versions.
struct Hasher(u64);

impl Hasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

fn main() -> io::Result<()> {
    let mut hasher = Hasher(0xcbf2_9ce4_8422_2325);
    add(Path::new("src"), &mut hasher)?;
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rustc-env=CUTOVER_BUILD={:016x}", hasher.0);
    println!("cargo::rustc-env=CUTOVER_ARCHITECTURE={}", env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default());
    Ok(())
}

/// Adds the names and contents of all files below a directory.
fn add(directory: &Path, hasher: &mut Hasher) -> io::Result<()> {
    let paths: io::Result<Vec<_>> = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths?;
    paths.sort();
    for path in paths {
        hasher.write(path.as_os_str().as_encoded_bytes());
        if path.is_dir() {
            add(&path, hasher)?;
        } else {
            hasher.write(&fs::read(&path)?);
        }
    }
    Ok(())
}
