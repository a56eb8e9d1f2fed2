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
        Self { ring: [Record::NONE; SIZE], written: 0, on: false }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A ring that has gone round gives the oldest event it still has, and the last ones in their order.
    #[test]
    fn the_oldest_events_are_gone() {
        let mut trace = Trace::new();
        assert_eq!((trace.get(0), trace.last(3).count()), (None, 0));
        let more = 6;
        for number in 0..SIZE as u64 + more {
            trace.record(Event::Trap, number, 0);
        }
        let first = |found: Option<(u64, Record)>| found.map(|(at, record)| (at, record.first));
        assert_eq!(first(trace.get(0)), Some((more, more)));
        assert_eq!(first(trace.get(more + 1)), Some((more + 1, more + 1)));
        assert_eq!(trace.get(SIZE as u64 + more), None);
        let end = SIZE as u64 + more;
        assert!(trace.last(3).map(|record| record.first).eq(end - 3..end));
        assert_eq!(trace.last(usize::MAX).count(), SIZE);
    }

    /// Messages, and the time of everything, are recorded only while tracing is on.
    #[test]
    fn messages_are_traced_on_demand() {
        arch::host::set_machine(|machine| machine.now = 9);
        let mut trace = Trace::new();
        trace.record_message(Event::Call, 1, 2);
        trace.record(Event::Switch, 3, 4);
        trace.set_on(true);
        trace.record_message(Event::Call, 5, 6);
        let record = |event, time, first, second| Record { event, time, first, second };
        let expected = [record(Event::Switch, 0, 3, 4), record(Event::Call, 9, 5, 6)];
        assert!(trace.last(SIZE).eq(expected));
    }
}
