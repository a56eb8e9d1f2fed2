//! How a row is measured: what is prepared before each sample, how many there are, and how many operations each has.

use crate::Failure;
use crate::clock::{self, Samples};
use crate::frame;
use crate::row::{OFFERED, Port, Row, Verb, digest};
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
/// Scan code (set 1) of a key that types one byte.
const KEY_A: u8 = 0x1e;

impl Row<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
