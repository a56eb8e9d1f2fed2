//! Cells of text as pixels, in the upper left corner of the screen.

use crate::screen::{CELLS, COLUMNS, ROWS, blank, character};
use alloc::vec::Vec;
use bootinfo::pixels::Pixels;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

const FONT: FontWeight = FontWeight::Regular;
const SIZE: RasterHeight = RasterHeight::Size16;
/// Pixels of a character.
const WIDTH: usize = get_raster_width(FONT, SIZE);
const HEIGHT: usize = SIZE.val();
/// The lines of it that the cursor covers.
const CURSOR: core::ops::Range<usize> = HEIGHT - 2..HEIGHT;
/// VGA's colours: red, green, blue.
const COLOURS: [[u8; 3]; 16] = {
    const DARK: u8 = 0xaa;
    let mut colours = [[0; 3]; 16];
    let mut number = 0;
    while number < 16 {
        let light = if number & 8 != 0 { 0x55 } else { 0 };
        let mut channel = 0;
        while channel < 3 {
            // Bit 2 is red, bit 0 blue.
            let lit = number >> (2 - channel) & 1 != 0;
            colours[number][channel] = light + if lit { DARK } else { 0 };
            channel += 1;
        }
        number += 1;
    }
    // Dark yellow is brown.
    colours[6] = [DARK, 0x55, 0];
    colours
};

/// How to draw on a screen. What it draws goes to a function that sets the pixel at an offset in the screen's memory.
pub struct Drawing {
    pixels: Pixels,
    /// That can be written.
    lines: usize,
    shown: Vec<u16>,
    cursor: usize,
}

impl Drawing {
    /// For a screen of which so many bytes can be written. `None`: the terminal does not fit.
    pub fn new(pixels: Pixels, bytes: usize) -> Option<Self> {
        let lines = bytes.checked_div(pixels.pitch as usize)?;
        let lines = lines.min(pixels.height as usize);
        let fits = pixels.width as usize >= COLUMNS * WIDTH && lines >= ROWS * HEIGHT;
        fits.then(|| Self {
            pixels,
            lines,
            shown: blank(),
            cursor: 0,
        })
    }

    /// Makes everything black.
    pub fn clear(&self, mut set: impl FnMut(usize, u32)) {
        for line in 0..self.lines {
            for column in 0..self.pixels.width as usize {
                set(self.offset(line, column), 0);
            }
        }
    }

    /// Draws the character and the colours of a cell.
    pub fn draw(&mut self, cell: usize, value: u16, set: &mut impl FnMut(usize, u32)) {
        self.shown[cell] = value;
        self.draw_shown(cell, false, set);
    }

    /// Draws the cursor where it is now, and no longer where it was.
    pub fn move_cursor(&mut self, cursor: usize, set: &mut impl FnMut(usize, u32)) {
        let before = core::mem::replace(&mut self.cursor, cursor.min(CELLS - 1));
        self.draw_shown(before, false, set);
        self.draw_shown(self.cursor, true, set);
    }

    fn draw_shown(&self, cell: usize, cursor: bool, set: &mut impl FnMut(usize, u32)) {
        let [glyph, colours] = self.shown[cell].to_le_bytes();
        let front = COLOURS[usize::from(colours & 0xf)];
        let back = COLOURS[usize::from(colours >> 4)];
        let raster = get_raster(character(glyph), FONT, SIZE);
        let raster = raster.or_else(|| get_raster('?', FONT, SIZE));
        let (row, column) = (cell / COLUMNS * HEIGHT, cell % COLUMNS * WIDTH);
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                let ink = match &raster {
                    _ if cursor && CURSOR.contains(&y) => Some(u8::MAX),
                    Some(raster) => raster.pixel(x, y),
                    None => None,
                };
                let ink = ink.unwrap_or(0);
                set(self.offset(row + y, column + x), self.mix(back, front, ink));
            }
        }
    }

    fn offset(&self, line: usize, column: usize) -> usize {
        line * self.pixels.pitch as usize + 4 * column
    }

    /// A colour between two.
    fn mix(&self, back: [u8; 3], front: [u8; 3], ink: u8) -> u32 {
        let channels = back.iter().zip(front).zip(self.pixels.shifts);
        let mixed = channels.map(|((back, front), shift)| {
            let part = |colour: u8, ink: u8| u32::from(colour) * u32::from(ink);
            let colour = (part(*back, u8::MAX - ink) + part(front, ink)) / u32::from(u8::MAX);
            colour << shift
        });
        mixed.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const WIDE: Pixels = Pixels {
        address: 0,
        pitch: 4096,
        width: 1000,
        height: 500,
        shifts: [16, 8, 0],
    };

    #[test]
    fn characters_are_where_their_cells_are() {
        let mut drawing = Drawing::new(WIDE, 4096 * 500).expect("it fits");
        let mut memory = BTreeMap::new();
        let mut set = |at: usize, colour: u32| {
            memory.insert(at, colour);
        };
        let cell = COLUMNS + 2;
        // A letter in yellow on blue, then nothing.
        drawing.draw(cell, 0x1e41, &mut set);
        drawing.draw(cell + 1, 0x1720, &mut set);
        drawing.move_cursor(cell + 1, &mut set);
        let pixel = |row: usize, column: usize| memory[&(row * 4096 + 4 * column)];
        let (top, left) = (HEIGHT, 3 * WIDTH);
        assert_eq!(pixel(top, left), 0x0000aa, "blue");
        assert_eq!(pixel(top + HEIGHT - 1, left), 0xaaaaaa, "the cursor");
        // The first cell, where the cursor was, and two others, one of them twice.
        assert_eq!(memory.len(), 3 * WIDTH * HEIGHT);
        assert_eq!(drawing.mix([0; 3], COLOURS[14], 255), 0xffff55);
        assert_eq!(drawing.mix([0; 3], COLOURS[6], 255), 0xaa5500);
        assert_eq!(drawing.mix([0, 100, 200], [100; 3], 51), 0x1464b4);
    }

    #[test]
    fn small_screens_are_not_used() {
        let with = |change: fn(&mut Pixels), bytes| {
            let mut pixels = WIDE;
            change(&mut pixels);
            Drawing::new(pixels, bytes).is_some()
        };
        let enough = ROWS * HEIGHT * 4096;
        assert!(with(|_| {}, enough));
        assert!(!with(|_| {}, enough - 1));
        assert!(!with(|pixels| pixels.width = 500, enough));
        assert!(!with(|pixels| pixels.pitch = 0, enough));
        assert!(!with(|pixels| pixels.height = 399, enough));
    }
}
