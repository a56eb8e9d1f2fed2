//! TCP: connections, listeners, and the sockets of both.

mod pool;

pub use pool::{MOST, Pool, share};

use self::pool::SILENCE;
use crate::name::Host;
use crate::network::{Lookup, Network};
use crate::session::Memory;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::vec::Vec;
use libsys::proto::io::{IoError, READABLE, WRITABLE};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{RecvError, Socket, State};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::IpAddress;

/// Connections being set up at a listener at once. A frame is taken at a time, and ears are made between frames, so this
/// bounds only those whose third packet is on its way.
const EARS: usize = 96;
/// Connections that wait at a listener to be accepted and opened.
const READY: usize = 64;
/// How long a peer may take to answer.
const CONNECT: Duration = Duration::from_secs(10);

/// `tcp:HOST:PORT`, or an accepted one.
pub struct Connection {
    socket: SocketHandle,
    phase: Phase,
    /// No more will be written.
    finished: bool,
}

enum Phase {
    Resolving(Lookup, u16),
    Connecting(Instant),
    Open,
    Failed(IoError),
}

impl Connection {
    /// Begins to connect, for a client.
    ///
    /// # Errors
    /// `OutOfMemory`: too many sockets.
    pub fn new(
        pool: &mut Pool,
        network: &mut Network,
        client: u32,
        host: Host,
        port: u16,
        now: Instant,
    ) -> Result<Self, IoError> {
        Ok(Self {
            socket: pool.take(network, client).ok_or(IoError::OutOfMemory)?,
            phase: Phase::Resolving(Lookup::new(host, now), port),
            finished: false,
        })
    }

    /// Goes on with connecting.
    pub fn advance(&mut self, network: &mut Network, now: Instant) {
        match &mut self.phase {
            Phase::Resolving(lookup, port) => {
                let port = *port;
                self.phase = match lookup.advance(network, now) {
                    None => return,
                    Some(Err(error)) => Phase::Failed(error),
                    Some(Ok(address)) => {
                        let own = network.free_port();
                        let socket = network.sockets.get_mut::<Socket>(self.socket);
                        socket.set_timeout(Some(CONNECT));
                        let peer = (IpAddress::Ipv4(address), port);
                        match socket.connect(network.interface.context(), peer, own) {
                            Ok(()) => Phase::Connecting(now + CONNECT),
                            Err(_) => Phase::Failed(IoError::NotFound),
                        }
                    }
                }
            }
            Phase::Connecting(until) => {
                let socket = network.sockets.get_mut::<Socket>(self.socket);
                self.phase = match socket.state() {
                    State::SynSent | State::SynReceived => return,
                    State::Closed if *until <= now => Phase::Failed(IoError::TimedOut),
                    State::Closed => Phase::Failed(IoError::Refused),
                    _ => {
                        socket.set_timeout(Some(SILENCE));
                        Phase::Open
                    }
                }
            }
            Phase::Open | Phase::Failed(_) => {}
        }
    }

    /// When [`Connection::advance`] has something to do by itself.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Resolving(lookup, _) => lookup.deadline(),
            _ => None,
        }
    }

    /// Whether there is nothing to say yet, or what is wrong.
    fn check(&self) -> Option<Result<(), IoError>> {
        match self.phase {
            Phase::Resolving(..) | Phase::Connecting(_) => None,
            Phase::Open => Some(Ok(())),
            Phase::Failed(error) => Some(Err(error)),
        }
    }

    /// Bytes that have arrived; 0 only at the end, `None` if there are none yet.
    pub fn read(
        &self,
        network: &mut Network,
        memory: &impl Memory,
    ) -> Option<Result<usize, IoError>> {
        if let Err(error) = self.check()? {
            return Some(Err(error));
        }
        let socket = network.sockets.get_mut::<Socket>(self.socket);
        if !socket.can_recv() {
            return match socket.recv(|_| (0, ())) {
                Ok(()) => None,
                Err(RecvError::Finished) => Some(Ok(0)),
                Err(RecvError::InvalidState) => Some(Err(IoError::Reset)),
            };
        }
        let (mut done, length) = (0, memory.length());
        // Twice where the ring wraps.
        while done < length && socket.can_recv() {
            let moved = socket.recv(|bytes| {
                let count = bytes.len().min(length - done);
                match memory.copy_out(done, &bytes[..count]) {
                    Ok(()) => (count, Ok(count)),
                    Err(error) => (0, Err(error)),
                }
            });
            match moved {
                Ok(Ok(count)) => done += count,
                Ok(Err(error)) => return Some(Err(error)),
                Err(_) => break,
            }
        }
        Some(Ok(done))
    }

    /// Takes bytes to be sent; `None` if there is no room.
    pub fn write(
        &self,
        network: &mut Network,
        memory: &impl Memory,
    ) -> Option<Result<usize, IoError>> {
        match self.check()? {
            Ok(()) if self.finished => return Some(Err(IoError::BadRequest)),
            Ok(()) => {}
            Err(error) => return Some(Err(error)),
        }
        let socket = network.sockets.get_mut::<Socket>(self.socket);
        if !socket.may_send() {
            return Some(Err(IoError::Reset));
        }
        let (mut done, length) = (0, memory.length());
        while done < length && socket.can_send() {
            let moved = socket.send(|bytes| {
                let count = bytes.len().min(length - done);
                match memory.copy_in(done, &mut bytes[..count]) {
                    Ok(()) => (count, Ok(count)),
                    Err(error) => (0, Err(error)),
                }
            });
            match moved {
                Ok(Ok(count)) => done += count,
                Ok(Err(error)) => return Some(Err(error)),
                Err(_) => break,
            }
        }
        (done > 0 || length == 0).then_some(Ok(done))
    }

    /// Sends the end.
    ///
    /// # Errors
    /// `WouldBlock`: it is not open yet. What has failed.
    pub fn finish(&mut self, network: &mut Network) -> Result<(), IoError> {
        self.check().ok_or(IoError::WouldBlock)??;
        self.finished = true;
        network.sockets.get_mut::<Socket>(self.socket).close();
        Ok(())
    }

    /// What would not wait.
    pub fn readiness(&self, network: &Network) -> u64 {
        match self.check() {
            None => 0,
            Some(Err(_)) => READABLE | WRITABLE,
            Some(Ok(())) => {
                let socket = network.sockets.get::<Socket>(self.socket);
                let bit = |ready, bit| if ready { bit } else { 0 };
                bit(socket.can_recv() || !socket.may_recv(), READABLE)
                    | bit(socket.can_send() || !socket.may_send(), WRITABLE)
            }
        }
    }

    /// Nobody has it open any more.
    pub fn close(self, pool: &mut Pool, network: &mut Network) {
        if let Phase::Resolving(lookup, _) = self.phase {
            lookup.cancel(network);
        }
        pool.close(network, self.socket);
    }
}

/// `tcp:listen:PORT`.
pub struct Listener {
    port: u16,
    /// Whom its connections are charged to.
    client: u32,
    /// Sockets that wait for a connection, or for its third packet.
    ears: Vec<SocketHandle>,
    /// Connections whose names were not read yet.
    ready: VecDeque<SocketHandle>,
    /// Connections whose names were read, but that were not opened yet.
    named: BTreeMap<u32, SocketHandle>,
    /// The number in the next name: the port, and a count that is far longer than `named` can be.
    next: u32,
}

impl Listener {
    /// Listens, for a client.
    ///
    /// # Errors
    /// `OutOfMemory`: too many sockets.
    pub fn new(
        pool: &mut Pool,
        network: &mut Network,
        client: u32,
        port: u16,
    ) -> Result<Self, IoError> {
        let mut listener = Self {
            port,
            client,
            ears: Vec::new(),
            ready: VecDeque::new(),
            named: BTreeMap::new(),
            next: u32::from(port) << 16,
        };
        listener.advance(pool, network);
        match listener.ears.is_empty() {
            true => Err(IoError::OutOfMemory),
            false => Ok(listener),
        }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets connections aside that have come to be, and listens with other sockets in their place.
    pub fn advance(&mut self, pool: &mut Pool, network: &mut Network) {
        for index in (0..self.ears.len()).rev() {
            let handle = self.ears[index];
            let socket = network.sockets.get_mut::<Socket>(handle);
            match socket.state() {
                State::Listen | State::SynReceived => {}
                // A connection that never came to be. The port is not 0, and the socket is closed: it can listen.
                State::Closed => drop(socket.listen(self.port)),
                _ => {
                    self.ears.swap_remove(index);
                    self.ready.push_back(handle);
                }
            }
        }
        let listens =
            |handle: &&SocketHandle| network.sockets.get::<Socket>(**handle).is_listening();
        let mut idle = self.ears.iter().filter(listens).count();
        // One idle ear is enough: this is called after each frame.
        while idle < 1 && self.ears.len() < EARS && self.ready.len() + self.named.len() < READY {
            let Some(handle) = pool.take(network, self.client) else {
                return;
            };
            // As above.
            let _ = network.sockets.get_mut::<Socket>(handle).listen(self.port);
            self.ears.push(handle);
            idle += 1;
        }
    }

    /// The name of the next connection; `None` if there is none.
    pub fn read(&mut self, memory: &impl Memory) -> Option<Result<usize, IoError>> {
        let handle = *self.ready.front()?;
        let mut number = self.next;
        while self.named.contains_key(&number) {
            number = Self::after(number);
        }
        let name = format!("tcp:accepted:{number}");
        if memory.length() < name.len() {
            return Some(Err(IoError::BadBuffer));
        }
        if let Err(error) = memory.copy_out(0, name.as_bytes()) {
            return Some(Err(error));
        }
        self.ready.pop_front();
        self.named.insert(number, handle);
        self.next = Self::after(number);
        Some(Ok(name.len()))
    }

    /// The number that follows; the port stays.
    const fn after(number: u32) -> u32 {
        number & 0xffff_0000 | number.wrapping_add(1) & 0xffff
    }

    /// The connection of a name that was read.
    pub fn accepted(&mut self, number: u32) -> Option<Connection> {
        Some(Connection {
            socket: self.named.remove(&number)?,
            phase: Phase::Open,
            finished: false,
        })
    }

    /// What would not wait.
    pub fn readiness(&self) -> u64 {
        if self.ready.is_empty() { 0 } else { READABLE }
    }

    /// Nobody has it open any more: whoever was not accepted is sent away.
    pub fn close(self, pool: &mut Pool, network: &mut Network) {
        let Self {
            ears, ready, named, ..
        } = self;
        for handle in ears.into_iter().chain(ready).chain(named.into_values()) {
            pool.abort(network, handle);
        }
    }
}
