//! Lines for the host tool, written to the serial port without a driver: nothing else runs, and no interrupt is on.

use crate::clock::Samples;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use libsys::object::IoPorts;
use libsys::proto::program::Device;
use libsys::rt;
use libsys::syscall::Slot;

/// Line status register, and its bit "room for output" (16550 data sheet, LSR).
const STATUS: u16 = 5;
const ROOM: u32 = 1 << 5;
/// Bytes the 16550 takes at once.
const FIFO: usize = 16;

/// The serial port. Every line begins with a mark that holds the nonce of this boot.
pub struct Report<'a> {
    nonce: &'a str,
    ports: IoPorts,
    base: u16,
}

impl<'a> Report<'a> {
    /// # Errors
    /// The program has no ports.
    pub fn new(nonce: &'a str) -> Result<Self, &'static str> {
        let ports = rt::info().devices.iter().find_map(|device| match device {
            Device::Ports { slot, base, .. } => Some((IoPorts(Slot(*slot)), *base)),
            _ => None,
        });
        let (ports, base) = ports.ok_or("it needs the serial port")?;
        Ok(Self { nonce, ports, base })
    }

    /// The port itself, for measurements of its interrupt.
    pub fn ports(&self) -> (IoPorts, u16) {
        (self.ports, self.base)
    }

    /// All samples, as counts of each value.
    pub fn result(&self, id: &str, samples: &Samples) {
        let mut counts = BTreeMap::new();
        for ticks in &samples.ticks {
            *counts.entry(*ticks).or_insert(0u64) += 1;
        }
        let counts: String = counts
            .iter()
            .map(|(ticks, count)| format!(" {ticks}*{count}"))
            .collect();
        let (batch, overhead) = (samples.batch, samples.overhead);
        self.line(&format!("result {id} {batch} {overhead}{counts}"));
    }

    /// Why there are none.
    pub fn failed(&self, id: &str, failure: &str) {
        self.line(&format!("failed {id} {failure}"));
    }

    /// Core cycles are counted from here on.
    pub fn cycles(&self) {
        self.line("cycles");
    }

    /// What is to be traced begins.
    pub fn ready(&self) {
        self.line("ready");
    }

    /// Nothing follows.
    pub fn end(&self) {
        self.line("end");
    }

    fn line(&self, text: &str) {
        self.plain(&format!("\x1ebench {} {text}", self.nonce));
    }

    /// A line for a person.
    pub fn plain(&self, line: &str) {
        let line = format!("{line}\r\n");
        for piece in line.as_bytes().chunks(FIFO) {
            while self
                .ports
                .read(self.base + STATUS, 1)
                .is_ok_and(|status| status & ROOM == 0)
            {}
            // The port is this program's: it can be written.
            let _ = self.ports.write_block(self.base, piece);
        }
    }
}
