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
const OVERRUN: u64 = 2;
const ROOM: u64 = 0x20;

/// The machine's serial line.
#[derive(Debug, Default)]
pub struct Serial {
    /// What arrived while something was sent. There may be no interrupt for it.
    arrived: Deque<u8, 256>,
    /// Bytes arrived for which there was no room.
    pub lost: bool,
}

impl Serial {
    /// It interrupts when a byte arrives (16550: FIFOs on, trigger level 1; IER; OUT2 in MCR).
    pub fn listen(&self) {
        port::write(SERIAL + 2, 1, 1);
        port::write(SERIAL + 1, 1, 1);
        port::write(SERIAL + 4, 1, 0x0b);
    }

    /// The line status. That a byte was lost it says once.
    fn status(&mut self) -> u64 {
        let status = port::read(LINE_STATUS, 1);
        self.lost |= status & OVERRUN != 0;
        status
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
            let status = self.status();
            if status & READY != 0 {
                self.lost |= self.arrived.push_back(port::read(SERIAL, 1) as u8).is_err();
            }
            if status & ROOM != 0 {
                return port::write(SERIAL, 1, byte.into());
            }
        }
    }

    fn receive(&mut self) -> Option<u8> {
        let arrived = self.arrived.pop_front();
        arrived.or_else(|| (self.status() & READY != 0).then(|| port::read(SERIAL, 1) as u8))
    }
}

/// Reads a register of the machine's clock, non-maskable interrupts on.
pub fn clock(register: u8) -> u8 {
    port::write(0x70, 1, register.into());
    port::read(0x71, 1) as u8
}
