//! What the end-to-end tests share.

#![allow(dead_code, reason = "each test target uses some of it")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests may panic and speak as tests do")]

pub(crate) mod dropbear;
pub(crate) mod edits;
pub(crate) mod git;
pub(crate) mod immutable;
pub(crate) mod mount;
pub(crate) mod peer;
pub(crate) mod real_tree;
pub(crate) mod relay;
pub(crate) mod site;
pub(crate) mod sshd;
pub(crate) mod strace;
pub(crate) mod tree;
pub(crate) mod wait;
