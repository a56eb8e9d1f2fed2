//! A row of the matrix: `read.STRUCTURE.DEVICE.SIZE`, `write.…`, with a suffix for a way to move the data; and
//! `digest.STRUCTURE.DEVICE.SIZE`, with which a test compares what was read.

use crate::Failure;
use crate::clock::{self, Samples};
use crate::frame;
use alloc::format;
use core::cell::RefCell;
use core::fmt::Display;
use core::ops::Range;

/// Operations in one sample, where no device has a part and few bytes are moved.
const BATCH: u64 = 16;
/// Most bytes of one operation that is done in batches.
const BATCHED: usize = 4096;
/// Bytes of all samples of a row: of large sizes there are fewer.
const BYTES: usize = 64 << 20;
/// Samples that there are of any size, if so many are wanted.
const FEWEST: usize = 32;
/// Samples, at most, of rows with a device: it takes its time, and nearly all samples are alike.
const WAITED: usize = 32;
/// Where few samples are wanted, such rows have one in so many of them.
const FEWER: usize = 16;
/// Samples of a write that erases: each takes an emulator long.
const ERASED: usize = 8;
/// What a read of nothing offers: an empty buffer would be asked for nowhere.
const OFFERED: usize = 64;

/// Scan code (set 1) of a key that types one byte.
const KEY_A: u8 = 0x1e;

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

    /// Measures it.
    ///
    /// # Errors
    /// What the system says, or what came is not what should have come.
    pub fn measure(&self, samples: usize, port: &mut impl Port) -> Result<Samples, Failure> {
        match self.device {
            "net" if self.size < frame::SHORTEST => return Err("no frame is so short".into()),
            "net" => self.meet(port)?,
            _ => {}
        }
        match self.verb {
            Verb::Read if self.size == 0 => {
                clock::loops(samples, BATCH, || match told(port.read(0..OFFERED))? {
                    0 => Ok(()),
                    count => Err(moved(count, 0)),
                })
            }
            Verb::Read if self.device == "keyboard" => self.sampled(samples, port, typed),
            Verb::Read => self.sampled(samples, port, |port, part| port.read(part)),
            Verb::Write => self.sampled(samples, port, |port, part| port.write(part)),
            Verb::Digest => {
                self.prepare(port)?;
                match self.device {
                    "keyboard" => all(self.size, |part| typed(port, part))?,
                    _ => all(self.size, |part| port.read(part))?,
                }
                Ok(Samples {
                    ticks: [digest(&port.bytes()[..self.size])].into(),
                    batch: 1,
                    overhead: 0,
                })
            }
        }
    }

    /// Gives what is written its content, and a read something to read.
    fn prepare(&self, port: &mut impl Port) -> Result<(), Failure> {
        match (self.verb, self.device) {
            (Verb::Write, "net") => {
                // What was sent before is on its way when this has come back: the device has nothing to do then.
                self.echo(port)?;
                told(port.read(0..frame::LONGEST))?;
                frame::unanswered(&mut port.bytes()[..self.size]);
            }
            (Verb::Write, _) => change(&mut port.bytes()[..self.size]),
            (_, "net") => self.echo(port)?,
            _ => {}
        }
        Ok(())
    }

    /// Has the network's host send a frame, and waits for it.
    fn echo(&self, port: &mut impl Port) -> Result<(), Failure> {
        frame::echo(&mut port.bytes()[..self.size]);
        told(port.write(0..self.size))?;
        told(port.wait())
    }

    /// Makes the network's host know us, and waits until nothing else than what we ask for comes.
    fn meet(&self, port: &mut impl Port) -> Result<(), Failure> {
        let length = frame::announce(port.bytes());
        told(port.write(0..length))?;
        self.echo(port)?;
        loop {
            let length = told(port.read(0..frame::LONGEST))?;
            if length == self.size && frame::is_reply(&port.bytes()[..length]) {
                return Ok(());
            }
            told(port.wait())?;
        }
    }

    #[inline(always)]
    fn sampled<P: Port>(
        &self,
        samples: usize,
        port: &mut P,
        operation: impl Fn(&mut P, Range<usize>) -> Result<usize, P::Error>,
    ) -> Result<Samples, Failure> {
        let size = self.size;
        if self.device == "null" {
            let samples = samples.min((BYTES / size.max(1)).max(FEWEST));
            let batch = if size > BATCHED { 1 } else { BATCH };
            return clock::loops(samples, batch, || all(size, |part| operation(port, part)));
        }
        let most = match (self.verb, self.device) {
            // Each erases, or it would be none: bits can only be cleared.
            (Verb::Write, "flash") => ERASED,
            _ => WAITED,
        };
        let port = RefCell::new(port);
        clock::singles(
            most.min(samples.div_ceil(FEWER)),
            || self.prepare(*port.borrow_mut()),
            || all(size, |part| operation(*port.borrow_mut(), part)),
        )
    }
}

/// Strikes a key and reads what it typed. A keyboard's read would wait for good otherwise.
#[inline(always)]
fn typed<P: Port>(port: &mut P, part: Range<usize>) -> Result<usize, P::Error> {
    let key = part.start..part.start + 1;
    port.bytes()[part.start] = KEY_A;
    port.write(key.clone())?;
    port.read(key)
}

/// Changes each byte, so that some of its bits are set and some are cleared.
fn change(bytes: &mut [u8]) {
    let value = if bytes.first() == Some(&0x55) {
        0xaa
    } else {
        0x55
    };
    bytes.fill(value);
}

/// Moves `size` bytes, as many at a time as the system wants to.
#[inline(always)]
fn all<E: Display>(
    size: usize,
    mut part: impl FnMut(Range<usize>) -> Result<usize, E>,
) -> Result<(), Failure> {
    let mut done = 0;
    while done < size {
        match told(part(done..size))? {
            0 => return Err(moved(done, size)),
            count => done += count,
        }
    }
    Ok(())
}

/// An error in words.
#[inline(always)]
fn told<T, E: Display>(result: Result<T, E>) -> Result<T, Failure> {
    result.map_err(words)
}

/// Some bytes were moved, and not as many as they should have been. Not inlined, nor is [`words`]: the loops stay short.
#[cold]
#[inline(never)]
fn moved(count: usize, size: usize) -> Failure {
    format!("{count} bytes were moved instead of {size}")
}

#[cold]
#[inline(never)]
fn words(error: impl Display) -> Failure {
    format!("{error}")
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

    /// A device that moves at most three bytes at a time, of as many as there are.
    struct Slow(Vec<u8>, usize);

    impl Port for Slow {
        type Error = &'static str;
        fn read(&mut self, range: Range<usize>) -> Result<usize, &'static str> {
            let end = range.end.min(range.start + 3).min(self.1);
            let bytes = self.0.get_mut(range.start..end).unwrap_or_default();
            bytes.fill(7);
            Ok(bytes.len())
        }
        fn write(&mut self, _: Range<usize>) -> Result<usize, &'static str> {
            Err("no")
        }
        fn wait(&mut self) -> Result<(), &'static str> {
            Ok(())
        }
        fn bytes(&mut self) -> &mut [u8] {
            &mut self.0
        }
    }

    #[test]
    fn all_bytes_must_come() {
        let digest_of = |there| {
            let row = Row::parse("digest.call.disk.10").expect("it is one");
            row.measure(1, &mut Slow(vec![0; 10], there))
        };
        let samples = digest_of(10).expect("there are ten");
        assert_eq!(samples.ticks, [digest(&[7; 10])]);
        assert!(digest_of(9).is_err());
    }
}
