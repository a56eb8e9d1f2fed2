//! The display: VGA in its text mode, with the cells in memory and the cursor through the controller's ports (IBM VGA, "CRT
//! Controller Registers"); or pixels, where firmware left such a screen.

use crate::drawing::Drawing;
use crate::screen::{CELLS, Screen, blank};
use alloc::vec::Vec;
use bootinfo::pixels::Pixels;
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

/// The display's own side.
enum Face {
    Text(Registers, Controller),
    Pixels(Registers, Drawing),
}

/// The display and the terminal it shows.
pub struct Display {
    face: Face,
    screen: Screen,
    /// Something was written that is not shown.
    behind: bool,
    /// When (TSC) it may be shown: the memory is slow, and nobody sees more pictures a second.
    next: u64,
    /// TSC ticks between two.
    pause: u64,
}

impl Display {
    /// Takes the display over, as the only program that may touch it: its pixels, if root says by the last argument that it has some; else its text as it stands, with
    /// the controller's ports. `None`: the machine has none.
    pub fn take(ports: IoPorts, base: u16) -> Option<Self> {
        let memory = Registers::take()?;
        let pixels = rt::info().args.last().and_then(|word| word.parse().ok());
        let (face, screen) = match pixels {
            Some(pixels) => Self::take_pixels(memory, pixels),
            None => Self::take_text(memory, Controller { ports, base }),
        }?;
        Some(Self {
            face,
            screen,
            behind: true,
            next: 0,
            pause: ticks(PAUSE, rt::info().tsc_hz),
        })
    }

    fn take_pixels(mut memory: Registers, pixels: Pixels) -> Option<(Face, Screen)> {
        let drawing = Drawing::new(pixels, memory.size())?;
        drawing.clear(|at, colour| memory.write_word(at, colour));
        Some((Face::Pixels(memory, drawing), Screen::new(blank(), 0)))
    }

    fn take_text(memory: Registers, controller: Controller) -> Option<(Face, Screen)> {
        if memory.size() < 2 * CELLS {
            return None;
        }
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
        Some((Face::Text(memory, controller), screen))
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
        match &mut self.face {
            Face::Text(memory, controller) => {
                let cursor = self.screen.show(|cell, value| {
                    let [character, colours] = value.to_le_bytes();
                    memory.write(2 * cell, character);
                    memory.write(2 * cell + 1, colours);
                });
                for (register, byte) in CURSOR.into_iter().zip((cursor as u16).to_be_bytes()) {
                    controller.write(register, byte);
                }
            }
            Face::Pixels(memory, drawing) => {
                let mut set = |at, colour| memory.write_word(at, colour);
                let cursor = self
                    .screen
                    .show(|cell, value| drawing.draw(cell, value, &mut set));
                drawing.move_cursor(cursor, &mut set);
            }
        }
    }
}
