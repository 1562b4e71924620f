//! A source exchanged with one host: what is believed of the host, what it lacks, what it is sent, what it answers.
//!
//! An exchange has one conversation and borrows a source. Several hosts are several exchanges of the same source, one
//! after another or at once, each on a thread of its own. All steps stand in one function, [`Exchange::run`]; each step is
//! a file.
//!
//! | file | noun |
//! |---|---|
//! | `host` | a host: what is asked of it, and what is believed of it |
//! | `proposal` | the name and the second of a release, proposed to all hosts alike |
//! | `base` | the release of a host that the new one is described against |
//! | `comparison` | the source beside a base |
//! | `olds`, `recipes`, `gaps` | what changed files are described in terms of |
//! | `forecast` | what is sent before anything is heard |
//! | `state` | what stands between both sides meanwhile |
//! | `announce` | the step: hello, and the flight behind it |
//! | `answer` | the step: what the agent says |
//! | `tree` | the step: the tree |
//! | `content` | the step: content, and the commit |
//! | `steps` | the order of the steps |
//!
//! What the host has of a changed file comes from the first of these that has it: the content cache, git, the agent, which
//! is asked for signatures. Where this side does not know the base, the agent is asked for an outline of it.

mod announce;
mod answer;
mod base;
mod comparison;
mod content;
mod forecast;
mod gaps;
mod host;
mod olds;
mod proposal;
mod recipes;
mod state;
mod steps;
mod tree;

pub(crate) use forecast::Forecast;
pub(crate) use host::{Host, Outcome};
pub(crate) use proposal::Proposal;
pub(crate) use state::Exchange;
