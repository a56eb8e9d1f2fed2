//! Where a refusal is shown: the first serial port and the VGA text screen.

use core::fmt::{self, Write};

use bootinfo::exit;
use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::LSR;
use uart_16550::{Config, Uart16550};
use x86_64::instructions::port::Port;

/// The first serial port.
const SERIAL: u16 = 0x3f8;

/// VGA text memory, 80 by 25 cells of a character and its colours.
const SCREEN: *mut u16 = 0xb8000 as *mut u16;
const CELLS: usize = 80 * 25;
const WHITE_ON_BLACK: u16 = 0x0f00;

/// Shows one line and ends the machine as [`exit`] says; where nothing ends it, it stops.
pub fn refuse(message: fmt::Arguments<'_>) -> ! {
    let mut console = Console::new();
    // Neither port nor screen can fail.
    let _ = writeln!(console, "postern loader: {message}");
    console.finish();
    // SAFETY: QEMU's debug exit; on a machine without it the port is nobody's.
    unsafe { Port::new(exit::PORT).write(exit::LOADER_REFUSED) };
    let _ = writeln!(console, "{}{}", exit::MARK, exit::LOADER_REFUSED);
    console.finish();
    for byte in exit::BOCHS_OFF {
        // SAFETY: as above, for Bochs.
        unsafe { Port::new(exit::BOCHS_PORT).write(*byte) };
    }
    loop {
        x86_64::instructions::hlt();
    }
}

/// Both at once.
struct Console {
    serial: Option<Uart16550<PioBackend>>,
    cell: usize,
}

impl Console {
    /// A blank screen, and the serial port if it exists.
    fn new() -> Self {
        for cell in 0..CELLS {
            put(cell, b' ');
        }
        // SAFETY: the port is the PC's first serial port; the loader is alone on the machine.
        let serial = unsafe { Uart16550::new_port(SERIAL) };
        let serial = serial
            .ok()
            .and_then(|mut port| port.init(Config::default()).is_ok().then_some(port));
        Self { serial, cell: 0 }
    }

    /// Waits until the last byte has left.
    fn finish(&mut self) {
        if let Some(serial) = &mut self.serial {
            while !serial.lsr().contains(LSR::TRANSMITTER_EMPTY) {}
        }
    }
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if let Some(serial) = &mut self.serial {
                if byte == b'\n' {
                    serial.send_bytes_exact(b"\r");
                }
                serial.send_bytes_exact(&[byte]);
            }
            if byte != b'\n' && self.cell < CELLS {
                put(self.cell, byte);
                self.cell += 1;
            }
        }
        Ok(())
    }
}

/// Shows a character; `cell` is below [`CELLS`].
fn put(cell: usize, byte: u8) {
    // SAFETY: the cell is in text memory, which is mapped (`start.s`) and nobody's but ours; without a VGA the
    // write goes nowhere.
    unsafe {
        SCREEN
            .add(cell)
            .write_volatile(WHITE_ON_BLACK | u16::from(byte));
    }
}
