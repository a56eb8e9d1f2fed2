//! Memory of an instance: one piece of the machine's, at the same addresses, whole large pages.

use bootinfo::{MemoryKind, Range};
use loader::{Error, Map, Physical};

/// Everything that is loaded lies below: the loader's own limit.
const LIMIT: u64 = 4 << 30;
/// Size of a large page: partitions are made of them.
pub const LARGE: u64 = 2 << 20;

/// Takes `size` bytes, a multiple of [`LARGE`] and aligned to it, from the machine's memory.
pub fn carve(map: &mut Map, size: u64) -> Result<Range, Error> {
    let start = map.take(size + LARGE, LIMIT, "an instance")?;
    Ok(Range { start: start.next_multiple_of(LARGE), size })
}

/// Whether `size` bytes at `address` lie in a range.
pub fn contains(range: Range, address: u64, size: u64) -> bool {
    address >= range.start
        && address.checked_add(size).is_some_and(|end| end <= range.start + range.size)
}

/// The memory map that the instance is told.
pub fn memory_map(partition: Range) -> Result<Map, Error> {
    let mut map = Map::new();
    map.add(partition, MemoryKind::Usable)?;
    Ok(map)
}

/// A partition and nothing else of the machine's memory.
pub struct Memory<'a, P> {
    /// Where it is.
    pub partition: Range,
    /// All of the machine's.
    pub machine: &'a mut P,
}

impl<P: Physical> Physical for Memory<'_, P> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        contains(self.partition, address, buffer.len() as u64) && self.machine.read(address, buffer)
    }

    fn write(&mut self, address: u64, bytes: &[u8]) {
        assert!(contains(self.partition, address, bytes.len() as u64));
        self.machine.write(address, bytes);
    }

    fn clear(&mut self, address: u64, size: u64) {
        assert!(contains(self.partition, address, size));
        self.machine.clear(address, size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bytes;

    #[test]
    fn partitions_are_aligned_and_apart() {
        let mut map = Map::new();
        let range = Range { start: 0x10_5000, size: 64 << 20 };
        map.add(range, MemoryKind::Usable).unwrap();
        let first = carve(&mut map, 16 << 20).unwrap();
        let second = carve(&mut map, 32 << 20).unwrap();
        for partition in [first, second] {
            assert!(partition.start.is_multiple_of(LARGE));
            assert!(contains(range, partition.start, partition.size));
        }
        assert!(first.start + first.size <= second.start);
        assert!(carve(&mut map, 32 << 20).is_err());
    }

    #[test]
    fn nothing_beyond_a_partition_is_reached() {
        let mut machine = Bytes::new(0x4000);
        let partition = Range { start: 0x1000, size: 0x2000 };
        let memory = Memory { partition, machine: &mut machine };
        let mut word = [0; 8];
        assert!(memory.read(0x1000, &mut word) && memory.read(0x2ff8, &mut word));
        for address in [0, 0xff8, 0xffc, 0x2ffc, 0x3000, u64::MAX - 3] {
            assert!(!memory.read(address, &mut word), "{address:#x}");
        }
    }

    #[test]
    #[should_panic]
    fn nothing_beyond_a_partition_is_written() {
        let mut machine = Bytes::new(0x4000);
        let partition = Range { start: 0x1000, size: 0x1000 };
        let mut memory = Memory { partition, machine: &mut machine };
        memory.write(0x1ffc, &[0; 8]);
    }
}
