//! A real tree of some thousand files, and its next versions.
//!
//! Its files come from packages that the tests need anyway: Perl's modules (git brings them) and the headers of C and
//! C++ (nothing can be built without them). Every version is a directory of its own with mtimes of its own, as after
//! a fresh checkout.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::sshd::run;

const PARTS: [&str; 4] = ["/usr/share/perl", "/usr/include/linux", "/usr/include/c++", "/usr/include/asm-generic"];

/// Makes the first version.
pub(crate) fn make(at: &Path) {
    fs::create_dir(at).unwrap();
    run(Command::new("cp").args(["-r", "--preserve=mode", "--no-dereference", "--"]).args(PARTS).arg(at));
    let count = files(at).len();
    assert!(count > 2000, "{count} files only: perl-modules, linux-libc-dev and libstdc++-dev must be installed");
}

/// Makes the version `number` from the one before it: edits, a removal, a moved directory, modes, new files, and a
/// file that becomes a directory or a symlink.
pub(crate) fn next(before: &Path, at: &Path, number: usize) {
    run(Command::new("cp").args(["-r", "--preserve=mode", "--no-dereference", "--"]).arg(before).arg(at));
    let files = files(at);
    for (index, file) in files.iter().enumerate().filter(|(index, _)| index % 47 == number) {
        match index % 5 {
            0 => fs::remove_file(file).unwrap(),
            1 => super::tree::set_mode(file, 0o755),
            2 => {
                fs::remove_file(file).unwrap();
                symlink("../elsewhere", file).unwrap();
            }
            3 => {
                fs::remove_file(file).unwrap();
                fs::create_dir(file).unwrap();
                fs::write(file.join("inside"), number.to_string()).unwrap();
            }
            _ => edit(file, number),
        }
    }
    let (from, to) = if number % 2 == 1 { ("linux", "moved") } else { ("moved", "linux") };
    fs::rename(at.join(from), at.join(to)).unwrap();
    fs::create_dir(at.join(format!("new-{number}"))).unwrap();
    fs::write(at.join(format!("new-{number}/file")), format!("version {number}\n")).unwrap();
}

fn edit(file: &Path, number: usize) {
    let mut content = fs::read(file).unwrap();
    let middle = content.len() / 2;
    content.splice(middle..middle, format!("\nedited in {number}\n").bytes());
    super::tree::set_mode(file, 0o644);
    fs::write(file, content).unwrap();
}

/// Returns every regular file, sorted.
fn files(at: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![at.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// Returns bytes that do not compress, different ones for each seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
