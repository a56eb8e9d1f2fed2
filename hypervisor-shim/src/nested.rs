//! Nested page tables: what a guest's physical addresses mean (AMD APM 2, 15.25; SDM 3C 29.3). All identity: an instance is
//! given memory by mapping it, and nothing else is there.

use bootinfo::Range;
use loader::memory::PAGE;
use loader::{Error, Map, Physical};

use crate::partition::LARGE;

/// Size of the largest page.
const HUGE: u64 = 1 << 30;
/// Tables lie below, where everything is loaded.
const LIMIT: u64 = 4 << 30;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
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
    /// There are pages of 1 GiB.
    pub huge: bool,
}

/// A tree of nested page tables.
#[derive(Debug)]
pub struct Nested {
    /// Physical address of the top table.
    pub root: u64,
    format: Format,
}

impl Nested {
    /// A tree that maps nothing. Tables are taken from `map`.
    pub fn new(format: Format, map: &mut Map, physical: &mut impl Physical) -> Result<Self, Error> {
        let root = table(map, physical)?;
        Ok(Self { root, format })
    }

    /// Maps memory at its own address, by the largest pages that fit.
    pub fn memory(
        &mut self,
        range: Range,
        map: &mut Map,
        physical: &mut impl Physical,
    ) -> Result<(), Error> {
        let (mut at, end) = (range.start, range.start + range.size);
        while at < end {
            let fits = |size| at.is_multiple_of(size) && at + size <= end;
            let (level, size) = if self.format.huge && fits(HUGE) {
                (3, HUGE)
            } else if fits(LARGE) {
                (2, LARGE)
            } else {
                (1, PAGE)
            };
            let leaf = if level > 1 { LEAF } else { 0 };
            self.set(at, level, at | self.format.memory | leaf, map, physical)?;
            at += size;
        }
        Ok(())
    }

    /// Maps pages of a device at their own addresses.
    pub fn device(
        &mut self,
        range: Range,
        map: &mut Map,
        physical: &mut impl Physical,
    ) -> Result<(), Error> {
        for at in (range.start..range.start + range.size).step_by(PAGE as usize) {
            self.set(at, 1, at | self.format.device, map, physical)?;
        }
        Ok(())
    }

    /// Maps the page at `address` to another one of memory.
    pub fn shadow(
        &mut self,
        address: u64,
        page: u64,
        map: &mut Map,
        physical: &mut impl Physical,
    ) -> Result<(), Error> {
        self.set(address, 1, page | self.format.memory, map, physical)
    }

    fn set(
        &mut self,
        address: u64,
        level: u32,
        value: u64,
        map: &mut Map,
        physical: &mut impl Physical,
    ) -> Result<(), Error> {
        let mut at = self.root;
        for upper in (level + 1..=4).rev() {
            let slot = at + index(address, upper) * 8;
            let entry = physical.read_u64(slot).unwrap_or(0);
            at = match entry {
                0 => {
                    let new = table(map, physical)?;
                    physical.write(slot, &(new | self.format.table).to_le_bytes());
                    new
                }
                _ => entry & ADDRESS,
            };
        }
        let slot = at + index(address, level) * 8;
        physical.write(slot, &value.to_le_bytes());
        Ok(())
    }
}

/// Which entry of a table of `level` translates `address`.
fn index(address: u64, level: u32) -> u64 {
    (address >> (12 + 9 * (level - 1))) & 0x1ff
}

fn table(map: &mut Map, physical: &mut impl Physical) -> Result<u64, Error> {
    let table = map.take(PAGE, LIMIT, "nested page tables")?;
    physical.clear(table, PAGE);
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bytes;
    use bootinfo::MemoryKind;

    const FORMAT: Format = Format { table: 7, memory: 7, device: 0x13, huge: true };

    /// What an address means, and the bits of its entry.
    fn walk(nested: &Nested, machine: &Bytes, address: u64) -> Option<(u64, u64)> {
        let mut at = nested.root;
        for level in (1..=4).rev() {
            let entry = machine.read_u64(at + index(address, level) * 8)?;
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

    fn machine() -> (Map, Bytes) {
        let mut map = Map::new();
        let range = Range { start: 1 << 20, size: 1 << 20 };
        map.add(range, MemoryKind::Usable).unwrap();
        (map, Bytes::new(2 << 20))
    }

    #[test]
    fn a_partition_is_mapped_and_nothing_beside_it() {
        let (mut map, mut machine) = machine();
        let mut nested = Nested::new(FORMAT, &mut map, &mut machine).unwrap();
        for (start, size) in [(0x40_0000, 0x60_0000), (HUGE, 2 * HUGE + LARGE), (0x20_1000, 0x3000)]
        {
            let range = Range { start, size };
            nested.memory(range, &mut map, &mut machine).unwrap();
            for address in [start, start + size / 2 + 5, start + size - 1] {
                let (meaning, _) = walk(&nested, &machine, address).unwrap();
                assert_eq!(meaning, address);
            }
            assert_eq!(walk(&nested, &machine, start - 1), None);
            assert_eq!(walk(&nested, &machine, start + size), None);
        }
    }

    #[test]
    fn devices_and_shadows() {
        let (mut map, mut machine) = machine();
        let mut nested = Nested::new(FORMAT, &mut map, &mut machine).unwrap();
        let range = Range { start: 0xfeb0_0000, size: 0x2000 };
        nested.device(range, &mut map, &mut machine).unwrap();
        assert_eq!(walk(&nested, &machine, 0xfeb0_1004), Some((0xfeb0_1004, 0x13)));
        nested.shadow(0xfeb0_2000, 0x5000, &mut map, &mut machine).unwrap();
        assert_eq!(walk(&nested, &machine, 0xfeb0_2010), Some((0x5010, 7)));
        assert_eq!(walk(&nested, &machine, 0xfeb0_3000), None);
    }
}
