//! The line a person types: what each byte from the terminal does.

use alloc::string::String;
use alloc::vec::Vec;

/// Longest line in bytes.
const MOST: usize = 1024;

const BELL: u8 = 7;
const ESCAPE: u8 = 0x1b;

/// A line being typed.
#[derive(Debug, Default)]
pub struct Line {
    text: Vec<u8>,
    state: State,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// The last byte was CR: an LF now belongs to it.
    Return,
    /// Inside an escape sequence (a cursor key, say), which is ignored whole.
    Escape,
    Sequence,
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
}

impl Line {
    /// Takes a byte from the terminal; what the terminal shall show is added to `echo`.
    pub fn input(&mut self, byte: u8, echo: &mut Vec<u8>) -> Event {
        match core::mem::take(&mut self.state) {
            State::Return if byte == b'\n' => return Event::Typing,
            State::Escape if byte == b'[' || byte == b'O' => {
                self.state = State::Sequence;
                return Event::Typing;
            }
            State::Escape => return Event::Typing,
            State::Sequence => {
                if !(0x40..=0x7e).contains(&byte) {
                    self.state = State::Sequence;
                }
                return Event::Typing;
            }
            State::Text | State::Return => {}
        }
        match byte {
            b'\r' | b'\n' => {
                if byte == b'\r' {
                    self.state = State::Return;
                }
                echo.push(b'\n');
                let text = core::mem::take(&mut self.text);
                return Event::Done(String::from_utf8_lossy(&text).into_owned());
            }
            // Ctrl-C
            3 => {
                echo.extend(b"^C\n");
                self.text.clear();
                return Event::Cancelled;
            }
            // Backspace and Delete
            8 | 0x7f => self.erase(echo),
            // Ctrl-U
            0x15 => {
                while !self.text.is_empty() {
                    self.erase(echo);
                }
            }
            ESCAPE => self.state = State::Escape,
            b' '..=b'~' | 0x80.. if self.text.len() < MOST => {
                self.text.push(byte);
                echo.push(byte);
            }
            _ => echo.push(BELL),
        }
        Event::Typing
    }

    /// Removes the last character (all of its bytes).
    fn erase(&mut self, echo: &mut Vec<u8>) {
        while let Some(byte) = self.text.pop() {
            let continues = byte & 0xc0 == 0x80;
            if !continues {
                echo.extend(b"\x08 \x08");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_in(keys: &[u8]) -> (Vec<Event>, Vec<u8>) {
        let mut line = Line::default();
        let mut echo = Vec::new();
        let events = keys
            .iter()
            .map(|&key| line.input(key, &mut echo))
            .filter(|event| *event != Event::Typing);
        (events.collect(), echo)
    }

    fn done(text: &str) -> Event {
        Event::Done(text.into())
    }

    #[test]
    fn lines() {
        assert_eq!(type_in(b"help\r"), (vec![done("help")], b"help\n".to_vec()));
        assert_eq!(type_in(b"a\r\nb\nc\r").0, [done("a"), done("b"), done("c")]);
        assert_eq!(type_in(b"\r\r").0, [done(""), done("")]);
    }

    #[test]
    fn editing() {
        assert_eq!(
            type_in(b"ab\x7fc\r"),
            (vec![done("ac")], b"ab\x08 \x08c\n".to_vec())
        );
        assert_eq!(type_in(b"\x08a\r"), (vec![done("a")], b"a\n".to_vec()));
        assert_eq!(type_in(b"abc\x15x\r").0, [done("x")]);
        assert_eq!(type_in(b"abc\x03x\r").0, [Event::Cancelled, done("x")]);
        assert_eq!(type_in("aé\x7fb\r".as_bytes()).0, [done("ab")]);
        assert_eq!(type_in(b"a\x1b[1;5Db\x1bOPc\r").0, [done("abc")]);
        assert_eq!(type_in(b"a\0\tb\r").0, [done("ab")]);
    }

    #[test]
    fn broken_text_and_endless_lines() {
        assert_eq!(type_in(b"\xff\xc3\r").0, [done("\u{fffd}\u{fffd}")]);
        let mut keys = vec![b'x'; MOST + 10];
        keys.push(b'\r');
        assert_eq!(type_in(&keys).0, [done(&"x".repeat(MOST))]);
        assert_eq!(type_in(b"\x80\x80\x7f\x7fa\r").0, [done("a")]);
    }
}
