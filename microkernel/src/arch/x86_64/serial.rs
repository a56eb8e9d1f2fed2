//! The serial line (16550 at 0x3f8) for the kernel's log at boot and for panics.
//!
//! A crate finds it and sets it up. A byte is sent by two ports here: the crate's errors, which can not happen then, are more text
//! than the rest of this file.

use spin::Mutex;
use uart_16550::{BaudRate, Config, Uart16550, spec::registers::LSR};

use super::{BARE, port};

/// Its first port, at which bytes are sent; and the one of its line status.
const DATA: u16 = 0x3f8;
const STATUS: u16 = DATA + 5;

/// Whether there is one.
static FOUND: Mutex<bool> = Mutex::new(false);

/// Finds and sets up the line; without one the log goes to the ring only.
pub fn init() {
    // SAFETY: the kernel owns the port until root gives it to a driver, and after that only to report a panic.
    if let Ok(mut uart) = unsafe { Uart16550::new_port(DATA) }
        && uart.init(Config { baud_rate: BaudRate::Baud115200, ..Config::default() }).is_ok()
    {
        *FOUND.lock() = true;
    }
}

/// Writes a byte, LF as CR LF.
pub fn write(byte: u8) {
    if BARE && *FOUND.lock() {
        if byte == b'\n' {
            send(b'\r');
        }
        send(byte);
    }
}

fn send(byte: u8) {
    wait_for(LSR::THR_EMPTY);
    port::write(DATA, 1, byte as u64);
}

fn wait_for(status: LSR) {
    while port::read(STATUS, 1) as u8 & status.bits() == 0 {}
}

/// Waits until the last byte has left.
pub fn drain() {
    if BARE && *FOUND.lock() {
        wait_for(LSR::TRANSMITTER_EMPTY);
    }
}

/// The kernel is about to panic, perhaps in the middle of [`write`].
pub fn take_over() {
    // SAFETY: the CPU that held the lock is the one that panics; it never returns to the holder.
    unsafe { FOUND.force_unlock() };
}
