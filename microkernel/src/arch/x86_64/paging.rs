//! Page tables (SDM 3A 4.5, four levels), reached through the physical map.

use abi::{Error, PAGE};
use x86_64::structures::paging::PageTableFlags as Entry;

use super::{
    BARE,
    features::{Features, features},
};
use crate::{mem, raw::Ref, space::Space};

/// Size of a large page.
pub const LARGE: u64 = 2 << 20;

/// Marks a mapping of device registers (a bit the processor ignores).
const DEVICE: Entry = Entry::BIT_9;
/// The physical address in an entry, or in CR3.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Rights are granted by the last level alone.
const TABLE: Entry = Entry::PRESENT.union(Entry::WRITABLE).union(Entry::USER_ACCESSIBLE);
/// First entry of the kernel half.
const KERNEL_HALF: u64 = 256;

/// What to map.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Physical address.
    pub physical: u64,
    /// May be written.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
    /// Bypasses the cache.
    pub uncached: bool,
    /// Device registers: no lease reaches them.
    pub device: bool,
}

impl Page {
    /// Ordinary memory.
    pub fn memory(physical: u64, write: bool, execute: bool) -> Self {
        Self { physical, write, execute, uncached: false, device: false }
    }

    /// The entry that maps it.
    #[inline(always)]
    pub fn entry(self) -> u64 {
        let flag = |flag: Entry, set: bool| if set { flag.bits() } else { 0 };
        self.physical
            | (Entry::PRESENT | Entry::USER_ACCESSIBLE).bits()
            | flag(Entry::WRITABLE, self.write)
            | flag(Entry::NO_EXECUTE, !self.execute)
            | flag(Entry::NO_CACHE | Entry::WRITE_THROUGH, self.uncached)
            | flag(DEVICE, self.device)
    }
}

/// A piece of user memory inside one page.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// Its physical address.
    pub physical: u64,
    /// Bytes to the end of the page.
    pub left: u64,
}

/// What the address bits of a level select by.
const LEVELS: [u32; 4] = [39, 30, 21, 12];

/// An entry of a page table: the one for `address` in the table at a physical address, on the level that selects by the
/// nine bits from `shift` on.
#[derive(Clone, Copy)]
struct Place(*mut u64);

impl Place {
    #[inline(always)]
    fn of(table: u64, address: u64, shift: u32) -> Self {
        let offset = (address >> shift & 511) * 8;
        Self((mem::to_virtual(table) + offset) as *mut u64)
    }

    #[inline(always)]
    fn read(self) -> u64 {
        // SAFETY: the place lies in a page table of a living Space, reached through the physical map.
        unsafe { *self.0 }
    }

    #[inline(always)]
    fn write(self, value: u64) {
        // SAFETY: as in `read`.
        unsafe { *self.0 = value }
    }

    /// The table that its entry leads to; else itself.
    #[inline(always)]
    fn table(self) -> Result<u64, Self> {
        let entry = self.read();
        if has(entry, Entry::PRESENT, Entry::HUGE_PAGE) { Ok(entry & ADDRESS) } else { Err(self) }
    }
}

/// Whether an entry has all flags of one set and none of another.
#[inline(always)]
fn has(entry: u64, all: Entry, none: Entry) -> bool {
    entry & (all | none).bits() == all.bits()
}

/// The table that the entry for `address` leads to, made if it is missing.
#[inline(always)]
fn next_table(space: Ref<Space>, table: u64, address: u64, shift: u32) -> Result<u64, Error> {
    Place::of(table, address, shift).table().or_else(|place| {
        if place.read() != 0 {
            return Err(Error::AlreadyMapped);
        }
        let new = space.take_table()?;
        place.write(new | TABLE.bits());
        Ok(new)
    })
}

/// Maps a page ([`Page::entry`]); missing tables come from the Space's pool. Nothing is mapped if it fails, though tables may stay.
#[inline(always)]
pub fn map(space: Ref<Space>, address: u64, large: bool, mut entry: u64) -> Result<(), Error> {
    let [first, second, third, last] = LEVELS;
    let table = next_table(space, space.root(), address, first)?;
    let table = next_table(space, table, address, second)?;
    let place = if large {
        entry |= Entry::HUGE_PAGE.bits();
        Place::of(table, address, third)
    } else {
        Place::of(next_table(space, table, address, third)?, address, last)
    };
    if place.read() != 0 {
        return Err(Error::AlreadyMapped);
    }
    place.write(entry);
    Ok(())
}

/// The place of the last entry for `address`: `Ok` for a page of 4 KiB, `Err` for a larger one, or where no more is.
#[inline(always)]
fn last_place(root: u64, address: u64) -> Result<Place, Place> {
    let [first, second, third, last] = LEVELS;
    let table = Place::of(root, address, first).table()?;
    let table = Place::of(table, address, second).table()?;
    let table = Place::of(table, address, third).table()?;
    Ok(Place::of(table, address, last))
}

/// Removes the mapping at an address.
#[inline]
pub fn unmap(root: u64, address: u64) {
    let (Ok(place) | Err(place)) = last_place(root, address);
    place.write(0);
}

/// Where a user address of a space lies, if user programs may read (or write) memory there.
#[inline]
pub fn translate(cr3: u64, address: u64, for_write: bool) -> Option<Piece> {
    if address >= abi::USER_END {
        return None;
    }
    let (entry, size) = match last_place(cr3 & ADDRESS, address) {
        Ok(place) => (place.read(), PAGE),
        Err(place) => (place.read(), LARGE),
    };
    let needed = if for_write { TABLE } else { Entry::PRESENT | Entry::USER_ACCESSIBLE };
    let offset = address & (size - 1);
    has(entry, needed, DEVICE).then_some(Piece {
        physical: (entry & ADDRESS & !(size - 1)) + offset,
        left: size - offset,
    })
}

/// Copies the kernel half of the root in use into a new root: the kernel is the same in every space.
pub fn share_kernel_half(root: u64) {
    if BARE {
        let kernel = current_root();
        for index in KERNEL_HALF..512 {
            let address = index << LEVELS[0];
            let entry = Place::of(kernel, address, LEVELS[0]).read();
            Place::of(root, address, LEVELS[0]).write(entry);
        }
    }
}

/// The page-table root in use.
pub fn current_root() -> u64 {
    if !BARE {
        return 0;
    }
    x86_64::registers::control::Cr3::read().0.start_address().as_u64()
}

/// In a value for CR3: keep what the TLB holds for this PCID (SDM 3A 4.10.4.1).
const KEEP: u64 = 1 << 63;

/// What to load into CR3 for a space: root and, where there are PCIDs, the id and [`KEEP`].
pub fn cr3(root: u64, id: u16) -> u64 {
    if features().contains(Features::PCID) { root | id as u64 | KEEP } else { root }
}

/// Uses another space.
pub fn load_root(cr3: u64) {
    #[cfg(not(target_os = "none"))]
    super::host::with_tlb(|tlb| tlb.load(cr3));
    #[cfg(target_os = "none")]
    // SAFETY: the kernel half is the same in every root (`share_kernel_half`), so the kernel goes on undisturbed.
    unsafe {
        core::arch::asm!("mov cr3, {}", in(reg) cr3, options(nostack, preserves_flags))
    };
}

/// Forgets the processor's copy of a mapping that was removed from the space `cr3`, while `loaded` is in use.
pub fn flush(cr3: u64, loaded: u64, address: u64) {
    if cr3 != loaded {
        return flush_other(cr3, loaded, ONE_ADDRESS, address);
    }
    #[cfg(not(target_os = "none"))]
    super::host::with_tlb(|tlb| tlb.invalidate_page(address));
    #[cfg(target_os = "none")]
    x86_64::instructions::tlb::flush(x86_64::VirtAddr::new_truncate(address));
}

/// Forgets all of a space that is not in use, while `loaded` is: its id may become another's.
pub fn flush_space(cr3: u64, loaded: u64) {
    flush_other(cr3, loaded, ONE_SPACE, 0);
}

/// Kinds of INVPCID (SDM 2A).
const ONE_ADDRESS: u64 = 0;
const ONE_SPACE: u64 = 1;

/// Without PCIDs there is nothing to do: loading CR3 has flushed the space when it was left.
fn flush_other(cr3: u64, loaded: u64, kind: u64, address: u64) {
    let features = features();
    if features.contains(Features::PCID | Features::INVPCID) {
        let descriptor = [cr3 & (PAGE - 1), address];
        #[cfg(not(target_os = "none"))]
        super::host::with_tlb(|tlb| tlb.invalidate_pcid(kind, descriptor));
        #[cfg(target_os = "none")]
        // SAFETY: CPUID announced the instruction; it changes no memory, and flushing is always allowed.
        unsafe {
            core::arch::asm!("invpcid {}, [{}]", in(reg) kind, in(reg) &descriptor, options(nostack, readonly))
        };
    } else if features.contains(Features::PCID) {
        // A load of CR3 without KEEP flushes its PCID.
        load_root(cr3 & !KEEP);
        load_root(loaded);
    }
}
