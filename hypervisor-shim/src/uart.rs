//! The serial line of an instance: a 16550 that sends at once.

use heapless::Deque;
use uart_16550::spec::registers::{FCR, IER, LCR, LSR, MCR, MSR, offsets};

/// Interrupt identification: none, transmitter empty, data; FIFOs are on.
const NONE: u8 = 1;
const EMPTY: u8 = 2;
const RECEIVED: u8 = 4;
const FIFOS: u8 = 0xc0;

/// Bytes that wait to be read.
const INPUT: usize = 256;

/// A 16550.
#[derive(Debug, Default)]
pub struct Uart {
    input: Deque<u8, INPUT>,
    /// What was last written to the registers of which that is read.
    written: [u8; 8],
    fifos: bool,
    divisor: [u8; 2],
    /// "Transmitter empty" was not yet read since the last byte was sent.
    sent: bool,
    overrun: bool,
}

impl Uart {
    /// A byte arrives.
    pub fn receive(&mut self, byte: u8) {
        self.overrun |= self.input.push_back(byte).is_err();
    }

    /// Whether it asks for an interrupt.
    pub fn interrupting(&self) -> bool {
        self.cause() != NONE
    }

    fn cause(&self) -> u8 {
        let wanted = |cause: IER| self.written[offsets::IER] & cause.bits() != 0;
        if wanted(IER::DATA_READY) && !self.input.is_empty() {
            RECEIVED
        } else if wanted(IER::THR_EMPTY) && self.sent {
            EMPTY
        } else {
            NONE
        }
    }

    /// Ports 0 and 1 are the divisor.
    fn shows_divisor(&self) -> bool {
        self.written[offsets::LCR] & LCR::DLAB.bits() != 0
    }

    /// Reads register `register`, 0 to 7.
    pub fn read(&mut self, register: usize) -> u8 {
        match register {
            offsets::DATA | offsets::IER if self.shows_divisor() => self.divisor[register],
            offsets::DATA => self.input.pop_front().unwrap_or(0),
            offsets::ISR => {
                let cause = self.cause();
                self.sent &= cause != EMPTY;
                cause | if self.fifos { FIFOS } else { 0 }
            }
            offsets::LSR => {
                let mut status = LSR::THR_EMPTY | LSR::TRANSMITTER_EMPTY;
                status.set(LSR::DATA_READY, !self.input.is_empty());
                status.set(LSR::OVERRUN_ERROR, core::mem::take(&mut self.overrun));
                status.bits()
            }
            offsets::MSR => (MSR::CTS | MSR::DSR | MSR::CD).bits(),
            _ => self.written[register],
        }
    }

    /// Writes register `register`, 0 to 7. Returns the byte that is sent, if one is.
    pub fn write(&mut self, register: usize, value: u8) -> Option<u8> {
        match register {
            offsets::DATA | offsets::IER if self.shows_divisor() => self.divisor[register] = value,
            offsets::DATA => {
                self.sent = true;
                if self.written[offsets::MCR] & MCR::LOOP_BACK.bits() == 0 {
                    return Some(value);
                }
                self.receive(value);
            }
            offsets::IER => {
                // Asking for it while the transmitter is empty, which it always is, causes it.
                self.sent |= value & !self.written[register] & IER::THR_EMPTY.bits() != 0;
                self.written[register] = value & 0xf;
            }
            offsets::ISR => {
                let control = FCR::from_bits_retain(value);
                self.fifos = control.contains(FCR::FIFO_ENABLE);
                if control.contains(FCR::RX_FIFO_RESET) {
                    self.input.clear();
                }
            }
            offsets::MCR => self.written[register] = value & 0x1f,
            _ => self.written[register] = value,
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON_DATA: u8 = 1;
    const ON_EMPTY: u8 = 2;
    const LOOP: u8 = 0x10;
    const DIVISOR: u8 = 0x80;
    const READY: u8 = 1;
    const OVERRUN: u8 = 2;
    /// Both bits of an empty transmitter.
    const EMPTY_LINE: u8 = 0x60;

    #[test]
    fn bytes_go_out_and_come_in() {
        let mut uart = Uart::default();
        assert_eq!(uart.write(offsets::DATA, b'x'), Some(b'x'));
        assert_eq!(uart.read(offsets::LSR), EMPTY_LINE);
        uart.receive(b'y');
        assert_eq!(uart.read(offsets::LSR), EMPTY_LINE | READY);
        assert_eq!(uart.read(offsets::DATA), b'y');
        assert_eq!(uart.read(offsets::LSR), EMPTY_LINE);
    }

    #[test]
    fn interrupts_have_their_causes() {
        let mut uart = Uart::default();
        uart.receive(b'y');
        assert!(!uart.interrupting());
        uart.write(offsets::IER, ON_DATA | ON_EMPTY);
        assert_eq!(uart.read(offsets::ISR), RECEIVED);
        uart.read(offsets::DATA);
        assert_eq!(uart.read(offsets::ISR), EMPTY);
        assert_eq!(uart.read(offsets::ISR), NONE, "reading it took it back");
        uart.write(offsets::DATA, b'x');
        assert!(uart.interrupting());
    }

    #[test]
    fn loopback_divisor_and_overrun() {
        let mut uart = Uart::default();
        uart.write(offsets::MCR, LOOP);
        assert_eq!(uart.write(offsets::DATA, 7), None);
        assert_eq!(uart.read(offsets::DATA), 7);
        uart.write(offsets::LCR, DIVISOR);
        uart.write(offsets::DATA, 1);
        uart.write(offsets::IER, 2);
        assert_eq!((uart.read(offsets::DATA), uart.read(offsets::IER)), (1, 2));
        uart.write(offsets::LCR, 3);
        for _ in 0..=INPUT {
            uart.receive(0);
        }
        assert_eq!(uart.read(offsets::LSR), EMPTY_LINE | READY | OVERRUN);
        assert_eq!(uart.read(offsets::LSR), EMPTY_LINE | READY);
    }
}
