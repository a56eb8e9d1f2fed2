//! What both ends of a channel share, and where things lie in it.
//!
//! Each end has one half. It writes only there, and only reads the other:
//!
//! | offset in the half | what |
//! | --- | --- |
//! | 0 | [`EPOCH`]: a number that this end chose when it began, or 0 |
//! | 4 | [`SEEN`]: the other end's number, as far as this end has seen it |
//! | 8 | [`WRITTEN`]: messages written so far (modulo 2³²) |
//! | 12 | [`READ`]: messages of the other end read so far |
//! | 64 | [`SLOTS`] headers of 64 bytes |
//! | 4096 | their data, [`DATA`] bytes each |

/// Offset of a word: this end's number.
pub const EPOCH: usize = 0;
/// See [`EPOCH`].
pub const SEEN: usize = 4;
/// See [`EPOCH`].
pub const WRITTEN: usize = 8;
/// See [`EPOCH`].
pub const READ: usize = 12;

/// Most messages that are on their way in one direction. A power of two: counters wrap.
pub const SLOTS: u32 = 8;
/// Most bytes that go along with a message.
pub const DATA: usize = 4096;
/// Bytes of a half.
pub const HALF: usize = (1 + SLOTS as usize) * DATA;

/// Offset of a slot's header in a half; a message's number says which slot it has.
pub const fn header(number: u32) -> usize {
    64 * (1 + (number % SLOTS) as usize)
}

/// Offset of a slot's data.
pub const fn data(number: u32) -> usize {
    DATA * (1 + (number % SLOTS) as usize)
}

/// The memory. Whatever is read may have any value, another one each time. Writes are seen in their order, reads happen in theirs.
pub trait Memory {
    /// Reads a word at a multiple of 4.
    fn load(&self, offset: usize) -> u32;
    /// Writes one.
    fn store(&mut self, offset: usize, value: u32);
    /// Copies out.
    fn copy_out(&self, offset: usize, bytes: &mut [u8]);
    /// Copies in.
    fn copy_in(&mut self, offset: usize, bytes: &[u8]);
}

const _: () = assert!(2 * HALF as u64 == bootinfo::shim::CHANNEL_SIZE);
const _: () = assert!(SLOTS.is_power_of_two());
