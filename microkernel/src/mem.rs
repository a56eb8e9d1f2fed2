//! The address map, and the one conversion it needs.
//!
//! ```text
//! 0000_0000_0000_0000  user half, one per Space (USER_END: the last page stays empty)
//! ffff_8000_0000_0000  physical map: all memory, writable, never executable
//! ffff_ff00_0000_0000  registers of the local APIC and the IO-APICs, uncached
//! ffff_ffff_8000_0000  the kernel's image, W^X
//! ```

/// Where physical address 0 appears. On the host, where tests run the core, objects lie in low memory and the
/// two are the same.
pub const PHYSICAL_MAP: u64 = if cfg!(target_os = "none") { bootinfo::PHYSICAL_MAP } else { 0 };

/// Highest physical address + 1 at which objects may lie: a slot's links hold 32 bits of `address >> 5`.
pub const PHYSICAL_END: u64 = 1 << 37;

/// Kernel address of a physical one.
pub const fn to_virtual(physical: u64) -> u64 {
    physical + PHYSICAL_MAP
}

/// Physical address of a kernel address inside the physical map.
pub const fn to_physical(address: u64) -> u64 {
    address - PHYSICAL_MAP
}
