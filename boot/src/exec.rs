//! Separates what commands print from everything else on the serial line.
//!
//! The shell prints the line `\x1epostern NONCE begin` before the first command of `--exec` and
//! `\x1epostern NONCE end STATUS` after the last. The nonce differs at every boot, so no file that a command prints
//! can contain the mark by accident. Between them it prints, if asked to, `\x1epostern NONCE trace …` for what `trace` found:
//! these lines are no command's output, either.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A text that no earlier boot used.
pub fn nonce() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// The filter. Bytes go in as they arrive; what commands printed comes out, with CR LF made LF.
#[derive(Debug)]
pub struct Filter {
    begin: Vec<u8>,
    end: Vec<u8>,
    trace: Vec<u8>,
    traced: Vec<String>,
    phase: Phase,
    /// Bytes that may be the start of a mark or of a line end.
    held: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    During,
    After { status: u32 },
}

impl Filter {
    /// For the boot with this nonce.
    pub fn new(nonce: &str) -> Filter {
        Filter {
            begin: format!("\x1epostern {nonce} begin").into_bytes(),
            end: format!("\x1epostern {nonce} end ").into_bytes(),
            trace: format!("\x1epostern {nonce} trace ").into_bytes(),
            traced: Vec::new(),
            phase: Phase::Before,
            held: Vec::new(),
        }
    }

    /// Takes the next bytes of the serial line; appends what commands printed to `output`.
    pub fn feed(&mut self, bytes: &[u8], output: &mut Vec<u8>) {
        self.held.extend_from_slice(bytes);
        if self.phase == Phase::Before {
            self.find_begin();
        }
        if self.phase == Phase::During {
            self.pass(output);
        }
        if matches!(self.phase, Phase::After { .. }) {
            self.held.clear();
        }
    }

    /// The status that the shell gave with the end mark: 0 if every command succeeded. `None`: no end mark yet.
    pub fn status(&self) -> Option<u32> {
        match self.phase {
            Phase::After { status } => Some(status),
            _ => None,
        }
    }

    /// The lines of `trace` so far.
    pub fn traced(&self) -> &[String] {
        &self.traced
    }

    fn find_begin(&mut self) {
        match position(&self.held, &self.begin) {
            Some(at) => {
                let Some(line_end) = position(&self.held[at..], b"\n") else {
                    return;
                };
                self.held.drain(..=at + line_end);
                self.phase = Phase::During;
            }
            None => {
                let keep = partial(&self.held, &self.begin);
                self.held.drain(..self.held.len() - keep);
            }
        }
    }

    fn pass(&mut self, output: &mut Vec<u8>) {
        loop {
            let ended = position(&self.held, &self.end).map(|at| (at, self.end.len()));
            let traced = position(&self.held, &self.trace).map(|at| (at, self.trace.len()));
            let first = [ended, traced].into_iter().flatten().min();
            let Some((at, length)) = first else {
                let keep = partial(&self.held, &self.end)
                    .max(partial(&self.held, &self.trace))
                    .max(usize::from(self.held.ends_with(b"\r")));
                self.take(self.held.len() - keep, output);
                return;
            };
            self.take(at, output);
            let Some(line_end) = position(&self.held, b"\n") else {
                return;
            };
            let line: Vec<u8> = self.held.drain(..=line_end).skip(length).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if first == ended {
                let status = line.trim().parse().unwrap_or(u32::MAX);
                self.phase = Phase::After { status };
                return;
            }
            self.traced.push(line.into());
        }
    }

    /// Passes the first `count` bytes on.
    fn take(&mut self, count: usize, output: &mut Vec<u8>) {
        let ready: Vec<u8> = self.held.drain(..count).collect();
        for (index, byte) in ready.iter().enumerate() {
            if !(*byte == b'\r' && ready.get(index + 1) == Some(&b'\n')) {
                output.push(*byte);
            }
        }
    }
}

/// Where `needle` starts in `haystack`.
fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// How many of the last bytes of `bytes` could be the beginning of `mark`.
fn partial(bytes: &[u8], mark: &[u8]) -> usize {
    (1..mark.len())
        .rev()
        .find(|length| bytes.ends_with(&mark[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIAL: &[u8] =
        b"boot\r\n\x1epostern n0 begin\r\n\x1epostern n1 begin\r\none\r\n\x1epostern n1 trace a\tb\r\ntwo\rthree\n\
        \x1epostern n1 endless\r\nno end\x1epostern n1 end 7\r\nlate\r\n";
    const OUTPUT: &[u8] = b"one\ntwo\rthree\n\x1epostern n1 endless\nno end";

    fn filter(pieces: &[&[u8]]) -> (Vec<u8>, Option<u32>) {
        let mut filter = Filter::new("n1");
        let mut output = Vec::new();
        pieces
            .iter()
            .for_each(|piece| filter.feed(piece, &mut output));
        let traced = pieces.concat() == SERIAL;
        assert_eq!(filter.traced(), &["a\tb"][..usize::from(traced)]);
        (output, filter.status())
    }

    #[test]
    fn only_what_commands_print_comes_out() {
        assert_eq!(filter(&[SERIAL]), (OUTPUT.to_vec(), Some(7)));
    }

    #[test]
    fn wherever_the_stream_is_cut() {
        for cut in 0..SERIAL.len() {
            let (first, second) = SERIAL.split_at(cut);
            assert_eq!(
                filter(&[first, second]),
                (OUTPUT.to_vec(), Some(7)),
                "cut at {cut}"
            );
        }
        let bytes: Vec<&[u8]> = SERIAL.chunks(1).collect();
        assert_eq!(filter(&bytes), (OUTPUT.to_vec(), Some(7)));
    }

    #[test]
    fn output_is_not_held_back() {
        let (output, status) = filter(&[b"\x1epostern n1 begin\r\nhel"]);
        assert_eq!((output.as_slice(), status), (b"hel".as_slice(), None));
    }

    #[test]
    fn nonces_differ() {
        assert_ne!(nonce(), nonce());
    }
}
