//! Registers of the interrupt controllers: mapped uncached in a window of the kernel half.

use core::cell::UnsafeCell;

use abi::PAGE;
use x86_64::structures::paging::PageTableFlags as Entry;

use crate::mem;

/// First address of the window (PML4 entry 510).
const WINDOW: u64 = 0xffff_ff00_0000_0000;
const WINDOW_ENTRY: usize = 510;

#[repr(C, align(4096))]
struct Table(UnsafeCell<[u64; 512]>);
// SAFETY: written at boot only, one CPU.
unsafe impl Sync for Table {}

static ROOT: Table = Table(UnsafeCell::new([0; 512]));
static LEVEL3: Table = Table(UnsafeCell::new([0; 512]));
static LEVEL2: Table = Table(UnsafeCell::new([0; 512]));
static LEVEL1: Table = Table(UnsafeCell::new([0; 512]));

/// Builds the kernel's own root table from the loader's: its kernel half and the window, nothing below. `offset` is
/// what to subtract from an address in the kernel's image to get a physical one. Returns the root's physical address.
pub fn build_root(offset: u64) -> u64 {
    let physical = |table: &Table| table.0.get() as u64 - offset;
    let flags = (Entry::PRESENT | Entry::WRITABLE).bits();
    let loader = mem::to_virtual(super::paging::current_root()) as *const [u64; 512];
    // SAFETY: the loader's root is in the physical map; the statics are not in use yet.
    unsafe {
        let root = &mut *ROOT.0.get();
        root[256..].copy_from_slice(&(&*loader)[256..]);
        root[WINDOW_ENTRY] = physical(&LEVEL3) | flags;
        (*LEVEL3.0.get())[0] = physical(&LEVEL2) | flags;
        (*LEVEL2.0.get())[0] = physical(&LEVEL1) | flags;
    }
    physical(&ROOT)
}

/// Maps one page of registers as page `index` of the window; returns its address.
pub fn map(index: usize, physical: u64) -> u64 {
    let flags = Entry::PRESENT
        | Entry::WRITABLE
        | Entry::NO_EXECUTE
        | Entry::NO_CACHE
        | Entry::WRITE_THROUGH
        | Entry::GLOBAL;
    // SAFETY: boot only, one CPU; the entry was empty, so nothing needs flushing.
    unsafe { (*LEVEL1.0.get())[index] = physical & !(PAGE - 1) | flags.bits() };
    WINDOW + index as u64 * PAGE + (physical & (PAGE - 1))
}

/// Reads a register.
pub fn read(address: u64) -> u32 {
    // SAFETY: `address` comes from `map`, of an interrupt controller's page.
    unsafe { (address as *const u32).read_volatile() }
}

/// Writes a register.
pub fn write(address: u64, value: u32) {
    // SAFETY: as in `read`.
    unsafe { (address as *mut u32).write_volatile(value) }
}
