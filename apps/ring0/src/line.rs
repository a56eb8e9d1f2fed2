//! The serial line.

use core::fmt::{self, Write};
use microkernel::arch::serial;

struct Line;

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(serial::write);
        Ok(())
    }
}

/// Prints.
pub fn print(text: fmt::Arguments<'_>) {
    // The line takes everything.
    let _ = Line.write_fmt(text);
}
