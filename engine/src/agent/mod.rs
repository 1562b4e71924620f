//! The server's side: frames → a live release.
//!
//! In the order in which a deploy goes through them: what stands at the deploy path (`site`, `seen`, `store`), what is wanted
//! and received (`staging`, `classify`, `room`, `remode`, `sign`, `receive`), what
//! becomes of it (`assemble`, `shared`), and what goes (`uptime`, `mounts`, `process`, `prune`, `trash`). `deploy` is the order
//! itself; what it reports goes through `tell`, to a conversation (`talk`). `lane` is a process beside, which hands its stream
//! over to the inlets of `receive`.

mod clock;
mod json;
mod site;
mod stamp;
mod stamps;
mod store;
mod token;

mod classify;
mod receive;
mod remode;
mod sign;
mod space;
mod staging;

mod assemble;
mod reuse;
mod shared;

mod mounts;
mod process;
mod prune;
mod trash;
mod uptime;

mod conversation;
mod deploy;
mod lane;
mod query;
mod reporter;
mod serve;

pub(crate) use lane::serve_lane;
pub(crate) use serve::serve;
