//! Memory of whoever asks: pieces of it that a device may have, and copies into and out of it.

use crate::memory;
use core::marker::PhantomData;
use core::ptr::NonNull;
use disk::device::{PIECES, Piece};
use disk::range::SECTOR;
use heapless::Vec;
use libsys::proto::io::IoError;
use microkernel::arch::cpu;

/// Memory of whoever asks.
pub trait Memory {
    /// Bytes.
    fn length(&self) -> usize;

    /// The longest contiguous piece of at most `most` bytes from `offset` on (all inside), if it may be read, or written. It stays
    /// the caller's memory as long as this value lives, and no Rust reference points there.
    fn piece(&self, offset: usize, most: usize, write: bool) -> Option<Piece>;
}

/// The application's own memory.
pub struct Own<'a> {
    address: NonNull<u8>,
    length: usize,
    borrowed: PhantomData<&'a mut [u8]>,
}

impl<'a> Own<'a> {
    /// A buffer.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self {
            length: bytes.len(),
            address: NonNull::from(bytes).cast(),
            borrowed: PhantomData,
        }
    }
}

impl Memory for Own<'_> {
    fn length(&self) -> usize {
        self.length
    }

    #[inline(always)]
    fn piece(&self, offset: usize, most: usize, _: bool) -> Option<Piece> {
        // SAFETY: inside the buffer.
        let address = unsafe { self.address.add(offset) };
        Some(Piece {
            address,
            physical: memory::physical(address.as_ptr() as u64),
            bytes: most as u32,
        })
    }
}

/// The pieces of a range of memory, whole sectors of it: as many as one request can have. Returns how many bytes they are.
#[inline(always)]
pub(crate) fn pieces(
    memory: &impl Memory,
    range: core::ops::Range<usize>,
    write: bool,
) -> Result<([Piece; PIECES], usize), IoError> {
    let (mut pieces, mut bytes) = (Vec::<Piece, PIECES>::new(), 0);
    while bytes < range.len() && !pieces.is_full() {
        let (at, most) = (range.start + bytes, range.len() - bytes);
        let piece = memory.piece(at, most, write).ok_or(IoError::BadBuffer)?;
        bytes += piece.bytes as usize;
        // There is room.
        let _ = pieces.push(piece);
    }
    // Three pieces may end inside a sector: then the last of them, at least a page long, ends earlier.
    let rest = bytes % SECTOR;
    if let Some(last) = pieces.last_mut() {
        last.bytes -= rest as u32;
    }
    let all = core::array::from_fn(|index| pieces.get(index).copied().unwrap_or(Piece::NONE));
    Ok((all, bytes - rest))
}

/// Copies bytes into memory; returns how many.
///
/// # Errors
/// `BadBuffer`: it may not be written.
#[inline(always)]
pub fn put(memory: &impl Memory, offset: usize, bytes: &[u8]) -> Result<usize, IoError> {
    each(memory, offset, bytes.len(), true, |piece, done, count| {
        // SAFETY: `count` bytes of the caller's memory, and as many of `bytes`.
        unsafe { cpu::copy(bytes.as_ptr().add(done) as u64, piece as u64, count as u64) }
    })
}

/// Copies bytes out of memory; returns how many.
///
/// # Errors
/// `BadBuffer`: it may not be read.
#[inline(always)]
pub fn take(memory: &impl Memory, offset: usize, bytes: &mut [u8]) -> Result<usize, IoError> {
    let (start, length) = (bytes.as_mut_ptr(), bytes.len());
    each(memory, offset, length, false, |piece, done, count| {
        // SAFETY: as in `put`.
        unsafe { cpu::copy(piece as u64, start.add(done) as u64, count as u64) }
    })
}

/// Visits `length` bytes of memory, piece by piece: where each is, how many bytes came before it, and how many it has.
#[inline(always)]
pub(crate) fn each(
    memory: &impl Memory,
    offset: usize,
    length: usize,
    write: bool,
    mut visit: impl FnMut(*mut u8, usize, usize),
) -> Result<usize, IoError> {
    let mut done = 0;
    while done < length {
        let piece = memory.piece(offset + done, length - done, write);
        let piece = piece.ok_or(IoError::BadBuffer)?;
        let count = piece.bytes as usize;
        visit(piece.address.as_ptr(), done, count);
        done += count;
    }
    Ok(length)
}
