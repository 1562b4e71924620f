//! The client's side: source → frames.

mod commit;
mod content;
mod database;
mod rules;
mod scan;
