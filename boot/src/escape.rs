//! The keys that the host tool keeps for itself: Ctrl-A, and then one more.

/// Ctrl-A.
const ESCAPE: u8 = 0x01;

/// What the keys do, for Ctrl-A h. In raw mode a line ends with CR LF.
pub const HELP: &str = "\r\n\
    Ctrl-A x       leave: the machine is switched off\r\n\
    Ctrl-A n       type into the next instance, of a system that has several\r\n\
    Ctrl-A h       this help\r\n\
    Ctrl-A Ctrl-A  send Ctrl-A\r\n";

/// What to do with one byte from the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Send this to the guest.
    Send(u8),
    /// Nothing: it was the first half of an escape, or an unknown one.
    Nothing,
    /// Leave.
    Leave,
    /// Show [`HELP`].
    Help,
    /// What is typed is the next instance's.
    Next,
}

/// Remembers whether the last byte was Ctrl-A.
#[derive(Debug, Default)]
pub struct Escape {
    pending: bool,
}

impl Escape {
    /// The next byte.
    pub fn feed(&mut self, byte: u8) -> Key {
        if !std::mem::take(&mut self.pending) {
            self.pending = byte == ESCAPE;
            return if self.pending {
                Key::Nothing
            } else {
                Key::Send(byte)
            };
        }
        match byte {
            ESCAPE => Key::Send(ESCAPE),
            b'x' | b'X' => Key::Leave,
            b'h' | b'H' | b'?' => Key::Help,
            b'n' | b'N' => Key::Next,
            _ => Key::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(bytes: &[u8]) -> Vec<Key> {
        let mut escape = Escape::default();
        bytes.iter().map(|byte| escape.feed(*byte)).collect()
    }

    #[test]
    fn keys() {
        use Key::*;
        assert_eq!(feed(b"ax\x03"), [Send(b'a'), Send(b'x'), Send(3)]);
        assert_eq!(feed(b"\x01xx"), [Nothing, Leave, Send(b'x')]);
        assert_eq!(feed(b"\x01h"), [Nothing, Help]);
        assert_eq!(feed(b"\x01nn"), [Nothing, Next, Send(b'n')]);
        assert_eq!(feed(b"\x01\x01x"), [Nothing, Send(1), Send(b'x')]);
        assert_eq!(feed(b"\x01qx"), [Nothing, Nothing, Send(b'x')]);
    }
}
