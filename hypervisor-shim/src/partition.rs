//! Memory of an instance: one piece of the machine's, at the same addresses, whole large pages.

use bootinfo::{MemoryKind, Range};
use loader::{Error, Map};

/// Size of a large page: partitions are made of them.
pub const LARGE: u64 = 2 << 20;

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
