//! The screen as a terminal: 80 by 25 characters of VGA text, each with its colours.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use vte::{Params, Parser, Perform};

/// Characters of a line, and lines.
pub const COLUMNS: usize = 80;
/// See [`COLUMNS`].
pub const ROWS: usize = 25;
/// Characters of the screen.
pub const CELLS: usize = COLUMNS * ROWS;

/// Light grey on black.
const PLAIN: u8 = 0x07;
/// Brighter foreground.
const BRIGHT: u8 = 0x08;
/// VGA's numbers of the colours that terminals number from 0 to 7.
const COLOURS: [u8; 8] = [0, 4, 2, 6, 1, 5, 3, 7];
/// What the upper half of the character set (code page 437) looks like.
const UPPER_HALF: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐\
    └┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// A terminal. What is written to it reaches the display by [`Screen::show`].
pub struct Screen {
    parser: Parser<16>,
    page: Page,
}

struct Page {
    /// A character and, in the upper half, its colours; line by line.
    cells: Vec<u16>,
    /// What the display shows.
    shown: Vec<u16>,
    /// Lines that may differ.
    changed: Range<usize>,
    row: usize,
    /// [`COLUMNS`] behind a full line: the next character begins a new one.
    column: usize,
    colours: u8,
}

impl Screen {
    /// Goes on where the display stands: it shows `cells` ([`CELLS`] of them), the cursor at cell `cursor`.
    pub fn new(cells: Vec<u16>, cursor: usize) -> Self {
        assert_eq!(cells.len(), CELLS);
        let cursor = cursor.min(CELLS - 1);
        let mut page = Page {
            shown: cells.clone(),
            cells,
            changed: 0..0,
            row: cursor / COLUMNS,
            column: cursor % COLUMNS,
            colours: PLAIN,
        };
        if page.column > 0 {
            page.new_line();
        }
        Self {
            parser: Parser::new_with_size(),
            page,
        }
    }

    /// Takes text with control characters and escape sequences (those of a VT102 that programs use; others are ignored).
    pub fn write(&mut self, text: &[u8]) {
        self.parser.advance(&mut self.page, text);
    }

    /// Calls `set` with each cell that has changed since the last time, and returns the cursor's cell.
    pub fn show(&mut self, mut set: impl FnMut(usize, u16)) -> usize {
        let page = &mut self.page;
        for cell in page.changed.start * COLUMNS..page.changed.end * COLUMNS {
            if page.shown[cell] != page.cells[cell] {
                page.shown[cell] = page.cells[cell];
                set(cell, page.cells[cell]);
            }
        }
        page.changed = 0..0;
        page.row * COLUMNS + page.column.min(COLUMNS - 1)
    }
}

impl Page {
    fn touch(&mut self, rows: Range<usize>) {
        self.changed = match self.changed.is_empty() {
            true => rows,
            false => self.changed.start.min(rows.start)..self.changed.end.max(rows.end),
        };
    }

    fn blank(&self) -> u16 {
        u16::from(self.colours) << 8 | u16::from(b' ')
    }

    fn erase(&mut self, cells: Range<usize>) {
        let blank = self.blank();
        self.touch(cells.start / COLUMNS..cells.end.div_ceil(COLUMNS));
        self.cells[cells].fill(blank);
    }

    fn new_line(&mut self) {
        self.column = 0;
        if self.row + 1 < ROWS {
            self.row += 1;
            return;
        }
        self.cells.copy_within(COLUMNS.., 0);
        self.touch(0..ROWS);
        self.erase(CELLS - COLUMNS..CELLS);
    }

    /// What SGR (`ESC [ n m`) says.
    fn colour(&mut self, parameter: u16) {
        let colour = |first: u16| COLOURS[usize::from(parameter - first)];
        self.colours = match parameter {
            0 => PLAIN,
            1 => self.colours | BRIGHT,
            7 => self.colours.rotate_left(4),
            22 => self.colours & !BRIGHT,
            30..=37 => self.colours & 0xf8 | colour(30),
            39 => self.colours & 0xf8 | PLAIN,
            40..=47 => self.colours & 0x0f | colour(40) << 4,
            49 => self.colours & 0x0f,
            90..=97 => self.colours & 0xf0 | colour(90) | BRIGHT,
            _ => self.colours,
        };
    }
}

impl Perform for Page {
    fn print(&mut self, character: char) {
        if self.column == COLUMNS {
            self.new_line();
        }
        let cell = self.row * COLUMNS + self.column;
        self.cells[cell] = u16::from(self.colours) << 8 | u16::from(glyph(character));
        self.touch(self.row..self.row + 1);
        self.column += 1;
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' => self.new_line(),
            b'\r' => self.column = 0,
            8 => self.column = self.column.min(COLUMNS - 1).saturating_sub(1),
            b'\t' => self.column = (self.column / 8 * 8 + 8).min(COLUMNS - 1),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, _intermediates: &[u8], ignore: bool, action: char) {
        if ignore {
            return;
        }
        let number = |i: usize| params.iter().nth(i).map_or(0, |parameter| parameter[0]);
        // 0 or nothing is 1 here.
        let count = usize::from(number(0).max(1));
        let cursor = self.row * COLUMNS + self.column.min(COLUMNS - 1);
        let line = self.row * COLUMNS;
        match action {
            'A' => self.row = self.row.saturating_sub(count),
            'B' => self.row = (self.row + count).min(ROWS - 1),
            'C' => self.column = (self.column + count).min(COLUMNS - 1),
            'D' => self.column = self.column.min(COLUMNS - 1).saturating_sub(count),
            'G' => self.column = count.min(COLUMNS) - 1,
            'H' | 'f' => {
                self.row = count.min(ROWS) - 1;
                self.column = usize::from(number(1).max(1)).min(COLUMNS) - 1;
            }
            'J' => match number(0) {
                0 => self.erase(cursor..CELLS),
                1 => self.erase(0..cursor + 1),
                _ => self.erase(0..CELLS),
            },
            'K' => match number(0) {
                0 => self.erase(cursor..line + COLUMNS),
                1 => self.erase(line..cursor + 1),
                _ => self.erase(line..line + COLUMNS),
            },
            'm' => params
                .iter()
                .for_each(|parameter| self.colour(parameter[0])),
            _ => {}
        }
    }
}

/// A character's number in code page 437.
fn glyph(character: char) -> u8 {
    match u8::try_from(character) {
        Ok(byte @ 0x20..0x7f) => byte,
        _ => match UPPER_HALF.chars().position(|known| known == character) {
            Some(place) => 0x80 + place as u8,
            None => b'?',
        },
    }
}

/// The character with a number in code page 437; those for control are blank.
pub fn character(glyph: u8) -> char {
    let known = match glyph {
        0x20..=0x7e => Some(glyph.into()),
        0x80.. => UPPER_HALF.chars().nth(usize::from(glyph - 0x80)),
        _ => None,
    };
    known.unwrap_or(' ')
}

/// A screen with nothing on it.
pub fn blank() -> Vec<u16> {
    vec![u16::from(PLAIN) << 8 | u16::from(b' '); CELLS]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A display that only the changed cells reach, and the screen behind it.
    struct Display(Screen, Vec<u16>, usize);

    impl Display {
        fn new() -> Self {
            Self(Screen::new(blank(), 0), blank(), 0)
        }

        fn write(&mut self, text: &str) -> &mut Self {
            self.0.write(text.as_bytes());
            self.2 = self.0.show(|cell, value| self.1[cell] = value);
            assert_eq!(self.1, self.0.page.cells);
            self
        }

        fn row(&self, row: usize) -> String {
            let cells = &self.1[row * COLUMNS..][..COLUMNS];
            let text: Vec<u8> = cells.iter().map(|cell| *cell as u8).collect();
            String::from_utf8_lossy(&text).trim_end().into()
        }
    }

    #[test]
    fn lines_tabs_and_corrections() {
        let mut display = Display::new();
        display.write("one\ntwo\tx\nabc\x08 \x08d\rA");
        assert_eq!(
            [0, 1, 2].map(|row| display.row(row)),
            ["one", "two     x", "Abd"]
        );
        assert_eq!(display.2, 2 * COLUMNS + 1);
    }

    #[test]
    fn a_full_line_goes_on_in_the_next() {
        let mut display = Display::new();
        display.write(&"x".repeat(COLUMNS));
        assert_eq!(display.2, COLUMNS - 1);
        display.write("\ny");
        assert_eq!(display.row(1), "y", "no empty line between");
        display.write(&"z".repeat(COLUMNS));
        assert_eq!(display.row(2), "z");
    }

    #[test]
    fn scrolling() {
        let mut display = Display::new();
        for line in 0..100 {
            display.write(&format!("line {line}\n"));
        }
        assert_eq!(display.row(0), "line 76");
        assert_eq!(display.row(ROWS - 2), "line 99");
        assert_eq!(display.row(ROWS - 1), "");
        let all: String = (100..200).map(|line| format!("line {line}\n")).collect();
        assert_eq!(display.write(&all).row(0), "line 176");
    }

    #[test]
    fn cursor_and_erasing() {
        let mut display = Display::new();
        display.write(
            "abcdef\x1b[3D\x1b[K\x1b[Bx\x1b[2;1Hy\x1b[1Cz\x1b[1K!\x1b[5;10f*\x1b[1A\x1b[3G#",
        );
        assert_eq!(display.row(0), "abc");
        assert_eq!(display.row(1), "   !");
        assert_eq!(display.row(4), "         *");
        assert_eq!(display.row(3), "  #");
        display.write("\x1b[2J\x1b[Hq");
        assert_eq!(display.row(0), "q");
        assert!((1..ROWS).all(|row| display.row(row).is_empty()));
    }

    #[test]
    fn colours_and_characters() {
        let mut display = Display::new();
        display.write("\x1b[1;31mr\x1b[0;44mb\x1b[7mi\x1b[mp ä§─");
        assert_eq!(
            display.1[..4],
            [
                0x0c00 | u16::from(b'r'),
                0x1700 | u16::from(b'b'),
                0x7100 | u16::from(b'i'),
                0x0700 | u16::from(b'p')
            ]
        );
        assert_eq!(display.1[5..8], [0x784, 0x700 | u16::from(b'?'), 0x7c4]);
        assert_eq!(UPPER_HALF.chars().count(), 128);
    }

    #[test]
    fn it_goes_on_where_the_display_stands() {
        let mut cells = blank();
        cells[3] = 0x0741;
        let mut screen = Screen::new(cells, 4);
        screen.write(b"x");
        let mut changes = Vec::new();
        let cursor = screen.show(|cell, value| changes.push((cell, value)));
        assert_eq!((changes, cursor), (vec![(COLUMNS, 0x0778)], COLUMNS + 1));
        Screen::new(blank(), usize::MAX).write(b"\n");
    }

    #[test]
    fn nonsense_is_survived() {
        let mut display = Display::new();
        for parameter in [
            "",
            "0",
            "65535",
            "99999999",
            "1;2;3;4;5;6;7",
            ";;;;",
            "?25",
            "38;5;1",
        ] {
            for action in ('@'..='~').chain(['\x1b', '\x18']) {
                display.write(&format!("\x1b[{parameter}{action}x"));
            }
        }
        display.0.write(&[0xff, 0xc3, 0x28, 0xf0, 0x9f]);
        display.0.write(&(0..=255).collect::<Vec<u8>>());
    }
}
