//! The keyboard controller, an i8042 (IBM PS/2 Hardware Interface Technical Reference, "Keyboard/Auxiliary Device Controller").

/// Port of data both ways.
pub const DATA: u16 = 0x60;
/// Port of status (read) and commands (write).
pub const COMMAND: u16 = 0x64;
/// Status: there is a byte to read; the controller has not taken the last one; the byte is the mouse's.
const FULL: u8 = 1 << 0;
const BUSY: u8 = 1 << 1;
const MOUSE: u8 = 1 << 5;
/// Commands: write and read the command byte, switch the keyboard off and on, take a byte for one of the keyboard.
const WRITE_COMMAND_BYTE: u8 = 0x60;
const READ_COMMAND_BYTE: u8 = 0x20;
const DISABLE: u8 = 0xad;
const ENABLE: u8 = 0xae;
const WRITE_OUTPUT: u8 = 0xd2;
/// Command byte: interrupt for the keyboard, system flag, translation into scan code set 1.
const COMMAND_BYTE: u8 = 1 << 0 | 1 << 2 | 1 << 6;
/// Most readings of the status while waiting.
const PATIENCE: usize = 10_000;
/// Most bytes that can be left in the controller.
const LEFT_OVER: usize = 32;

/// What the driver needs from whoever links it: the two ports.
pub trait Ports {
    /// Reads a byte. `None`: it may not.
    fn read(&self, port: u16) -> Option<u8>;
    /// Writes a byte. `None`: it may not.
    fn write(&self, port: u16, value: u8) -> Option<()>;
}

/// The controller.
pub struct Controller<P> {
    ports: P,
}

impl<P: Ports> Controller<P> {
    /// Sets the controller up: the keyboard interrupts, the mouse is silent, codes are those of set 1. `None`: there is none.
    pub fn new(ports: P) -> Option<Self> {
        let controller = Self { ports };
        controller.send(DISABLE)?;
        // What was typed at the firmware is not for us.
        for _ in 0..LEFT_OVER {
            if controller.status() & FULL == 0 {
                break;
            }
            controller.take();
        }
        controller.send(WRITE_COMMAND_BYTE)?;
        controller.ready()?;
        controller.ports.write(DATA, COMMAND_BYTE)?;
        controller.send(READ_COMMAND_BYTE)?;
        (0..PATIENCE).find(|_| controller.status() & FULL != 0)?;
        // Where nothing answers, all bits are set.
        if controller.take() != COMMAND_BYTE {
            return None;
        }
        controller.send(ENABLE)?;
        Some(controller)
    }

    /// The next scan code, if there is one.
    pub fn scan_code(&self) -> Option<u8> {
        // A mouse that is not silent after all must not keep us.
        for _ in 0..LEFT_OVER {
            let status = self.status();
            if status & FULL == 0 || status == 0xff {
                break;
            }
            let byte = self.take();
            if status & MOUSE == 0 {
                return Some(byte);
            }
        }
        None
    }

    /// Makes a scan code come as if a key were struck, interrupt included. `None`: one waits to be read already.
    pub fn strike(&self, scan_code: u8) -> Option<()> {
        if self.status() & FULL != 0 {
            return None;
        }
        self.send(WRITE_OUTPUT)?;
        self.ready()?;
        self.ports.write(DATA, scan_code)
    }

    fn status(&self) -> u8 {
        self.ports.read(COMMAND).unwrap_or(0xff)
    }

    fn take(&self) -> u8 {
        self.ports.read(DATA).unwrap_or(0xff)
    }

    /// Waits until the controller takes a byte.
    fn ready(&self) -> Option<()> {
        (0..PATIENCE).find(|_| self.status() & BUSY == 0).map(drop)
    }

    fn send(&self, command: u8) -> Option<()> {
        self.ready()?;
        self.ports.write(COMMAND, command)
    }
}
