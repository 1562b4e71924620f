//! The server's side: frames → a live release.
//!
//! In the order in which a deploy goes through them: what stands at the deploy path (`layout`, `lock`, `records`,
//! `seen`, `store`), what is wanted and received (`staging`, `classify`, `wanted`, `room`, `adopt`, `remode`, `sign`, `receive`,
//! `promise`, `flush`, `second`), what becomes of it (`assemble`, `shared`, `publish`, `switch`), and what goes (`uptime`, `mounts`,
//! `process`, `prune`, `trash`). `lane` is a process beside, which hands its stream over to the `inlets`.

mod layout;
mod lock;
mod records;
mod seen;
mod store;

mod adopt;
mod classify;
mod flush;
mod inlets;
mod promise;
mod receive;
mod remode;
mod room;
mod second;
mod sign;
mod staging;
mod wanted;

mod assemble;
mod publish;
mod reuse;
mod shared;
mod switch;

mod mounts;
mod process;
mod prune;
mod trash;
mod uptime;

mod deploy;
mod lane;
mod query;
mod serve;
mod talk;

pub(crate) use lane::serve_lane;
pub(crate) use serve::serve;
