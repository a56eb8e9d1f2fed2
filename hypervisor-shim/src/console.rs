//! The machine's one serial line, shared: what an instance sends is marked with who sent it, and what arrives says for whom it
//! is (`bootinfo::shim::SWITCH`).

use bootinfo::shim::{SHIM, SWITCH};
use core::fmt;

/// The line itself.
pub trait Wire {
    /// Sends a byte.
    fn send(&mut self, byte: u8);
    /// A byte that arrived.
    fn receive(&mut self) -> Option<u8>;
}

/// Who sends, who receives.
#[derive(Debug)]
pub struct Console<W> {
    /// The line.
    pub wire: W,
    source: Option<u8>,
    /// The instance that gets what arrives.
    pub target: usize,
    switching: bool,
}

impl<W: Wire> Console<W> {
    /// A line whose input goes to `target` first.
    pub fn new(wire: W, target: usize) -> Self {
        Self { wire, source: None, target, switching: false }
    }

    /// `source` (a digit, or the shim's letter) sends a byte.
    pub fn send(&mut self, source: u8, byte: u8) {
        if self.source.replace(source) != Some(source) {
            self.wire.send(SWITCH);
            self.wire.send(source);
        }
        if byte == SWITCH {
            self.wire.send(byte);
        }
        self.wire.send(byte);
    }

    /// A byte that arrived for the target.
    pub fn receive(&mut self) -> Option<u8> {
        loop {
            let byte = self.wire.receive()?;
            let switching = core::mem::take(&mut self.switching);
            if switching == (byte == SWITCH) {
                return Some(byte);
            }
            self.switching = !switching;
            let number = usize::from(byte.wrapping_sub(b'0'));
            if number < crate::INSTANCES {
                self.target = number;
            }
        }
    }
}

/// What the shim itself says.
impl<W: Wire> fmt::Write for Console<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.send(SHIM, byte));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    #[derive(Default)]
    struct Bytes {
        sent: Vec<u8>,
        arriving: VecDeque<u8>,
    }

    impl Wire for Bytes {
        fn send(&mut self, byte: u8) {
            self.sent.push(byte);
        }

        fn receive(&mut self) -> Option<u8> {
            self.arriving.pop_front()
        }
    }

    #[test]
    fn every_switch_is_marked() {
        let mut console = Console::new(Bytes::default(), 0);
        for (source, byte) in [(b'0', b'a'), (b'0', b'b'), (b'1', SWITCH), (b'0', b'c')] {
            console.send(source, byte);
        }
        assert_eq!(console.wire.sent, b"\x100ab\x101\x10\x10\x100c");
    }

    #[test]
    fn input_goes_where_it_is_sent() {
        let arriving = b"a\x101b\x10\x10\x109c\x100d".iter().copied().collect();
        let mut console = Console::new(Bytes { arriving, ..Bytes::default() }, 0);
        let mut got = Vec::new();
        while let Some(byte) = console.receive() {
            got.push((console.target, byte));
        }
        let expected = [(0, b'a'), (1, b'b'), (1, SWITCH), (1, b'c'), (0, b'd')];
        assert_eq!(got, expected);
    }
}
