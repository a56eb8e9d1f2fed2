//! The end that answers: requests of the other instance become calls of this one's servers.

use alloc::string::String;
use alloc::vec::Vec;
use libsys::handle::Handle;
use libsys::proto::io::{CLOSE, CREATE, FIRST_OTHER, IoError, OPEN, READ, STAT, SYNC, Stat};
use libsys::proto::io::{TRUNCATE, WRITE};

use crate::end::{Bell, Role};
use crate::link::{Link, Message, Trouble};
use crate::memory::{DATA, Memory};

/// Label of a request that does nothing: its bytes and words come back.
pub const ECHO: u32 = FIRST_OTHER;
/// Most names that are open at a time.
pub const SESSIONS: usize = 32;

/// This instance's names.
pub trait Names {
    /// An open one.
    type Open: Open;
    /// Opens a name.
    fn open(&mut self, name: &str, how: u64) -> Result<Self::Open, IoError>;
}

/// An open name. All errors are the server's.
pub trait Open {
    /// Reads at an offset.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, IoError>;
    /// Writes at an offset.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<usize, IoError>;
    /// Size and kind.
    fn stat(&self) -> Result<Stat, IoError>;
    /// Everything written reaches the medium.
    fn sync(&self) -> Result<(), IoError>;
}

/// Names of this instance, by its programs.
#[derive(Debug)]
pub struct Here;

impl Names for Here {
    type Open = Handle;

    fn open(&mut self, name: &str, how: u64) -> Result<Handle, IoError> {
        Handle::open_with(name, how)
    }
}

impl Open for Handle {
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, IoError> {
        self.read_at(offset, bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<usize, IoError> {
        self.write_at(offset, bytes)
    }

    fn stat(&self) -> Result<Stat, IoError> {
        self.stat()
    }

    fn sync(&self) -> Result<(), IoError> {
        self.sync()
    }
}

/// The exporting end.
#[derive(Debug)]
pub struct Exporter<N: Names> {
    names: N,
    /// The names that may be opened.
    exports: Vec<String>,
    /// What each number stands for: nothing, an open name, or why it could not be opened, which every request for it is told.
    sessions: [Option<Result<N::Open, IoError>>; SESSIONS],
    bytes: [u8; DATA],
}

impl<N: Names> Exporter<N> {
    /// One that opens these names and no others.
    pub fn new(names: N, exports: Vec<String>) -> Self {
        Self {
            names,
            exports,
            sessions: [const { None }; SESSIONS],
            bytes: [0; DATA],
        }
    }

    /// How many names are open.
    pub fn open_names(&self) -> usize {
        let open = self.sessions.iter().flatten();
        open.filter(|session| session.is_ok()).count()
    }

    /// Does what a request asks for; its bytes are in `bytes`. Returns the words of the answer, and how many bytes go along.
    fn answer(&mut self, request: &Message) -> Result<([u64; 4], usize), IoError> {
        let length = (request.length as usize).min(DATA);
        if request.label == ECHO {
            return Ok((request.words, length));
        }
        let place = self.sessions.get_mut(request.session as usize);
        let place = place.ok_or(IoError::BadRequest)?;
        if request.label == OPEN {
            if place.is_some() {
                return Err(IoError::BadRequest);
            }
            let name = str::from_utf8(&self.bytes[..length]).unwrap_or_default();
            let known = self.exports.iter().any(|export| export == name);
            let opened = match known {
                true => self
                    .names
                    .open(name, request.words[0] & (CREATE | TRUNCATE)),
                false => Err(IoError::NotFound),
            };
            let outcome = opened.as_ref().map_or_else(|error| Err(*error), |_| Ok(()));
            *place = Some(opened);
            return outcome.map(|()| ([0; 4], 0));
        }
        if request.label == CLOSE {
            *place = None;
            return Ok(([0; 4], 0));
        }
        let open = place.as_ref().ok_or(IoError::BadRequest)?;
        let open = open.as_ref().map_err(|error| *error)?;
        let [offset, _, wanted, _] = request.words;
        match request.label {
            READ => {
                let wanted = usize::try_from(wanted).unwrap_or(DATA).min(DATA);
                let count = open.read_at(offset, &mut self.bytes[..wanted])?;
                Ok(([count as u64, 0, 0, 0], count.min(wanted)))
            }
            WRITE => {
                let count = open.write_at(offset, &self.bytes[..length])?;
                Ok(([count as u64, 0, 0, 0], 0))
            }
            STAT => Ok((open.stat()?.to_words(), 0)),
            SYNC => open.sync().map(|()| ([0; 4], 0)),
            _ => Err(IoError::BadRequest),
        }
    }
}

impl<M: Memory, N: Names> Role<M> for Exporter<N> {
    fn work(&mut self, link: &mut Link<M>, bell: &impl Bell) -> Result<(), Trouble> {
        while let Some(request) = link.receive(&mut self.bytes)? {
            let (label, words, length) = match self.answer(&request) {
                Ok((words, length)) => (0, words, length),
                // Its server is no more: what was open there is not open any more.
                Err(IoError::ServerDied { .. }) => (IoError::PartnerDied.code(), [0; 4], 0),
                Err(error) => (error.code(), [0; 4], 0),
            };
            let answer = Message {
                label,
                words,
                length: length as u32,
                ..request
            };
            // An importing end has no more requests than there is room for answers.
            let sent = link.send(&answer, &self.bytes);
            sent.map_err(|_| Trouble::Broken)?;
            bell.ring();
        }
        Ok(())
    }

    fn lose(&mut self) {
        self.sessions = [const { None }; SESSIONS];
    }
}
