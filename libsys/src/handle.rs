//! A handle: an open name. `read(handle, buffer)` is one message to whichever server owns the capability.

use crate::cap::{Cap, Endpoint};
use crate::lease::Lease;
use crate::proto::{io, names};
use crate::syscall::{self, Output, Slot, Words};
use crate::{rt, slots};
use abi::Error;
use abi::tag::{Flags, Tag, Transfer};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;
use embedded_io::SeekFrom;
pub use io::{IoError, Kind, Stat};

/// An open name. Dropping it closes it.
#[derive(Debug)]
pub struct Handle {
    session: Cap<Endpoint>,
    position: Cell<u64>,
}

impl Handle {
    /// Opens `name`: asks `names` which program answers for it, and that program for a session.
    ///
    /// # Errors
    /// `NotFound`: no program answers for the name. `NotPermitted`: this program may not call that one. Else the server's.
    pub fn open(name: &str) -> Result<Self, IoError> {
        Self::open_with(name, 0)
    }

    /// [`Handle::open`], and what [`io::OPEN`] can do besides ([`io::CREATE`], [`io::TRUNCATE`]).
    ///
    /// # Errors
    /// As [`Handle::open`].
    pub fn open_with(name: &str, how: u64) -> Result<Self, IoError> {
        let (server, rest) = server_of(name)?;
        Self::open_session(server, rest, how)
    }

    /// Opens `name`, the server's part of a name, at a server's endpoint.
    pub fn open_at(server: Slot, name: &str) -> Result<Self, IoError> {
        Self::open_session(server, name, 0)
    }

    fn open_session(server: Slot, name: &str, how: u64) -> Result<Self, IoError> {
        let slot = slots::allocate().ok_or(IoError::OutOfMemory)?;
        let session = Cap::adopt(slot);
        let lease = Lease::read(name.as_bytes());
        let transfer = Transfer {
            receive: slot.0,
            ..Transfer::default()
        };
        let output = syscall::call_transferring(server, io::OPEN, [how, 0, 0, 0], lease, transfer);
        // From here on the session is closed by Drop whatever comes.
        let handle = Self {
            session,
            position: Cell::new(0),
        };
        answered(output)?;
        if output.tag.flags().contains(Flags::CAP_ARRIVED) {
            Ok(handle)
        } else {
            Err(IoError::DeviceError)
        }
    }

    /// Reads at the position, which moves on. Returns the number of bytes: 0 only for an empty buffer or at the end.
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize, IoError> {
        self.read_at(self.position.get(), buffer)
            .inspect(|&count| self.advance(count))
    }

    /// Reads at `offset`.
    ///
    /// # Errors
    /// `BeyondEnd`: `offset` lies behind the end (at the end it is 0 bytes).
    #[inline]
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, IoError> {
        self.read_how(offset, 0, buffer)
    }

    /// [`Handle::read`] without waiting.
    ///
    /// # Errors
    /// `WouldBlock`: there is nothing to read yet.
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize, IoError> {
        self.read_how(self.position.get(), io::NO_WAIT, buffer)
            .inspect(|&count| self.advance(count))
    }

    #[inline(always)]
    fn read_how(&self, offset: u64, how: u64, buffer: &mut [u8]) -> Result<usize, IoError> {
        match buffer.len() {
            0 => Ok(0),
            1..=io::MESSAGE_MOST => self.read_message(offset, how, buffer),
            length => self.transfer(io::READ, [offset, how], Lease::write(buffer), length),
        }
    }

    /// Reads so few bytes that they may come in the message.
    #[inline(always)]
    fn read_message(&self, offset: u64, how: u64, buffer: &mut [u8]) -> Result<usize, IoError> {
        let length = buffer.len();
        let lease = Lease::write(buffer);
        lease.touch();
        let words = [offset, how | io::IN_MESSAGE, 0, 0];
        let output = syscall::call_lending(self.slot(), io::READ, words, lease);
        let extra = output.tag.extra();
        if output.tag != Tag((extra as u64) << 8) {
            return self.again(output, io::READ, [offset, how, 0, 0], lease, length);
        }
        if extra == 0 {
            return counted(output.words, length);
        }
        let count = counted(output.words, length.min(8 * extra))?;
        syscall::block(&mut buffer[..count]);
        Ok(count)
    }

    /// [`Handle::write`] without waiting.
    ///
    /// # Errors
    /// `WouldBlock`: there is no room yet.
    pub fn try_write(&self, buffer: &[u8]) -> Result<usize, IoError> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let (at, length) = (self.position.get(), buffer.len());
        self.transfer(io::WRITE, [at, io::NO_WAIT], Lease::read(buffer), length)
            .inspect(|&count| self.advance(count))
    }

    /// Writes at the position, which moves on. Returns the number of bytes: 0 only for an empty buffer.
    pub fn write(&self, buffer: &[u8]) -> Result<usize, IoError> {
        self.write_at(self.position.get(), buffer)
            .inspect(|&count| self.advance(count))
    }

    /// Writes at `offset`.
    pub fn write_at(&self, offset: u64, buffer: &[u8]) -> Result<usize, IoError> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.transfer(io::WRITE, [offset, 0], Lease::read(buffer), buffer.len())
    }

    /// Moves the position and returns it. Behind the end is allowed; reading there is not.
    ///
    /// # Errors
    /// `BadRequest`: before the beginning or not a 64-bit number.
    pub fn seek(&self, to: SeekFrom) -> Result<u64, IoError> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.stat()?.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.get().checked_add_signed(offset),
        };
        self.position.set(position.ok_or(IoError::BadRequest)?);
        Ok(self.position.get())
    }

    /// Size and kind.
    pub fn stat(&self) -> Result<Stat, IoError> {
        answered(syscall::call(self.slot(), io::STAT, [0; 4])).map(Stat::from_words)
    }

    /// Waits until everything written has reached the medium.
    pub fn sync(&self) -> Result<(), IoError> {
        answered(syscall::call(self.slot(), io::SYNC, [0; 4])).map(drop)
    }

    /// Waits until a read ([`io::READABLE`]) or a write ([`io::WRITABLE`]) would not wait, as `interest` wishes. Returns which.
    ///
    /// # Errors
    /// `BadRequest`: it wishes neither. `WouldBlock`: the server has as many waiting callers as it can keep.
    pub fn wait(&self, interest: u64) -> Result<u64, IoError> {
        if interest & (io::READABLE | io::WRITABLE) == 0 {
            return Err(IoError::BadRequest);
        }
        answered(syscall::call(self.slot(), io::WAIT, [interest, 0, 0, 0])).map(|reply| reply[0])
    }

    /// The session's capability, for operations beyond `io`.
    pub fn slot(&self) -> Slot {
        self.session.slot()
    }

    fn advance(&self, count: usize) {
        self.position
            .set(self.position.get().saturating_add(count as u64));
    }

    #[inline(always)]
    fn transfer(
        &self,
        label: u32,
        [offset, how]: [u64; 2],
        lease: Lease<'_>,
        length: usize,
    ) -> Result<usize, IoError> {
        let words = [offset, how, 0, 0];
        lease.touch();
        let output = syscall::call_lending(self.slot(), label, words, lease);
        if output.tag != DONE {
            return self.again(output, label, words, lease, length);
        }
        counted(output.words, length)
    }

    /// The answer was not just yes. If the memory was not there, everything is tried once more.
    #[cold]
    fn again(
        &self,
        output: Output,
        label: u32,
        words: Words,
        lease: Lease<'_>,
        length: usize,
    ) -> Result<usize, IoError> {
        let reply = match answered(output) {
            Err(IoError::BadBuffer) => {
                lease.touch();
                answered(syscall::call_lending(self.slot(), label, words, lease))
            }
            other => other,
        }?;
        counted(reply, length)
    }
}

/// The tag of an answer in the convention of `io` that says yes, and no more.
const DONE: Tag = Tag(0);

/// The bytes that an answer says were moved. A server that claims more than it was lent must not make callers slice out of
/// bounds.
#[inline(always)]
fn counted(reply: Words, length: usize) -> Result<usize, IoError> {
    if reply[0] > length as u64 {
        return Err(IoError::DeviceError);
    }
    Ok(reply[0] as usize)
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = syscall::call(self.slot(), io::CLOSE, [0; 4]);
    }
}

/// Which program answers for a name, and the program's part of it.
///
/// # Errors
/// `NotFound`: none. `NotPermitted`: this program may not call it.
pub fn server_of(name: &str) -> Result<(Slot, &str), IoError> {
    let translator = rt::endpoint("names").ok_or(IoError::NotPermitted)?;
    let mut buffer = [0; io::NAME_MAX];
    buffer
        .get_mut(..name.len())
        .ok_or(IoError::NotFound)?
        .copy_from_slice(name.as_bytes());
    let lease = Lease::read_write(&mut buffer);
    let reply = answered(syscall::call_lending(
        translator,
        names::TRANSLATE,
        [name.len() as u64, 0, 0, 0],
        lease,
    ))?;
    let program = buffer
        .get(..reply[0] as usize)
        .and_then(|bytes| str::from_utf8(bytes).ok());
    let rest = name.get(reply[1] as usize..);
    let (Some(program), Some(rest)) = (program, rest) else {
        return Err(IoError::DeviceError);
    };
    Ok((rt::endpoint(program).ok_or(IoError::NotPermitted)?, rest))
}

/// The prefixes of all names, such as `disk:`; none if this program may not ask.
pub fn prefixes() -> Vec<String> {
    let Some(translator) = rt::endpoint("names") else {
        return Vec::new();
    };
    let one = |index: u64| {
        let mut buffer = [0; io::NAME_MAX];
        let lease = Lease::write(&mut buffer);
        let words = [index, 0, 0, 0];
        let reply = syscall::call_lending(translator, names::PREFIX, words, lease);
        let count = answered(reply).ok()?[0] as usize;
        let text = buffer.get(..count).filter(|text| !text.is_empty())?;
        String::from_utf8(text.to_vec()).ok()
    };
    (0..).map_while(one).collect()
}

/// The words of an answer in the convention of `io`.
pub fn answered(output: Output) -> Result<Words, IoError> {
    match output.check() {
        Ok(reply) if reply.tag.label() == 0 => Ok(reply.words),
        Ok(reply) => Err(IoError::from_code(reply.tag.label())),
        Err(Error::PartnerDied | Error::NoCapability) => Err(IoError::ServerDied {
            delivered: output.delivered(),
        }),
        Err(error) => Err(IoError::System(error)),
    }
}

impl embedded_io::ErrorType for Handle {
    type Error = IoError;
}

impl embedded_io::Read for Handle {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, IoError> {
        Handle::read(self, buffer)
    }
}

impl embedded_io::Write for Handle {
    fn write(&mut self, buffer: &[u8]) -> Result<usize, IoError> {
        Handle::write(self, buffer)
    }

    fn flush(&mut self) -> Result<(), IoError> {
        self.sync()
    }
}

impl embedded_io::Seek for Handle {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, IoError> {
        Handle::seek(self, to)
    }
}
