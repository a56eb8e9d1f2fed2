//! Reads and writes of devices, as rows of the suite's matrix.

use crate::kernel::{Errno, Fd};
use core::ffi::CStr;
use core::ops::Range;
use linux_raw_sys::general::{O_DIRECT, O_RDONLY, O_RDWR};
use measure::Failure;
use measure::buffer::{Buffer, LARGEST};
use measure::clock::Samples;
use measure::row::{Port, Row};

/// Names in rows, and what Linux calls them. `disk` goes past the page cache, into the program's memory; `file` is in the page cache.
const DEVICES: [(&str, &CStr, u32); 4] = [
    ("null", c"/dev/null", O_RDWR),
    ("zero", c"/dev/zero", O_RDWR),
    ("disk", c"/dev/vda", O_RDWR | O_DIRECT),
    ("file", c"/dev/vda", O_RDONLY),
];

/// What is read, and into what.
pub struct Files {
    buffer: Buffer,
}

impl Default for Files {
    fn default() -> Files {
        Files {
            buffer: Buffer::new(LARGEST),
        }
    }
}

impl Files {
    /// Measures a row.
    ///
    /// # Errors
    /// There is no such device, or as [`Row::measure`].
    pub fn measure(&mut self, samples: usize, row: &Row<'_>) -> Result<Samples, Failure> {
        let device = DEVICES.iter().find(|device| device.0 == row.name());
        let (_, path, flags) = device.ok_or("there is no such device")?;
        let file = Fd::open(path, *flags).map_err(crate::told)?;
        let buffer = row.part(self.buffer.bytes())?;
        row.measure(samples, &mut Open { file, buffer })
    }
}

/// An open device, and a buffer.
struct Open<'a> {
    file: Fd,
    buffer: &'a mut [u8],
}

impl Port for Open<'_> {
    type Error = Errno;

    #[inline(always)]
    fn read(&mut self, range: Range<usize>) -> Result<usize, Errno> {
        let offset = range.start;
        self.file.read_at(&mut self.buffer[range], offset)
    }

    #[inline(always)]
    fn write(&mut self, range: Range<usize>) -> Result<usize, Errno> {
        let offset = range.start;
        self.file.write_at(&self.buffer[range], offset)
    }

    fn wait(&mut self) -> Result<(), Errno> {
        Ok(())
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.buffer
    }
}
