//! The client's side: source → frames.
//!
//! What is there (`rules` with `ignore_file`, `commit`, `content`, `scan`, `review`), what is known (`last_scan`, `database`, `cache` with `patch`, `git`), what is sent (`sending`,
//! `upload`, with `level` and `probe`; `lanes`; `delivery`; `talk`, with `load`), and the two conversations (`deploy`, `query`).

mod commit;
mod ignore_file;
mod last_scan;
mod review;
mod rules;
mod scan;

mod cache;
mod database;
mod git;
mod patch;

mod delivery;
mod lanes;
mod level;
mod load;
mod probe;
mod sending;
mod talk;
mod upload;

pub(crate) mod deploy;
pub(crate) mod query;

pub(crate) use database::Database;
pub(crate) use scan::{ScanRequest, scan};
