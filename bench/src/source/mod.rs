//! The trees that are deployed: versions of a codebase, and trees that scenarios make for themselves below `--work`, the
//! same on every machine.
//!
//! ```text
//! made/
//! ├── edited/        a copy of A, which is changed in place and back
//! ├── checkout-A-B/  a git checkout of B with A as the commit before; checkout-A/ is at that commit
//! ├── grown-N/       N small files; made anew each time, and removed
//! └── NAME/          files of random bytes, of zeros, …; packages of npm
//! ```

pub(crate) mod checkout;
mod debian;
pub(crate) mod edited;
pub(crate) mod grown;
pub(crate) mod made;
pub(crate) mod modules;
pub(crate) mod random;
pub(crate) mod tree;
