//! The keys of the user's SSH agent.

use std::path::Path;

use ssh2::{Agent, PublicKey, Session};

/// Connects to an SSH agent, and returns its keys.
pub(super) fn open(session: &Session, socket: &Path) -> Result<(Agent, Vec<PublicKey>), ssh2::Error> {
    let mut agent = session.agent()?;
    agent.set_identity_path(socket)?;
    agent.connect()?;
    agent.list_identities()?;
    let keys = agent.identities()?;
    Ok((agent, keys))
}

/// Returns the public keys of an SSH agent; none if it does not answer.
pub(super) fn public_keys(socket: &Path) -> Vec<Vec<u8>> {
    let listed = Session::new().and_then(|session| open(&session, socket));
    listed.map(|(_, keys)| keys.iter().map(|key| key.blob().to_vec()).collect()).unwrap_or_default()
}
