//! Memory: the machine's, and how it is divided into the budgets of programs.
//!
//! A budget is one Untyped. All that a program has is made from it, so that one REVOKE takes all back, and the
//! Untyped starts anew (KERNEL.md A3). Budgets last as long as the machine runs; they are never divided again.

use crate::slots::TABLE;
use abi::object::untyped;
use abi::{Error, Kind, PAGE};
use alloc::vec::Vec;
use libsys::object::Untyped;
use libsys::syscall::Slot;

/// Smallest and largest budget: 2^this bytes.
pub const BITS: core::ops::RangeInclusive<u8> = 18..=32;

/// Size bits of the budget for `bytes`: the next power of two.
pub fn bits(bytes: u64) -> Option<u8> {
    let bits = bytes.max(1).checked_next_power_of_two()?.trailing_zeros() as u8;
    BITS.contains(&bits.max(*BITS.start()))
        .then_some(bits.max(*BITS.start()))
}

/// The machine's memory, as the kernel gave it to root.
pub struct Machine {
    /// Each Untyped with its size bits, smallest first.
    untypeds: Vec<(Untyped, u8)>,
}

impl Machine {
    /// `sizes[i]` = size bits of slot [`abi::root::FIRST_UNTYPED`] + i.
    pub fn new(sizes: &[u8]) -> Self {
        let slots = (abi::root::FIRST_UNTYPED..).map(|slot| Untyped(Slot(slot)));
        let mut untypeds: Vec<_> = slots.zip(sizes.iter().copied()).collect();
        untypeds.sort_by_key(|(_, bits)| *bits);
        Self { untypeds }
    }

    /// Splits off an Untyped of 2^`bits` bytes into an empty slot, from the smallest piece that has room.
    pub fn split(&self, bits: u8, into: Untyped) -> Result<(), Error> {
        for (source, _) in self.untypeds.iter().filter(|(_, size)| *size >= bits) {
            match source.retype(Kind::Untyped, bits, 1, TABLE, into.0, untyped::ALL) {
                Err(Error::OutOfMemory) => {}
                done => return done,
            }
        }
        Err(Error::OutOfMemory)
    }

    /// Bytes in all, and bytes in no budget yet.
    pub fn total_and_free(&self) -> (u64, u64) {
        let total = self.untypeds.iter().map(|(_, bits)| 1 << bits).sum();
        (
            total,
            self.untypeds
                .iter()
                .filter_map(|(untyped, _)| untyped.info().ok())
                .map(|(free, _)| free)
                .sum(),
        )
    }
}

/// What of `free` bytes at the end of an Untyped can become pages.
pub fn whole_pages(free: u64) -> u64 {
    free / PAGE * PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_powers_of_two() {
        assert_eq!(bits(0), Some(18));
        assert_eq!(bits(1 << 20), Some(20));
        assert_eq!(bits((1 << 20) + 1), Some(21));
        assert_eq!(bits(1 << 32), Some(32));
        assert_eq!(bits((1 << 32) + 1), None);
        assert_eq!(bits(u64::MAX), None);
    }

    #[test]
    fn only_whole_pages_count() {
        assert_eq!(whole_pages(4095), 0);
        assert_eq!(whole_pages(3 * PAGE + 64), 3 * PAGE);
    }
}
