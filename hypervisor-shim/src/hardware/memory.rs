//! All of the machine's memory, through the physical map that the loader made.

use bootinfo::PHYSICAL_MAP;
use loader::Physical;

/// Memory from 0 to an end.
#[derive(Debug)]
pub struct AllMemory {
    end: u64,
}

impl AllMemory {
    /// # Safety
    /// The physical map must reach to `end`, and nobody may hold references to memory that is taken from the map and written.
    pub unsafe fn new(end: u64) -> Self {
        Self { end }
    }

    fn check(&self, address: u64, size: u64) -> bool {
        address.checked_add(size).is_some_and(|after| after <= self.end)
    }

    /// Bytes that nobody writes, such as the archive.
    pub fn bytes(&self, start: u64, size: u64) -> Option<&'static [u8]> {
        // SAFETY: inside the physical map; only memory taken from the map of free memory is ever written, and this is not.
        self.check(start, size).then(|| unsafe {
            core::slice::from_raw_parts((PHYSICAL_MAP + start) as *const u8, size as usize)
        })
    }
}

impl Physical for AllMemory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        if !self.check(address, buffer.len() as u64) {
            return false;
        }
        // SAFETY: inside the physical map; a guest's memory is never behind a reference.
        unsafe {
            core::ptr::copy(
                (PHYSICAL_MAP + address) as *const u8,
                buffer.as_mut_ptr(),
                buffer.len(),
            )
        };
        true
    }

    fn write(&mut self, address: u64, bytes: &[u8]) {
        assert!(self.check(address, bytes.len() as u64), "write out of reach");
        // SAFETY: as in `read`, and taken from the map of free memory by the caller.
        unsafe {
            core::ptr::copy(bytes.as_ptr(), (PHYSICAL_MAP + address) as *mut u8, bytes.len())
        };
    }

    fn clear(&mut self, address: u64, size: u64) {
        assert!(self.check(address, size), "clear out of reach");
        // SAFETY: as in `write`.
        unsafe { core::ptr::write_bytes((PHYSICAL_MAP + address) as *mut u8, 0, size as usize) };
    }
}
