//! Finds out which release a web server serves.
//!
//! Files whose content differs between the live release and the one before are asked for, and the hash of each answer is
//! compared with the manifests of all releases that stand: an older one may have the content of the live one. Code is
//! left out, because a web server does not show it. A page that names its release or its commit tells which code runs.
//! Nothing is written on the server.
//!
//! An answer counts only if it has the content of a release: status 404 may mean another root, and a changed body may
//! come from a proxy that rewrites pages. It tells that the live release is served only if no other one has that content.

mod address;
mod answer;
mod candidates;

pub(crate) use address::{joined, past_caches};
pub(crate) use answer::Asked;
pub(crate) use candidates::{Candidate, Choice, FILE_BYTES_MAX};

#[cfg(test)]
mod tests;
