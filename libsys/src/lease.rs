//! Leases: memory lent to a server for exactly as long as a call lasts.

use abi::tag::LeaseBits;
use core::marker::PhantomData;

/// Memory to lend. The borrow lasts until the call returns, so the compiler proves that nobody touches it meanwhile.
#[derive(Clone, Copy)]
pub struct Lease<'a> {
    base: u64,
    bits: LeaseBits,
    borrow: PhantomData<&'a [u8]>,
}

impl<'a> Lease<'a> {
    /// Lends nothing.
    pub const NONE: Lease<'static> = Lease {
        base: 0,
        bits: LeaseBits::empty(),
        borrow: PhantomData,
    };

    /// The server may read `bytes`.
    pub fn read(bytes: &'a [u8]) -> Self {
        Self::new(bytes.as_ptr(), bytes.len(), LeaseBits::READ)
    }

    /// The server may write `bytes`.
    pub fn write(bytes: &'a mut [u8]) -> Self {
        Self::new(bytes.as_ptr(), bytes.len(), LeaseBits::WRITE)
    }

    /// The server may read and write `bytes`.
    pub fn read_write(bytes: &'a mut [u8]) -> Self {
        Self::new(
            bytes.as_ptr(),
            bytes.len(),
            LeaseBits::READ.union(LeaseBits::WRITE),
        )
    }

    fn new(base: *const u8, length: usize, rights: LeaseBits) -> Self {
        if length == 0 {
            return Self::NONE;
        }
        Self {
            base: base.expose_provenance() as u64,
            bits: LeaseBits::from_bits_retain(length as u64).union(rights),
            borrow: PhantomData,
        }
    }

    /// RDX.
    #[inline(always)]
    pub const fn base(&self) -> u64 {
        self.base
    }

    /// R8.
    #[inline(always)]
    pub const fn bits(&self) -> LeaseBits {
        self.bits
    }

    /// Makes sure that every page is present: the kernel copies without asking a pager.
    pub fn touch(&self) {
        let mut address = self.base;
        let end = self.base + self.bits.length();
        while address < end {
            // SAFETY: the address lies in memory that this lease borrows.
            unsafe { core::ptr::with_exposed_provenance::<u8>(address as usize).read_volatile() };
            address = (address | (abi::PAGE - 1)) + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_and_length() {
        let mut bytes = [0u8; 9000];
        let lease = Lease::write(&mut bytes);
        lease.touch();
        assert_eq!(lease.bits().length(), 9000);
        assert!(lease.bits().contains(LeaseBits::WRITE));
        assert!(!lease.bits().contains(LeaseBits::READ));
        assert_eq!(Lease::read(&[]).bits(), LeaseBits::empty());
    }
}
