//! The end of an assembly: modes, groups and mtimes of directories.

use rayon::prelude::*;

use crate::disk::Dir;
use crate::error::Error;
use crate::path::RelativePath;

use super::Assembly;

impl Assembly<'_> {
    /// Gives every changed directory its mode and mtime, children first, because a directory may forbid its owner to
    /// enter it. Skips directories that a link into `shared/` has replaced.
    pub(crate) fn finish_directories(&self, replaced: &[RelativePath]) -> Result<(), Error> {
        let is_replaced = |path: &[u8]| replaced.iter().any(|link| link.as_bytes() == path);
        self.finish_below(0, &self.staging.tree, &self.directories.touched_below(self.manifest), &is_replaced)
    }

    fn finish_below(
        &self,
        number: u32,
        dir: &Dir,
        touched_below: &[bool],
        is_replaced: &(impl Fn(&[u8]) -> bool + Sync),
    ) -> Result<(), Error> {
        let below = self.manifest.directories_in(number).filter(|&(child, _)| touched_below[child as usize]);
        below.collect::<Vec<_>>().into_par_iter().try_for_each(|(child, name)| {
            if is_replaced(&self.manifest.directory_path(child)) {
                return Ok(());
            }
            self.finish_below(child, &dir.open_dir(name)?, touched_below, is_replaced)
        })?;
        if !self.directories.is_touched(number) {
            return Ok(());
        }
        self.writable.set_group(number, dir)?;
        dir.set_mode(self.mode_of_directory(number))?;
        dir.set_mtime(self.second_of_directory(number))?;
        self.note_directory(number, &dir.own_stat()?);
        Ok(())
    }
}
