//! A driver without hardware, and without cost but that of asking: `null:` has nothing to read, `zero:` zeros without end, and
//! both take all that is written.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]

/// Label of a message that reads into its words: `w0` = bytes. Replies with as many of the bytes as the words have room for.
pub const READ_WORDS: u32 = 0x100;

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

    /// What a read of so many bytes gets, in registers: as much as they have room for.
    pub fn read_words<const N: usize>(&self, length: usize) -> [u64; N] {
        let (mut words, bytes) = ([0; N], self.read(length.min(8 * N)));
        // Whole words first: a copy of a known length is one instruction.
        let whole = bytes.chunks_exact(8);
        let rest = whole.remainder();
        let last = bytes.len() / 8;
        for (word, part) in words.iter_mut().zip(whole) {
            *word = part.try_into().map_or(0, u64::from_le_bytes);
        }
        if let Some(word) = words.get_mut(last) {
            *word = rest
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        words
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
        let some = Null {
            bytes: &[1, 2, 3, 4, 5, 6, 7, 8, 9],
        };
        assert_eq!(some.read_words(9), [0x0807_0605_0403_0201, 9, 0]);
        assert_eq!(some.read_words(1), [1]);
    }
}
