//! Nested page tables: what a guest's physical addresses mean (AMD APM 2, 15.25; SDM 3C 29.3). All identity: an instance is
//! given memory by mapping it, and nothing else is there.

use bootinfo::{MemoryKind, Range};
use loader::memory::PAGE;
use loader::paging::Tables;
use loader::{Error, Physical};

use crate::partition::{LARGE, contains};
use crate::pool::Pool;

/// Size of the largest page.
const HUGE: u64 = 1 << 30;
/// An entry of level 2 or 3 is a page.
const LEAF: u64 = 1 << 7;

/// Bits of entries.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// An entry that leads to a table.
    pub table: u64,
    /// A page of memory: read, written, executed.
    pub memory: u64,
    /// A page of a device: read and written, uncached.
    pub device: u64,
}

/// A tree of nested page tables under construction.
#[derive(Debug)]
pub struct Nested<'a, P> {
    /// Physical address of the top table.
    pub root: u64,
    /// Bytes of all tables.
    pub size: u64,
    /// Where memory for tables comes from.
    pub pool: &'a mut Pool<P>,
    format: Format,
}

impl<'a, P: Physical> Nested<'a, P> {
    /// A tree that maps nothing.
    pub fn new(format: Format, pool: &'a mut Pool<P>) -> Result<Self, Error> {
        let root = pool.take(PAGE, "nested page tables")?;
        Ok(Self { size: PAGE, ..Self::open(root, format, pool) })
    }

    /// The tree below the table at `root`.
    pub fn open(root: u64, format: Format, pool: &'a mut Pool<P>) -> Self {
        Self { root, size: 0, pool, format }
    }

    /// Makes the tables for memory of which [`Nested::touch`] maps what is used: that needs no more memory then.
    pub fn reserve(&mut self, range: Range) -> Result<(), Error> {
        let mut at = range.start;
        while let Some((start, level, size)) = page(range, at) {
            self.set(start, level, 0)?;
            at += size;
        }
        Ok(())
    }

    /// Maps the page at `address`, the largest that fits into `range`, at its own address. `false`: the address is not in the range.
    pub fn touch(&mut self, range: Range, address: u64) -> Result<bool, Error> {
        let Some((start, level, _)) = page(range, address) else {
            return Ok(false);
        };
        let Pool { map, memory } = &mut *self.pool;
        let mut tables = Tables::open(self.root, self.format.table, map, memory);
        tables.set(start, level, start | self.format.memory | LEAF)?;
        Ok(true)
    }

    /// Maps pages of a device at their own addresses.
    pub fn device(&mut self, range: Range) -> Result<(), Error> {
        let mut pages = (range.start..range.start + range.size).step_by(PAGE as usize);
        pages.try_for_each(|at| self.set(at, 1, at | self.format.device))
    }

    /// Maps the page at `address` to another one of memory.
    pub fn shadow(&mut self, address: u64, page: u64) -> Result<(), Error> {
        self.set(address, 1, page | self.format.memory)
    }

    fn set(&mut self, address: u64, level: u32, value: u64) -> Result<(), Error> {
        let Pool { map, memory } = &mut *self.pool;
        let before = map.size(MemoryKind::Loaded);
        Tables::open(self.root, self.format.table, map, memory).set(address, level, value)?;
        self.size += self.pool.map.size(MemoryKind::Loaded) - before;
        Ok(())
    }
}

/// The largest page of a range, whole large pages, that an address lies in: its start, level and size.
fn page(range: Range, address: u64) -> Option<(u64, u32, u64)> {
    let pages = [(3, HUGE), (2, LARGE)].map(|(level, size)| (address / size * size, level, size));
    pages.into_iter().find(|&(start, _, size)| contains(range, start, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bytes;
    use loader::Map;

    const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
    const FORMAT: Format = Format { table: 7, memory: 7, device: 0x13 };

    /// What an address means, and the bits of its entry.
    fn walk(nested: &Nested<Bytes>, address: u64) -> Option<(u64, u64)> {
        let mut at = nested.root;
        for level in (1..=4).rev() {
            let entry =
                nested.pool.memory.read_u64(at + (address >> (12 + 9 * (level - 1)) & 511) * 8)?;
            if entry == 0 {
                return None;
            }
            if level == 1 || entry & LEAF != 0 {
                let size = 1 << (12 + 9 * (level - 1));
                return Some(((entry & ADDRESS) + address % size, entry & 0xfff));
            }
            at = entry & ADDRESS;
        }
        None
    }

    fn pool() -> Pool<Bytes> {
        let mut map = Map::new();
        let range = Range { start: 1 << 20, size: 1 << 20 };
        map.add(range, MemoryKind::Usable).unwrap();
        Pool::new(map, Bytes::new(2 << 20))
    }

    #[test]
    fn a_partition_is_mapped_where_it_is_touched_and_nothing_beside_it() {
        let mut pool = pool();
        let mut nested = Nested::new(FORMAT, &mut pool).unwrap();
        for (start, size) in [(0x40_0000, 0x60_0000), (HUGE, 2 * HUGE + LARGE)] {
            let range = Range { start, size };
            nested.reserve(range).unwrap();
            let tables = nested.size;
            for address in [start, start + size / 2 + 5, start + size - 1] {
                assert_eq!(walk(&nested, address), None);
                assert_eq!(nested.touch(range, address), Ok(true));
                assert_eq!(walk(&nested, address).unwrap().0, address);
                assert_eq!(nested.size, tables);
            }
            for beside in [start - 1, start + size, u64::MAX] {
                assert_eq!(nested.touch(range, beside), Ok(false));
                assert_eq!(walk(&nested, beside), None);
            }
        }
        assert_eq!(
            page(Range { start: HUGE, size: HUGE + LARGE }, 2 * HUGE + 7),
            Some((2 * HUGE, 2, LARGE))
        );
    }

    #[test]
    fn devices_and_shadows() {
        let mut pool = pool();
        let mut nested = Nested::new(FORMAT, &mut pool).unwrap();
        let range = Range { start: 0xfeb0_0000, size: 0x2000 };
        nested.device(range).unwrap();
        assert_eq!(walk(&nested, 0xfeb0_1004), Some((0xfeb0_1004, 0x13)));
        nested.shadow(0xfeb0_2000, 0x5000).unwrap();
        assert_eq!(walk(&nested, 0xfeb0_2010), Some((0x5010, 7)));
        assert_eq!(walk(&nested, 0xfeb0_3000), None);
    }
}
