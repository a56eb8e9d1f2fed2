//! Text on its way out: line ends translated, texts whole and in order.

use alloc::collections::VecDeque;

/// Most bytes of a text that is never split.
pub const WHOLE: usize = 4096;

/// Room for a text of [`WHOLE`] bytes whatever it consists of.
const CAPACITY: usize = 2 * WHOLE;

/// The queue of bytes to send.
#[derive(Debug, Default)]
pub struct Output {
    bytes: VecDeque<u8>,
    /// Bytes that were taken out since the beginning.
    sent: u64,
}

impl Output {
    /// Adds a text (up to [`WHOLE`] bytes), LF becoming CR LF; all of it or, if it does not fit now, nothing. An empty queue
    /// takes every text.
    pub fn push(&mut self, text: &[u8]) -> bool {
        let line_ends = text.iter().filter(|&&byte| byte == b'\n').count();
        if self.bytes.len() + text.len() + line_ends > CAPACITY {
            return false;
        }
        for &byte in text {
            if byte == b'\n' {
                self.bytes.push_back(b'\r');
            }
            self.bytes.push_back(byte);
        }
        true
    }

    /// The next bytes in one piece; empty if there are none.
    pub fn front(&self) -> &[u8] {
        self.bytes.as_slices().0
    }

    /// The first `count` bytes are sent.
    pub fn consume(&mut self, count: usize) {
        self.bytes.drain(..count);
        self.sent += count as u64;
    }

    /// How much will be sent when all that is here now is.
    pub fn end(&self) -> u64 {
        self.sent + self.bytes.len() as u64
    }

    /// Whether everything up to a former [`Output::end`] is sent.
    pub fn has_sent(&self, end: u64) -> bool {
        self.sent >= end
    }

    /// Whether everything is sent.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(output: &mut Output) -> Vec<u8> {
        let mut sent = Vec::new();
        while !output.is_empty() {
            let count = output.front().len().min(16);
            sent.extend_from_slice(&output.front()[..count]);
            output.consume(count);
        }
        sent
    }

    #[test]
    fn line_ends() {
        let mut output = Output::default();
        assert!(output.push(b"a\nb\n\n"));
        assert_eq!(all(&mut output), b"a\r\nb\r\n\r\n");
    }

    #[test]
    fn whole_or_not_at_all() {
        let mut output = Output::default();
        assert!(
            output.push(&[b'\n'; WHOLE]),
            "the worst text fits an empty queue"
        );
        assert!(!output.push(b"x"));
        output.consume(1);
        assert!(!output.push(b"\n"));
        let end = output.end();
        assert!(output.push(b"x"));
        output.consume(CAPACITY - 2);
        assert!(!output.has_sent(end));
        output.consume(1);
        assert!(output.has_sent(end) && !output.has_sent(output.end()));
        let sent = all(&mut output);
        assert_eq!(sent, b"x");
    }

    #[test]
    fn around_the_end_of_the_ring() {
        let mut output = Output::default();
        for round in 0..100u32 {
            let text = [b'a' + (round % 26) as u8; 1001];
            assert!(output.push(&text));
            assert_eq!(all(&mut output), text);
        }
    }
}
