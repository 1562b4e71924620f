//! The client's side: source → frames.
//!
//! What is there (`rules`, `commit`, `content`, `scan`), what is known (`database`, `cache`), what is sent (`upload`, `lanes`, `talk`),
//! and the two conversations (`deploy`, `query`).

mod commit;
mod content;
mod rules;
mod scan;

mod cache;
mod database;

mod lanes;
mod talk;
mod upload;

pub(crate) mod deploy;
pub(crate) mod query;

pub(crate) use scan::{ScanRequest, scan};
