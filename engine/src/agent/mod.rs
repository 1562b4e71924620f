//! The server's side: frames → a live release.
//!
//! The modules are in the order in which a deploy uses them: the deploy path (`site`, `stamps`, `store`), the content
//! that is wanted and received (`staging`, `classify`, `space`, `remode`, `sign`, `receive`), the new tree
//! (`assemble`, `reuse`, `carry_over`, `shared`, `writable`), its comparison with the manifest (`compare`), and removal
//! (`uptime`, `mounts`, `process`, `prune`, `trash`, `removed`). `serve` has the verbs (`query` and `disk_use` the reports),
//! `doctor` examines all of it, `adopt` takes standing sites, `deploy` has the order of the steps, `go_live` the switch, and
//! `run` the hooks and checks of a runner. They report through `reporter`, to a `conversation`. `sqlite` knows the files beside
//! a database.
//! `lane` is a process of its own: it hands its stdin over to the inlets of `receive`.

mod clock;
mod json;
mod site;
mod sqlite;
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
mod carry_over;
mod compare;
mod reuse;
mod shared;
mod writable;

mod mounts;
mod process;
mod prune;
mod removed;
mod trash;
mod uptime;

mod access_list;
mod adopt;
mod conversation;
mod deploy;
mod deploy_path;
mod disk_use;
mod doctor;
mod go_live;
mod lane;
mod query;
mod reporter;
mod run;
mod serve;

pub(crate) use lane::serve_lane;
pub(crate) use run::{RunnerProgram, serve_runner};
pub(crate) use serve::serve;
