//! The tools of the end-to-end tests.

pub(crate) mod circle;
pub(crate) mod dropbear;
pub(crate) mod edits;
pub(crate) mod git;
pub(crate) mod immutable;
pub(crate) mod imports;
pub(crate) mod line;
pub(crate) mod mariadb;
pub(crate) mod mount;
pub(crate) mod nginx;
pub(crate) mod pages;
pub(crate) mod peer;
pub(crate) mod person;
pub(crate) mod php;
pub(crate) mod program;
pub(crate) mod real_tree;
pub(crate) mod receiver;
pub(crate) mod relay;
pub(crate) mod screen;
pub(crate) mod shop;
pub(crate) mod site;
pub(crate) mod sshd;
pub(crate) mod strace;
pub(crate) mod tree;
pub(crate) mod visitor;
pub(crate) mod wait;
