//! What is open, and what can be asked of it.

use crate::frames::{Frames, LONGEST, Link, SHORTEST};
use crate::network::Network;
use crate::tcp::{Connection, Listener};
use crate::udp::Datagrams;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use libsys::proto::io::{IoError, READABLE, WRITABLE};
use libsys::proto::net::EVENT;

/// Memory that somebody lends.
pub trait Memory {
    /// Bytes lent.
    fn length(&self) -> usize;
    /// Copies from it.
    ///
    /// # Errors
    /// `BadBuffer`: it is not there (any more).
    fn copy_in(&self, offset: usize, bytes: &mut [u8]) -> Result<(), IoError>;
    /// Copies into it. Errors as for [`Memory::copy_in`].
    fn copy_out(&self, offset: usize, bytes: &[u8]) -> Result<(), IoError>;
}

/// What is asked of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Bytes into the memory.
    Read,
    /// Bytes out of the memory.
    Write,
    /// Until a read or a write would not wait.
    Wait(u64),
}

/// Something open.
pub struct Session {
    /// Who has it open.
    pub client: u32,
    /// What it is.
    pub kind: Kind,
    /// The number that events name it with, and what they tell of.
    pub subscription: Option<(u64, u64)>,
}

/// What is open.
pub enum Kind {
    /// `net:`
    Frames,
    /// `tcp:HOST:PORT`, or an accepted one.
    Connection(Connection),
    /// `tcp:listen:PORT`
    Listener(Listener),
    /// `udp:`
    Datagrams(Datagrams),
}

/// All that is open, by number.
pub type Sessions = BTreeMap<u32, Session>;

/// Does what a session is asked for, if that needs no waiting.
pub fn attempt<L: Link>(
    frames: &mut Frames<L>,
    network: &mut Network,
    sessions: &mut Sessions,
    number: u32,
    work: Work,
    memory: &impl Memory,
) -> Option<Result<u64, IoError>> {
    let Some(session) = sessions.get_mut(&number) else {
        return Some(Err(IoError::BadRequest));
    };
    if let Work::Wait(interest) = work {
        let ready = readiness(network, frames, number, session) & interest;
        return (ready != 0).then_some(Ok(ready));
    }
    let count = match (&mut session.kind, work) {
        (Kind::Connection(connection), Work::Read) => connection.read(network, memory),
        (Kind::Connection(connection), _) => connection.write(network, memory),
        (Kind::Datagrams(datagrams), Work::Read) => datagrams.read(network, memory),
        (Kind::Datagrams(datagrams), _) => datagrams.write(network, memory),
        (Kind::Listener(listener), Work::Read) => listener.read(memory),
        (Kind::Listener(_), _) => Some(Err(IoError::BadRequest)),
        (Kind::Frames, Work::Read) => read_frame(frames, number, memory),
        (Kind::Frames, _) => write_frame(frames, memory),
    };
    count.map(|result| result.map(|count| count as u64))
}

fn read_frame<L: Link>(
    frames: &mut Frames<L>,
    session: u32,
    memory: &impl Memory,
) -> Option<Result<usize, IoError>> {
    let kept = frames.kept(session)?;
    let frame = kept.front()?;
    if memory.length() < frame.len() {
        return Some(Err(IoError::BadBuffer));
    }
    let (copied, length) = (memory.copy_out(0, frame), frame.len());
    if copied.is_ok() {
        kept.pop_front();
    }
    Some(copied.map(|()| length))
}

fn write_frame<L: Link>(
    frames: &mut Frames<L>,
    memory: &impl Memory,
) -> Option<Result<usize, IoError>> {
    let length = memory.length();
    if !(SHORTEST..=LONGEST).contains(&length) {
        return Some(Err(IoError::BadRequest));
    }
    let mut frame = [0; LONGEST];
    if let Err(error) = memory.copy_in(0, &mut frame[..length]) {
        return Some(Err(error));
    }
    frames.send(&frame[..length]).map(|()| Ok(length))
}

fn readiness<L: Link>(
    network: &Network,
    frames: &Frames<L>,
    number: u32,
    session: &Session,
) -> u64 {
    match &session.kind {
        Kind::Connection(connection) => connection.readiness(network),
        Kind::Listener(listener) => listener.readiness(),
        Kind::Datagrams(datagrams) => datagrams.readiness(network),
        // Whether a frame can be sent is known when it is tried.
        Kind::Frames if frames.has_kept(number) => READABLE | WRITABLE,
        Kind::Frames => WRITABLE,
    }
}

/// Puts the events of a client into memory, as many as fit, and returns how many.
///
/// # Errors
/// `BadBuffer`: not one fits.
pub fn events<L: Link>(
    network: &Network,
    frames: &Frames<L>,
    sessions: &Sessions,
    client: u32,
    memory: &impl Memory,
) -> Result<u64, IoError> {
    let room = memory.length() / EVENT;
    if room == 0 {
        return Err(IoError::BadBuffer);
    }
    let mut bytes = Vec::new();
    for (number, session) in sessions
        .iter()
        .filter(|(_, session)| session.client == client)
    {
        let Some((name, interest)) = session.subscription else {
            continue;
        };
        let ready = readiness(network, frames, *number, session) & interest;
        if ready != 0 && bytes.len() < room * EVENT {
            bytes.extend_from_slice(&name.to_le_bytes());
            bytes.extend_from_slice(&ready.to_le_bytes());
        }
    }
    memory.copy_out(0, &bytes)?;
    Ok((bytes.len() / EVENT) as u64)
}
