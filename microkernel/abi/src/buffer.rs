//! The message buffer: one page of each thread, at an address given when it is configured.
//!
//! By libsys's convention a thread's memory is an area of [`AREA`] bytes, aligned to that: the buffer first, then
//! a guard page, then the stack. So `RSP & !(AREA - 1)` finds the buffer, without a segment register.

/// Size and alignment of a thread's area.
pub const AREA: u64 = 1 << 18;

/// Byte offset of word `i` (4 to 119); words 0-3 travel in registers.
pub const fn word(i: usize) -> usize {
    8 * i
}

/// Byte offset of lease `i` (1 to 3): base, then length and rights ([`crate::tag::LeaseBits`]).
pub const fn lease(i: usize) -> usize {
    0x3c0 + 16 * (i - 1)
}

/// From here on the page is libsys's own.
pub const USER: usize = 0x400;
