//! Real applications: deployed, migrated, broken on purpose in each phase, and rolled back.
//!
//! Their files are in `tests/applications/`. Each test says what is live and what is served at each moment.

use std::path::Path;

mod adopted;
mod adopted_capistrano;
mod adopted_servers;
mod adopted_wordpress;
mod dropbear;
mod node;
mod php;
mod wordpress;

/// Returns the directory of the applications' files.
fn files() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/applications"))
}
