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
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Rights are granted by the last level alone.
const TABLE: Entry = Entry::PRESENT
    .union(Entry::WRITABLE)
    .union(Entry::USER_ACCESSIBLE);
/// First entry of the kernel half.
const KERNEL_HALF: usize = 256;

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

/// A piece of user memory inside one page.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// Its physical address.
    pub physical: u64,
    /// Bytes to the end of the page.
    pub left: u64,
}

fn table(physical: u64) -> *mut [u64; 512] {
    mem::to_virtual(physical) as *mut [u64; 512]
}

fn read(physical: u64, index: usize) -> u64 {
    // SAFETY: `physical` is a page table of a living Space, reached through the physical map; `index` < 512.
    unsafe { (*table(physical))[index] }
}

fn write(physical: u64, index: usize, value: u64) {
    // SAFETY: as in `read`.
    unsafe { (*table(physical))[index] = value }
}

fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * (level - 1)) & 511) as usize
}

fn flags(entry: u64) -> Entry {
    Entry::from_bits_retain(entry & !ADDRESS)
}

/// Maps a page; missing tables come from the Space's pool. Nothing is mapped if it fails, though tables may stay.
pub fn map(space: Ref<Space>, address: u64, large: bool, page: Page) -> Result<(), Error> {
    let last = if large { 2 } else { 1 };
    let mut current = space.root();
    for level in (last + 1..=4).rev() {
        let entry = read(current, index(address, level));
        if flags(entry).contains(Entry::HUGE_PAGE) {
            return Err(Error::AlreadyMapped);
        }
        current = if flags(entry).contains(Entry::PRESENT) {
            entry & ADDRESS
        } else {
            let new = space.take_table()?;
            write(current, index(address, level), new | TABLE.bits());
            new
        };
    }
    let slot = index(address, last);
    if read(current, slot) != 0 {
        return Err(Error::AlreadyMapped);
    }
    let mut flags = Entry::PRESENT | Entry::USER_ACCESSIBLE;
    flags.set(Entry::WRITABLE, page.write);
    flags.set(Entry::NO_EXECUTE, !page.execute);
    flags.set(Entry::NO_CACHE | Entry::WRITE_THROUGH, page.uncached);
    flags.set(Entry::HUGE_PAGE, large);
    flags.set(DEVICE, page.device);
    write(current, slot, page.physical | flags.bits());
    Ok(())
}

/// Removes the mapping at an address.
pub fn unmap(root: u64, address: u64) {
    let mut current = root;
    for level in (1..=4).rev() {
        let slot = index(address, level);
        let entry = read(current, slot);
        if !flags(entry).contains(Entry::PRESENT) {
            return;
        }
        if level == 1 || flags(entry).contains(Entry::HUGE_PAGE) {
            return write(current, slot, 0);
        }
        current = entry & ADDRESS;
    }
}

/// Where a user address of a space lies, if user programs may read (or write) memory there.
#[inline]
pub fn translate(cr3: u64, address: u64, for_write: bool) -> Option<Piece> {
    if address >= abi::USER_END {
        return None;
    }
    let needed = if for_write {
        TABLE
    } else {
        Entry::PRESENT | Entry::USER_ACCESSIBLE
    };
    let mut current = cr3 & ADDRESS;
    for level in (1..=4).rev() {
        let entry = read(current, index(address, level));
        let flags = flags(entry);
        if !flags.contains(needed) || flags.contains(DEVICE) {
            return None;
        }
        if level == 1 || flags.contains(Entry::HUGE_PAGE) {
            let size = PAGE << (9 * (level - 1));
            let offset = address & (size - 1);
            return Some(Piece {
                physical: (entry & ADDRESS & !(size - 1)) + offset,
                left: size - offset,
            });
        }
        current = entry & ADDRESS;
    }
    None
}

/// Copies the kernel half of the root in use into a new root: the kernel is the same in every space.
pub fn share_kernel_half(root: u64) {
    if BARE {
        let kernel = current_root();
        for index in KERNEL_HALF..512 {
            write(root, index, read(kernel, index));
        }
    }
}

/// The page-table root in use.
pub fn current_root() -> u64 {
    if !BARE {
        return 0;
    }
    x86_64::registers::control::Cr3::read()
        .0
        .start_address()
        .as_u64()
}

/// In a value for CR3: keep what the TLB holds for this PCID (SDM 3A 4.10.4.1).
const KEEP: u64 = 1 << 63;

/// What to load into CR3 for a space: root and, where there are PCIDs, the id and [`KEEP`].
pub fn cr3(root: u64, id: u16) -> u64 {
    if features().contains(Features::PCID) {
        root | id as u64 | KEEP
    } else {
        root
    }
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
    x86_64::instructions::tlb::flush(x86_64::VirtAddr::new(address));
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
