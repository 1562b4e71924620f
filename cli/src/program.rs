//! The file of the running program.

use std::env;
use std::path::PathBuf;

/// Returns this program's file, absolute. `/proc/self/exe` is the running file itself, even if another version was
/// installed over its name meanwhile. In a jail without `/proc` the name that started the program is used: an agent
/// is started by a path.
pub(crate) fn program() -> PathBuf {
    let own = PathBuf::from("/proc/self/exe");
    let named = || env::args_os().next().map(PathBuf::from).zip(env::current_dir().ok());
    if own.exists() { own } else { named().map_or(own, |(name, directory)| directory.join(name)) }
}
