//! `root.memory`: memory for the calling program, charged to its budget, and who is alive. Register messages.

/// `w0` = address, `w1` = bytes, both multiples of 4096: maps zeroed, writable memory there. Replies [`OK`] or a [`Status`].
pub const MAP: u32 = 0;
/// `w0` = bytes (up to 1 MiB): maps zeroed, physically contiguous memory for DMA. Replies `w0` = address, `w1` = physical address.
pub const MAP_DMA: u32 = 1;
/// Replies `w0` = bytes used of the caller's budget, `w1` = budget.
pub const INFO: u32 = 2;
/// `w0` = program id. Replies `w0` = 1 if that program runs, else 0.
pub const IS_ALIVE: u32 = 3;

/// Reply label: done.
pub const OK: u32 = 0;

/// Reply label of a refused request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// The program's budget or the machine's memory is used up.
    OutOfMemory = 1,
    /// Not page aligned, outside the program's areas, or mapped already.
    BadRange = 2,
    /// No such operation.
    BadOperation = 3,
}
