//! What a block device is to the jobs. Nothing here blocks: a request is submitted, and asked for after an interrupt.

use alloc::rc::Rc;
use core::any::Any;
use core::ptr::NonNull;
use virtio::program::Attached;

/// Requests in flight at most.
pub const SLOTS: usize = 4;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Sectors into memory.
    Read {
        /// First sector.
        sector: u64,
        /// How many.
        sectors: usize,
    },
    /// Sectors out of memory.
    Write {
        /// First sector.
        sector: u64,
        /// How many.
        sectors: usize,
    },
    /// What was written reaches the medium.
    Flush,
}

/// Why there is no driver for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitError {
    /// It is no block device, or one that is not understood.
    Unsupported,
    /// There is too little DMA memory.
    OutOfMemory,
}

/// The device could not do what was asked (bad sector, failed medium, unknown request).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceError;

/// Most pieces of [`Pieces`].
pub const PIECES: usize = 3;

/// A piece of shared memory.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    /// Where it is mapped.
    pub address: NonNull<u8>,
    /// Its physical address.
    pub physical: u64,
    /// Bytes. 0: it is none.
    pub bytes: u32,
}

impl Piece {
    /// None.
    pub const NONE: Self = Self {
        address: NonNull::dangling(),
        physical: 0,
        bytes: 0,
    };
}

/// Memory shared with a caller that one request fills or empties, in this order, in the place of a slot's buffer.
///
/// Whoever has a request of it in flight holds this: what `owner` keeps lasts as long as the device may touch it.
pub struct Pieces {
    parts: [Piece; PIECES],
    owner: Rc<dyn Any>,
}

impl Pieces {
    /// `None`: there is not one.
    ///
    /// # Safety
    /// As long as `owner` lives they are contiguous memory at these addresses, to which no Rust reference points.
    #[inline(always)]
    pub unsafe fn new(parts: [Piece; PIECES], owner: Rc<dyn Any>) -> Option<Self> {
        let pieces = Self { parts, owner };
        (pieces.bytes() != 0).then_some(pieces)
    }

    /// Pieces of a buffer that a client shares with this program: where in it each begins, and its bytes; of them the first
    /// `most`. `None`: there is not one, or one lies outside the buffer.
    #[inline(always)]
    pub fn of(buffer: &Rc<Attached>, pieces: [(u32, u32); PIECES], mut most: u32) -> Option<Self> {
        let mut parts = [Piece::NONE; PIECES];
        for (part, (start, bytes)) in parts.iter_mut().zip(pieces) {
            let (address, physical) = buffer.place(start, bytes)?;
            let bytes = bytes.min(most);
            most -= bytes;
            *part = Piece {
                address,
                physical,
                bytes,
            };
        }
        // SAFETY: root has mapped the buffer for this program, contiguous, and it stays until it is dropped. Nothing makes a
        // reference to it.
        unsafe { Self::new(parts, buffer.clone()) }
    }

    /// Each of them, in order.
    #[inline(always)]
    pub fn parts(&self) -> impl Iterator<Item = Piece> {
        let parts = self.parts.into_iter();
        parts.filter(|part| part.bytes != 0)
    }

    /// What keeps the memory.
    pub fn into_owner(self) -> Rc<dyn Any> {
        self.owner
    }

    /// Copies bytes at `offset` into them: whole, in one piece.
    ///
    /// # Panics
    /// They do not lie in one of the parts.
    pub fn copy_in(&mut self, offset: usize, bytes: &[u8]) {
        let place = self.place(offset, bytes.len());
        // SAFETY: inside the part, which is memory to which no reference points (`new`).
        unsafe { place.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) }
    }

    /// Copies bytes at `offset` out of them.
    ///
    /// # Panics
    /// As [`Pieces::copy_in`].
    pub fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        let place = self.place(offset, bytes.len());
        // SAFETY: as in `copy_in`.
        unsafe { place.copy_to_nonoverlapping(NonNull::from(&mut *bytes).cast(), bytes.len()) }
    }

    fn place(&self, mut offset: usize, length: usize) -> NonNull<u8> {
        for part in self.parts() {
            let bytes = part.bytes as usize;
            if offset < bytes {
                assert!(offset + length <= bytes, "it crosses the end of a part");
                // SAFETY: inside the part.
                return unsafe { part.address.add(offset) };
            }
            offset -= bytes;
        }
        panic!("it lies behind the last part")
    }

    /// Bytes of all.
    #[inline(always)]
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|piece| piece.bytes as usize).sum()
    }
}

/// A block device. Each slot has a buffer of [`crate::range::BUFFER`] bytes and one request at a time.
pub trait Device {
    /// Size in bytes, whole sectors.
    fn size(&self) -> u64;

    /// Whether writes are refused.
    fn is_read_only(&self) -> bool;

    /// Whether the device has a cache to flush; without, what was written is on the medium.
    fn has_flush(&self) -> bool;

    /// The buffer of a slot.
    ///
    /// # Panics
    /// The device owns it: a request is in flight.
    fn buffer(&mut self, slot: usize) -> &mut [u8];

    /// Hands a request to the device, with the slot's buffer or with `pieces` of as many bytes. They are the device's until
    /// it has [`Device::completed`] the request, whoever wanted it.
    ///
    /// # Panics
    /// The slot has a request in flight, or the operation is empty or of another size than its memory.
    fn submit(&mut self, slot: usize, operation: Operation, pieces: Option<Pieces>);

    /// The next request that the device has finished, in any order: its slot, and whether it succeeded.
    fn completed(&mut self) -> Option<(usize, Result<(), DeviceError>)>;

    /// When to ask even if there was no interrupt (ticks), if at all.
    fn deadline(&self) -> Option<u64> {
        None
    }
}
