//! Writes to stdout, which gets only the result of a verb.

use std::io::{self, Write};

/// Writes a text. A reader that has gone away, for example `head`, has read enough.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
