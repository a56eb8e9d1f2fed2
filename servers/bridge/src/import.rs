//! The end that asks: calls of this instance's programs become requests to the other one.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::proto::io::{CLOSE, IoError, OPEN, READ, STAT, Stat, WRITE};
use libsys::serve::{Done, Parked, Reaction};

use crate::end::{Bell, Role};
use crate::export::SESSIONS;
use crate::link::{Link, Message, Trouble};
use crate::memory::{DATA, Memory, SLOTS};

/// A program that waits, with the memory that it lends.
pub trait Caller {
    /// Bytes lent.
    fn length(&self) -> usize;
    /// Copies from them.
    fn copy_in(&self, bytes: &mut [u8]) -> Result<(), IoError>;
    /// Copies into them.
    fn copy_out(&self, bytes: &[u8]) -> Result<(), IoError>;
    /// It has not died meanwhile.
    fn is_alive(&self) -> bool;
    /// Answers it.
    fn finish(self, reaction: Reaction<'_>);
}

impl Caller for Parked {
    fn length(&self) -> usize {
        self.length()
    }

    fn copy_in(&self, bytes: &mut [u8]) -> Result<(), IoError> {
        self.copy_in(0, bytes)
    }

    fn copy_out(&self, bytes: &[u8]) -> Result<(), IoError> {
        self.copy_out(0, bytes)
    }

    fn is_alive(&self) -> bool {
        self.is_alive()
    }

    fn finish(self, reaction: Reaction<'_>) {
        self.finish(reaction);
    }
}

/// An open name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Its number at the other end.
    number: u32,
    /// The life of the link in which it was opened.
    life: u64,
}

/// A request that waits: to be sent, or for its answer.
#[derive(Debug)]
struct Request<C> {
    session: u32,
    label: u32,
    words: [u64; 4],
    /// Of [`OPEN`].
    name: String,
    /// Who waits; nobody for [`OPEN`] and [`CLOSE`], or no more.
    caller: Option<C>,
}

/// The importing end.
#[derive(Debug)]
pub struct Importer<C> {
    queue: VecDeque<Request<C>>,
    /// By the number in the message.
    sent: [Option<Request<C>>; SLOTS as usize],
    /// Numbers of sessions in use at the other end: until it has answered that they are closed. So few requests can wait, besides
    /// those that somebody waits for.
    used: [bool; SESSIONS],
    /// How often the other end was lost.
    life: u64,
    bytes: [u8; DATA],
}

impl<C: Caller> Importer<C> {
    /// Nothing is open.
    pub fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            sent: [const { None }; SLOTS as usize],
            used: [false; SESSIONS],
            life: 0,
            bytes: [0; DATA],
        }
    }

    /// Opens a name. Whether that is possible the other end says to the first request.
    ///
    /// # Errors
    /// `TooManySessions`.
    pub fn open(&mut self, name: String, how: u64) -> Result<Session, IoError> {
        let free = self.used.iter().position(|used| !used);
        let free = free.ok_or(IoError::TooManySessions)?;
        self.used[free] = true;
        let session = Session {
            number: free as u32,
            life: self.life,
        };
        self.queue.push_back(Request {
            session: session.number,
            label: OPEN,
            words: [how, 0, 0, 0],
            name,
            caller: None,
        });
        Ok(session)
    }

    /// Whether requests of a session can be made.
    ///
    /// # Errors
    /// `PartnerDied`: the other end is not what it was when the session was opened.
    pub fn check(&self, session: &Session) -> Result<(), IoError> {
        match session.life == self.life {
            true => Ok(()),
            false => Err(IoError::PartnerDied),
        }
    }

    /// A request of a session that was checked.
    pub fn request(&mut self, session: &Session, label: u32, words: [u64; 4], caller: C) {
        self.queue.push_back(Request {
            session: session.number,
            label,
            words,
            name: String::new(),
            caller: Some(caller),
        });
    }

    /// Closes a session.
    pub fn close(&mut self, session: Session) {
        if session.life == self.life {
            self.queue.push_back(Request {
                session: session.number,
                label: CLOSE,
                words: [0; 4],
                name: String::new(),
                caller: None,
            });
        }
    }

    /// Whether anything waits to be sent.
    pub fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Forgets callers that do not wait any more. What was asked for is not undone.
    pub fn forget_dead(&mut self) {
        let sent = self.sent.iter_mut().flatten();
        for request in self.queue.iter_mut().chain(sent) {
            request.caller = request.caller.take().filter(C::is_alive);
        }
        self.queue
            .retain(|request| request.caller.is_some() || matches!(request.label, OPEN | CLOSE));
    }

    /// Ends everything with an error; sessions have to be opened again.
    pub fn fail(&mut self, error: IoError) {
        self.life += 1;
        self.used = [false; SESSIONS];
        let sent = self.sent.iter_mut().filter_map(Option::take);
        for request in sent
            .collect::<Vec<_>>()
            .into_iter()
            .chain(self.queue.drain(..))
        {
            if let Some(caller) = request.caller {
                caller.finish(Err(error));
            }
        }
    }

    /// Sends what there is room for.
    fn send<M: Memory>(&mut self, link: &mut Link<M>, bell: &impl Bell) -> Result<(), Trouble> {
        let mut sent = Ok(());
        let mut any = false;
        while sent.is_ok()
            && let Some(place) = self.sent.iter().position(Option::is_none)
            && let Some(mut request) = self.queue.pop_front()
        {
            let length = match self.bytes_of(&mut request) {
                Ok(length) => length as u32,
                Err(error) => {
                    if let Some(caller) = request.caller {
                        caller.finish(Err(error));
                    }
                    continue;
                }
            };
            let message = Message {
                id: place as u32,
                session: request.session,
                label: request.label,
                length,
                words: request.words,
            };
            // There is room: the other end has answered all but those in `sent`.
            sent = link.send(&message, &self.bytes);
            self.sent[place] = Some(request);
            any = true;
        }
        if any {
            bell.ring();
        }
        sent.map_err(|_| Trouble::Broken)
    }

    /// Fetches the bytes that go along with a request.
    fn bytes_of(&mut self, request: &mut Request<C>) -> Result<usize, IoError> {
        let lent = request.caller.as_ref().map_or(0, Caller::length).min(DATA);
        match (request.label, &request.caller) {
            (OPEN, _) => {
                let name = request.name.as_bytes();
                let place = self.bytes.get_mut(..name.len());
                place.ok_or(IoError::NotFound)?.copy_from_slice(name);
                Ok(name.len())
            }
            (WRITE, Some(caller)) => {
                caller.copy_in(&mut self.bytes[..lent])?;
                Ok(lent)
            }
            (READ, _) => {
                request.words[2] = lent as u64;
                Ok(0)
            }
            _ => Ok(0),
        }
    }

    /// Passes an answer on, whose bytes are in `bytes`.
    fn finish(&mut self, request: Request<C>, answer: &Message) -> Result<(), Trouble> {
        if request.label == CLOSE {
            self.used[request.session as usize] = false;
        }
        let Some(caller) = request.caller else {
            return Ok(());
        };
        if answer.label != 0 {
            caller.finish(Err(IoError::from_code(answer.label)));
            return Ok(());
        }
        let lent = caller.length().min(DATA);
        let bytes = answer.length as usize;
        let reaction = match request.label {
            READ if bytes <= lent => {
                let copied = caller.copy_out(&self.bytes[..bytes]);
                copied.map(|()| Done::Count(bytes))
            }
            // 0 would make a client try for ever.
            WRITE if (1..=lent as u64).contains(&answer.words[0]) => {
                Ok(Done::Count(answer.words[0] as usize))
            }
            WRITE if lent == 0 => Ok(Done::Count(0)),
            READ | WRITE => {
                caller.finish(Err(IoError::PartnerDied));
                return Err(Trouble::Broken);
            }
            STAT => {
                let mut stat = Stat::from_words(answer.words);
                stat.block_size = stat.block_size.max(1);
                Ok(Done::Words(stat.to_words()))
            }
            _ => Ok(Done::Count(0)),
        };
        caller.finish(reaction);
        Ok(())
    }
}

impl<C: Caller> Default for Importer<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Memory, C: Caller> Role<M> for Importer<C> {
    fn work(&mut self, link: &mut Link<M>, bell: &impl Bell) -> Result<(), Trouble> {
        while let Some(answer) = link.receive(&mut self.bytes)? {
            let request = self.sent.get_mut(answer.id as usize).and_then(Option::take);
            self.finish(request.ok_or(Trouble::Broken)?, &answer)?;
        }
        self.send(link, bell)
    }

    fn lose(&mut self) {
        self.fail(IoError::PartnerDied);
    }
}
