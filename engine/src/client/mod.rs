//! The client's side: source → frames.
//!
//! | question | files |
//! |---|---|
//! | Which directory is the source? | `source_directory`; for a commit, `worktree`; its hooks, `build` |
//! | What is in the source? | `rules` with `ignore_file`, `levels` and `checkout`; `commit`, `changes`, `scan`, `review` |
//! | What is remembered? | `memory`: `last_scan`, `known_target`, `database`, `cache` with `patch`, `git` |
//! | What is deployed? | `source_directory`, `source` |
//! | How is it packed? | `packer` with `outgoing_file`, `level`, `probe` |
//! | How does it reach one host? | `conversation` with `load`, `delivery`; `upload` over `lanes` |
//! | Which release does a web server serve? | `served` |
//! | What is exchanged with one host? | `hello`, then `exchange` for a deploy, `need` for an examination, `survey` for a site to adopt, `shared_files`, `query` for other verbs; `verdict` |
//! | In which order? | `deploy` |
//!
//! A source and a packer know no host. An exchange has one.

mod build;
mod changes;
mod checkout;
mod commit;
mod ignore_file;
mod last_scan;
mod levels;
mod review;
mod rules;
mod scan;

mod cache;
mod database;
mod git;
mod known_target;
mod memory;
mod patch;

mod shared_manifest;
mod source;
mod source_directory;
mod tree_lock;
mod worktree;

mod level;
mod outgoing_file;
mod packer;
mod probe;

mod conversation;
mod delivery;
mod lanes;
mod load;
mod upload;

mod exchange;
mod hello;
mod need;
mod verdict;

pub(crate) mod deploy;
pub(crate) mod query;
pub(crate) mod served;
pub(crate) mod shared_files;
pub(crate) mod survey;

pub(crate) use build::{build, planned_builds};
pub(crate) use hello::hello;
pub(crate) use memory::Memory;
pub(crate) use source::Source;
pub(crate) use source_directory::{LastScan, SourceOrigin};
