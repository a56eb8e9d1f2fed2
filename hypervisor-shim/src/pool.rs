//! The machine's memory: what of it is free, and all of it by its addresses.

use bootinfo::Range;
use loader::{Error, Map, Physical};

use crate::hardware::memory::Window;
use crate::partition::LARGE;

/// Everything that is loaded lies below: the loader's own limit.
pub const LIMIT: u64 = 4 << 30;

/// The machine's memory.
#[derive(Debug)]
pub struct Pool<P = Window> {
    /// What is free.
    pub map: Map,
    /// All of it.
    pub memory: P,
}

impl<P: Physical> Pool<P> {
    /// Nothing is taken of it yet.
    pub fn new(map: Map, memory: P) -> Self {
        Self { map, memory }
    }

    /// Takes zeroed memory, whole pages.
    pub fn take(&mut self, size: u64, purpose: &'static str) -> Result<u64, Error> {
        let start = self.map.take(size, LIMIT, purpose)?;
        self.memory.clear(start, size);
        Ok(start)
    }

    /// Takes a bitmap of ones.
    pub fn take_ones(&mut self, size: u64, purpose: &'static str) -> Result<u64, Error> {
        let start = self.take(size, purpose)?;
        for at in (start..start + size).step_by(8) {
            self.memory.write(at, &[0xff; 8]);
        }
        Ok(start)
    }

    /// Clears a bit of a bitmap.
    pub fn clear_bit(&mut self, bitmap: u64, bit: u64) {
        let mut byte = [0];
        self.memory.read(bitmap + bit / 8, &mut byte);
        self.memory.write(bitmap + bit / 8, &[byte[0] & !(1 << (bit % 8))]);
    }

    /// Takes an instance's memory, a multiple of [`LARGE`] and aligned to it. It is not cleared.
    pub fn take_partition(&mut self, size: u64) -> Result<Range, Error> {
        let start = self.map.take_aligned(size, LARGE, LIMIT, "an instance")?;
        Ok(Range { start, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::contains;
    use crate::testing::Bytes;
    use bootinfo::MemoryKind;

    fn pool(start: u64, size: u64) -> Pool<Bytes> {
        let mut map = Map::new();
        map.add(Range { start, size }, MemoryKind::Usable).unwrap();
        Pool::new(map, Bytes::new(2 << 20))
    }

    #[test]
    fn partitions_are_aligned_and_apart() {
        let range = Range { start: 0x10_5000, size: 64 << 20 };
        let mut pool = pool(range.start, range.size);
        let first = pool.take_partition(16 << 20).unwrap();
        let second = pool.take_partition(32 << 20).unwrap();
        for partition in [first, second] {
            assert!(partition.start.is_multiple_of(LARGE));
            assert!(contains(range, partition.start, partition.size));
        }
        assert!(first.start + first.size <= second.start);
        assert!(pool.take_partition(32 << 20).is_err());
    }

    #[test]
    fn bitmaps() {
        let mut pool = pool(1 << 20, 1 << 20);
        let bitmap = pool.take_ones(4096, "a test").unwrap();
        for bit in [0, 9, 4096 * 8 - 1] {
            pool.clear_bit(bitmap, bit);
        }
        let mut bytes = [0; 4096];
        assert!(pool.memory.read(bitmap, &mut bytes));
        assert_eq!((bytes[0], bytes[1], bytes[2], bytes[4095]), (0xfe, 0xfd, 0xff, 0x7f));
    }
}
