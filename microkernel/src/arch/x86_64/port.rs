//! I/O ports.

use core::arch::asm;

use x86_64::instructions::port::Port;

use super::BARE;
use crate::log;

/// Reads 1, 2 or 4 bytes.
pub fn read(port: u16, width: u64) -> u64 {
    if !BARE {
        return port as u64 & ((1 << (8 * width)) - 1);
    }
    // SAFETY: the caller holds the port: the kernel itself, or a program through an IoPorts capability. Port I/O
    // touches no memory; a device that does DMA is trusted (no IOMMU).
    unsafe {
        match width {
            1 => Port::<u8>::new(port).read() as u64,
            2 => Port::<u16>::new(port).read() as u64,
            _ => Port::<u32>::new(port).read() as u64,
        }
    }
}

/// Writes 1, 2 or 4 bytes.
pub fn write(port: u16, width: u64, value: u64) {
    if !BARE {
        #[cfg(not(target_os = "none"))]
        super::host::set_machine(|machine| machine.written = Some((port, width, value)));
        return;
    }
    // SAFETY: as in `read`.
    unsafe {
        match width {
            1 => Port::new(port).write(value as u8),
            2 => Port::new(port).write(value as u16),
            _ => Port::new(port).write(value as u32),
        }
    }
}

/// Moves `count` units between a port and kernel memory at `address`.
pub fn block(port: u16, width: u64, count: u64, address: u64, input: bool) {
    if !BARE {
        return;
    }
    // SAFETY: `address` is the message buffer's block area; the caller checked that `count * width` fits it. The rest
    // as in `read`; the direction flag is clear in the kernel.
    unsafe {
        match (input, width) {
            (true, 1) => {
                asm!("rep insb", inout("rcx") count => _, inout("rdi") address => _, in("dx") port, options(nostack))
            }
            (true, 2) => {
                asm!("rep insw", inout("rcx") count => _, inout("rdi") address => _, in("dx") port, options(nostack))
            }
            (true, _) => {
                asm!("rep insd", inout("rcx") count => _, inout("rdi") address => _, in("dx") port, options(nostack))
            }
            (false, 1) => {
                asm!("rep outsb", inout("rcx") count => _, inout("rsi") address => _, in("dx") port, options(nostack))
            }
            (false, 2) => {
                asm!("rep outsw", inout("rcx") count => _, inout("rsi") address => _, in("dx") port, options(nostack))
            }
            (false, _) => {
                asm!("rep outsd", inout("rcx") count => _, inout("rsi") address => _, in("dx") port, options(nostack))
            }
        }
    }
}

/// Ends the machine, as [`bootinfo::exit`] says; where nothing ends it, it stops.
pub fn end_machine(value: u8) -> ! {
    use bootinfo::exit;
    write(exit::PORT, 1, value as u64);
    log!("{}{}", log::Text(exit::MARK), u64::from(value));
    super::serial::drain();
    for &byte in exit::BOCHS_OFF {
        write(exit::BOCHS_PORT, 1, byte as u64);
    }
    super::cpu::halt()
}
