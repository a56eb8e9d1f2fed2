//! Reads and writes through servers, with `libsys`'s ordinary handle.

use crate::Failure;
use crate::clock::{self, Samples};
use alloc::{format, vec};
use core::ops::Range;
use libsys::handle::{Handle, IoError, answered};
use libsys::object::IoPorts;
use libsys::proto::io::READABLE;
use libsys::proto::program::Device;
use libsys::rt;
use libsys::shared::Shared;
use libsys::syscall::{self, Slot};
use measure::buffer::{Buffer, LARGEST};
use measure::row::{Port, Row, store};
use null::READ_WORDS;

/// First port of the 8254.
const TIMER: u16 = 0x40;
/// Bytes of a page: shared memory consists of whole ones.
const PAGE: usize = 4096;
/// From so many bytes on the disk, which reads whole sectors, is read best into shared memory.
const SHARED_FROM: usize = 512;
/// Up to so many bytes registers are the best way: none, because the message brings as few bytes at less cost.
const IN_REGISTERS: usize = 0;
/// Reads in one sample, where no device has a part.
const BATCH: u64 = 16;

/// An error of a server, in words.
fn refused(error: IoError) -> Failure {
    format!("{error}")
}

/// Stops channel 0 of the machine's 8254, which nobody uses and firmware has left running: an emulator whose processor waits for
/// a device would jump to its next tick (8254 data sheet, "Control Word Format").
fn stop_timer() -> Result<(), Failure> {
    let ports = rt::info().devices.iter().find_map(|device| match device {
        Device::Ports {
            slot, base: TIMER, ..
        } => Some(IoPorts(Slot(*slot))),
        _ => None,
    });
    let ports = ports.ok_or("it needs the ports of the 8254")?;
    // Mode 0: it counts to 0 once, from a number in two bytes.
    for (port, value) in [(TIMER + 3, 0x30), (TIMER, 1), (TIMER, 0)] {
        ports.write(port, 1, value).map_err(crate::kernel)?;
    }
    Ok(())
}

/// Measures a row of the matrix.
pub fn row(samples: usize, row: &Row<'_>) -> Result<Samples, Failure> {
    stop_timer()?;
    let name = match row.name() {
        "null" => "null:",
        "zero" => "zero:",
        "disk" => "disk:0",
        "flash" => "flash:0",
        "keyboard" => "keyboard:",
        "net" => "net:",
        _ => return Err("there is no such device".into()),
    };
    let handle = Handle::open(name).map_err(refused)?;
    let from = if row.device == "disk" {
        SHARED_FROM
    } else {
        usize::MAX
    };
    if row.is_shared(from) {
        let memory = Shared::new(name, row.size.next_multiple_of(PAGE)).map_err(refused)?;
        memory.attach(&handle).map_err(refused)?;
        return row.measure(samples, &mut Uncopied { handle, memory });
    }
    let mut buffer = Buffer::new(LARGEST);
    let memory = row.part(buffer.bytes())?;
    if row.is_in_registers(IN_REGISTERS) {
        return row.measure(samples, &mut Words { handle, memory });
    }
    row.measure(samples, &mut Copied { handle, memory })
}

/// A session of a server, and memory of this program.
struct Copied<'a> {
    handle: Handle,
    memory: &'a mut [u8],
}

impl Port for Copied<'_> {
    type Error = IoError;

    #[inline(always)]
    fn read(&mut self, range: Range<usize>) -> Result<usize, IoError> {
        let at = range.start as u64;
        self.handle.read_at(at, &mut self.memory[range])
    }

    #[inline(always)]
    fn write(&mut self, range: Range<usize>) -> Result<usize, IoError> {
        let at = range.start as u64;
        self.handle.write_at(at, &self.memory[range])
    }

    fn wait(&mut self) -> Result<(), IoError> {
        self.handle.wait(READABLE).map(drop)
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.memory
    }
}

/// A session of `null`, which answers with bytes in registers.
struct Words<'a> {
    handle: Handle,
    memory: &'a mut [u8],
}

impl Port for Words<'_> {
    type Error = IoError;

    #[inline(always)]
    fn read(&mut self, range: Range<usize>) -> Result<usize, IoError> {
        let words = [range.len() as u64, 0, 0, 0];
        let words = answered(syscall::call(self.handle.slot(), READ_WORDS, words))?;
        Ok(store(&words, &mut self.memory[range]))
    }

    fn write(&mut self, _: Range<usize>) -> Result<usize, IoError> {
        Err(IoError::BadRequest)
    }

    fn wait(&mut self) -> Result<(), IoError> {
        Ok(())
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.memory
    }
}

/// A session of a server, and memory that is shared with it and its device.
struct Uncopied {
    handle: Handle,
    memory: Shared,
}

impl Port for Uncopied {
    type Error = IoError;

    #[inline(always)]
    fn read(&mut self, range: Range<usize>) -> Result<usize, IoError> {
        let pieces = [(range.start, range.len())];
        self.memory.read(&self.handle, range.start as u64, &pieces)
    }

    #[inline(always)]
    fn write(&mut self, range: Range<usize>) -> Result<usize, IoError> {
        let pieces = [(range.start, range.len())];
        self.memory.write(&self.handle, range.start as u64, &pieces)
    }

    fn wait(&mut self) -> Result<(), IoError> {
        self.handle.wait(READABLE).map(drop)
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.memory.bytes()
    }
}

/// Reads `size` bytes at the beginning of a file, in batches: the file system has it in its cache.
pub fn file(samples: usize, name: &str, size: usize) -> Result<Samples, Failure> {
    let (handle, mut buffer) = (Handle::open(name).map_err(refused)?, vec![0; size]);
    clock::loops(samples, BATCH, || match handle.read_at(0, &mut buffer) {
        Ok(count) if count == size => Ok(()),
        Ok(count) => Err(format!("{count} bytes came instead of {size}")),
        Err(error) => Err(refused(error)),
    })
}
