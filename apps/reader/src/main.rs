//! The monolith's only user program: it measures reads and writes by system calls. The command line is that of
//! [`measure::run`].
#![cfg_attr(target_os = "none", no_std, no_main)]
#[cfg(target_os = "none")]
extern crate alloc;

mod mistakes;

use core::ops::Range;
use libsys::proto::io::IoError;
use measure::buffer::{Buffer, LARGEST};
use measure::clock::Samples;
use measure::row::{Port, Row, Structure, store};
use measure::{Failure, run};
use reader::{Call, read_words, trap};

/// Names of the monolith's devices, by their numbers.
const DEVICES: [&str; 6] = ["null", "zero", "disk", "flash", "keyboard", "net"];

/// From so many bytes on the disk writes this program's memory at less cost than a copy has.
const DIRECT_FROM: usize = 2048;

/// Up to so many bytes come back in registers at less cost than a copy has.
const REGISTERS: usize = 8;

/// Entry point, stack and heap: they are the program's own.
#[cfg(target_os = "none")]
mod bare {
    use reader::{Call, trap};
    use talc::{TalcLock, source::Claim};

    const STACK: usize = 64 << 10;
    const HEAP: usize = 4 << 20;

    bootinfo::entry_point!(start, STACK);

    extern "C" fn start() -> ! {
        exit(super::start())
    }

    #[global_allocator]
    static ALLOCATOR: TalcLock<spin::Mutex<()>, Claim> = {
        static mut ARENA: [u8; HEAP] = [0; HEAP];
        // SAFETY: nothing else names the arena.
        TalcLock::new(unsafe { Claim::array(&raw mut ARENA) })
    };

    #[panic_handler]
    fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
        super::print(&alloc::format!("reader: {info}\n"));
        exit(Err("panicked"))
    }

    fn exit(result: Result<(), &'static str>) -> ! {
        if let Err(why) = result {
            super::print(&alloc::format!("reader: {why}\n"));
        }
        loop {
            // SAFETY: it names no memory.
            let _ = unsafe { trap(Call::Exit as u64, [result.is_err().into(), 0, 0, 0]) };
        }
    }
}

/// On a host there is no monolith.
#[cfg(not(target_os = "none"))]
fn main() {
    if let Err(why) = start() {
        eprintln!("{why}. This runs above the monolith: type `cargo bench -- --only trap`.");
    }
    std::process::exit(2);
}

/// Lends memory for a system call.
#[inline(always)]
fn lend(call: Call, device: u64, buffer: &mut [u8], offset: usize) -> Result<usize, IoError> {
    let arguments = [
        device,
        buffer.as_mut_ptr() as u64,
        buffer.len() as u64,
        offset as u64,
    ];
    // SAFETY: the buffer is borrowed for writing as long as the call lasts.
    unsafe { trap(call as u64, arguments) }
}

fn print(text: &str) {
    // SAFETY: the text is borrowed as long as the call lasts, and only read.
    let printed = unsafe {
        trap(
            Call::Print as u64,
            [text.as_ptr() as u64, text.len() as u64, 0, 0],
        )
    };
    // There is nobody else to tell.
    let _ = printed;
}

/// The program.
struct Reader {
    buffer: Buffer,
}

/// A device, and a buffer.
struct Trap<'a> {
    device: u64,
    calls: (Call, Call),
    buffer: &'a mut [u8],
}

impl Structure for Reader {
    fn measure(&mut self, samples: usize, row: &Row<'_>) -> Result<Samples, Failure> {
        let device = DEVICES.iter().position(|name| *name == row.name());
        let calls = match row.is_shared(DIRECT_FROM) {
            true => (Call::Read, Call::Write),
            false => (Call::ReadCopied, Call::WriteCopied),
        };
        let trap = Trap {
            device: device.ok_or("there is no such device")? as u64,
            calls,
            buffer: row.part(self.buffer.bytes())?,
        };
        match row.is_in_registers(REGISTERS) {
            true => row.measure(samples, &mut Words(trap)),
            false => row.measure(samples, &mut { trap }),
        }
    }
}

/// The same for a device that answers in registers.
struct Words<'a>(Trap<'a>);

impl Port for Words<'_> {
    type Error = IoError;

    #[inline(always)]
    fn read(&mut self, range: Range<usize>) -> Result<usize, IoError> {
        let words = read_words(self.0.device, range.len())?;
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

impl Port for Trap<'_> {
    type Error = IoError;

    #[inline(always)]
    fn read(&mut self, range: Range<usize>) -> Result<usize, IoError> {
        let offset = range.start;
        lend(self.calls.0, self.device, &mut self.buffer[range], offset)
    }

    #[inline(always)]
    fn write(&mut self, range: Range<usize>) -> Result<usize, IoError> {
        let offset = range.start;
        lend(self.calls.1, self.device, &mut self.buffer[range], offset)
    }

    fn wait(&mut self) -> Result<(), IoError> {
        // SAFETY: it names no memory.
        unsafe { trap(Call::Wait as u64, [self.device, 0, 0, 0]) }.map(drop)
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.buffer
    }
}

fn start() -> Result<(), &'static str> {
    let mut line = [0; 4096];
    // SAFETY: the buffer is borrowed for writing as long as the call lasts.
    let length = unsafe {
        trap(
            Call::Arguments as u64,
            [line.as_mut_ptr() as u64, line.len() as u64, 0, 0],
        )
    };
    let length = length.map_err(|_| "it cannot have its arguments")?;
    let line = str::from_utf8(&line[..length]).map_err(|_| "its arguments are not text")?;
    if line.contains(mistakes::WORD) {
        return mistakes::all();
    }
    let mut reader = Reader {
        buffer: Buffer::new(LARGEST),
    };
    run::all(line, &mut reader, print)
}
