//! ICMP echo requests, and who waits for the answers.

use crate::name::Host;
use crate::network::{Lookup, Network};
use alloc::vec;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use libsys::proto::io::IoError;
use smoltcp::iface::SocketHandle;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::icmp::{Endpoint, PacketBuffer, PacketMetadata, Socket};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, IpAddress};

/// Most requests at once. Each client has an equal share.
pub const MOST: usize = 16;
/// Tells our requests from others' (RFC 792).
const IDENTITY: u16 = 0x504f;
/// What they carry.
const DATA: &[u8] = b"Postern, a small guarded gate in a fortress wall";

struct Ping<C> {
    client: u32,
    waits: C,
    target: Target,
    until: Instant,
}

enum Target {
    Resolving(Lookup),
    Found(Ipv4Addr),
    Asked { sequence: u16, sent: Instant },
}

/// An answer: round trip, and who it is from.
pub type Answer = Result<(Duration, Ipv4Addr), IoError>;

/// All requests.
pub struct Pings<C> {
    socket: SocketHandle,
    waiting: Vec<Ping<C>>,
    next: u16,
}

impl<C> Pings<C> {
    /// None.
    pub fn new(network: &mut Network) -> Self {
        let buffer = || PacketBuffer::new(vec![PacketMetadata::EMPTY; MOST], vec![0; MOST * 64]);
        let mut socket = Socket::new(buffer(), buffer());
        // The socket is new, and the identity a good one.
        let _ = socket.bind(Endpoint::Ident(IDENTITY));
        Self {
            socket: network.sockets.add(socket),
            waiting: Vec::new(),
            next: 0,
        }
    }

    /// Whether there is room for one more of a client that may have `share`.
    pub fn has_room(&self, client: u32, share: usize) -> bool {
        let own = self.waiting.iter().filter(|ping| ping.client == client);
        own.count() < share && self.waiting.len() < MOST
    }

    /// One more of a client.
    pub fn add(&mut self, client: u32, waits: C, host: Host, until: Instant, now: Instant) {
        self.waiting.push(Ping {
            client,
            waits,
            target: Target::Resolving(Lookup::new(host, now)),
            until,
        });
    }

    /// Forgets those whose answers nobody waits for.
    pub fn retain(&mut self, network: &mut Network, waits: impl Fn(&C) -> bool) {
        for ping in self.waiting.extract_if(.., |ping| !waits(&ping.waits)) {
            if let Target::Resolving(lookup) = ping.target {
                lookup.cancel(network);
            }
        }
    }

    /// When [`Pings::advance`] has something to do by itself.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|ping| ping.until).min()
    }

    /// Sends what can be sent, and returns those that have an answer.
    pub fn advance(&mut self, network: &mut Network, now: Instant) -> Vec<(C, Answer)> {
        let mut done = Vec::new();
        while let Some((sequence, address)) = self.receive(network) {
            let asked = |ping: &Ping<C>| matches!(ping.target, Target::Asked { sequence: own, .. } if own == sequence);
            if let Some(index) = self.waiting.iter().position(asked) {
                let ping = self.waiting.swap_remove(index);
                if let Target::Asked { sent, .. } = ping.target {
                    done.push((ping.waits, Ok((now - sent, address))));
                }
            }
        }
        for index in (0..self.waiting.len()).rev() {
            let failed = match self.send(network, index, now) {
                Err(error) => Some(error),
                Ok(()) => (self.waiting[index].until <= now).then_some(IoError::TimedOut),
            };
            if let Some(error) = failed {
                let ping = self.waiting.swap_remove(index);
                if let Target::Resolving(lookup) = ping.target
                    && error == IoError::TimedOut
                {
                    lookup.cancel(network);
                }
                done.push((ping.waits, Err(error)));
            }
        }
        done
    }

    /// The next answer: its sequence number, and who it is from.
    fn receive(&self, network: &mut Network) -> Option<(u16, Ipv4Addr)> {
        let socket = network.sockets.get_mut::<Socket>(self.socket);
        loop {
            let (bytes, IpAddress::Ipv4(address)) = socket.recv().ok()?;
            let packet = Icmpv4Packet::new_checked(bytes);
            let parsed = packet
                .and_then(|packet| Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default()));
            // Others (the socket also gets errors about our packets) are no answers.
            if let Ok(Icmpv4Repr::EchoReply { seq_no, .. }) = parsed {
                return Some((seq_no, address));
            }
        }
    }

    fn send(&mut self, network: &mut Network, index: usize, now: Instant) -> Result<(), IoError> {
        let ping = &mut self.waiting[index];
        if let Target::Resolving(lookup) = &mut ping.target {
            match lookup.advance(network, now) {
                None => return Ok(()),
                Some(address) => ping.target = Target::Found(address?),
            }
        }
        let Target::Found(address) = ping.target else {
            return Ok(());
        };
        let request = Icmpv4Repr::EchoRequest {
            ident: IDENTITY,
            seq_no: self.next,
            data: DATA,
        };
        let socket = network.sockets.get_mut::<Socket>(self.socket);
        // No room now is some later.
        if let Ok(buffer) = socket.send(request.buffer_len(), IpAddress::Ipv4(address)) {
            let mut packet = Icmpv4Packet::new_unchecked(buffer);
            request.emit(&mut packet, &ChecksumCapabilities::default());
            ping.target = Target::Asked {
                sequence: self.next,
                sent: now,
            };
            self.next = self.next.wrapping_add(1);
        }
        Ok(())
    }
}
