//! Frames for the host of QEMU's user network, which is no other machine: it answers at once.

/// Bytes of an Ethernet frame at most.
pub const LONGEST: usize = 1514;
/// Bytes of a frame with an echo request at least: its headers.
pub const SHORTEST: usize = 42;
/// Bytes of what asks for an address, and of the answer, at most.
const ARP: usize = 64;

/// QEMU's address for the first network device, and its host's.
const OWN: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const HOST: [u8; 6] = [0x52, 0x55, 10, 0, 2, 2];
/// The same as IP addresses.
const OWN_IP: [u8; 4] = [10, 0, 2, 15];
const HOST_IP: [u8; 4] = [10, 0, 2, 2];

/// Asks for the host's address, from which it learns ours (RFC 826). Returns how many bytes it has.
pub fn announce(frame: &mut [u8]) -> usize {
    let frame = &mut frame[..ARP];
    frame.fill(0);
    ethernet(frame, [0xff; 6], [0x08, 0x06]);
    // Ethernet, IPv4, lengths of their addresses, request.
    frame[14..22].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    frame[22..28].copy_from_slice(&OWN);
    frame[28..32].copy_from_slice(&OWN_IP);
    frame[38..42].copy_from_slice(&HOST_IP);
    ARP
}

/// Makes the frame an echo request to the host (RFC 791, RFC 792); the reply is as long.
///
/// # Panics
/// It is shorter than [`SHORTEST`].
pub fn echo(frame: &mut [u8]) {
    frame.fill(0);
    ethernet(frame, HOST, [0x08, 0x00]);
    let length = (frame.len() - 14) as u16;
    let ip = &mut frame[14..];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&length.to_be_bytes());
    // Time to live, and ICMP.
    (ip[8], ip[9]) = (64, 1);
    ip[12..16].copy_from_slice(&OWN_IP);
    ip[16..20].copy_from_slice(&HOST_IP);
    let sum = checksum(&ip[..20]);
    ip[10..12].copy_from_slice(&sum);
    let icmp = &mut ip[20..];
    icmp[0] = 8;
    let sum = checksum(icmp);
    icmp[2..4].copy_from_slice(&sum);
}

/// Makes the frame one that nobody answers (an Ethernet type for experiments, IEEE 802).
pub fn unanswered(frame: &mut [u8]) {
    frame.fill(0);
    ethernet(frame, HOST, [0x88, 0xb5]);
}

/// Whether a frame is the reply to [`echo`].
pub fn is_reply(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[0x08, 0x00]) && frame.get(23) == Some(&1) && frame[34] == 0
}

fn ethernet(frame: &mut [u8], to: [u8; 6], kind: [u8; 2]) {
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&OWN);
    frame[12..14].copy_from_slice(&kind);
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_right() {
        // The example of RFC 1071, section 3.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(checksum(&bytes), [0x22, 0x0d]);
        let mut frame = [0; 65];
        echo(&mut frame);
        assert_eq!(checksum(&frame[14..34]), [0, 0]);
        assert_eq!(checksum(&frame[34..]), [0, 0]);
        assert!(!is_reply(&frame));
        frame[34] = 0;
        assert!(is_reply(&frame) && !is_reply(&frame[..20]));
    }
}
