//! The alphabet of the words that are sent as they are.

/// Returns whether no shell interprets a byte.
pub(super) fn needs_no_quotes(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)
}
