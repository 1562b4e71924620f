//! Other processes: what `/proc` shows of one, its identity, and its end.

mod end;
mod identity;
mod proc;

pub(crate) use end::{NotEnded, end, end_group};
pub(crate) use identity::ProcessIdentity;
pub(crate) use proc::{AccessDenied, LinkTarget, Process, entries, name_of, read_link, user_of};
