//! The wire: frames → frames. Both sides name this; it names only the nouns.

mod connection;
