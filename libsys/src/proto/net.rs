//! `net`: what the network server answers beyond [`super::io`]. Its names are `net:`, `tcp:HOST:PORT`, `tcp:listen:PORT`,
//! `udp:HOST:PORT` and `udp:listen:PORT`; HOST is an IPv4 address or a name that DNS knows.
//!
//! - `net:` reads and writes whole Ethernet frames.
//! - `tcp:HOST:PORT` is a connection. Opening it does not wait; the first read or write does.
//! - `tcp:listen:PORT` reads the name of one new connection at a time, such as `tcp:accepted:7`, to be opened by the same
//!   program.
//! - `udp:HOST:PORT` reads and writes whole datagrams of that peer.
//! - `udp:listen:PORT` does so with any peer: each datagram follows the peer's address, as [`Peer`] has it.

use super::io;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Lease 0 (WRITE): a [`Status`] in postcard. Replies `w0` = its length.
pub const STATUS: u32 = io::FIRST_OTHER;
/// `w0` = until when to wait (absolute TSC); lease 0 (READ): a host. Sends an ICMP echo request; replies to the answer with
/// `w0` = round trip in microseconds, `w1` = the host's IPv4 address, its first byte the highest.
pub const PING: u32 = io::FIRST_OTHER + 1;
/// On a session: `w0` = a number for [`EVENTS`] to name it with, `w1` = [`io::READABLE`] and [`io::WRITABLE`] as wanted (0:
/// not any more).
pub const SUBSCRIBE: u32 = io::FIRST_OTHER + 2;
/// `w0` = until when to wait (absolute TSC; 0 = for good); lease 0 (WRITE). Replies when some of the caller's sessions that
/// have subscribed are ready, with [`EVENT`] bytes for each into the lease, as many as fit, `w0` = how many (0: the time is
/// over). What is left ready is told again.
pub const EVENTS: u32 = io::FIRST_OTHER + 3;
/// On a connection: nothing more will be written; the peer reads the end. Reading goes on.
pub const FINISH: u32 = io::FIRST_OTHER + 4;

/// Bytes of an event: the session's number and its [`io::READABLE`] and [`io::WRITABLE`] bits, 64 bits each, little-endian.
pub const EVENT: usize = 16;

/// A peer's address before each datagram of `udp:listen:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// IPv4 address.
    pub address: [u8; 4],
    /// UDP port.
    pub port: u16,
}

impl Peer {
    /// Its length in bytes.
    pub const SIZE: usize = 6;

    /// As bytes: the address, and the port with its higher byte first.
    pub const fn to_bytes(self) -> [u8; Self::SIZE] {
        let [a, b, c, d] = self.address;
        let [high, low] = self.port.to_be_bytes();
        [a, b, c, d, high, low]
    }

    /// From bytes.
    pub const fn from_bytes([a, b, c, d, high, low]: [u8; Self::SIZE]) -> Self {
        Self {
            address: [a, b, c, d],
            port: u16::from_be_bytes([high, low]),
        }
    }
}

/// How the network server is configured, and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Ethernet address.
    pub mac: [u8; 6],
    /// IPv4 address and length of its prefix.
    pub address: Option<([u8; 4], u8)>,
    /// Where packets for other networks go.
    pub gateway: Option<[u8; 4]>,
    /// Who translates names.
    pub dns: Vec<[u8; 4]>,
    /// Where the address is from.
    pub source: Source,
    /// Open sessions, and TCP connections behind them or being closed.
    pub sessions: (u32, u32),
    /// Frames received and sent.
    pub frames: (u64, u64),
}

/// Where an address is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// There is none yet.
    Nowhere,
    /// A DHCP server leased it.
    Dhcp,
    /// The program's arguments, as no DHCP server answers.
    Arguments,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_round_trip() {
        let peer = Peer {
            address: [10, 0, 2, 2],
            port: 0x1234,
        };
        assert_eq!(peer.to_bytes(), [10, 0, 2, 2, 0x12, 0x34]);
        assert_eq!(Peer::from_bytes(peer.to_bytes()), peer);
    }
}
