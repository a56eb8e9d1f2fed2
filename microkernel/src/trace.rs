//! The last events: always kept for the report of a kernel panic, and read by tools while tracing is on.

pub use abi::trace::{Event, Record};

use crate::arch;

/// Number of events kept.
const SIZE: usize = 1024;

/// A ring of the last events.
pub struct Trace {
    ring: [Record; SIZE],
    written: u64,
    on: bool,
}

impl Trace {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            ring: [Record::NONE; SIZE],
            written: 0,
            on: false,
        }
    }

    /// Switches tracing on or off: with it no system call takes the fast path, which records nothing.
    pub fn set_on(&mut self, on: bool) {
        self.on = on;
    }

    /// Adds an event.
    #[inline(always)]
    pub fn record(&mut self, event: Event, first: u64, second: u64) {
        let record = &mut self.ring[self.written as usize % SIZE];
        (record.event, record.first, record.second) = (event, first, second);
        if self.on {
            record.time = arch::cpu::now();
        }
        self.written += 1;
    }

    /// Adds an event that only a trace is interested in.
    #[inline(always)]
    pub fn record_message(&mut self, event: Event, first: u64, second: u64) {
        if self.on {
            self.record(event, first, second);
        }
    }

    /// The first event from `position` (events since boot) on that is still there, and its position.
    pub fn get(&self, position: u64) -> Option<(u64, Record)> {
        let position = position.max(self.written.saturating_sub(SIZE as u64));
        (position < self.written).then(|| (position, self.ring[position as usize % SIZE]))
    }

    /// The last events, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = Record> + '_ {
        let first = self.written.saturating_sub(count.min(SIZE) as u64);
        (first..self.written).map(|position| self.ring[position as usize % SIZE])
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}
