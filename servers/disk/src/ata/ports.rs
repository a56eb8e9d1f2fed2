//! The registers of a real channel: I/O ports that the manifest gives the program.

use super::bus::{Bus, Register};
use crate::range::SECTOR;
use libsys::object::{IoPorts, Irq};
use libsys::proto::program::Device;
use libsys::rt;
use libsys::syscall::Slot;
use libsys::time::Instant;

/// First command port, and control port, of each channel: where they always were.
const CHANNELS: [(u16, u16); 2] = [(0x1f0, 0x3f6), (0x170, 0x376)];

/// A channel.
pub struct Ports {
    base: u16,
    command: IoPorts,
    control_port: u16,
    control: IoPorts,
}

/// The channels that the manifest gives this program, each with its interrupt: the lines are in the order of the channels.
pub fn channels() -> impl Iterator<Item = (Ports, Irq)> {
    let devices = || rt::info().devices.iter();
    let ports = move |wanted: u16| {
        devices().find_map(|device| match *device {
            Device::Ports { slot, base, .. } if base == wanted => Some(IoPorts(Slot(slot))),
            _ => None,
        })
    };
    let lines = devices().filter_map(|device| match *device {
        Device::Irq { slot } => Some(Irq(Slot(slot))),
        _ => None,
    });
    let channel = move |(base, control_port)| {
        Some(Ports {
            base,
            command: ports(base)?,
            control_port,
            control: ports(control_port)?,
        })
    };
    CHANNELS.into_iter().filter_map(channel).zip(lines)
}

/// The kernel refuses no port that the capability is for, so nothing here can fail.
impl Bus for Ports {
    fn read(&mut self, register: Register) -> u8 {
        let value = match register {
            Register::Control => self.control.read(self.control_port, 1),
            _ => self.command.read(self.base + register as u16, 1),
        };
        value.map_or(u8::MAX, |value| value as u8)
    }

    fn write(&mut self, register: Register, value: u8) {
        let _ = match register {
            Register::Control => self.control.write(self.control_port, 1, value.into()),
            _ => self
                .command
                .write(self.base + register as u16, 1, value.into()),
        };
    }

    fn read_sector(&mut self, sector: &mut [u8; SECTOR]) {
        let _ = self.command.read_words(self.base, sector);
    }

    fn write_sector(&mut self, sector: &[u8; SECTOR]) {
        let _ = self.command.write_words(self.base, sector);
    }

    fn now(&self) -> u64 {
        Instant::now().0
    }
}
