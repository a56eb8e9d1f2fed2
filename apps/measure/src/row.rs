//! A row of the matrix: `read.STRUCTURE.DEVICE.SIZE`, `write.…`, with a suffix for a way to move the data; and
//! `digest.STRUCTURE.DEVICE.SIZE`, with which a test compares what was read.

use crate::Failure;
use crate::clock::Samples;
use crate::frame;
use core::fmt::Display;
use core::ops::Range;

/// What a read of nothing offers: an empty buffer would be asked for nowhere.
pub(crate) const OFFERED: usize = 64;

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Bytes come.
    Read,
    /// Bytes go.
    Write,
    /// Bytes come, and their digest is what is told.
    Digest,
}

/// How the bytes move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// As is best for the size.
    Best,
    /// The system copies them.
    Copy,
    /// The device has them from, or puts them into, memory that is shared with it.
    Shared,
    /// In registers.
    Registers,
}

/// A row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// What is done.
    pub verb: Verb,
    /// With what.
    pub device: &'a str,
    /// How many bytes; 0 only of `null`.
    pub size: usize,
    /// How.
    pub path: Path,
}

/// A structure: where a program asks for bytes.
pub trait Structure {
    /// Measures a row, with the port that it is about.
    ///
    /// # Errors
    /// There is no such device or no such way, or as [`Row::measure`].
    fn measure(&mut self, samples: usize, row: &Row<'_>) -> Result<Samples, Failure>;

    /// Measures an id that is no row.
    ///
    /// # Errors
    /// There is no such id, or as the system says.
    fn other(&mut self, _samples: usize, _id: &str) -> Result<Samples, Failure> {
        Err("no such id".into())
    }
}

/// An open device, and a buffer.
pub trait Port {
    /// What the system says if it does not do what it is asked for.
    type Error: Display;

    /// Reads from the device's byte `range.start` on into the buffer, from there on. Returns how many bytes came.
    ///
    /// # Errors
    /// As the system says.
    fn read(&mut self, range: Range<usize>) -> Result<usize, Self::Error>;

    /// Writes a part of the buffer to the same place of the device. Returns how many bytes went.
    ///
    /// # Errors
    /// As the system says.
    fn write(&mut self, range: Range<usize>) -> Result<usize, Self::Error>;

    /// The buffer.
    fn bytes(&mut self) -> &mut [u8];

    /// Waits until there is something to read, if it is not always there.
    ///
    /// # Errors
    /// As the system says.
    fn wait(&mut self) -> Result<(), Self::Error>;
}

impl<'a> Row<'a> {
    /// `None`: `id` is none of a row.
    pub fn parse(id: &'a str) -> Option<Self> {
        let mut words = id.split('.');
        let verb = match words.next()? {
            "read" => Verb::Read,
            "write" => Verb::Write,
            "digest" => Verb::Digest,
            _ => return None,
        };
        let (_, device, size) = (words.next()?, words.next()?, words.next()?);
        let path = match words.next() {
            None => Path::Best,
            Some("copy") => Path::Copy,
            Some("shared") => Path::Shared,
            Some("regs") => Path::Registers,
            Some(_) => return None,
        };
        Some(Row {
            verb,
            device,
            size: size.parse().ok()?,
            path,
        })
    }

    /// The part of a buffer that it needs.
    ///
    /// # Errors
    /// The buffer is too small.
    pub fn part<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b mut [u8], Failure> {
        let least = if self.device == "net" {
            frame::LONGEST
        } else {
            OFFERED
        };
        let part = buffer.get_mut(..self.size.max(least));
        part.ok_or_else(|| "the buffer is too small".into())
    }

    /// The name of what is opened: of the driver without hardware there is one that has nothing, and one that has zeros.
    pub fn name(&self) -> &'a str {
        match (self.device, self.verb, self.size) {
            ("null", Verb::Read | Verb::Digest, 1..) => "zero",
            (device, ..) => device,
        }
    }

    /// Whether the device moves the bytes itself, where from `from` bytes on that is best.
    pub fn is_shared(&self, from: usize) -> bool {
        match self.path {
            Path::Best => self.size >= from,
            Path::Copy | Path::Registers => false,
            Path::Shared => true,
        }
    }

    /// Whether the bytes come in registers, where up to `most` bytes that is best.
    pub fn is_in_registers(&self, most: usize) -> bool {
        let can = self.device == "null" && self.verb != Verb::Write;
        match self.path {
            Path::Best => can && (1..=most).contains(&self.size),
            Path::Registers => can,
            Path::Copy | Path::Shared => false,
        }
    }
}

/// Stores bytes that came in registers. Returns how many there was room for.
#[inline(always)]
pub fn store(words: &[u64], bytes: &mut [u8]) -> usize {
    let (mut words, count) = (words.iter(), bytes.len().min(size_of_val(words)));
    // Whole words first: a copy of a known length is one instruction.
    let mut whole = bytes[..count].chunks_exact_mut(8);
    for (part, word) in (&mut whole).zip(&mut words) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    if let Some(word) = words.next() {
        for (index, byte) in whole.into_remainder().iter_mut().enumerate() {
            *byte = (word >> (8 * index)) as u8;
        }
    }
    count
}

/// The FNV-1a hash (64 bits) of bytes.
pub fn digest(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rows() {
        let row = Row::parse("read.trap.disk.4096.copy");
        assert_eq!(
            row,
            Some(Row {
                verb: Verb::Read,
                device: "disk",
                size: 4096,
                path: Path::Copy
            })
        );
        let name = |id| Row::parse(id).map(|row| row.name());
        assert_eq!(name("read.call.null.0"), Some("null"));
        assert_eq!(name("read.call.null.1"), Some("zero"));
        assert_eq!(name("write.call.null.1"), Some("null"));
        let shared = |id| Row::parse(id).map(|row| row.is_shared(2048));
        assert_eq!(shared("read.ipc.disk.1024"), Some(false));
        assert_eq!(shared("read.ipc.disk.1024.shared"), Some(true));
        assert_eq!(shared("read.ipc.disk.4096"), Some(true));
        assert_eq!(shared("read.ipc.disk.4096.copy"), Some(false));
        for id in [
            "",
            "read.call.disk",
            "read.call.disk.x",
            "read.call.disk.1.x",
            "trap.null",
        ] {
            assert_eq!(Row::parse(id), None, "{id}");
        }
    }

    #[test]
    fn the_best_way_hangs_on_the_size() {
        let registers = |id| Row::parse(id).map(|row| row.is_in_registers(8));
        for id in ["read.ipc.null.1", "read.ipc.null.16.regs"] {
            assert_eq!(registers(id), Some(true), "{id}");
        }
        for id in [
            "read.ipc.null.0",
            "read.ipc.null.16",
            "read.ipc.null.1.copy",
            "write.ipc.null.1",
            "read.ipc.disk.1",
        ] {
            assert_eq!(registers(id), Some(false), "{id}");
        }
    }

    #[test]
    fn words_are_stored() {
        let mut bytes = [0; 10];
        assert_eq!(store(&[0x0807_0605_0403_0201, 0x0a09], &mut bytes), 10);
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(store(&[0x0807_0605_0403_0201, 0], &mut bytes[..1]), 1);
    }

    #[test]
    fn a_digest_is_that_of_the_definition() {
        assert_eq!(digest(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(digest(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
