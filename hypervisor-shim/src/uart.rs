//! The serial line of an instance: a 16550 that sends at once.

use heapless::Deque;

/// Registers, by port.
const DATA: u16 = 0;
const INTERRUPTS: u16 = 1;
const IDENTIFICATION: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;
const MODEM_STATUS: u16 = 6;

/// Interrupt enable: data ready, transmitter empty.
const ON_DATA: u8 = 1;
const ON_EMPTY: u8 = 2;
/// Interrupt identification: none, transmitter empty, data; FIFOs are on.
const NONE: u8 = 1;
const EMPTY: u8 = 2;
const RECEIVED: u8 = 4;
const FIFOS: u8 = 0xc0;
/// FIFO control: FIFOs on, forget what was received.
const FIFO_ENABLE: u8 = 1;
const FIFO_CLEAR: u8 = 2;
/// Line control: ports 0 and 1 are the divisor.
const DIVISOR: u8 = 0x80;
/// Modem control: what is sent is received.
const LOOP: u8 = 0x10;
/// Line status: data ready, overrun, transmitter empty (both bits).
const READY: u8 = 1;
const OVERRUN: u8 = 2;
const SENT: u8 = 0x60;
/// Modem status: clear to send, data set ready, carrier.
const CONNECTED: u8 = 0xb0;

/// Bytes that wait to be read.
const INPUT: usize = 256;

/// A 16550.
#[derive(Debug, Default)]
pub struct Uart {
    input: Deque<u8, INPUT>,
    interrupts: u8,
    fifos: bool,
    line_control: u8,
    modem_control: u8,
    scratch: u8,
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
        if self.interrupts & ON_DATA != 0 && !self.input.is_empty() {
            RECEIVED
        } else if self.interrupts & ON_EMPTY != 0 && self.sent {
            EMPTY
        } else {
            NONE
        }
    }

    /// Reads register `register`, 0 to 7.
    pub fn read(&mut self, register: u16) -> u8 {
        let divisor = self.line_control & DIVISOR != 0;
        match register {
            DATA | INTERRUPTS if divisor => self.divisor[usize::from(register)],
            DATA => self.input.pop_front().unwrap_or(0),
            INTERRUPTS => self.interrupts,
            IDENTIFICATION => {
                let cause = self.cause();
                if cause == EMPTY {
                    self.sent = false;
                }
                cause | if self.fifos { FIFOS } else { 0 }
            }
            LINE_CONTROL => self.line_control,
            MODEM_CONTROL => self.modem_control,
            LINE_STATUS => {
                let mut status = SENT;
                if !self.input.is_empty() {
                    status |= READY;
                }
                if core::mem::take(&mut self.overrun) {
                    status |= OVERRUN;
                }
                status
            }
            MODEM_STATUS => CONNECTED,
            _ => self.scratch,
        }
    }

    /// Writes register `register`, 0 to 7. Returns the byte that is sent, if one is.
    pub fn write(&mut self, register: u16, value: u8) -> Option<u8> {
        let divisor = self.line_control & DIVISOR != 0;
        match register {
            DATA | INTERRUPTS if divisor => self.divisor[usize::from(register)] = value,
            DATA => {
                self.sent = true;
                if self.modem_control & LOOP != 0 {
                    self.receive(value);
                } else {
                    return Some(value);
                }
            }
            INTERRUPTS => {
                // Asking for it while the transmitter is empty, which it always is, causes it.
                self.sent |= value & !self.interrupts & ON_EMPTY != 0;
                self.interrupts = value & 0xf;
            }
            IDENTIFICATION => {
                self.fifos = value & FIFO_ENABLE != 0;
                if value & FIFO_CLEAR != 0 {
                    self.input.clear();
                }
            }
            LINE_CONTROL => self.line_control = value,
            MODEM_CONTROL => self.modem_control = value & 0x1f,
            7 => self.scratch = value,
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_out_and_come_in() {
        let mut uart = Uart::default();
        assert_eq!(uart.write(DATA, b'x'), Some(b'x'));
        assert_eq!(uart.read(LINE_STATUS), SENT);
        uart.receive(b'y');
        assert_eq!(uart.read(LINE_STATUS), SENT | READY);
        assert_eq!(uart.read(DATA), b'y');
        assert_eq!(uart.read(LINE_STATUS), SENT);
    }

    #[test]
    fn interrupts_have_their_causes() {
        let mut uart = Uart::default();
        uart.receive(b'y');
        assert!(!uart.interrupting());
        uart.write(INTERRUPTS, ON_DATA | ON_EMPTY);
        assert_eq!(uart.read(IDENTIFICATION), RECEIVED);
        uart.read(DATA);
        assert_eq!(uart.read(IDENTIFICATION), EMPTY);
        assert_eq!(uart.read(IDENTIFICATION), NONE, "reading it took it back");
        uart.write(DATA, b'x');
        assert!(uart.interrupting());
    }

    #[test]
    fn loopback_divisor_and_overrun() {
        let mut uart = Uart::default();
        uart.write(MODEM_CONTROL, LOOP);
        assert_eq!(uart.write(DATA, 7), None);
        assert_eq!(uart.read(DATA), 7);
        uart.write(LINE_CONTROL, DIVISOR);
        uart.write(DATA, 1);
        uart.write(INTERRUPTS, 2);
        assert_eq!((uart.read(DATA), uart.read(INTERRUPTS)), (1, 2));
        uart.write(LINE_CONTROL, 3);
        for _ in 0..=INPUT {
            uart.receive(0);
        }
        assert_eq!(uart.read(LINE_STATUS), SENT | READY | OVERRUN);
        assert_eq!(uart.read(LINE_STATUS), SENT | READY);
    }
}
