//! A buffer between two streams that do not block.

/// Sixteen of libssh2's packets: so large that the cost of system calls does not matter.
const BUFFER_BYTES: usize = 16 * 32_700;

/// Bytes that are added at the back and removed from the front.
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(super) fn new() -> Buffer {
        Buffer { bytes: vec![0; BUFFER_BYTES].into_boxed_slice(), start: 0, end: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn is_full(&self) -> bool {
        self.end == self.bytes.len()
    }

    pub(super) fn content(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.end += bytes;
    }

    pub(super) fn take(&mut self, bytes: usize) {
        self.start += bytes;
        if self.is_empty() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
    }
}
