//! The engine of Cutover: from a source tree to a live release.
//!
//! Data flows through three places. On the client, a tree is scanned, compared with the content of the server and
//! packed ([`client`]). Frames cross the wire ([`wire`]). On the server, the agent receives, stores, assembles and
//! switches ([`agent`]). The nouns that all three share come first. `client` and `agent` never name each other.

pub mod access;
pub mod accounts;
pub mod ask;
pub mod askpass;
pub mod cancel;
pub mod check;
pub mod error;
pub mod event;
pub mod fastcgi;
pub mod hash;
pub mod hook;
pub mod host_key;
pub mod http;
pub mod journal;
pub mod link;
pub mod live;
pub mod manual_lock;
pub mod min_free;
pub mod moment;
pub mod path;
pub mod pattern;
pub mod pin;
pub mod probe;
pub mod procedure;
pub mod release;
pub mod report;
pub mod rollback;
pub mod server;
pub mod shared_path;
pub mod shell;
pub mod target;
pub mod threads;
pub mod units;
pub mod webhook;
pub mod writable;

mod agent;
mod boot;
mod bytes;
mod chunk;
mod client;
mod command;
mod delta;
mod disk;
mod file_range;
mod hasher;
mod manifest;
pub mod news;
mod process;
mod request;
mod run_log;
mod scan;
mod signature;
mod verbs;
mod wire;

pub use command::{CommandEnd, Mask};
pub use request::{
    AdoptRequest, CleanupRequest, Context, DeployRequest, DiffSide, DiskDiffRequest, DoctorRequest, LockRequest,
    PinRequest, SourceRequest, StatusCheck, SwitchRequest, SwitchTo, WebCheckRequest,
};
pub use run_log::{RUN_LOGS_KEPT, RunLog};
pub use verbs::{
    AgentRole, acquire_lock, adopt, cleanup, deploy, diff, diff_on_disk, disk_use, doctor, exec, journal, lock_status,
    pin, releases, run_hook, runs, serve_agent, setup, shared_list, shared_read, shared_write, status, survey, switch,
    undo_adoption, unlock, web_check, write_new_file, write_private_file,
};
pub use wire::{BUILD, PinningOptions, sudo_words};
