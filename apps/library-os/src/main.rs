//! The OS as a library: one program at ring 0 that is linked with the drivers and asks them by function calls. It boots in the
//! kernel's place (system `library-os`), and nothing protects anything from anything.
//!
//! The command line is that of [`measure::run`].
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use bootinfo::BootInfo;
use core::ops::Range;
use libsys::proto::io::IoError;
use measure::buffer::{Buffer, LARGEST};
use measure::clock::Samples;
use measure::row::{Port, Row, Structure, store};
use measure::{Failure, run};
use ring0::caller::Own;
use ring0::devices::{Devices, How, Name};
use ring0::line;

ring0::entry!(start);

/// From so many bytes on the disk writes the application's memory at less cost than a copy has.
const DIRECT_FROM: usize = 2048;

/// Up to so many bytes come back in registers at less cost than a copy has: none do.
const REGISTERS: usize = 0;

/// The function that is called. Not inlined: the figure is that of a call.
#[inline(never)]
fn read(
    devices: &mut Devices,
    (name, how): (Name, How),
    offset: u64,
    buffer: &mut [u8],
) -> Result<usize, IoError> {
    devices.read(name, how, offset, &Own::new(buffer))
}

/// [`read`], in the other direction.
#[inline(never)]
fn write(
    devices: &mut Devices,
    (name, how): (Name, How),
    offset: u64,
    buffer: &mut [u8],
) -> Result<usize, IoError> {
    devices.write(name, how, offset, &Own::new(buffer))
}

/// The application.
struct Library {
    devices: Devices,
    buffer: Buffer,
}

/// A device, and a buffer of the application.
struct Call<'a> {
    devices: &'a mut Devices,
    device: (Name, How),
    buffer: &'a mut [u8],
}

impl Structure for Library {
    fn measure(&mut self, samples: usize, row: &Row<'_>) -> Result<Samples, Failure> {
        let name = Name::parse(row.name()).ok_or("there is no such device")?;
        let buffer = row.part(self.buffer.bytes())?;
        let how = match row.is_shared(DIRECT_FROM) {
            true => How::Direct,
            false => How::Copied,
        };
        let call = Call {
            devices: &mut self.devices,
            device: (name, how),
            buffer,
        };
        match row.is_in_registers(REGISTERS) {
            true => row.measure(samples, &mut Words(call)),
            false => row.measure(samples, &mut { call }),
        }
    }
}

/// A function that returns bytes in registers: no more than two come back so.
#[inline(never)]
fn read_words(devices: &Devices, length: usize) -> [u64; 2] {
    devices.read_words(length)
}

/// The same for a device that answers in registers.
struct Words<'a>(Call<'a>);

impl Port for Words<'_> {
    type Error = IoError;

    #[inline(always)]
    fn read(&mut self, range: Range<usize>) -> Result<usize, IoError> {
        let words = read_words(self.0.devices, range.len());
        Ok(store(&words, &mut self.0.buffer[range]))
    }

    fn write(&mut self, _: Range<usize>) -> Result<usize, IoError> {
        Err(IoError::BadRequest)
    }

    fn wait(&mut self) -> Result<(), IoError> {
        Ok(())
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.0.buffer
    }
}

impl Port for Call<'_> {
    type Error = IoError;

    #[inline(always)]
    fn read(&mut self, range: Range<usize>) -> Result<usize, IoError> {
        let at = range.start as u64;
        read(self.devices, self.device, at, &mut self.buffer[range])
    }

    #[inline(always)]
    fn write(&mut self, range: Range<usize>) -> Result<usize, IoError> {
        let at = range.start as u64;
        write(self.devices, self.device, at, &mut self.buffer[range])
    }

    fn wait(&mut self) -> Result<(), IoError> {
        self.devices.wait(self.device.0)
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.buffer
    }
}

fn start(info: &BootInfo<'static>) -> Result<(), &'static str> {
    let mut library = Library {
        devices: Devices::find(info)?,
        buffer: Buffer::new(LARGEST),
    };
    run::all(info.command_line, &mut library, |text| {
        line::print(format_args!("{text}"));
    })
}
