//! The slots of a program's own table, and the sizes of what is made for it. Pure arithmetic.

use crate::slots::PIECES;
use abi::PAGE;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::proto::program::{self, FIRST};

/// Root's two names under `needs`.
pub const MEMORY: &str = "root.memory";
/// See [`MEMORY`].
pub const CONTROL: &str = "root.control";

/// Size bits of a program's own table.
pub const TABLE_BITS: u8 = 8;

/// Size bits of the vault of a budget of 2^`budget` bytes and `devices` bytes of device memory: a slot for each page.
pub fn vault_bits(budget: u8, devices: u64) -> u8 {
    let pages = (1u64 << (budget - 12)) + devices.div_ceil(PAGE);
    (pages.next_power_of_two().trailing_zeros() as u8).clamp(4, 16)
}

/// Size bits of the Space of a budget of 2^`budget` bytes: tables for code, information, stack, a heap of that size, and
/// devices if it has any; and spare ones if it maps memory itself.
pub fn space_bits(budget: u8, devices: u64, own: bool) -> u8 {
    /// Bytes that one last-level table maps.
    const TABLE: u64 = 2 << 20;
    // Header and top table; three tables for each of code, information and stack, two for the heap.
    const FIXED: u64 = 2 + 3 * 3 + 2;
    let devices = if devices == 0 {
        0
    } else {
        4 + devices.div_ceil(TABLE)
    };
    let own = if own { 16 } else { 0 };
    let pages = FIXED + devices + own + (1u64 << budget).div_ceil(TABLE);
    (pages * PAGE).next_power_of_two().trailing_zeros() as u8
}

/// Which endpoints a program gets, and in which slots: [`MEMORY`], which everyone has, then the others from [`FIRST`] on.
pub fn endpoints(needs: &[String]) -> Vec<(String, u32)> {
    let others = needs.iter().filter(|need| *need != MEMORY).cloned();
    core::iter::once((MEMORY.into(), program::MEMORY))
        .chain(others.zip(FIRST..))
        .collect()
}

/// Size bits of the pieces that the heap of a budget of 2^`budget` bytes comes in: [`PIECES`] of them are the budget.
pub fn piece_bits(budget: u8) -> u8 {
    /// Small pieces would only cost kernel objects.
    const SMALLEST: u8 = 14;
    budget
        .saturating_sub(PIECES.trailing_zeros() as u8)
        .max(SMALLEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_always_first() {
        let of = |needs: &[&str]| endpoints(&needs.iter().map(|n| (*n).into()).collect::<Vec<_>>());
        assert_eq!(of(&[]), [(MEMORY.into(), 3)]);
        assert_eq!(
            of(&["disk", MEMORY, CONTROL]),
            [(MEMORY.into(), 3), ("disk".into(), 4), (CONTROL.into(), 5)]
        );
    }

    #[test]
    fn pieces() {
        assert_eq!(piece_bits(18), 14);
        assert_eq!(piece_bits(19), 14);
        assert_eq!(piece_bits(23), 18);
        for budget in crate::budget::BITS {
            assert!(1 << (budget - piece_bits(budget)) <= PIECES);
        }
    }

    #[test]
    fn sizes_fit_the_smallest_budget() {
        let budget = *crate::budget::BITS.start();
        let fixed = (1u64 << space_bits(budget, 0, false))
            + (32 << TABLE_BITS)
            + (32 << vault_bits(budget, 0))
            + 8192;
        assert!(fixed < (1 << budget) / 2, "{fixed}");
        assert_eq!(vault_bits(32, 1 << 32), 16);
        assert_eq!(vault_bits(20, 0), 8);
        assert_eq!(vault_bits(20, 4 << 20), 11);
    }
}
