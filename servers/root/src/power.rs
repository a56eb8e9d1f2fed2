//! Switching the machine off.

use crate::slots::{ACPI_PORTS, EXIT_PORTS, SERIAL_PORTS, SYSTEM};
use bootinfo::{Acpi, exit};
use core::fmt::{self, Write};

/// First port of the serial line.
const SERIAL: u16 = 0x3f8;
/// PM1a_CNT: SLP_EN with sleep type 0, which is S5 on QEMU's machines (ACPI 6.5, 4.8.3.2.1).
const SOFT_OFF: u32 = 1 << 13;

/// Makes the capabilities that switching off and root's last words need.
pub fn prepare(acpi: &Acpi) {
    let _ = SYSTEM.io_ports(exit::PORT, 4, EXIT_PORTS.0);
    let _ = SYSTEM.io_ports(SERIAL, 8, SERIAL_PORTS.0);
    if acpi.pm1a_control != 0 {
        let _ = SYSTEM.io_ports(acpi.pm1a_control, 2, ACPI_PORTS.0);
    }
}

/// Ends the run with `value` (see [`exit`]). `pm1a_control` = 0: there is none.
pub fn off(value: u8, pm1a_control: u16) -> ! {
    let _ = EXIT_PORTS.write(exit::PORT, 1, value as u32);
    let _ = ACPI_PORTS.write(pm1a_control, 2, SOFT_OFF);
    // Neither exists: nothing runs any more, because root has the highest priority and does not give way.
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

impl Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // Bit 5 of the line status: there is room (16550, LSR). The bound is for a missing UART.
            let _ =
                (0..100_000).any(|_| SERIAL_PORTS.read(SERIAL + 5, 1).unwrap_or(0x20) & 0x20 != 0);
            let _ = SERIAL_PORTS.write(SERIAL, 1, byte as u32);
        }
        Ok(())
    }
}
