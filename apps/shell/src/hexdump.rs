//! A hexdump, as `hexdump -C` shows it.

use alloc::string::String;
use core::fmt::Write;

/// Bytes per line.
pub const LINE: usize = 16;

/// Adds a line for up to [`LINE`] bytes that lie at `offset`.
pub fn line(to: &mut String, offset: u64, bytes: &[u8]) {
    // Writing to a String cannot fail.
    let _ = write!(to, "{offset:08x} ");
    for i in 0..LINE {
        if i % 8 == 0 {
            to.push(' ');
        }
        let _ = match bytes.get(i) {
            Some(byte) => write!(to, "{byte:02x} "),
            None => write!(to, "   "),
        };
    }
    to.push_str(" |");
    to.extend(bytes.iter().map(|&byte| {
        if (b' '..=b'~').contains(&byte) {
            byte as char
        } else {
            '.'
        }
    }));
    to.push_str("|\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_and_partial_lines() {
        let mut text = String::new();
        line(&mut text, 0x1f0, b"Postern\0is\x7f\xffhere");
        line(&mut text, 0x200, b"abc");
        assert_eq!(
            text,
            "000001f0  50 6f 73 74 65 72 6e 00  69 73 7f ff 68 65 72 65  |Postern.is..here|\n\
             00000200  61 62 63                                          |abc|\n"
        );
    }
}
