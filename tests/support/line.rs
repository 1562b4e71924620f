//! A server that is reached through a relay, and a site on it.

use crate::support::relay::Relay;
use crate::support::site::Site;
use crate::support::sshd::{Sshd, is_root};

/// See the module's description.
pub(crate) struct Line {
    /// The site, which reaches the server through the relay.
    pub(crate) site: Site,
    /// The relay.
    pub(crate) relay: Relay,
    /// The server.
    pub(crate) sshd: Sshd,
    /// The user that logs in.
    pub(crate) user: String,
}

impl Line {
    /// Makes a line with an agent in place, unless the tests do not run as root.
    pub(crate) fn start(test: &str) -> Option<Line> {
        is_root(test).then(|| {
            let mut sshd = Sshd::start();
            let user = sshd.add_user("/bin/bash");
            let relay = Relay::start(sshd.port());
            let mut site = Site::over(&sshd, &user);
            site.reach_by(&sshd.through(relay.port()));
            site.succeed(&["setup"]);
            Line { site, relay, sshd, user }
        })
    }
}
