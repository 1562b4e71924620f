//! The program of a runner.

use std::path::PathBuf;

/// The program that runs as the runner: the running one.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunnerProgram(pub(crate) PathBuf);
