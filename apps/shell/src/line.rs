//! The line a person types: what each byte from the terminal does.
//!
//! The line is changed first; then the terminal is told the difference, in nothing but characters and backspaces, so that any
//! terminal, and the screen, will do.

use crate::history::History;
use alloc::string::String;
use alloc::vec::Vec;

/// Longest line in characters.
const MOST: usize = 1024;

const BELL: u8 = 7;
const ESCAPE: u8 = 0x1b;

/// A line being typed.
#[derive(Debug, Default)]
pub struct Line {
    text: Vec<char>,
    /// Where the next character goes.
    cursor: usize,
    state: State,
    /// The beginning of a character of several bytes.
    part: Vec<u8>,
    history: History,
    /// What the terminal shows, and where its cursor is.
    shown: Vec<char>,
    shown_cursor: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// The last byte was CR: an LF now belongs to it.
    Return,
    /// Inside an escape sequence.
    Escape,
    /// Behind `ESC [` or `ESC O`; the number so far.
    Sequence(u32),
}

/// What became of a byte.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Goes on.
    Typing,
    /// A whole line.
    Done(String),
    /// Ctrl-C: the line is dropped.
    Cancelled,
    /// Tab: the rest of the last word is wanted. What stands before the cursor.
    Complete(String),
}

impl Line {
    /// Takes a byte from the terminal; what the terminal shall show is added to `echo`.
    pub fn input(&mut self, byte: u8, echo: &mut Vec<u8>) -> Event {
        match core::mem::take(&mut self.state) {
            // A control character is itself, wherever it comes.
            State::Escape | State::Sequence(_) if byte < b' ' => {}
            State::Return if byte == b'\n' => return Event::Typing,
            State::Escape if byte == b'[' || byte == b'O' => {
                self.state = State::Sequence(0);
                return Event::Typing;
            }
            State::Escape => return Event::Typing,
            State::Sequence(number) => {
                self.sequence(byte, number);
                self.show(echo);
                return Event::Typing;
            }
            State::Text | State::Return => {}
        }
        match byte {
            b'\r' | b'\n' => {
                if byte == b'\r' {
                    self.state = State::Return;
                }
                self.cursor = self.text.len();
                self.broken_character();
                self.show(echo);
                echo.push(b'\n');
                let text: String = self.text.iter().collect();
                self.history.add(&text);
                self.clear();
                return Event::Done(text);
            }
            // Ctrl-C
            3 => {
                echo.extend(b"^C\n");
                self.clear();
                return Event::Cancelled;
            }
            b'\t' => return Event::Complete(self.text[..self.cursor].iter().collect()),
            ESCAPE => self.state = State::Escape,
            _ if self.edit(byte) => {}
            b' '..=b'~' | 0x80.. if self.text.len() < MOST => self.character(byte),
            _ => echo.push(BELL),
        }
        self.show(echo);
        Event::Typing
    }

    /// The editing keys. Says whether it is one.
    fn edit(&mut self, byte: u8) -> bool {
        // Letters stand for themselves with Ctrl.
        match byte | 0x60 {
            _ if byte == 0x7f => self.erase(),
            _ if byte >= b' ' => return false,
            b'a' => self.cursor = 0,
            b'b' => self.cursor = self.cursor.saturating_sub(1),
            b'd' => self.delete(),
            b'e' => self.cursor = self.text.len(),
            b'f' => self.cursor = (self.cursor + 1).min(self.text.len()),
            b'h' => self.erase(),
            b'k' => self.text.truncate(self.cursor),
            b'n' => self.recall(History::newer),
            b'p' => self.recall(History::older),
            b'u' => drop(self.text.drain(..core::mem::take(&mut self.cursor))),
            b'w' => self.erase_word(),
            _ => return false,
        }
        true
    }

    /// The end of an escape sequence, or its next byte.
    fn sequence(&mut self, byte: u8, number: u32) {
        match byte {
            b'0'..=b'9' => {
                let number = number
                    .saturating_mul(10)
                    .saturating_add((byte - b'0').into());
                self.state = State::Sequence(number);
            }
            b'A' => self.recall(History::older),
            b'B' => self.recall(History::newer),
            b'C' => self.cursor = (self.cursor + 1).min(self.text.len()),
            b'D' => self.cursor = self.cursor.saturating_sub(1),
            b'H' => self.cursor = 0,
            b'F' => self.cursor = self.text.len(),
            b'~' => match number {
                1 | 7 => self.cursor = 0,
                3 => self.delete(),
                4 | 8 => self.cursor = self.text.len(),
                _ => {}
            },
            0x40..=0x7e => {}
            // Modifiers (`;5`) change nothing.
            _ => self.state = State::Sequence(number),
        }
    }

    /// A byte of a character.
    fn character(&mut self, byte: u8) {
        if !(0x80..0xc0).contains(&byte) {
            self.broken_character();
        }
        self.part.push(byte);
        match str::from_utf8(&self.part) {
            Ok(text) => {
                let characters: Vec<char> = text.chars().collect();
                self.part.clear();
                characters
                    .into_iter()
                    .for_each(|character| self.insert(character));
            }
            Err(error) if error.error_len().is_some() => self.broken_character(),
            // The next byte completes it.
            Err(_) => {}
        }
    }

    /// Bytes that are no character count as one.
    fn broken_character(&mut self) {
        if !self.part.is_empty() {
            self.part.clear();
            self.insert(char::REPLACEMENT_CHARACTER);
        }
    }

    fn insert(&mut self, character: char) {
        self.text.insert(self.cursor, character);
        self.cursor += 1;
    }

    fn erase(&mut self) {
        self.part.clear();
        if self.cursor > 0 {
            self.cursor -= 1;
            self.text.remove(self.cursor);
        }
    }

    fn delete(&mut self) {
        if self.cursor < self.text.len() {
            self.text.remove(self.cursor);
        }
    }

    fn erase_word(&mut self) {
        let before = |at: usize, space: bool| at > 0 && (self.text[at - 1] == ' ') == space;
        let mut start = self.cursor;
        while before(start, true) {
            start -= 1;
        }
        while before(start, false) {
            start -= 1;
        }
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }

    fn recall(&mut self, other: fn(&mut History, &str) -> Option<String>) {
        let text: String = self.text.iter().collect();
        if let Some(text) = other(&mut self.history, &text) {
            self.text = text.chars().collect();
            self.cursor = self.text.len();
        }
    }

    /// Puts text in at the cursor: what a completion adds.
    pub fn complete(&mut self, text: &str, echo: &mut Vec<u8>) {
        let room = MOST.saturating_sub(self.text.len());
        let fits = text.chars().filter(|c| !c.is_control()).take(room);
        fits.for_each(|character| self.insert(character));
        self.show(echo);
    }

    /// The terminal shows nothing of the line any more (other text came between): shows it again.
    pub fn show_again(&mut self, echo: &mut Vec<u8>) {
        (self.shown, self.shown_cursor) = (Vec::new(), 0);
        self.show(echo);
    }

    /// The lines typed so far, oldest first.
    pub fn history(&self) -> impl Iterator<Item = &str> {
        self.history.iter()
    }

    fn clear(&mut self) {
        (self.cursor, self.shown_cursor) = (0, 0);
        self.text.clear();
        self.shown.clear();
        self.part.clear();
        self.history.leave();
    }

    /// Tells the terminal what has changed since it was last told.
    fn show(&mut self, echo: &mut Vec<u8>) {
        let pairs = self.text.iter().zip(&self.shown);
        let same = pairs.take_while(|(new, old)| new == old).count();
        if same < self.text.len().max(self.shown.len()) {
            self.go_to(same, echo);
            for character in &self.text[same..] {
                let mut bytes = [0; 4];
                echo.extend(character.encode_utf8(&mut bytes).as_bytes());
            }
            let rest = self.shown.len().saturating_sub(self.text.len());
            echo.extend(core::iter::repeat_n(b' ', rest));
            echo.extend(core::iter::repeat_n(8, rest));
            self.shown.clone_from(&self.text);
            self.shown_cursor = self.text.len();
        }
        self.go_to(self.cursor, echo);
    }

    fn go_to(&mut self, to: usize, echo: &mut Vec<u8>) {
        let back = self.shown_cursor.saturating_sub(to);
        echo.extend(core::iter::repeat_n(8, back));
        // A terminal's cursor goes right over what is printed once more.
        for character in self.shown.iter().take(to).skip(self.shown_cursor) {
            let mut bytes = [0; 4];
            echo.extend(character.encode_utf8(&mut bytes).as_bytes());
        }
        self.shown_cursor = to;
    }
}

#[cfg(test)]
mod tests;
