//! Kept runs: every sample with its line, and the circumstances without which figures mean nothing.

pub(crate) mod layout;
pub(crate) mod logins;
pub(crate) mod machine;
pub(crate) mod run;
pub(crate) mod sample;
pub(crate) mod scenario;
pub(crate) mod track;
