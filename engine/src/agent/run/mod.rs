//! The commands of a run on the server: hooks and checks, and the switch between them.
//!
//! A runner carries them out: a process of its own, which inherits the lock, and which neither a lost connection nor
//! the end of the agent ends.
//!
//! ```text
//! client ◄──SSH──► agent ◄──socket──► runner ──► hooks, checks
//!                                        └─► journal
//! ```
//!
//! The agent starts it with an order (`order`), and passes on its news and its questions (`relay`). The runner tells
//! everything to the agent and to the journal. If the client goes away, a hook that runs is not ended: a migration
//! must not stop half-way. But no switch begins then, because nobody would learn of it.
//!
//! A run without hooks, checks and confirmation needs no runner.

mod attendance;
mod checks;
mod go_live;
mod hooks;
mod logs;
mod opcache;
mod order;
mod overdue;
mod program;
mod relay;
mod runner;
mod scene;
mod stops;
mod take_back;
mod trial;

pub(crate) use hooks::is_touched;
pub(crate) use order::{Act, GoLive};
pub(crate) use overdue::end_overdue_trial;
pub(crate) use program::RunnerProgram;
pub(crate) use relay::relay;
pub(crate) use runner::serve_runner;
pub(crate) use scene::Scene;
