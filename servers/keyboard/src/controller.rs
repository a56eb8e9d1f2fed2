//! The keyboard controller, an i8042 (IBM PS/2 Hardware Interface Technical Reference, "Keyboard/Auxiliary Device Controller").

use libsys::object::IoPorts;
use libsys::rt;
use libsys::syscall::Slot;

/// Port of data both ways.
const DATA: u16 = 0x60;
/// Port of status (read) and commands (write).
const COMMAND: u16 = 0x64;
/// Status: there is a byte to read; the controller has not taken the last one; the byte is the mouse's.
const FULL: u8 = 1 << 0;
const BUSY: u8 = 1 << 1;
const MOUSE: u8 = 1 << 5;
/// Commands: write and read the command byte, switch the keyboard off and on.
const WRITE_COMMAND_BYTE: u8 = 0x60;
const READ_COMMAND_BYTE: u8 = 0x20;
const DISABLE: u8 = 0xad;
const ENABLE: u8 = 0xae;
/// Command byte: interrupt for the keyboard, system flag, translation into scan code set 1.
const COMMAND_BYTE: u8 = 1 << 0 | 1 << 2 | 1 << 6;
/// Most readings of the status while waiting.
const PATIENCE: usize = 10_000;
/// Most bytes that can be left in the controller.
const LEFT_OVER: usize = 32;

/// The controller.
pub struct Controller {
    data: IoPorts,
    command: IoPorts,
}

impl Controller {
    /// Sets the controller up: the keyboard interrupts, the mouse is silent, codes are those of set 1. `None`: there is none.
    pub fn new(data: Slot, command: Slot) -> Option<Self> {
        let controller = Self {
            data: IoPorts(data),
            command: IoPorts(command),
        };
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
        controller.data.write(DATA, 1, COMMAND_BYTE.into()).ok()?;
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

    fn status(&self) -> u8 {
        self.command
            .read(COMMAND, 1)
            .map_or(0xff, |value| value as u8)
    }

    fn take(&self) -> u8 {
        self.data.read(DATA, 1).map_or(0xff, |value| value as u8)
    }

    /// Waits until the controller takes a byte.
    fn ready(&self) -> Option<()> {
        (0..PATIENCE).find(|_| self.status() & BUSY == 0).map(drop)
    }

    fn send(&self, command: u8) -> Option<()> {
        self.ready()?;
        self.command.write(COMMAND, 1, command.into()).ok()
    }
}

/// The controller at the ports that the manifest gives this program.
pub fn find() -> Option<Controller> {
    use libsys::proto::program::Device;
    let port = |wanted: u16| {
        rt::info().devices.iter().find_map(|device| match *device {
            Device::Ports { slot, base, .. } if base == wanted => Some(Slot(slot)),
            _ => None,
        })
    };
    Controller::new(port(DATA)?, port(COMMAND)?)
}
