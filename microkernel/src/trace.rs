//! The last events, for the report of a kernel panic.

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing yet.
    None,
    /// A system call: thread, tag.
    Call,
    /// A trap: thread, vector.
    Trap,
    /// Another thread runs: thread, its RIP.
    Switch,
    /// An interrupt: vector, 0.
    Interrupt,
}

/// Number of events kept.
const SIZE: usize = 64;

/// A ring of the last events.
pub struct Trace {
    ring: [(Event, u64, u64); SIZE],
    next: usize,
}

impl Trace {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            ring: [(Event::None, 0, 0); SIZE],
            next: 0,
        }
    }

    /// Adds an event.
    #[inline]
    pub fn record(&mut self, event: Event, first: u64, second: u64) {
        self.ring[self.next % SIZE] = (event, first, second);
        self.next += 1;
    }

    /// The events, oldest first.
    pub fn events(&self) -> impl Iterator<Item = (Event, u64, u64)> + '_ {
        (self.next.saturating_sub(SIZE)..self.next).map(|index| self.ring[index % SIZE])
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}
