//! Root's own messages go into the kernel's log.

use crate::slots::SYSTEM;
use abi::object::system::LOG_BLOCK;

/// Appends a line to the kernel's log. Lines longer than the kernel takes at once go in pieces.
pub fn line(text: &str) {
    for piece in text.as_bytes().chunks(LOG_BLOCK).chain([&b"\n"[..]]) {
        // A log that cannot be written is no reason to stop.
        let _ = SYSTEM.log_write(piece);
    }
}

/// Formats and appends a line to the kernel's log, with root's name in front.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => {
        $crate::log::line(&alloc::format!("root: {}", format_args!($($argument)*)))
    };
}
