//! Paths that lead nowhere because of a symlink.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{Error, SiteError};

/// Refuses a path that does not exist because it, or a directory above it, is a symlink to nothing.
pub(crate) fn refuse_dangling(path: &Path) -> Result<(), Error> {
    for above in path.ancestors() {
        if let Ok(target) = std::fs::read_link(above)
            && !above.exists()
        {
            let shown = |path: &Path| crate::path::Shown(path.as_os_str().as_bytes()).to_string();
            let target = above.parent().unwrap_or(Path::new("/")).join(target);
            return Err(Error::Site(SiteError::DanglingLink { path: shown(above), target: shown(&target) }));
        }
    }
    Ok(())
}
