//! A machine's memory for tests.

use loader::Physical;
use std::vec::Vec;

/// Memory from address 0 on.
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// `size` zeros.
    pub fn new(size: usize) -> Self {
        Self(vec![0; size])
    }
}

impl Physical for Bytes {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        let start = address as usize;
        let bytes = start.checked_add(buffer.len()).and_then(|end| self.0.get(start..end));
        bytes.is_some_and(|bytes| {
            buffer.copy_from_slice(bytes);
            true
        })
    }

    fn write(&mut self, address: u64, bytes: &[u8]) {
        self.0[address as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    fn clear(&mut self, address: u64, size: u64) {
        self.0[address as usize..][..size as usize].fill(0);
    }
}
