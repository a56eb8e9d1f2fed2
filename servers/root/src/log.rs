//! Root's own messages go into the kernel's log.

use crate::{kernel, window};
use abi::object::system;

/// Appends a line to the kernel's log. Lines longer than the kernel takes at once go in pieces.
pub fn line(text: &str) {
    for piece in text.as_bytes().chunks(system::LOG_BLOCK - 1) {
        append(piece);
    }
    append(b"\n");
}

fn append(bytes: &[u8]) {
    let mut words = [0u64; system::LOG_BLOCK / 8];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks(8)) {
        let mut eight = [0; 8];
        eight[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_le_bytes(eight);
    }
    window::set_message_words(&words[..bytes.len().div_ceil(8)]);
    // A log that cannot be written is no reason to stop.
    let _ = kernel::system_do(system::LOG_WRITE, [bytes.len() as u64, 0, 0, 0]);
}

/// Formats and appends a line to the kernel's log, with root's name in front.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => {
        $crate::log::line(&alloc::format!("root: {}", format_args!($($argument)*)))
    };
}
