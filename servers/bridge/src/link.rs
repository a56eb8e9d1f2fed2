//! Two rings of messages, one in each direction.
//!
//! Either end may begin anew at any moment, without a word. Each has a number, its *epoch*, another one each time, and says which
//! one of the other's it has *seen*. When an end finds that the other's has changed it begins its own ring from 0, and then says
//! that it has seen it; the link is up for whoever finds its own epoch seen. So nobody reads a ring that was meant for a
//! predecessor. This end's counters are its own: what memory says they are matters to the other end only.

use crate::memory::{DATA, EPOCH, HALF, Memory, READ, SEEN, SLOTS, WRITTEN, data, header};

/// A message: like one of the kernel's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Message {
    /// Of a request: any number. Of an answer: the request's.
    pub id: u32,
    /// Which open name, by a number that the importing end has chosen.
    pub session: u32,
    /// What to do (`libsys::proto::io`), or what came of it: 0, or an error's code.
    pub label: u32,
    /// Bytes that go along, at most [`DATA`].
    pub length: u32,
    /// As in `libsys::proto::io`.
    pub words: [u64; 4],
}

/// Bytes of a message in memory.
const BYTES: usize = 48;

impl Message {
    fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let halves = [self.id, self.session, self.label, self.length];
        let halves = halves.iter().flat_map(|word| word.to_le_bytes());
        let words = self.words.iter().flat_map(|word| word.to_le_bytes());
        for (byte, value) in bytes.iter_mut().zip(halves.chain(words)) {
            *byte = value;
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let (first, second) = (word(0), word(8));
        Self {
            id: first as u32,
            session: (first >> 32) as u32,
            label: second as u32,
            length: (second >> 32) as u32,
            words: [word(16), word(24), word(32), word(40)],
        }
    }
}

/// Why a message could not be sent or received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The other end has to read first.
    Full,
    /// The other end breaks the rules, or has begun anew: a counter or a length cannot be.
    Broken,
}

/// What [`Link::look`] has found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// The link was up, with another than who is there now.
    pub lost: bool,
    /// The other end waits for what this end has just said.
    pub ring: bool,
}

/// An end of a link.
#[derive(Debug)]
pub struct Link<M> {
    memory: M,
    /// Offsets of this end's half and of the other's.
    own: usize,
    other: usize,
    epoch: u32,
    /// The other's epoch; 0: it has none.
    partner: u32,
    up: bool,
    /// Messages written, and read.
    written: u32,
    read: u32,
}

impl<M: Memory> Link<M> {
    /// The first (0) or second (1) end, with an epoch that none of its predecessors had.
    pub fn new(memory: M, end: u32, epoch: u32) -> Self {
        let halves = [0, HALF];
        let mut link = Self {
            memory,
            own: halves[(end & 1) as usize],
            other: halves[(end & 1 ^ 1) as usize],
            epoch,
            partner: 0,
            up: false,
            written: 0,
            read: 0,
        };
        link.begin();
        link
    }

    /// Begins anew, whatever the other end thinks.
    pub fn restart(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.begin();
    }

    fn begin(&mut self) {
        // 0 is none.
        self.epoch = self.epoch.max(1);
        (self.partner, self.up) = (0, false);
        // In this order: the other end must not take the new counters for the old end's.
        self.say(EPOCH, 0);
        self.say(SEEN, 0);
        self.rewind();
        self.say(EPOCH, self.epoch);
    }

    fn rewind(&mut self) {
        (self.written, self.read) = (0, 0);
        self.say(WRITTEN, 0);
        self.say(READ, 0);
    }

    /// Looks who is at the other end.
    pub fn look(&mut self) -> Change {
        let was_up = self.up;
        let partner = self.hear(EPOCH);
        let new = partner != self.partner;
        if new {
            self.partner = partner;
            self.say(SEEN, 0);
            self.rewind();
            // Whoever was there before may have written over it.
            self.say(EPOCH, self.epoch);
            self.say(SEEN, partner);
        }
        self.up = partner != 0 && self.hear(SEEN) == self.epoch;
        Change {
            lost: was_up && (new || !self.up),
            ring: new,
        }
    }

    /// Whether messages can be sent and received.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Sends a message with the first `message.length` bytes of `bytes`.
    ///
    /// # Panics
    /// There are fewer, or more than [`DATA`].
    pub fn send(&mut self, message: &Message, bytes: &[u8]) -> Result<(), Trouble> {
        let bytes = &bytes[..message.length as usize];
        assert!(bytes.len() <= DATA, "a message is too long");
        let waiting = self.written.wrapping_sub(self.hear(READ));
        match waiting {
            SLOTS => return Err(Trouble::Full),
            more if more > SLOTS => return Err(Trouble::Broken),
            _ => {}
        }
        let (header, data) = (header(self.written), data(self.written));
        self.memory.copy_in(self.own + data, bytes);
        self.memory.copy_in(self.own + header, &message.to_bytes());
        self.written = self.written.wrapping_add(1);
        self.say(WRITTEN, self.written);
        Ok(())
    }

    /// Receives a message, and its bytes into the beginning of `bytes`.
    ///
    /// # Errors
    /// [`Trouble::Broken`].
    pub fn receive(&mut self, bytes: &mut [u8; DATA]) -> Result<Option<Message>, Trouble> {
        let ready = self.hear(WRITTEN).wrapping_sub(self.read);
        match ready {
            0 => return Ok(None),
            more if more > SLOTS => return Err(Trouble::Broken),
            _ => {}
        }
        let mut header_bytes = [0; BYTES];
        let at = self.other + header(self.read);
        self.memory.copy_out(at, &mut header_bytes);
        let message = Message::from_bytes(&header_bytes);
        let bytes = bytes.get_mut(..message.length as usize);
        let bytes = bytes.ok_or(Trouble::Broken)?;
        self.memory.copy_out(self.other + data(self.read), bytes);
        self.read = self.read.wrapping_add(1);
        self.say(READ, self.read);
        Ok(Some(message))
    }

    fn say(&mut self, word: usize, value: u32) {
        self.memory.store(self.own + word, value);
    }

    fn hear(&self, word: usize) -> u32 {
        self.memory.load(self.other + word)
    }
}
