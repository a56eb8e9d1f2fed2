//! `root.memory`: memory for the calling program, charged to its budget, and who is alive. Register messages; the reply's
//! label is [`OK`] or a [`Status`].

/// `w0` = bytes: the heap, which begins at [`super::program::HEAP`], gets at least that long, or is cut to it. Memory comes
/// and goes in pieces of one size, zeroed and writable. Replies `w0` = bytes it has now, `w1` = bytes of a piece.
pub const HEAP: u32 = 0;
/// `w0` = bytes (up to 1 MiB): maps zeroed, physically contiguous memory for DMA. Replies `w0` = address, `w1` = physical address.
pub const MAP_DMA: u32 = 1;
/// Replies `w0` = bytes used of the caller's budget, `w1` = budget.
pub const INFO: u32 = 2;
/// `w0` = program id. Replies `w0` = 1 if that program runs, else 0.
pub const IS_ALIVE: u32 = 3;
/// `w0` = bytes, a multiple of 4096; lease 0 (READ): name of a program that the caller may call. Maps zeroed, physically
/// contiguous memory into both, from what the manifest gives the caller for that (`shared`): one buffer at a time. Replies
/// `w0` = address, `w1` = the buffer's id.
pub const SHARE: u32 = 4;
/// The caller has no use for its shared buffer any more. It is free when the other program has none either.
pub const UNSHARE: u32 = 5;
/// `w0` = id of a buffer, `w1` = id of the program that shares it with the caller. The memory stays, whatever becomes of that
/// program, until [`DETACH`] or the caller's end. Replies `w0` = address, `w1` = physical address, `w2` = bytes.
pub const ATTACH: u32 = 6;
/// `w0` = id: the caller, and every device it has, is done with the buffer.
pub const DETACH: u32 = 7;

/// Reply label: done.
pub const OK: u32 = 0;

/// Reply label of a refused request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// The program's budget or the machine's memory is used up.
    OutOfMemory = 1,
    /// Not a possible size.
    BadRange = 2,
    /// No such operation.
    BadOperation = 3,
}
