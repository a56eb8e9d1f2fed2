//! `timer`: waiting.

/// `w0` = absolute TSC: replies when it has passed. Label 0 or an [`super::io::IoError`]'s code (`WouldBlock`: too many
/// sleepers).
pub const SLEEP: u32 = super::io::FIRST_OTHER;
