//! `timer`: waiting, and the time of day.

/// `w0` = absolute TSC: replies when it has passed. Label 0 or an [`super::io::IoError`]'s code (`WouldBlock`: too many
/// sleepers).
pub const SLEEP: u32 = super::io::FIRST_OTHER;
/// Replies `w0` = seconds since 1970-01-01 00:00:00, by the machine's clock, which runs in UTC. Label 0 or an
/// [`super::io::IoError`]'s code (`NoDevice`: the machine has no clock).
pub const CLOCK: u32 = super::io::FIRST_OTHER + 1;
