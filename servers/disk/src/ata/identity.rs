//! What a drive says of itself (ATA/ATAPI-6, 8.15: IDENTIFY DEVICE).

use crate::range::SECTOR;

/// What the driver needs to know of a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Identity {
    /// How many sectors it has.
    pub sectors: u64,
    /// Addresses have 48 bits.
    pub wide: bool,
    /// It has a cache that can be flushed.
    pub flush: bool,
}

/// Why a channel has no disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Nothing is there, or something else.
    NoDevice,
    /// A disk that is not understood: why.
    Unsupported(&'static str),
}

impl Identity {
    /// Reads the sector that the drive answers with.
    pub fn parse(sector: &[u8; SECTOR]) -> Result<Identity, Absent> {
        let word = |at: usize| u16::from_le_bytes([sector[2 * at], sector[2 * at + 1]]);
        let number = |at: usize, words: usize| {
            let words = (at..at + words).rev().map(word);
            words.fold(0, |number: u64, word| number << 16 | u64::from(word))
        };
        // Words 83 and 106 mean something only if their upper bits are 01.
        let valid = |at: usize| match word(at) >> 14 {
            0b01 => word(at),
            _ => 0,
        };
        if word(0) & 1 << 15 != 0 {
            return Err(Absent::NoDevice);
        }
        if word(49) & 1 << 9 == 0 {
            return Err(Absent::Unsupported("it knows no sector numbers"));
        }
        if valid(106) & 1 << 12 != 0 {
            return Err(Absent::Unsupported("its sectors are longer than 512 bytes"));
        }
        let features = valid(83);
        let wide = features & 1 << 10 != 0;
        let sectors = match wide {
            true => number(100, 4),
            false => number(60, 2),
        };
        // So that bytes can be counted, and short addresses are enough.
        let most = if wide { 1 << 48 } else { 1 << 28 };
        if !(1..=most).contains(&sectors) {
            return Err(Absent::Unsupported("it has an impossible size"));
        }
        Ok(Identity {
            sectors,
            wide,
            flush: features & 1 << if wide { 13 } else { 12 } != 0,
        })
    }
}
