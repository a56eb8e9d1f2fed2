//! Switching the machine off.

use crate::slots::{ACPI_PORTS, BOCHS_PORTS, EXIT_PORTS, SERIAL_PORTS, SYSTEM};
use bootinfo::{Acpi, exit};
use core::fmt::{self, Write};

/// First port of the serial line.
const SERIAL: u16 = 0x3f8;
/// PM1a_CNT: SLP_EN with sleep type 0, which is S5 on QEMU's machines (ACPI 6.5, 4.8.3.2.1).
const SOFT_OFF: u32 = 1 << 13;

/// Makes the capabilities that switching off and root's last words need.
pub fn prepare(acpi: &Acpi) {
    let _ = SYSTEM.io_ports(exit::PORT, 4, EXIT_PORTS.0);
    let _ = SYSTEM.io_ports(exit::BOCHS_PORT, 1, BOCHS_PORTS.0);
    let _ = SYSTEM.io_ports(SERIAL, 8, SERIAL_PORTS.0);
    if acpi.pm1a_control != 0 {
        let _ = SYSTEM.io_ports(acpi.pm1a_control, 2, ACPI_PORTS.0);
    }
}

/// Ends the run with `value` (see [`exit`]). `pm1a_control` = 0: there is none.
pub fn off(value: u8, pm1a_control: u16) -> ! {
    let _ = EXIT_PORTS.write(exit::PORT, 1, value as u32);
    let _ = write!(Serial, "{}{value}\r\n", exit::MARK);
    Serial.drain();
    for byte in exit::BOCHS_OFF {
        let _ = BOCHS_PORTS.write(exit::BOCHS_PORT, 1, u32::from(*byte));
    }
    let _ = ACPI_PORTS.write(pm1a_control, 2, SOFT_OFF);
    // None of them exists: nothing runs any more, because root has the highest priority and does not give way.
    loop {
        core::hint::spin_loop();
    }
}

/// Root cannot go on. Its last words go to the serial line even when a driver owns it. Needs no heap.
pub fn fail(why: fmt::Arguments) -> ! {
    let _ = writeln!(Serial, "\r\nroot: {why}\r");
    off(exit::ROOT_FAILED, 0)
}

struct Serial;

/// Bits of the line status (16550, LSR): there is room; the last byte has left.
const ROOM: u32 = 0x20;
const EMPTY: u32 = 0x40;

impl Serial {
    /// Waits for a bit of the line status. The bound is for a missing UART.
    fn wait(&self, bit: u32) {
        let _ = (0..100_000).any(|_| SERIAL_PORTS.read(SERIAL + 5, 1).unwrap_or(bit) & bit != 0);
    }

    /// Waits until the last byte has left.
    fn drain(&self) {
        self.wait(EMPTY);
    }
}

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.wait(ROOM);
            let _ = SERIAL_PORTS.write(SERIAL, 1, byte as u32);
        }
        Ok(())
    }
}
