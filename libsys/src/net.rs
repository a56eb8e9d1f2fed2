//! The network: what a [`Handle`] cannot say. Connections themselves are handles: `Handle::open("tcp:10.0.2.2:80")`.

use crate::handle::{Handle, IoError, answered};
use crate::lease::Lease;
use crate::proto::io::NAME_MAX;
use crate::proto::net::{self, EVENT};
use crate::syscall::{self, Slot};
use crate::{rt, time};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
pub use net::{Peer, Source, Status};

/// The network server.
fn server() -> Result<Slot, IoError> {
    rt::endpoint("net").ok_or(IoError::NotPermitted)
}

/// How the network is configured.
///
/// # Errors
/// `NoDevice`: the machine has no network device.
pub fn status() -> Result<Status, IoError> {
    let mut buffer = [0; 512];
    let lease = Lease::write(&mut buffer);
    let [count, ..] = answered(syscall::call_lending(server()?, net::STATUS, [0; 4], lease))?;
    let bytes = usize::try_from(count)
        .ok()
        .and_then(|count| buffer.get(..count));
    bytes
        .and_then(|bytes| postcard::from_bytes(bytes).ok())
        .ok_or(IoError::DeviceError)
}

/// Sends an ICMP echo request and waits for the answer: how long it took, and the host's address.
///
/// # Errors
/// `TimedOut`: no answer within `limit`. `NotFound`: no such host. `NoNetwork`.
pub fn ping(host: &str, limit: Duration) -> Result<(Duration, [u8; 4]), IoError> {
    let hz = rt::info().tsc_hz;
    let until = time::Instant::now()
        .0
        .saturating_add(time::ticks(limit, hz));
    let lease = Lease::read(host.as_bytes());
    let output = syscall::call_lending(server()?, net::PING, [until, 0, 0, 0], lease);
    let [time, address, ..] = answered(output)?;
    Ok((Duration::from_micros(time), (address as u32).to_be_bytes()))
}

/// Says that nothing more will be written to a connection.
///
/// # Errors
/// `BadRequest`: it is no connection.
pub fn finish(connection: &Handle) -> Result<(), IoError> {
    answered(syscall::call(connection.slot(), net::FINISH, [0; 4])).map(drop)
}

/// Waits for the next connection of a `tcp:listen:PORT`, and opens it.
///
/// # Errors
/// As [`Handle::read`] and [`Handle::open`].
pub fn accept(listener: &Handle) -> Result<Handle, IoError> {
    named(|name| listener.read(name))
}

/// [`accept`] without waiting.
///
/// # Errors
/// `WouldBlock`: there is no new connection.
pub fn try_accept(listener: &Handle) -> Result<Handle, IoError> {
    named(|name| listener.try_read(name))
}

fn named(read: impl FnOnce(&mut [u8]) -> Result<usize, IoError>) -> Result<Handle, IoError> {
    let mut name = [0; NAME_MAX];
    let count = read(&mut name)?;
    let name = str::from_utf8(&name[..count]).map_err(|_| IoError::DeviceError)?;
    Handle::open_at(server()?, name)
}

/// Many sessions of the network server, waited for at once.
#[derive(Debug)]
pub struct Events {
    buffer: Vec<u8>,
}

impl Events {
    /// Room for so many events at a time.
    pub fn new(most: usize) -> Self {
        Self {
            buffer: vec![0; most * EVENT],
        }
    }

    /// Tells of `session` under `number` from now on when it is ready for `interest` ([`crate::proto::io::READABLE`] and
    /// [`crate::proto::io::WRITABLE`]; 0: not any more).
    ///
    /// # Errors
    /// `BadRequest`: no session of the network server.
    pub fn subscribe(session: &Handle, number: u64, interest: u64) -> Result<(), IoError> {
        let words = [number, interest, 0, 0];
        answered(syscall::call(session.slot(), net::SUBSCRIBE, words)).map(drop)
    }

    /// Waits until some are ready, or it is `until`: number and readiness of each.
    ///
    /// # Errors
    /// `ServerDied`: all sessions are gone.
    pub fn wait(
        &mut self,
        until: Option<time::Instant>,
    ) -> Result<impl Iterator<Item = (u64, u64)> + '_, IoError> {
        let words = [until.map_or(0, |until| until.0), 0, 0, 0];
        let lease = Lease::write(&mut self.buffer);
        lease.touch();
        let [count, ..] = answered(syscall::call_lending(server()?, net::EVENTS, words, lease))?;
        let count = usize::try_from(count).map_err(|_| IoError::DeviceError)?;
        let word = |bytes: &[u8]| {
            bytes
                .iter()
                .rev()
                .fold(0, |all, byte| all << 8 | u64::from(*byte))
        };
        Ok(self
            .buffer
            .chunks_exact(EVENT)
            .take(count)
            .map(move |event| (word(&event[..8]), word(&event[8..]))))
    }
}
