//! VGA in its text mode: the cells in memory, the cursor through the controller's ports (IBM VGA, "CRT Controller Registers").

use alloc::vec::Vec;
use console::screen::{CELLS, Screen};
use core::time::Duration;
use libsys::object::IoPorts;
use libsys::registers::Registers;
use libsys::rt;
use libsys::time::{Instant, ticks};

/// Time from one picture to the next.
const PAUSE: Duration = Duration::from_millis(10);
/// Cursor location, high and low byte.
const CURSOR: [u8; 2] = [0x0e, 0x0f];

/// The controller's registers, each read and written by its number.
struct Controller {
    ports: IoPorts,
    /// Port of a register's number; the register's own is the next.
    base: u16,
}

impl Controller {
    fn read(&self, register: u8) -> u8 {
        let selected = self.ports.write(self.base, 1, register.into());
        // A port that cannot be read looks like one where nothing answers.
        let value = selected.and_then(|()| self.ports.read(self.base + 1, 1));
        value.map_or(0xff, |value| value as u8)
    }

    fn write(&self, register: u8, value: u8) {
        // A cursor that does not move is no reason to stop.
        let _ = self.ports.write(self.base, 1, register.into());
        let _ = self.ports.write(self.base + 1, 1, value.into());
    }
}

/// The display and the terminal it shows.
pub struct Display {
    memory: Registers,
    controller: Controller,
    screen: Screen,
    /// Something was written that is not shown.
    behind: bool,
    /// When (TSC) it may be shown: the memory is slow, and nobody sees more pictures a second.
    next: u64,
    /// TSC ticks between two.
    pause: u64,
}

impl Display {
    /// Takes the display over as it stands. `None`: the machine has none.
    pub fn take(ports: IoPorts, base: u16) -> Option<Self> {
        let memory = Registers::take().filter(|memory| memory.size() >= 2 * CELLS)?;
        let controller = Controller { ports, base };
        // Where there is no display, nothing keeps what is written to it. (There may be plain memory in its place.)
        let low = controller.read(CURSOR[1]);
        controller.write(CURSOR[1], !low);
        let there = controller.read(CURSOR[1]) == !low;
        controller.write(CURSOR[1], low);
        if !there {
            return None;
        }
        let cells: Vec<u16> = (0..CELLS)
            .map(|cell| u16::from_le_bytes([memory.read(2 * cell), memory.read(2 * cell + 1)]))
            .collect();
        let [high, low] = CURSOR.map(|register| controller.read(register));
        let cursor = u16::from_be_bytes([high, low]);
        let screen = Screen::new(cells, cursor.into());
        Some(Self {
            memory,
            controller,
            screen,
            behind: true,
            next: 0,
            pause: ticks(PAUSE, rt::info().tsc_hz),
        })
    }

    /// Takes text.
    pub fn write(&mut self, text: &[u8]) {
        self.screen.write(text);
        self.behind = true;
    }

    /// When (TSC) to call [`Display::show`] again, if there is something to show.
    pub fn deadline(&self) -> Option<u64> {
        self.behind.then_some(self.next)
    }

    /// Shows what was written, if it is time.
    pub fn show(&mut self) {
        let now = Instant::now().0;
        if !self.behind || now < self.next {
            return;
        }
        self.behind = false;
        self.next = now.saturating_add(self.pause);
        let memory = &mut self.memory;
        let cursor = self.screen.show(|cell, value| {
            let [character, colours] = value.to_le_bytes();
            memory.write(2 * cell, character);
            memory.write(2 * cell + 1, colours);
        });
        for (register, byte) in CURSOR.into_iter().zip((cursor as u16).to_be_bytes()) {
            self.controller.write(register, byte);
        }
    }
}
