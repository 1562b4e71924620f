//! A packet as a TUN device with offloads gives it: ten bytes of `virtio_net_hdr`, then an IPv4 packet.
//!
//! ```text
//! 0 flags · 1 gso type · 2 header bytes (u16) · 4 gso bytes (u16) · 6 checksum start (u16) · 8 checksum offset (u16)
//! ```
//! The kernel hands over up to 64 KiB of TCP payload under one header; on a real line that is many packets, each with
//! headers of its own. Numbers of the first header are in the machine's order, those of IP and TCP big-endian.

/// The length of `virtio_net_hdr`.
const VIRTIO_HEADER: usize = 10;

/// The number of TCP in IP's header.
const TCP: u8 = 6;

/// A packet's size on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    /// Bytes with all headers of IP and TCP that a real line would carry.
    pub(crate) line_bytes: u64,
    /// TCP payload.
    pub(crate) payload_bytes: u64,
}

impl Packet {
    /// Reads the headers. Without TCP it has its length and no payload; without IPv4 it is none of ours.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Packet> {
        let ip = bytes.get(VIRTIO_HEADER..)?;
        let version_and_words = *ip.first()?;
        if version_and_words >> 4 != 4 {
            return None;
        }
        let ip_header = usize::from(version_and_words & 0xf) * 4;
        let whole = Packet { line_bytes: ip.len() as u64, payload_bytes: 0 };
        if *ip.get(9)? != TCP {
            return Some(whole);
        }
        let tcp = ip.get(ip_header..)?;
        let headers = ip_header + usize::from(*tcp.get(12)? >> 4) * 4;
        let payload_bytes = ip.len().checked_sub(headers)? as u64;
        let gso_bytes = u64::from(u16::from_ne_bytes([bytes[4], bytes[5]]));
        let packets = if bytes[1] == 0 || gso_bytes == 0 { 1 } else { payload_bytes.div_ceil(gso_bytes).max(1) };
        Some(Packet { line_bytes: payload_bytes + packets * headers as u64, payload_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(gso: Option<u16>, protocol: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0; VIRTIO_HEADER + 20 + 32 + payload];
        if let Some(gso) = gso {
            bytes[1] = 1;
            bytes[4..6].copy_from_slice(&gso.to_ne_bytes());
        }
        bytes[10] = 0x45;
        bytes[19] = protocol;
        bytes[10 + 20 + 12] = 8 << 4;
        bytes
    }

    #[test]
    fn payload_is_what_is_left_of_the_headers() {
        let check = |bytes: &[u8], line_bytes, payload_bytes| {
            assert_eq!(Packet::parse(bytes), Some(Packet { line_bytes, payload_bytes }));
        };
        check(&packet(None, TCP, 100), 152, 100);
        check(&packet(None, TCP, 0), 52, 0);
        check(&packet(None, 17, 100), 152, 0);
    }

    #[test]
    fn a_large_packet_counts_the_headers_of_each_of_its_parts() {
        let parsed = Packet::parse(&packet(Some(1448), TCP, 14_481)).unwrap();
        assert_eq!((parsed.payload_bytes, parsed.line_bytes), (14_481, 14_481 + 11 * 52));
    }

    #[test]
    fn what_is_cut_short_is_none() {
        let whole = packet(None, TCP, 0);
        assert!(Packet::parse(&whole).is_some());
        for length in 0..VIRTIO_HEADER + 20 + 14 {
            assert_eq!(Packet::parse(&whole[..length]), None, "{length}");
        }
        let mut other = whole;
        other[10] = 0x60;
        assert_eq!(Packet::parse(&other), None);
    }
}
