//! The serial line, and what the last kernel shows of it, where others follow.

use core::fmt::{self, Write};
use microkernel::arch::serial;

struct Line;

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(serial::write);
        relay::tell(text);
        Ok(())
    }
}

/// Prints.
pub fn print(text: fmt::Arguments<'_>) {
    // The line takes everything.
    let _ = Line.write_fmt(text);
}
