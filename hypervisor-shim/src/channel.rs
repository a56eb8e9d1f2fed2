//! Channels: memory that two instances share, and a bell at each end. What the memory holds is between the two: the shim never reads
//! it.

use bootinfo::shim;
use loader::memory::PAGE;
use loader::{Error, Physical};

use crate::nested::Nested;
use crate::pool::Pool;

/// A channel.
#[derive(Debug)]
pub struct Channel {
    /// The instances at its ends.
    ends: [usize; 2],
    memory: u64,
}

impl Channel {
    /// One between two of so many instances, its memory all zeros.
    pub fn new(
        ends: [u8; 2],
        instances: usize,
        pool: &mut Pool<impl Physical>,
    ) -> Result<Self, Error> {
        let ends = ends.map(usize::from);
        if ends[0] == ends[1] || ends[0].max(ends[1]) >= instances {
            return Err(Error::Instances);
        }
        Ok(Self { ends, memory: pool.take(shim::CHANNEL_SIZE, "a channel")? })
    }

    /// Which end is instance `number`'s (0 or [`shim::BELL_SECOND`]), and who is at the other. `None`: it has none.
    pub fn end(&self, number: usize) -> Option<(u32, usize)> {
        let [first, second] = self.ends;
        match number {
            _ if number == first => Some((0, second)),
            _ if number == second => Some((shim::BELL_SECOND, first)),
            _ => None,
        }
    }

    /// Maps the memory of channel `index` where a guest looks for it, if instance `number` has an end.
    pub fn map(
        &self,
        index: usize,
        number: usize,
        nested: &mut Nested<impl Physical>,
    ) -> Result<(), Error> {
        let base = shim::CHANNEL_MEMORY + index as u64 * shim::CHANNEL_STEP;
        let pages = if self.end(number).is_some() { shim::CHANNEL_SIZE } else { 0 };
        let mut pages = (0..pages).step_by(PAGE as usize);
        pages.try_for_each(|at| nested.shadow(base + at, self.memory + at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bytes;
    use bootinfo::{MemoryKind, Range};
    use loader::Map;

    #[test]
    fn a_channel_has_two_ends_and_memory_of_its_own() {
        let mut map = Map::new();
        map.add(Range { start: 1 << 20, size: 1 << 20 }, MemoryKind::Usable).unwrap();
        let mut pool = Pool::new(map, Bytes::new(2 << 20));
        pool.memory.0.fill(0xff);
        let mut new = |ends| Channel::new(ends, 3, &mut pool);
        let (one, other) = (new([0, 2]).unwrap(), new([2, 1]).unwrap());
        assert!(new([1, 1]).is_err() && new([0, 3]).is_err());
        assert_eq!([0, 1, 2].map(|n| one.end(n)), [Some((0, 2)), None, Some((1, 0))]);
        assert_eq!([0, 1, 2].map(|n| other.end(n)), [None, Some((1, 2)), Some((0, 1))]);
        assert_eq!(one.memory + shim::CHANNEL_SIZE, other.memory);
        let memory = &pool.memory.0[one.memory as usize..][..shim::CHANNEL_SIZE as usize];
        assert!(memory.iter().all(|&byte| byte == 0));
        const { assert!(shim::CHANNEL_SIZE <= shim::CHANNEL_STEP) };
    }
}
