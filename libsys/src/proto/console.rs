//! `console`: besides [`super::io`], a way for what is typed elsewhere.

/// Facet of the console whose holder (`needs = ["console.input"]`) may call [`INPUT`]: the first in its manifest entry.
pub const INPUT_FACET: u32 = 1;
/// Lease 0 (READ): bytes that count as typed at the console, up to [`INPUT_MAX`]. Replies `w0` = bytes taken; those for which
/// there is no room are lost, and the console says so. Label 0 or an [`super::io::IoError`]'s code.
pub const INPUT: u32 = super::io::FIRST_OTHER;
/// Most bytes of one [`INPUT`].
pub const INPUT_MAX: usize = 64;
