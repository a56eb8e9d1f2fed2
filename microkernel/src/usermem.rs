//! Checked access to user memory: leases, and copies between spaces through the physical map.
//!
//! The kernel never touches a user address: it looks it up in the page tables of its space at each copy, page by page,
//! and takes no page fault. Nothing is remembered, so unmapping and revoking take effect at once.

use abi::{Error, USER_END, object::reply, tag::LeaseBits};

use crate::{arch, mem, thread::ThreadRef, thread::ThreadState};

/// Memory a caller lends for as long as its call lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// First byte, in the caller's space.
    pub base: u64,
    /// Length and rights ([`LeaseBits`]).
    pub bits: u64,
}

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The server reads the lease.
    FromLender,
    /// The server writes the lease.
    ToLender,
}

impl Direction {
    /// From the operation's label.
    pub fn from_label(label: u32) -> Self {
        if label == reply::LEASE_READ { Self::FromLender } else { Self::ToLender }
    }
}

impl Lease {
    /// Nothing lent.
    pub const NONE: Self = Self { base: 0, bits: 0 };

    /// Address of `offset` in lease `index` of a caller, if the lease allows `length` bytes in that direction there.
    pub fn of(
        client: ThreadRef,
        index: u64,
        direction: Direction,
        offset: u64,
        length: u64,
    ) -> Result<u64, Error> {
        debug_assert!(matches!(client.state(), ThreadState::AwaitingReply { .. }));
        if index >= client.lease_count.get() as u64 {
            return Err(Error::LeaseBounds);
        }
        let lease = client.leases[index as usize].get();
        let bits = LeaseBits::from_bits_retain(lease.bits);
        let right = match direction {
            Direction::FromLender => LeaseBits::READ,
            Direction::ToLender => LeaseBits::WRITE,
        };
        let end = offset
            .checked_add(length)
            .filter(|&end| bits.contains(right) && end <= bits.length())
            .ok_or(Error::LeaseBounds)?;
        // What a caller lends is not checked before it is used.
        lease.base.checked_add(end).filter(|&end| end <= USER_END).ok_or(Error::LeaseFault)?;
        Ok(lease.base + offset)
    }
}

/// One of the two spaces of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where the bytes come from.
    From,
    /// Where they go.
    To,
}

impl Side {
    /// The error for a page missing on this side, if the lender is on side `lender`.
    pub fn error(self, lender: Side) -> Error {
        if self == lender { Error::LeaseFault } else { Error::BadBuffer }
    }
}

/// How far a copy came.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    /// Bytes moved.
    pub moved: u64,
    /// Whether that is all, or which side's page is missing.
    pub result: Result<(), Side>,
}

/// Copies `length` bytes between two spaces, given as CR3 wants them.
#[inline(never)]
pub fn copy(from_root: u64, from: u64, to_root: u64, to: u64, length: u64) -> Copied {
    let mut moved = 0;
    while moved < length {
        match copy_piece(from_root, from + moved, to_root, to + moved, length - moved) {
            Ok(bytes) => moved += bytes,
            Err(side) => return Copied { moved, result: Err(side) },
        }
    }
    Copied { moved, result: Ok(()) }
}

/// [`copy`], but up to the end of one of the two pages only. Returns how many bytes that was.
#[inline(always)]
pub fn copy_piece(
    from_root: u64,
    from: u64,
    to_root: u64,
    to: u64,
    length: u64,
) -> Result<u64, Side> {
    let source = arch::paging::translate(from_root, from, false).ok_or(Side::From)?;
    let target = arch::paging::translate(to_root, to, true).ok_or(Side::To)?;
    let bytes = length.min(source.left).min(target.left);
    // SAFETY: both pieces lie inside one page each that user programs may read and write; they are memory, not
    // device registers (`translate`), so they are in the physical map. User memory is never borrowed in Rust.
    unsafe {
        let (from, to) = (mem::to_virtual(source.physical), mem::to_virtual(target.physical));
        arch::cpu::copy(from, to, bytes)
    };
    Ok(bytes)
}
