//! The file of the running program.

use std::env;
use std::fs::File;
use std::path::PathBuf;

/// Returns this program's file, absolute, and enters another directory. `/proc/self/exe` is the running file itself, even if
/// another version was installed over its name meanwhile. In a jail without `/proc` the name that started the program is
/// used: an agent is started by a path. So it is where an emulator of another processor knows `/proc/self/exe` by that name,
/// which was relative to the directory before.
pub(crate) fn program_after<E>(enter: impl FnOnce() -> Result<(), E>) -> Result<PathBuf, E> {
    let named = env::args_os().next().map(PathBuf::from).zip(env::current_dir().ok());
    enter()?;
    let own = PathBuf::from("/proc/self/exe");
    let is_open = File::open(&own).is_ok();
    Ok(named.filter(|_| !is_open).map_or(own, |(name, directory)| directory.join(name)))
}
