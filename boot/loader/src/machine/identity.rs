//! The machine's own memory, through the identity map of the low 4 GiB.

use bootinfo::Range;

use crate::Physical;

/// The low 4 GiB of physical memory, without page 0's first byte (a null pointer).
pub struct Identity(());

/// What `start.s` maps.
const LIMIT: u64 = 4 << 30;

impl Identity {
    /// # Safety
    /// The low 4 GiB must be mapped at their own addresses, and the [`Map`](crate::Map) from which memory is taken
    /// must not call anything Usable that is in use (the loader's image, firmware's information, the archive).
    pub unsafe fn new() -> Self {
        Self(())
    }

    /// Bytes that nobody changes: in a range that is not taken from the map.
    pub fn bytes(&self, range: Range) -> Option<&'static [u8]> {
        check(range.start, range.size)?;
        // SAFETY: the range is mapped and not null (just checked). The loader writes only to memory taken from the
        // map (`Physical::write`), and what firmware left is not in it (`new`).
        Some(unsafe { core::slice::from_raw_parts(range.start as *const u8, range.size as usize) })
    }
}

impl Physical for Identity {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        if check(address, buffer.len() as u64).is_none() {
            return false;
        }
        // SAFETY: mapped (just checked); a buffer of the loader is not where anyone asks to read from, and any
        // bytes are valid u8. Page tables are read here too, never through a reference.
        unsafe {
            core::ptr::copy(address as *const u8, buffer.as_mut_ptr(), buffer.len());
        }
        true
    }

    fn write(&mut self, address: u64, bytes: &[u8]) {
        assert!(
            check(address, bytes.len() as u64).is_some(),
            "write out of reach"
        );
        // SAFETY: mapped (just checked), and taken from the map by the caller: nothing else lives there (`new`).
        unsafe {
            core::ptr::copy(bytes.as_ptr(), address as *mut u8, bytes.len());
        }
    }

    fn clear(&mut self, address: u64, size: u64) {
        assert!(check(address, size).is_some(), "clear out of reach");
        // SAFETY: as in `write`.
        unsafe { core::ptr::write_bytes(address as *mut u8, 0, size as usize) }
    }
}

/// Whether a piece of memory is in reach.
fn check(address: u64, size: u64) -> Option<()> {
    (address != 0 && address.checked_add(size)? <= LIMIT).then_some(())
}
