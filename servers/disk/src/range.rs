//! Byte ranges, cut into requests for whole sectors.

/// Bytes of a sector, the unit of every virtio block device (virtio 1.2, 5.2).
pub const SECTOR: usize = 512;
/// Bytes of one request's buffer.
pub const BUFFER: usize = 64 << 10;

/// The part of a byte range that one request moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// First sector.
    pub sector: u64,
    /// How many sectors, at most [`BUFFER`] bytes.
    pub sectors: usize,
    /// Where in the first sector the bytes begin.
    pub skip: usize,
    /// How many bytes.
    pub bytes: usize,
}

impl Chunk {
    /// The first chunk of `length` (not 0) bytes from `offset` on. It ends at a sector's end unless the range ends before.
    pub fn first(offset: u64, length: usize) -> Self {
        let skip = (offset % SECTOR as u64) as usize;
        let bytes = length.min(BUFFER - skip);
        Self {
            sector: offset / SECTOR as u64,
            sectors: (skip + bytes).div_ceil(SECTOR),
            skip,
            bytes,
        }
    }

    /// Whether the bytes are exactly the sectors.
    pub fn is_whole(&self) -> bool {
        self.bytes == self.sectors * SECTOR
    }
}

/// How many of `length` bytes from `offset` on lie on a device of `size` bytes. `None`: the offset lies beyond its end.
pub fn clip(offset: u64, length: usize, size: u64) -> Option<usize> {
    let left = size.checked_sub(offset)?;
    Some(usize::try_from(left).unwrap_or(usize::MAX).min(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_a_range_without_gaps() {
        for offset in [0u64, 1, 511, 512, 513, 65_535, 1 << 40] {
            for length in [1usize, 511, 512, 513, 65_536, 65_537, 300_000] {
                let (mut at, mut left) = (offset, length);
                while left > 0 {
                    let chunk = Chunk::first(at, left);
                    assert_eq!(chunk.sector * 512 + chunk.skip as u64, at);
                    assert!(chunk.bytes > 0 && chunk.skip + chunk.bytes <= chunk.sectors * SECTOR);
                    assert!(chunk.sectors * SECTOR <= BUFFER);
                    assert!(
                        (chunk.sectors - 1) * SECTOR < chunk.skip + chunk.bytes,
                        "no sector too many"
                    );
                    assert_eq!(
                        chunk.is_whole(),
                        chunk.skip == 0 && chunk.bytes.is_multiple_of(SECTOR)
                    );
                    at += chunk.bytes as u64;
                    left -= chunk.bytes;
                }
                assert_eq!(at, offset + length as u64);
            }
        }
    }

    #[test]
    fn ranges_end_with_the_device() {
        assert_eq!(clip(0, 100, 50), Some(50));
        assert_eq!(clip(50, 100, 50), Some(0));
        assert_eq!(clip(51, 100, 50), None);
        assert_eq!(clip(10, 20, 50), Some(20));
        assert_eq!(clip(u64::MAX, 1, u64::MAX), Some(0));
    }
}
