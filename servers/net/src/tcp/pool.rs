//! TCP's sockets, and how many each client has.

use crate::network::Network;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::Socket as AnySocket;
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Duration;

/// Bytes kept in each direction of a connection.
const BUFFER: usize = 16 << 10;
/// Most sockets: connections, connections being closed, and listeners' ears. Each client has an equal share.
pub const MOST: usize = 192;
/// How long a peer may be silent, and between signs of life of an idle one.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// Sockets, made when they are first needed and kept. Each is charged to a client until it is closed on both sides.
pub struct Pool {
    spare: Vec<Socket<'static>>,
    /// Closed by us, but not by the peer yet; and those that only wait for late packets.
    lingering: VecDeque<SocketHandle>,
    /// The client of each outside `spare`.
    owners: BTreeMap<SocketHandle, u32>,
    /// How many one client may have.
    share: usize,
}

impl Pool {
    /// None in use; so many clients have equal shares.
    pub fn new(clients: usize) -> Self {
        Self {
            spare: Vec::new(),
            lingering: VecDeque::new(),
            owners: BTreeMap::new(),
            share: share(MOST, clients),
        }
    }

    /// Sockets in use.
    pub fn used(&self) -> usize {
        self.owners.len()
    }

    /// A socket. If the client has its share, the one of its own that lingers longest is forgotten; if there are no more
    /// because programs that are no more left theirs, the one that lingers longest.
    pub(super) fn take(&mut self, network: &mut Network, client: u32) -> Option<SocketHandle> {
        let own = |owner: &u32| *owner == client;
        let has_share = self.owners.values().filter(|owner| own(owner)).count() >= self.share;
        if has_share || self.owners.len() == MOST {
            let forgotten =
                |handle: &SocketHandle| !has_share || self.owners.get(handle).is_some_and(own);
            let oldest = self.lingering.iter().position(forgotten)?;
            let oldest = self.lingering.remove(oldest)?;
            self.put_back(network, oldest);
        }
        let buffer = || SocketBuffer::new(vec![0; BUFFER]);
        let socket = self.spare.pop();
        let mut socket = socket.unwrap_or_else(|| Socket::new(buffer(), buffer()));
        socket.set_nagle_enabled(false);
        socket.set_timeout(Some(SILENCE));
        socket.set_keep_alive(Some(KEEP_ALIVE));
        let handle = network.sockets.add(socket);
        self.owners.insert(handle, client);
        Some(handle)
    }

    fn put_back(&mut self, network: &mut Network, handle: SocketHandle) {
        if let AnySocket::Tcp(mut socket) = network.sockets.remove(handle) {
            socket.abort();
            self.spare.push(socket);
            self.owners.remove(&handle);
        }
    }

    /// Closes what nobody has open any more: with a reset if there is something that nobody will read.
    pub(super) fn close(&mut self, network: &mut Network, handle: SocketHandle) {
        let socket = network.sockets.get_mut::<Socket>(handle);
        match socket.recv_queue() {
            0 => socket.close(),
            _ => socket.abort(),
        }
        self.lingering.push_back(handle);
    }

    /// The same, with a reset at once.
    pub(super) fn abort(&mut self, network: &mut Network, handle: SocketHandle) {
        network.sockets.get_mut::<Socket>(handle).abort();
        self.lingering.push_back(handle);
    }

    /// Takes back the sockets that are closed on both sides. Their last packets must have been sent.
    pub fn collect(&mut self, network: &mut Network) {
        for _ in 0..self.lingering.len() {
            let Some(handle) = self.lingering.pop_front() else {
                return;
            };
            match network.sockets.get::<Socket>(handle).state() {
                State::Closed => self.put_back(network, handle),
                _ => self.lingering.push_back(handle),
            }
        }
    }
}

/// One client's share of `most`, if there are so many clients.
pub fn share(most: usize, clients: usize) -> usize {
    (most / clients.max(1)).max(1)
}
