//! End to end: the real program, a real sshd, real trees, real disks.
//!
//! All tests are one program, so that it is linked once: a module a subject, in the order of a deploy's life. One
//! module runs with `cargo test -p cutover --test e2e ssh::`. Two tests run at a time, in one process. So a test
//! changes nothing that belongs to the process: a umask, a limit or another user belongs to a child. Tests that share
//! something in spite of that take turns (`support/mount.rs`). Tests that take minutes, or need trees of their own,
//! are in `slow.rs`.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests may panic, and say why they are skipped")]

mod support;

mod docs;
mod layers;
mod security;
mod webhook;

mod completions;
mod config;
mod configured;
mod json;
mod manual;
mod output;
mod usage;

mod builds;
mod ignore;
mod review;
mod scan;
mod source;

mod adopt;
mod deploy;
mod events;
mod http;
mod levels;
mod progress;
mod property;

mod ci;
mod guides;
mod init;

mod rebuild;
mod rollback;

mod belief;
mod cold;
mod deltas;

mod host_key;
mod lanes;
mod login;
mod run_as;
mod ssh;

mod edits;
mod neighbours;
mod reuse;
mod shared;
mod store;

mod clocks;
mod confirm;
mod disk_use;
mod durable;
mod few_threads;
mod full;
mod hooks;
mod interruption;
mod locks;
mod log;
mod power_cut;
mod run_log;
mod runner;
mod setback;
mod space;
mod trial;

mod applications;
mod doctor;
mod web;

mod bad_input;
mod bounds;
mod verified;
