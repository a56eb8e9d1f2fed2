//! What a chip says about itself (JEDEC JESD68.01, Common Flash Interface), read in query mode.

/// Command: show the query structure. Goes to [`QUERY_ADDRESS`].
pub const QUERY: u8 = 0x98;
/// Where the query command is written on a chip with byte-wide data.
pub const QUERY_ADDRESS: usize = 0x55;
/// Bytes of the query structure up to the first erase region's end.
const LENGTH: usize = 0x31;

/// Primary command sets that this driver speaks: Intel/Sharp extended and Intel standard (JEP137).
const COMMAND_SETS: [u16; 2] = [0x0001, 0x0003];

/// A chip's dimensions and time limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes.
    pub size: usize,
    /// Bytes of each block, the unit of erasing.
    pub block: usize,
    /// Bytes to program at once, a power of two up to 256 (their count is a byte); 0 = one by one.
    pub write_buffer: usize,
    /// Microseconds that programming a byte may take.
    pub program_limit: u64,
    /// Microseconds that programming a buffer may take.
    pub buffer_limit: u64,
    /// Microseconds that erasing a block may take.
    pub erase_limit: u64,
}

/// Why there is no usable chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryError {
    /// Nothing answers.
    Absent,
    /// A chip that this driver does not know how to use; the text says why.
    Unsupported(&'static str),
}

/// Understands the query structure of a chip in query mode, which is mapped with `mapped` bytes.
///
/// # Errors
/// No chip answers, or it is not byte-wide with blocks of one size and Intel's command set.
pub fn parse(mapped: usize, read: impl Fn(usize) -> u8) -> Result<Geometry, QueryError> {
    use QueryError::{Absent, Unsupported};
    if mapped < LENGTH || [0x10, 0x11, 0x12].map(&read) != *b"QRY" {
        return Err(Absent);
    }
    let word = |at: usize| u16::from_le_bytes([read(at), read(at + 1)]);
    if !COMMAND_SETS.contains(&word(0x13)) {
        return Err(Unsupported("it does not speak Intel's command set"));
    }
    if read(0x2c) != 1 {
        return Err(Unsupported("its blocks have different sizes"));
    }
    // A region's block size in units of 256 bytes; 0 stands for 128 (JESD68.01, 0x2d to 0x30).
    let block = match word(0x2f) {
        0 => 128,
        units => units as usize * 256,
    };
    // Not the size field at 0x27, which cannot say sizes that are no power of two.
    let size = (word(0x2d) as usize + 1) * block;
    if size > mapped {
        return Err(Unsupported("it is larger than what is mapped of it"));
    }
    let limit = |typical: usize, factor: usize, unit: u64| {
        let exponent = u32::from(read(typical)) + u32::from(read(factor));
        // A limit of 0 would mean that nothing is told: then two seconds.
        match read(typical) {
            0 => 2_000_000,
            _ => unit << exponent.min(30),
        }
    };
    let write_buffer = match word(0x2a) {
        exponent @ 1..=16 => 1 << exponent.min(8),
        _ => 0,
    };
    Ok(Geometry {
        size,
        block,
        write_buffer,
        program_limit: limit(0x1f, 0x23, 1),
        buffer_limit: limit(0x20, 0x24, 1),
        erase_limit: limit(0x21, 0x25, 1000),
    })
}

#[cfg(test)]
pub(crate) fn example(blocks: u16, block: u16, buffer: u8) -> [u8; LENGTH] {
    let mut table = [0; LENGTH];
    table[0x10..0x15].copy_from_slice(b"QRY\x01\x00");
    table[0x1f..0x27].copy_from_slice(&[7, 7, 10, 0, 4, 4, 4, 0]);
    table[0x2a] = buffer;
    table[0x2c] = 1;
    table[0x2d..0x2f].copy_from_slice(&(blocks - 1).to_le_bytes());
    table[0x2f..0x31].copy_from_slice(&(block / 256).to_le_bytes());
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_and_limits() {
        let table = example(100, 4096, 8);
        let geometry = parse(100 * 4096, |at| table[at]).unwrap();
        assert_eq!(
            geometry,
            Geometry {
                size: 409_600,
                block: 4096,
                write_buffer: 256,
                program_limit: 1 << 11,
                buffer_limit: 1 << 11,
                erase_limit: 1000 << 14,
            }
        );
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let check = |change: fn(&mut [u8; LENGTH]), mapped| {
            let mut table = example(16, 4096, 0);
            change(&mut table);
            parse(mapped, |at| table[at])
        };
        let unsupported = |result| matches!(result, Err(QueryError::Unsupported(_)));
        assert!(check(|_| {}, 65_536).is_ok());
        assert_eq!(
            check(|table| table[0x10] = 0xff, 65_536),
            Err(QueryError::Absent)
        );
        assert_eq!(check(|_| {}, 16), Err(QueryError::Absent));
        assert!(unsupported(check(|_| {}, 65_535)));
        assert!(unsupported(check(|table| table[0x13] = 2, 65_536)));
        assert!(unsupported(check(|table| table[0x2c] = 2, 65_536)));
        let slow = check(|table| table[0x1f..0x27].fill(0xff), 65_536).unwrap();
        assert_eq!(slow.erase_limit, 1000 << 30, "no overflow");
    }
}
