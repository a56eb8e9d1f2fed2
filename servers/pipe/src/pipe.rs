//! One pipe: bytes on their way, and who is at its ends.

use alloc::collections::VecDeque;

/// Most bytes on their way.
pub const CAPACITY: usize = 16 << 10;

/// Which end somebody has open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Bytes come out.
    Reading,
    /// Bytes go in.
    Writing,
}

/// What can be done at an end now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet.
    NotYet,
    /// Nothing any more: there is nobody at the other end, and there was.
    Over,
}

/// A pipe.
#[derive(Debug, Default)]
pub struct Pipe {
    bytes: VecDeque<u8>,
    readers: Ends,
    writers: Ends,
}

#[derive(Debug, Default)]
struct Ends {
    open: usize,
    /// Whether there ever was one.
    seen: bool,
}

impl Ends {
    fn are_gone(&self) -> bool {
        self.seen && self.open == 0
    }
}

impl Pipe {
    /// Somebody opens an end.
    pub fn open(&mut self, end: End) {
        let ends = self.ends(end);
        ends.open += 1;
        ends.seen = true;
    }

    /// Somebody closes an end. Says whether the pipe is still open.
    pub fn close(&mut self, end: End) -> bool {
        let ends = self.ends(end);
        ends.open = ends.open.saturating_sub(1);
        self.readers.open + self.writers.open > 0
    }

    fn ends(&mut self, end: End) -> &mut Ends {
        match end {
            End::Reading => &mut self.readers,
            End::Writing => &mut self.writers,
        }
    }

    /// What a transfer at `end` could move.
    pub fn ready(&self, end: End) -> Ready {
        let (count, over) = match end {
            End::Reading => (self.bytes.len(), self.writers.are_gone()),
            // What nobody will read is not taken.
            End::Writing if self.readers.are_gone() => (0, true),
            End::Writing => (CAPACITY - self.bytes.len(), false),
        };
        match count {
            0 if over => Ready::Over,
            0 => Ready::NotYet,
            count => Ready::Bytes(count),
        }
    }

    /// The first `count` bytes (as [`Pipe::ready`] allows), which stay until [`Pipe::consume`].
    pub fn front(&mut self, count: usize) -> &[u8] {
        &self.bytes.make_contiguous()[..count]
    }

    /// They were read.
    pub fn consume(&mut self, count: usize) {
        self.bytes.drain(..count);
    }

    /// Bytes come in, as [`Pipe::ready`] allows.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_come_and_go() {
        let mut pipe = Pipe::default();
        pipe.open(End::Reading);
        assert_eq!(pipe.ready(End::Reading), Ready::NotYet, "no writer yet");
        pipe.open(End::Writing);
        assert_eq!(pipe.ready(End::Writing), Ready::Bytes(CAPACITY));
        pipe.extend(b"abc");
        assert!(pipe.close(End::Writing));
        assert_eq!(pipe.ready(End::Reading), Ready::Bytes(3));
        assert_eq!(pipe.front(2), b"ab");
        pipe.consume(3);
        assert_eq!(pipe.ready(End::Reading), Ready::Over);
        assert!(!pipe.close(End::Reading));
    }

    #[test]
    fn a_full_pipe_makes_wait_and_a_cut_one_fails() {
        let mut pipe = Pipe::default();
        pipe.open(End::Writing);
        pipe.extend(&[1; CAPACITY]);
        assert_eq!(pipe.ready(End::Writing), Ready::NotYet);
        pipe.open(End::Reading);
        pipe.consume(1);
        assert_eq!(pipe.ready(End::Writing), Ready::Bytes(1));
        assert!(pipe.close(End::Reading));
        assert_eq!(pipe.ready(End::Writing), Ready::Over);
    }
}
