//! The machine itself. Interrupt controllers, ports and the serial line are the kernel's code.

pub mod interrupts;
pub mod memory;
pub mod pci;
pub mod processor;
pub mod registers;
pub mod svm;
pub mod vmx;

use heapless::Deque;
use microkernel::arch::port;

use crate::console::Wire;

/// The machine's serial line.
const SERIAL: u16 = 0x3f8;
const LINE_STATUS: u16 = SERIAL + 5;
const READY: u64 = 1;
const ROOM: u64 = 0x20;

/// The machine's serial line.
#[derive(Debug, Default)]
pub struct Serial {
    /// What arrived while something was sent. There may be no interrupt for it.
    arrived: Deque<u8, 256>,
}

impl Serial {
    /// It interrupts when a byte arrives (16550: FIFOs on, trigger level 1; IER; OUT2 in MCR).
    pub fn listen(&self) {
        port::write(SERIAL + 2, 1, 1);
        port::write(SERIAL + 1, 1, 1);
        port::write(SERIAL + 4, 1, 0x0b);
    }

    /// Whether something arrived while something else was sent.
    pub fn has_more(&self) -> bool {
        !self.arrived.is_empty()
    }
}

impl Wire for Serial {
    /// Waiting for room takes as long as a byte on the line, and as many may arrive: the chip keeps 16.
    fn send(&mut self, byte: u8) {
        loop {
            let status = port::read(LINE_STATUS, 1);
            if status & READY != 0 {
                // Full: it is lost, as it would be in the chip.
                let _ = self.arrived.push_back(port::read(SERIAL, 1) as u8);
            }
            if status & ROOM != 0 {
                return port::write(SERIAL, 1, byte.into());
            }
        }
    }

    fn receive(&mut self) -> Option<u8> {
        let waits = || port::read(LINE_STATUS, 1) & READY != 0;
        self.arrived.pop_front().or_else(|| waits().then(|| port::read(SERIAL, 1) as u8))
    }
}

/// Reads a register of the machine's clock, non-maskable interrupts on.
pub fn clock(register: u8) -> u8 {
    port::write(0x70, 1, register.into());
    port::read(0x71, 1) as u8
}
