//! Page tables of the machine that is to be started (SDM 3A 5.5, 4-level paging), and others of that shape.

use x86_64::structures::paging::PageTableFlags as Flags;

use crate::memory::{Map, PAGE};
use crate::{Error, Physical};

/// Size of a large page.
pub const LARGE: u64 = 2 << 20;

/// Page tables lie below, where the loader reaches them.
const LIMIT: u64 = 4 << 30;

/// The bits of an entry that hold a table's address.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Entries of tables above the last level: they limit nothing.
const TABLE: u64 = Flags::PRESENT.union(Flags::WRITABLE).bits();

/// A tree of page tables under construction; its pages are taken from `map`.
pub struct Tables<'a, P: Physical> {
    /// Physical address of the top table, for CR3.
    pub root: u64,
    /// Bits of entries that lead to tables.
    table: u64,
    map: &'a mut Map,
    physical: &'a mut P,
}

impl<'a, P: Physical> Tables<'a, P> {
    /// An empty tree.
    pub fn new(map: &'a mut Map, physical: &'a mut P) -> Result<Self, Error> {
        let root = new_table(map, physical)?;
        Ok(Self::open(root, TABLE, map, physical))
    }

    /// The tree below the table at `root`; entries that lead to tables have the bits of `table`, and present ones are
    /// not 0.
    pub fn open(root: u64, table: u64, map: &'a mut Map, physical: &'a mut P) -> Self {
        Self {
            root,
            table,
            map,
            physical,
        }
    }

    /// Maps `size` bytes at `address` to `physical` by pages of [`PAGE`] with `flags`. All are multiples of it. What was
    /// mapped there before, be it by a large page, is not any more.
    pub fn map(
        &mut self,
        address: u64,
        physical: u64,
        size: u64,
        flags: Flags,
    ) -> Result<(), Error> {
        for offset in (0..size).step_by(PAGE as usize) {
            self.set(address + offset, 1, (physical + offset) | flags.bits())?;
        }
        Ok(())
    }

    /// Maps `size` bytes, rounded up, at `address` to `physical` by pages of [`LARGE`], of which both are multiples.
    pub fn map_large(
        &mut self,
        address: u64,
        physical: u64,
        size: u64,
        flags: Flags,
    ) -> Result<(), Error> {
        let flags = flags | Flags::HUGE_PAGE;
        for offset in (0..size).step_by(LARGE as usize) {
            self.set(address + offset, 2, (physical + offset) | flags.bits())?;
        }
        Ok(())
    }

    /// Writes the entry for `address` in its table of `level` (1 = 4 KiB pages), adding the tables above.
    pub fn set(&mut self, address: u64, level: u32, value: u64) -> Result<(), Error> {
        let mut table = self.root;
        for upper in (level + 1..=4).rev() {
            let slot = table + index(address, upper) * 8;
            let entry = self.physical.read_u64(slot).unwrap_or(0);
            table = if entry == 0 || entry & Flags::HUGE_PAGE.bits() != 0 {
                let new = new_table(self.map, self.physical)?;
                if entry != 0 {
                    self.split(entry, new);
                }
                self.physical.write(slot, &(new | self.table).to_le_bytes());
                new
            } else {
                entry & ADDRESS
            };
        }
        let slot = table + index(address, level) * 8;
        self.physical.write(slot, &value.to_le_bytes());
        Ok(())
    }

    /// Fills a table of pages with what the entry of a large page maps.
    fn split(&mut self, entry: u64, table: u64) {
        let first = entry & !Flags::HUGE_PAGE.bits();
        for index in 0..LARGE / PAGE {
            let page = first + index * PAGE;
            self.physical.write(table + index * 8, &page.to_le_bytes());
        }
    }
}

/// Which entry of a table of `level` translates `address`.
fn index(address: u64, level: u32) -> u64 {
    (address >> (12 + 9 * (level - 1))) & 0x1ff
}

/// A zeroed page for a table.
fn new_table(map: &mut Map, physical: &mut impl Physical) -> Result<u64, Error> {
    let table = map.take(PAGE, LIMIT, "page tables")?;
    physical.clear(table, PAGE);
    Ok(table)
}
