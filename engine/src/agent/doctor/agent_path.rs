//! Examines the directory of the agent: the user must be able to make it, and its filesystem must run programs.

use crate::access::{ExposedTo, exposures};
use crate::disk::{is_noexec, may_write};
use crate::path::shown_path;
use crate::report::Finding;
use crate::wire::message::AgentPath;

use super::look::Look;
use super::place::{Place, nearest};

pub(super) fn look(place: &Place<'_>) -> Look {
    let mut look = Look::default();
    let Some(directory) = place.agent_directory() else { return Look::fact("this program itself") };
    let above = nearest(&directory);
    let (path, user) = (shown_path(&directory), place.user.clone());
    if is_noexec(above) {
        look.find(Finding::AgentNoexec { path: path.clone(), user: user.clone() });
    }
    // A directory in the deploy path is examined with it.
    if matches!(place.order.agent_path, Some(AgentPath::Elsewhere(_))) {
        if may_write(above).is_err() {
            look.find(Finding::AgentPathNotWritable { path, user });
        }
        for exposure in exposures(above).unwrap_or_default() {
            look.find(place.exposed(&exposure.path, exposure.to, false));
        }
    }
    look
}

impl Place<'_> {
    /// Returns the finding for a directory that others could change.
    pub(super) fn exposed(&self, path: &std::path::Path, to: ExposedTo, is_empty: bool) -> Finding {
        let owner = std::fs::symlink_metadata(path).map(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata));
        let (is_own, path) = (owner.is_ok_and(|owner| owner == self.uid), shown_path(path));
        match to {
            ExposedTo::Owner(owner) => Finding::OtherOwner { path, owner, user: self.user.clone(), is_empty },
            ExposedTo::Writers(by) => Finding::OthersMayWrite { path, by, is_own },
        }
    }
}
