//! The tools of the end-to-end tests.

pub(crate) mod capistrano;
pub(crate) mod circle;
pub(crate) mod dropbear;
pub(crate) mod edits;
pub(crate) mod git;
pub(crate) mod immutable;
pub(crate) mod imports;
pub(crate) mod line;
pub(crate) mod load;
pub(crate) mod mariadb;
pub(crate) mod mount;
pub(crate) mod nginx;
pub(crate) mod pages;
pub(crate) mod peer;
pub(crate) mod person;
pub(crate) mod php;
pub(crate) mod process;
pub(crate) mod program;
pub(crate) mod real_tree;
pub(crate) mod receiver;
pub(crate) mod relay;
pub(crate) mod screen;
pub(crate) mod shop;
pub(crate) mod site;
pub(crate) mod sqlite;
pub(crate) mod sshd;
pub(crate) mod strace;
pub(crate) mod sudoers;
pub(crate) mod tree;
pub(crate) mod visitor;
pub(crate) mod wait;
pub(crate) mod web_server;
pub(crate) mod yaml;

/// Returns a port of this machine that nothing uses. Another test may use it before the caller does.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
