//! Memory that a program shares with a server and its device: reads and writes without a copy.

use crate::handle::{self, Handle, IoError};
use crate::lease::Lease;
use crate::proto::{io, memory};
use crate::{rt, syscall};

/// Most pieces of one transfer.
pub const PIECES: usize = 3;

/// A buffer shared with one server. A program has one at a time, as large as the manifest says (`shared`).
///
/// When the server dies the buffer stays, but no server has it: drop it and make a new one.
#[derive(Debug)]
pub struct Shared {
    bytes: &'static mut [u8],
    id: u64,
}

impl Shared {
    /// Makes a buffer of zeros, a multiple of 4096 bytes, shared with the server that answers for `name`.
    ///
    /// # Errors
    /// As [`handle::server_of`]. `OutOfMemory`: there is not so much, or the program has a buffer already (or had one that its
    /// server still uses). `BadRequest`: not whole pages.
    pub fn new(name: &str, bytes: usize) -> Result<Self, IoError> {
        let (server, _) = handle::server_of(name)?;
        let mut known = rt::info().endpoints.iter();
        let (need, _) = known
            .find(|(_, slot)| *slot == server.0)
            .ok_or(IoError::NotPermitted)?;
        let words = [bytes as u64, 0, 0, 0];
        let lease = Lease::read(need.as_bytes());
        let answer = syscall::call_lending(rt::MEMORY, memory::SHARE, words, lease);
        let answer = answer.check().map_err(IoError::System)?;
        let [address, id, ..] = match answer.tag.label() {
            memory::OK => answer.words,
            label if label == memory::Status::OutOfMemory as u32 => {
                return Err(IoError::OutOfMemory);
            }
            _ => return Err(IoError::BadRequest),
        };
        let start = core::ptr::with_exposed_provenance_mut(address as usize);
        // SAFETY: root has mapped so many bytes there for this program, once, and takes them back after `UNSHARE` only.
        // Server and device touch them while a call with `&mut self` lasts; after one that fails without an answer (its
        // server died), root has stopped the device before.
        let bytes = unsafe { core::slice::from_raw_parts_mut(start, bytes) };
        Ok(Self { bytes, id })
    }

    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        self.bytes
    }

    /// Lets a session of the server use it.
    ///
    /// # Errors
    /// `BadRequest`: that server shares nothing. `NotPermitted`: it is shared with another server, or with one that has died.
    pub fn attach(&self, session: &Handle) -> Result<(), IoError> {
        handle::answered(syscall::call(session.slot(), io::SHARE, [self.id, 0, 0, 0])).map(drop)
    }

    /// Reads from `offset` of what the session has open into pieces of the buffer (where each begins, and its bytes), in their
    /// order. Offset and pieces are whole blocks ([`io::Stat::block_size`]). Returns the bytes: all of them, but at the end.
    ///
    /// # Errors
    /// `BadBuffer`: the session has no buffer. `BadRequest`: no pieces, more than [`PIECES`], outside, or not whole blocks.
    pub fn read(
        &mut self,
        session: &Handle,
        offset: u64,
        pieces: &[(usize, usize)],
    ) -> Result<usize, IoError> {
        transfer(session, io::READ_SHARED, offset, pieces)
    }

    /// [`Shared::read`], in the other direction.
    ///
    /// # Errors
    /// As [`Shared::read`], and those of writing.
    pub fn write(
        &mut self,
        session: &Handle,
        offset: u64,
        pieces: &[(usize, usize)],
    ) -> Result<usize, IoError> {
        transfer(session, io::WRITE_SHARED, offset, pieces)
    }
}

fn transfer(
    session: &Handle,
    label: u32,
    offset: u64,
    pieces: &[(usize, usize)],
) -> Result<usize, IoError> {
    let mut words = [offset, 0, 0, 0];
    if pieces.len() > PIECES {
        return Err(IoError::BadRequest);
    }
    for (word, (start, bytes)) in words[1..].iter_mut().zip(pieces) {
        let (Ok(start), Ok(bytes)) = (u32::try_from(*start), u32::try_from(*bytes)) else {
            return Err(IoError::BadRequest);
        };
        *word = u64::from(bytes) << 32 | u64::from(start);
    }
    handle::answered(syscall::call(session.slot(), label, words)).map(|reply| reply[0] as usize)
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = syscall::call(rt::MEMORY, memory::UNSHARE, [0; 4]);
    }
}
