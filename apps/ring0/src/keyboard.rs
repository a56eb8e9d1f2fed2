//! The keyboard.

use crate::interrupts;
use alloc::vec::Vec;
use bootinfo::{Acpi, Override};
use keyboard::controller::{Controller, Ports};
use keyboard::keys::Keys;
use libsys::proto::io::IoError;
use microkernel::arch::{ioapic, port};

/// Its interrupt line.
const LINE: u8 = 1;

/// The machine's own ports.
struct Own;

impl Ports for Own {
    fn read(&self, number: u16) -> Option<u8> {
        Some(port::read(number, 1) as u8)
    }

    fn write(&self, number: u16, value: u8) -> Option<()> {
        port::write(number, 1, value.into());
        Some(())
    }
}

/// A keyboard, and what was typed at it.
pub struct Keyboard {
    controller: Controller<Own>,
    keys: Keys,
    typed: Vec<u8>,
}

impl Keyboard {
    /// Finds it. `None`: the machine has none.
    pub fn find(acpi: &Acpi, vector: u8) -> Option<Self> {
        let line = acpi.overrides.iter().find(|line| line.isa == LINE);
        let line = line.copied().unwrap_or(Override {
            isa: LINE,
            gsi: LINE.into(),
            active_low: false,
            level: false,
        });
        let keyboard = Self {
            controller: Controller::new(Own)?,
            keys: Keys::new("us")?,
            typed: Vec::new(),
        };
        ioapic::attach(line.gsi, vector, line.level, line.active_low);
        ioapic::set_masked(line.gsi, false);
        Some(keyboard)
    }

    /// What was typed, at most `most` bytes of it. Waits for the first.
    pub fn read(&mut self, most: usize) -> impl Iterator<Item = u8> {
        while self.typed.is_empty() {
            while let Some(code) = self.controller.scan_code() {
                self.keys.input(code, &mut self.typed);
            }
            if self.typed.is_empty() {
                interrupts::wait();
            }
        }
        self.typed.drain(..most.min(self.typed.len()))
    }

    /// Strikes a key, and waits for its interrupt.
    ///
    /// # Errors
    /// `WouldBlock`: one was struck and is not read yet.
    pub fn strike(&self, scan_code: u8) -> Result<(), IoError> {
        self.controller
            .strike(scan_code)
            .ok_or(IoError::WouldBlock)?;
        interrupts::wait();
        Ok(())
    }
}
