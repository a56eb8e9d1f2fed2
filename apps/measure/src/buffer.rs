//! Memory that begins with a page, so that so many bytes lie in as few pages as can be.

use alloc::vec;
use alloc::vec::Vec;

/// Bytes of the largest operation.
pub const LARGEST: usize = 1 << 20;
/// Bytes of a page.
const PAGE: usize = 4096;

/// A buffer.
#[derive(Debug)]
pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
    size: usize,
}

impl Buffer {
    /// `size` zeros, all of them touched.
    pub fn new(size: usize) -> Self {
        let memory = vec![0; size + PAGE];
        let start = memory.as_ptr().addr().wrapping_neg() % PAGE;
        Self {
            memory,
            start,
            size,
        }
    }

    /// Its bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_begins_with_a_page() {
        for size in [0, 1, 4096, 10_000] {
            let mut buffer = Buffer::new(size);
            let bytes = buffer.bytes();
            assert_eq!((bytes.as_ptr().addr() % PAGE, bytes.len()), (0, size));
        }
    }
}
