//! UDP: datagrams of one peer, or of all.

use crate::name::Host;
use crate::network::{Lookup, Network};
use crate::session::Memory;
use alloc::vec;
use core::net::Ipv4Addr;
use libsys::proto::io::{IoError, READABLE, WRITABLE};
use libsys::proto::net::{Peer, Source};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp::{PacketBuffer, PacketMetadata, Socket};
use smoltcp::time::Instant;
use smoltcp::wire::{IpAddress, IpEndpoint};

/// Most sessions at once. Each client has an equal share.
pub const MOST: usize = 32;
/// Bytes and datagrams kept in each direction of a session.
const BUFFER: usize = 8 << 10;
const PACKETS: usize = 16;
/// Longest datagram: what fits a frame (RFC 791 and RFC 768 headers off 1500 bytes).
const LONGEST: usize = 1500 - 20 - 8;

/// `udp:HOST:PORT` or `udp:listen:PORT`.
pub struct Datagrams {
    socket: SocketHandle,
    peer: Party,
}

enum Party {
    Anyone,
    Resolving(Lookup, u16),
    One(IpEndpoint),
    Failed(IoError),
}

impl Datagrams {
    /// Those from and to one host.
    pub fn with(network: &mut Network, host: Host, port: u16, now: Instant) -> Self {
        let own = network.free_port();
        Self::new(network, own, Party::Resolving(Lookup::new(host, now), port))
    }

    /// All that arrive at a port.
    pub fn at(network: &mut Network, port: u16) -> Self {
        Self::new(network, port, Party::Anyone)
    }

    fn new(network: &mut Network, port: u16, peer: Party) -> Self {
        let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; PACKETS], vec![0; BUFFER]);
        let mut socket = Socket::new(buffer(), buffer());
        // The port is not 0, and the socket is new.
        let _ = socket.bind(port);
        Self {
            socket: network.sockets.add(socket),
            peer,
        }
    }

    /// The port of a session that anyone may send to.
    pub fn listens_at(&self, network: &Network) -> Option<u16> {
        let port = network.sockets.get::<Socket>(self.socket).endpoint().port;
        matches!(self.peer, Party::Anyone).then_some(port)
    }

    /// Goes on with finding the peer.
    pub fn advance(&mut self, network: &mut Network, now: Instant) {
        if let Party::Resolving(lookup, port) = &mut self.peer {
            let port = *port;
            match lookup.advance(network, now) {
                None => {}
                Some(Ok(address)) => {
                    self.peer = Party::One((IpAddress::Ipv4(address), port).into())
                }
                Some(Err(error)) => self.peer = Party::Failed(error),
            }
        }
    }

    /// When [`Datagrams::advance`] has something to do by itself.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.peer {
            Party::Resolving(lookup, _) => lookup.deadline(),
            _ => None,
        }
    }

    /// One datagram, whole; `None` if there is none.
    pub fn read(
        &self,
        network: &mut Network,
        memory: &impl Memory,
    ) -> Option<Result<usize, IoError>> {
        let socket = network.sockets.get_mut::<Socket>(self.socket);
        match self.peer {
            Party::Failed(error) => return Some(Err(error)),
            Party::Resolving(..) => return None,
            // What others send to this port is not for this session.
            Party::One(peer) => {
                while socket.peek().is_ok_and(|(_, from)| from.endpoint != peer) {
                    let _ = socket.recv();
                }
            }
            Party::Anyone => {}
        }
        let (bytes, from) = socket.peek().ok()?;
        let IpAddress::Ipv4(address) = from.endpoint.addr;
        let header = match self.peer {
            Party::Anyone => Some(
                Peer {
                    address: address.octets(),
                    port: from.endpoint.port,
                }
                .to_bytes(),
            ),
            _ => None,
        };
        let header = header.as_ref().map_or(&[][..], |header| &header[..]);
        let length = header.len() + bytes.len();
        if memory.length() < length {
            return Some(Err(IoError::BadBuffer));
        }
        let copied = memory
            .copy_out(0, header)
            .and_then(|()| memory.copy_out(header.len(), bytes));
        if copied.is_ok() {
            let _ = socket.recv();
        }
        Some(copied.map(|()| length))
    }

    /// Takes one datagram to be sent; `None` if there is no room or no network.
    pub fn write(
        &self,
        network: &mut Network,
        memory: &impl Memory,
    ) -> Option<Result<usize, IoError>> {
        if network.source == Source::Nowhere {
            return None;
        }
        match self.send(network, memory) {
            Err(IoError::WouldBlock) => None,
            other => Some(other),
        }
    }

    fn send(&self, network: &mut Network, memory: &impl Memory) -> Result<usize, IoError> {
        let mut offset = 0;
        let peer = match self.peer {
            Party::Failed(error) => return Err(error),
            Party::Resolving(..) => return Err(IoError::WouldBlock),
            Party::One(peer) => peer,
            Party::Anyone => {
                let mut header = [0; Peer::SIZE];
                if memory.length() < header.len() {
                    return Err(IoError::BadRequest);
                }
                memory.copy_in(0, &mut header)?;
                offset = header.len();
                let Peer { address, port } = Peer::from_bytes(header);
                (IpAddress::Ipv4(Ipv4Addr::from(address)), port).into()
            }
        };
        let mut bytes = [0; LONGEST];
        let bytes = bytes
            .get_mut(..memory.length() - offset)
            .ok_or(IoError::BadRequest)?;
        memory.copy_in(offset, bytes)?;
        let socket = network.sockets.get_mut::<Socket>(self.socket);
        match socket.send_slice(bytes, peer) {
            Ok(()) => Ok(memory.length()),
            Err(smoltcp::socket::udp::SendError::BufferFull) => Err(IoError::WouldBlock),
            // Address or port 0.
            Err(smoltcp::socket::udp::SendError::Unaddressable) => Err(IoError::BadRequest),
        }
    }

    /// What would not wait.
    pub fn readiness(&self, network: &Network) -> u64 {
        let socket = network.sockets.get::<Socket>(self.socket);
        let bit = |ready, bit| if ready { bit } else { 0 };
        match self.peer {
            Party::Resolving(..) => 0,
            Party::Failed(_) => READABLE | WRITABLE,
            _ => bit(socket.can_recv(), READABLE) | bit(socket.can_send(), WRITABLE),
        }
    }

    /// Nobody has it open any more.
    pub fn close(self, network: &mut Network) {
        if let Party::Resolving(lookup, _) = self.peer {
            lookup.cancel(network);
        }
        network.sockets.remove(self.socket);
    }
}
