//! The form of the result on stdout.

/// The form of the result on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    /// A text for people.
    Text,
    /// One object: `--json`.
    Object,
    /// A line for each event, and the object in the last one: `--events`.
    Events,
}
