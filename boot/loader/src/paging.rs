//! Page tables of the machine that is to be started (SDM 3A 5.5, 4-level paging).

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
const TABLE: Flags = Flags::PRESENT.union(Flags::WRITABLE);

/// A tree of page tables under construction; its pages are taken from `map`.
pub struct Tables<'a, P: Physical> {
    /// Physical address of the top table, for CR3.
    pub root: u64,
    map: &'a mut Map,
    physical: &'a mut P,
}

impl<'a, P: Physical> Tables<'a, P> {
    /// An empty tree.
    pub fn new(map: &'a mut Map, physical: &'a mut P) -> Result<Self, Error> {
        let root = new_table(map, physical)?;
        Ok(Self {
            root,
            map,
            physical,
        })
    }

    /// Maps `size` bytes at `address` to `physical` by pages of [`PAGE`] with `flags`. All are multiples of it, and
    /// nothing was mapped there before.
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
    fn set(&mut self, address: u64, level: u32, value: u64) -> Result<(), Error> {
        let mut table = self.root;
        for upper in (level + 1..=4).rev() {
            let slot = table + index(address, upper) * 8;
            let entry = self.physical.read_u64(slot).unwrap_or(0);
            table = if entry == 0 {
                let new = new_table(self.map, self.physical)?;
                self.physical
                    .write(slot, &(new | TABLE.bits()).to_le_bytes());
                new
            } else {
                entry & ADDRESS
            };
        }
        let slot = table + index(address, level) * 8;
        self.physical.write(slot, &value.to_le_bytes());
        Ok(())
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
