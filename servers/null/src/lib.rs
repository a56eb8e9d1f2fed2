//! A driver without hardware, and without cost but that of asking: `null:` has nothing to read, `zero:` zeros without end, and
//! both take all that is written.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

/// The driver.
#[derive(Debug)]
pub struct Null {
    /// What one read has at most.
    bytes: &'static [u8],
}

impl Null {
    /// `null:`.
    pub const EMPTY: Null = Null { bytes: &[] };
    /// `zero:`. Most bytes of one answer: the kernel copies no more with a reply.
    pub const ZEROS: Null = Null {
        bytes: &[0; 64 << 10],
    };

    /// What a read of so many bytes gets.
    pub fn read(&self, length: usize) -> &'static [u8] {
        &self.bytes[..length.min(self.bytes.len())]
    }

    /// How many of so many bytes a write takes.
    pub fn write(&self, length: usize) -> usize {
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_zeros() {
        assert_eq!(Null::EMPTY.read(10), []);
        assert_eq!(Null::ZEROS.read(3), [0; 3]);
        assert_eq!(Null::ZEROS.read(1 << 20).len(), 64 << 10);
        assert_eq!(Null::EMPTY.write(5), 5);
    }
}
