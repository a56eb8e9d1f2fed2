//! The serial line (16550 at 0x3f8) for the kernel's log at boot and for panics.

use spin::Mutex;
use uart_16550::{Config, Uart16550, backend::PioBackend, spec::registers::LSR};

use super::BARE;

static UART: Mutex<Option<Uart16550<PioBackend>>> = Mutex::new(None);

/// Finds and sets up the line; without one the log goes to the ring only.
pub fn init() {
    // SAFETY: the kernel owns the port until root gives it to a driver, and after that only to report a panic.
    if let Ok(mut uart) = unsafe { Uart16550::new_port(0x3f8) }
        && uart.init(Config::default()).is_ok()
    {
        *UART.lock() = Some(uart);
    }
}

/// Writes a byte, LF as CR LF.
pub fn write(byte: u8) {
    if !BARE {
        return;
    }
    if let Some(uart) = UART.lock().as_mut() {
        if byte == b'\n' {
            uart.send_bytes_exact(b"\r\n");
        } else {
            uart.send_bytes_exact(&[byte]);
        }
    }
}

/// Waits until the last byte has left.
pub fn drain() {
    if let Some(uart) = UART.lock().as_mut() {
        while !uart.lsr().contains(LSR::TRANSMITTER_EMPTY) {}
    }
}

/// The kernel is about to panic, perhaps in the middle of [`write`].
pub fn take_over() {
    // SAFETY: the CPU that held the lock is the one that panics; it never returns to the holder.
    unsafe { UART.force_unlock() };
}
