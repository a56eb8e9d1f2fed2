//! The kernel's event ring: how root reads it, and how its events travel from root to who asked.

use crate::object::{System, Thread};
use crate::syscall::{self, invoke};
use abi::Error;
use abi::object::system::{NUMBER, TRACE, TRACE_SWITCH};
pub use abi::trace::{Event, Record};
use alloc::vec::Vec;

/// Bytes of an event in the answer to [`crate::proto::control::TRACE`]: its words, little-endian.
const BYTES: usize = Record::WORDS * 8;

impl System {
    /// Switches tracing on or off.
    pub fn trace_switch(self, on: bool) -> Result<(), Error> {
        invoke(self.0, TRACE_SWITCH, [on as u64, 0, 0, 0]).map(drop)
    }

    /// Some events from `position` (events since boot) on, and the position of the first of them. None are the end.
    pub fn trace(self, position: u64) -> Result<(Vec<[u64; Record::WORDS]>, u64), Error> {
        let [count, first, ..] = invoke(self.0, TRACE, [position, 0, 0, 0])?;
        let record = |index: usize| {
            core::array::from_fn(|word| syscall::word(4 + index * Record::WORDS + word))
        };
        Ok(((0..count as usize).map(record).collect(), first))
    }

    /// The number of a thread in the trace.
    pub fn number(self, thread: Thread) -> Result<u64, Error> {
        invoke(self.0, NUMBER, [thread.0.0 as u64, 0, 0, 0]).map(|words| words[0])
    }
}

/// Events as bytes.
pub fn to_bytes(records: &[[u64; Record::WORDS]]) -> Vec<u8> {
    let words = records.as_flattened().iter();
    words.flat_map(|word| word.to_le_bytes()).collect()
}

/// Events from bytes; unknown ones are left out.
pub fn from_bytes(bytes: &[u8]) -> impl Iterator<Item = Record> + '_ {
    bytes.chunks_exact(BYTES).filter_map(|record| {
        let (words, _) = record.as_chunks();
        Record::from_words(core::array::from_fn(|word| {
            words.get(word).map_or(0, |word| u64::from_le_bytes(*word))
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_travel_as_bytes() {
        let call = Record {
            event: Event::Call,
            time: 1,
            first: u64::MAX,
            second: 1 << 40,
        };
        let unknown = [99, 0, 0, 0];
        let bytes = to_bytes(&[call.to_words(), unknown, call.to_words()]);
        assert!(from_bytes(&bytes).eq([call, call]));
        assert_eq!(from_bytes(&bytes[..BYTES - 1]).count(), 0);
    }
}
