//! The exchange of a source with one host.
//!
//! An exchange has one conversation and borrows a source. Several hosts are several exchanges of the same source, one
//! after another or at once, each on a thread of its own. One function, [`Exchange::run`], has all steps. Each step is
//! a file.
//!
//! | file | noun |
//! |---|---|
//! | `host` | a host: the request to it, and its known state |
//! | `proposal` | the name and the second of a release, proposed to all hosts alike |
//! | `base` | the release of a host that the new one is described against |
//! | `comparison` | the source compared with a base |
//! | `old_versions`, `recipes`, `gaps` | the old versions of changed files |
//! | `forecast` | the base and the flight before any answer |
//! | `state` | the state of an exchange |
//! | `announce` | the step: hello, and the flight behind it |
//! | `answer` | the step: the agent's answer |
//! | `tree` | the step: the tree |
//! | `content` | the step: content, and the commit |
//! | `steps` | the order of the steps |
//!
//! The old content of a changed file comes from the first of these that has it: the content cache, git, a signature
//! from the agent. If the client does not know the base, it asks the agent for an outline.

mod announce;
mod answer;
mod base;
mod comparison;
mod content;
mod forecast;
mod gaps;
mod host;
mod old_versions;
mod proposal;
mod recipes;
mod state;
mod steps;
mod tree;

pub(crate) use forecast::Forecast;
pub(crate) use host::{Host, Outcome};
pub(crate) use proposal::Proposal;
pub(crate) use state::Exchange;
