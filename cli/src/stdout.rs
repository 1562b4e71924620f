//! Writes to stdout, where the result of a verb goes and nothing else.

use std::io::{self, Write};

/// Writes a text. A reader that has gone away, as `head` does, has read what it wanted.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
