//! The place that is examined: the request, the paths, and the user.

use std::path::{Path, PathBuf};

use crate::accounts::{Accounts, ROOT};
use crate::agent::site::layout::Layout;
use crate::agent::site::records::Releases;
use crate::wire::message::{DoctorOrder, Hello};

use super::person::Person;

/// A deploy path that is ours, with its releases.
pub(super) struct Ours {
    /// Its parts.
    pub(super) layout: Layout,
    /// Its releases.
    pub(super) releases: Releases,
}

/// The place of an examination.
pub(super) struct Place<'a> {
    /// The hello of the client.
    pub(super) hello: &'a Hello,
    /// The order.
    pub(super) order: &'a DoctorOrder,
    /// The deploy path, absolute.
    pub(super) path: &'a Path,
    /// The number of the user that runs the agent.
    pub(super) uid: u32,
    /// Its name, or its number if it has no name.
    pub(super) user: String,
    /// The users and groups of the machine.
    pub(super) accounts: Accounts,
}

impl<'a> Place<'a> {
    /// Finds out who the user is.
    pub(super) fn new(hello: &'a Hello, order: &'a DoctorOrder, path: &'a Path) -> Place<'a> {
        let (uid, accounts) = (rustix::process::geteuid().as_raw(), Accounts::read());
        let user = accounts.user_shown(uid);
        Place { hello, order, path, uid, user, accounts }
    }

    /// Returns a user's name, or its number.
    pub(super) fn name_of(&self, user: u32) -> String {
        self.accounts.user_shown(user)
    }

    /// Returns a user with its groups.
    pub(super) fn person(&self, user: u32) -> Person {
        let (name, groups) = (self.name_of(user), self.accounts.groups_of(user));
        Person { name, uid: user, groups, only_serves: false }
    }

    /// Tells whether the user is root.
    pub(super) fn is_root(&self) -> bool {
        self.uid == ROOT
    }

    /// Returns the directory of the agent. None: it has none.
    pub(super) fn agent_directory(&self) -> Option<PathBuf> {
        Some(self.order.agent_path.as_ref()?.under(self.path))
    }
}

/// Returns the nearest directory on a path that exists, from the path itself upwards.
pub(super) fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"))
}
