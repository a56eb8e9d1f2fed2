//! A request in a server's hands: answered now, or parked and answered later.

use crate::object::Reply;
use crate::proto::io::{IoError, NO_WAIT};
use crate::rt;
use crate::session::Badge;
use crate::syscall::{self, Answer, CALLER, Output, Slot, Words};
use abi::Error;
use abi::tag::LeaseBits;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use spin::Mutex;

/// What a server answers.
pub type Reaction<'a> = Result<Done<'a>, IoError>;

/// A request that succeeded, or waits.
#[derive(Debug)]
pub enum Done<'a> {
    /// Bytes moved (word 0).
    Count(usize),
    /// Bytes for the client (up to [`abi::COPY_LIMIT`]), which the kernel copies into the start of lease 0 with the reply;
    /// word 0 is their number.
    Data(&'a [u8]),
    /// Four words.
    Words(Words),
    /// The request was parked: it is answered through its [`Parked`].
    Later,
}

/// The current caller's request.
#[derive(Debug)]
pub struct Request {
    pub(crate) badge: Badge,
    /// The words of the message.
    pub words: Words,
    pub(crate) lease: LeaseBits,
}

impl Request {
    /// The calling program's id.
    pub fn client(&self) -> u32 {
        self.badge.client()
    }

    /// Which way in the caller holds, if it does not call a session: 0 is the plain one, the others are the facets of the
    /// manifest, from 1 on.
    pub fn facet(&self) -> Option<u32> {
        self.badge.facet()
    }

    /// Bytes lent.
    pub fn length(&self) -> usize {
        self.lease.length() as usize
    }

    /// Of a read or a write: whether the caller waits, if it must ([`NO_WAIT`]).
    pub fn waits(&self) -> bool {
        self.words[1] & NO_WAIT == 0
    }

    /// Copies from the lent memory.
    ///
    /// # Errors
    /// `BadBuffer`: outside the lease, not lent for reading, or not mapped.
    pub fn copy_in(&self, offset: usize, bytes: &mut [u8]) -> Result<(), IoError> {
        Reply(CALLER)
            .lease_read(0, offset as u64, bytes)
            .map_err(lease_error)
    }

    /// Copies into the lent memory. Errors as for [`Request::copy_in`].
    pub fn copy_out(&self, offset: usize, bytes: &[u8]) -> Result<(), IoError> {
        Reply(CALLER)
            .lease_write(0, offset as u64, bytes)
            .map_err(lease_error)
    }

    /// Sets the caller aside; its memory stays lent. The server then returns [`Done::Later`].
    ///
    /// # Errors
    /// `WouldBlock`: all of this program's Reply objects are in use, or the client's share of them is.
    #[inline(always)]
    pub fn park(self) -> Result<Parked, IoError> {
        let reply = REPLIES
            .lock()
            .take(self.client())
            .ok_or(IoError::WouldBlock)?;
        PARKING.store(reply.0, Ordering::Relaxed);
        Ok(Parked {
            reply,
            length: self.length(),
        })
    }
}

/// The Reply object (0: none) that the current caller moves into when the server receives again: one entry does both.
static PARKING: AtomicU32 = AtomicU32::new(0);

/// Takes the order to park the current caller.
pub(crate) fn take_parking() -> Option<Slot> {
    match PARKING.load(Ordering::Relaxed) {
        0 => None,
        reply => {
            PARKING.store(0, Ordering::Relaxed);
            Some(Slot(reply))
        }
    }
}

/// One of this program's Reply objects, and the client of the caller in it.
#[derive(Clone, Copy)]
struct Held {
    reply: Slot,
    client: u32,
}

/// This program's Reply objects.
struct Replies {
    /// Those that are in use, then those that hold nobody.
    all: Vec<Held>,
    /// How many are in use.
    used: usize,
    /// How many one client may hold, so that none can take another's.
    share: usize,
}

impl Replies {
    /// Before the first request, at which they are asked for.
    const UNKNOWN: Self = Self {
        all: Vec::new(),
        used: 0,
        share: 0,
    };

    fn new(slots: &[u32], clients: usize) -> Self {
        let free = |&slot| Held {
            reply: Slot(slot),
            client: 0,
        };
        Self {
            all: slots.iter().map(free).collect(),
            used: 0,
            share: (slots.len() / clients.max(1)).max(1),
        }
    }

    #[inline(always)]
    fn take(&mut self, client: u32) -> Option<Slot> {
        if self.used >= self.share && !self.may_take(client) {
            return None;
        }
        let next = self.all.get_mut(self.used)?;
        self.used += 1;
        next.client = client;
        Some(next.reply)
    }

    /// So many are in use that it depends on whose they are.
    #[cold]
    fn may_take(&mut self, client: u32) -> bool {
        if self.share == 0 {
            let info = rt::info();
            *self = Self::new(&info.replies, info.clients as usize);
        }
        let used = self.all[..self.used].iter();
        used.filter(|held| held.client == client).count() < self.share
    }

    #[inline(always)]
    fn put_back(&mut self, reply: Slot) {
        let mut used = self.all[..self.used].iter();
        if let Some(place) = used.position(|held| held.reply == reply) {
            self.used -= 1;
            self.all.swap(place, self.used);
        }
    }
}

static REPLIES: Mutex<Replies> = Mutex::new(Replies::UNKNOWN);

fn put_back(reply: Slot) {
    REPLIES.lock().put_back(reply);
}

/// A caller set aside. Dropping it answers with `DeviceError`.
#[derive(Debug)]
pub struct Parked {
    reply: Slot,
    length: usize,
}

impl Parked {
    /// Bytes lent.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Where the caller is: it moves into the Reply object when the server receives again.
    fn place(&self) -> Slot {
        if PARKING.load(Ordering::Relaxed) == self.reply.0 {
            CALLER
        } else {
            self.reply
        }
    }

    /// Copies from the lent memory. Errors as for [`Request::copy_in`].
    pub fn copy_in(&self, offset: usize, bytes: &mut [u8]) -> Result<(), IoError> {
        Reply(self.place())
            .lease_read(0, offset as u64, bytes)
            .map_err(lease_error)
    }

    /// Copies into the lent memory. Errors as for [`Request::copy_in`].
    pub fn copy_out(&self, offset: usize, bytes: &[u8]) -> Result<(), IoError> {
        Reply(self.place())
            .lease_write(0, offset as u64, bytes)
            .map_err(lease_error)
    }

    /// Whether the caller still waits: it may have died or given up. A server drops those that do not.
    pub fn is_alive(&self) -> bool {
        Reply(self.place()).lease_info(0) != Err(Error::NoCaller)
    }

    /// Answers ([`Done::Later`] is none: it counts as `BadRequest`).
    pub fn finish(self, reaction: Reaction<'_>) {
        self.answer(reaction);
        put_back(self.reply);
        // Drop would answer once more.
        core::mem::forget(self);
    }

    fn answer(&self, reaction: Reaction<'_>) {
        let reaction = match reaction {
            Ok(Done::Later) => Err(IoError::BadRequest),
            other => other,
        };
        let place = self.place();
        if place == CALLER {
            take_parking();
        }
        let reply = |answer| match place {
            CALLER => syscall::reply(answer),
            place => syscall::reply_via(place, answer),
        };
        if let Err(error) = reply(encode(&reaction)).check() {
            let _ = reply(Answer::new(lease_error(error).code(), [0; 4]));
        }
    }

    /// [`Parked::finish`], and the next message from the program's endpoint in the same entry. `None`: the answer was
    /// refused (the client got an error instead), so there was no receiving either.
    #[inline(always)]
    pub(crate) fn finish_and_receive(self, reaction: &Reaction<'_>) -> Option<Output> {
        let message = match *reaction {
            Ok(Done::Data(payload)) if !payload.is_empty() => {
                syscall::reply_recv_via_with(rt::ENDPOINT, self.reply, payload)
            }
            _ => {
                let answer = encode(reaction);
                syscall::reply_recv_via(rt::ENDPOINT, self.reply, answer.label, answer.words)
            }
        };
        let refused = match message.check() {
            Err(
                error @ (Error::LeaseBounds
                | Error::LeaseFault
                | Error::BadBuffer
                | Error::InvalidArgument),
            ) => Some(error),
            _ => None,
        };
        if let Some(error) = refused {
            let _ = syscall::reply_via(self.reply, Answer::new(lease_error(error).code(), [0; 4]));
        }
        put_back(self.reply);
        // Drop would answer once more.
        core::mem::forget(self);
        refused.is_none().then_some(message)
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.answer(Err(IoError::DeviceError));
        put_back(self.reply);
    }
}

/// The message of an answer ([`Done::Later`] has none: zeros).
#[inline(always)]
pub(crate) fn encode<'a>(reaction: &Reaction<'a>) -> Answer<'a> {
    match *reaction {
        Ok(Done::Count(count)) => Answer::new(0, [count as u64, 0, 0, 0]),
        Ok(Done::Data(payload)) => Answer {
            payload,
            ..Answer::new(0, [payload.len() as u64, 0, 0, 0])
        },
        Ok(Done::Words(words)) => Answer::new(0, words),
        Ok(Done::Later) => Answer::new(0, [0; 4]),
        Err(error) => Answer::new(error.code(), [0; 4]),
    }
}

/// What a refused copy or payload means to the client.
pub(crate) fn lease_error(error: Error) -> IoError {
    match error {
        Error::LeaseBounds | Error::LeaseFault | Error::NoCaller => IoError::BadBuffer,
        _ => IoError::DeviceError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let data = encode(&Ok(Done::Data(b"abc")));
        assert_eq!(
            (data.label, data.words[0], data.payload),
            (0, 3, &b"abc"[..])
        );
        assert_eq!(encode(&Ok(Done::Count(9))).words, [9, 0, 0, 0]);
        assert_eq!(
            encode(&Err(IoError::ReadOnly)).label,
            IoError::ReadOnly.code()
        );
        assert_eq!(lease_error(Error::LeaseFault), IoError::BadBuffer);
    }

    #[test]
    fn each_client_has_its_share_of_the_replies() {
        let mut replies = Replies::new(&[1, 2, 3, 4], 2);
        let (first, _) = (replies.take(7).unwrap(), replies.take(7).unwrap());
        assert_eq!(replies.take(7), None);
        assert!(replies.take(8).is_some() && replies.take(8).is_some());
        assert_eq!(replies.take(9), None, "none is free");
        replies.put_back(first);
        assert_eq!(replies.take(8), None);
        assert_eq!(replies.take(7), Some(first));
    }
}
