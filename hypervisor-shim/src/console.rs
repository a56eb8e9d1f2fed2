//! The machine's one serial line, shared: what an instance sends is marked with who sent it, and what arrives says for whom it
//! is (`bootinfo::shim::SWITCH`).

use bootinfo::shim::SWITCH;

/// Who sends, who receives.
#[derive(Debug, Default)]
pub struct Console {
    source: Option<u8>,
    /// The instance that gets what arrives.
    pub target: usize,
    switching: bool,
}

impl Console {
    /// A line whose input goes to `target` first.
    pub fn new(target: usize) -> Self {
        Self { target, ..Self::default() }
    }

    /// `source` (a digit, or the shim's letter) sends a byte.
    pub fn send(&mut self, source: u8, byte: u8, mut put: impl FnMut(u8)) {
        if self.source != Some(source) {
            self.source = Some(source);
            put(SWITCH);
            put(source);
        }
        if byte == SWITCH {
            put(byte);
        }
        put(byte);
    }

    /// A byte arrives. Returns what the target gets.
    pub fn receive(&mut self, byte: u8) -> Option<u8> {
        if core::mem::take(&mut self.switching) {
            if byte == SWITCH {
                return Some(byte);
            }
            let number = usize::from(byte.wrapping_sub(b'0'));
            if number < crate::INSTANCES {
                self.target = number;
            }
            return None;
        }
        self.switching = byte == SWITCH;
        (!self.switching).then_some(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_switch_is_marked() {
        let mut console = Console::default();
        let mut line = Vec::new();
        for (source, byte) in [(b'0', b'a'), (b'0', b'b'), (b'1', SWITCH), (b'0', b'c')] {
            console.send(source, byte, |byte| line.push(byte));
        }
        assert_eq!(line, b"\x100ab\x101\x10\x10\x100c");
    }

    #[test]
    fn input_goes_where_it_is_sent() {
        let mut console = Console::default();
        let mut got = Vec::new();
        for &byte in b"a\x101b\x10\x10\x109c\x100d" {
            if let Some(byte) = console.receive(byte) {
                got.push((console.target, byte));
            }
        }
        let expected = [(0, b'a'), (1, b'b'), (1, SWITCH), (1, b'c'), (0, b'd')];
        assert_eq!(got, expected);
    }
}
