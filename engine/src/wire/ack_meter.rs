//! The number of bytes that the server has received of those written to a socket.
//!
//! A socket buffers megabytes on this side. The kernel reports how many of them the server's kernel has not
//! acknowledged yet; all others have arrived.

use std::ffi::c_int;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::ioctl::{Getter, Opcode, ioctl};

/// `SIOCOUTQ`: the unacknowledged bytes of a socket. The number is the same on all architectures that Cutover is
/// built for.
const BYTES_WAITING: Opcode = 0x5411;

/// Counts the acknowledged bytes of a socket. Clones share the counter.
#[derive(Debug, Clone)]
pub(super) struct AckMeter {
    written_bytes: Arc<AtomicU64>,
    socket: Arc<TcpStream>,
}

impl AckMeter {
    /// Makes a meter for a socket through which nothing was sent yet.
    pub(super) fn new(socket: Arc<TcpStream>) -> AckMeter {
        AckMeter { written_bytes: Arc::default(), socket }
    }

    /// Returns the counter that the writer of the socket increments.
    pub(super) fn written_bytes(&self) -> Arc<AtomicU64> {
        self.written_bytes.clone()
    }

    /// Returns how many bytes have arrived, or nothing if the system does not report it.
    pub(super) fn bytes(&self) -> Option<u64> {
        let written_bytes = self.written_bytes.load(Ordering::Relaxed);
        Some(written_bytes.saturating_sub(waiting(&self.socket).ok()?))
    }
}

#[expect(unsafe_code, reason = "no safe function asks a socket this")]
fn waiting(socket: &TcpStream) -> io::Result<u64> {
    // SAFETY: for a socket, this call writes one `int` to the given address, and nothing else.
    let bytes = unsafe { ioctl(socket, Getter::<BYTES_WAITING, c_int>::new()) }?;
    Ok(u64::try_from(bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_a_socket_has_taken_and_nobody_has_read_has_not_arrived() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut receiver, _) = listener.accept().unwrap();
        let arrived = AckMeter::new(Arc::new(sender.try_clone().unwrap()));
        sender.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(bytes) = sender.write(&[7; 1 << 20]) {
            written += bytes as u64;
        }
        arrived.written_bytes().store(written, Ordering::Relaxed);
        let before = arrived.bytes().unwrap();
        assert!(before < written, "{before} of {written}");
        drop(sender);
        arrived.socket.shutdown(std::net::Shutdown::Write).unwrap();
        receiver.read_to_end(&mut Vec::new()).unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        // The end of the stream counts as a byte until it is acknowledged.
        while arrived.bytes() != Some(written) {
            assert!(std::time::Instant::now() < until, "{:?} of {written}", arrived.bytes());
            std::thread::yield_now();
        }
    }
}
