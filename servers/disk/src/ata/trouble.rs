//! What can go wrong with a request, in words.

use crate::device::Operation;
use core::fmt;

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The disk says so: its error register.
    Failed(Operation, u8),
    /// It did not answer.
    Late(Operation),
    /// It has, or wants, more sectors than were asked for.
    Confused(Operation),
    /// It did not come back from a reset.
    Dead(Operation),
}

impl Trouble {
    /// Whether the disk must be reset, because nobody knows what it is doing.
    pub fn needs_reset(self) -> bool {
        matches!(self, Trouble::Late(_) | Trouble::Confused(_))
    }
}

/// Bits of the error register, from bit 0 on (ATA/ATAPI-6, 8.27.6 and 8.60.6).
const ERRORS: [&str; 8] = [
    "no address mark",
    "no medium",
    "aborted",
    "medium change requested",
    "no such sector",
    "medium changed",
    "uncorrectable data",
    "bad transfer",
];

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Trouble::Failed(operation, _)
        | Trouble::Late(operation)
        | Trouble::Confused(operation)
        | Trouble::Dead(operation)) = self;
        match operation {
            Operation::Read { sector, sectors } => {
                write!(f, "reading {sectors} sectors from {sector} on")
            }
            Operation::Write { sector, sectors } => {
                write!(f, "writing {sectors} sectors from {sector} on")
            }
            Operation::Flush => f.write_str("flushing"),
        }?;
        match self {
            Trouble::Failed(_, 0) => f.write_str(": the drive failed"),
            Trouble::Failed(_, error) => ERRORS
                .iter()
                .enumerate()
                .filter(|(bit, _)| error & 1 << bit != 0)
                .try_for_each(|(_, name)| write!(f, ": {name}")),
            Trouble::Late(_) => f.write_str(": no answer, so the disk is reset"),
            Trouble::Confused(_) => f.write_str(": too many sectors, so the disk is reset"),
            Trouble::Dead(_) => f.write_str(": the disk did not come back from a reset"),
        }
    }
}
