//! The machine's memory, or a part of it, through the physical map that the loader made.

use bootinfo::{PHYSICAL_MAP, Range};
use loader::Physical;

use crate::partition::contains;

/// A piece of the machine's memory, at its own addresses.
#[derive(Debug)]
pub struct Window(Range);

impl Window {
    /// # Safety
    /// The physical map must show all of it, and nobody may hold references to memory that is taken from the map and written.
    pub unsafe fn new(range: Range) -> Self {
        Self(range)
    }

    /// A part of it.
    pub fn only(&self, part: Range) -> Window {
        assert!(contains(self.0, part.start, part.size), "a part of something else");
        Self(part)
    }

    /// Where the physical map shows `size` bytes, if they are in the window.
    fn at(&self, address: u64, size: u64) -> Option<*mut u8> {
        contains(self.0, address, size).then(|| (PHYSICAL_MAP + address) as *mut u8)
    }

    /// Bytes that nobody writes, such as the archive.
    pub fn bytes(&self, start: u64, size: u64) -> Option<&'static [u8]> {
        let start = self.at(start, size)?;
        // SAFETY: in the window; only memory taken from the map of free memory is ever written, and this is not.
        Some(unsafe { core::slice::from_raw_parts(start, size as usize) })
    }
}

impl Physical for Window {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        let Some(from) = self.at(address, buffer.len() as u64) else { return false };
        // SAFETY: in the window; a guest's memory is never behind a reference.
        unsafe { from.copy_to(buffer.as_mut_ptr(), buffer.len()) };
        true
    }

    fn write(&mut self, address: u64, bytes: &[u8]) {
        let to = self.at(address, bytes.len() as u64).expect("write out of reach");
        // SAFETY: as in `read`, and taken from the map of free memory by the caller.
        unsafe { to.copy_from(bytes.as_ptr(), bytes.len()) };
    }

    fn clear(&mut self, address: u64, size: u64) {
        let to = self.at(address, size).expect("clear out of reach");
        // SAFETY: as in `write`.
        unsafe { to.write_bytes(0, size as usize) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_beyond_a_partition_is_reached() {
        // SAFETY: nothing is read or written.
        let all = unsafe { Window::new(Range { start: 0, size: 0x4000 }) };
        let window = all.only(Range { start: 0x1000, size: 0x2000 });
        assert!(window.at(0x1000, 8).is_some() && window.at(0x2ff8, 8).is_some());
        for address in [0, 0xff8, 0xffc, 0x2ffc, 0x3000, u64::MAX - 3] {
            assert!(window.at(address, 8).is_none(), "{address:#x}");
        }
    }

    #[test]
    #[should_panic]
    fn a_part_is_inside() {
        // SAFETY: nothing is read or written.
        let all = unsafe { Window::new(Range { start: 0x1000, size: 0x1000 }) };
        all.only(Range { start: 0x1800, size: 0x1000 });
    }
}
