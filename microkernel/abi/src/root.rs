//! What the first program finds when it starts.
//!
//! It runs with priority and ceiling 255 and no fault endpoint, at its ELF entry, RSP at the top of the thread area
//! [`THREAD_AREA`] (message buffer first, guard page, [`STACK_PAGES`] of stack at its end).

use bootinfo::Acpi;
use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Slot of root's own CapTable.
pub const TABLE: u32 = 1;
/// Slot of root's own Thread.
pub const THREAD: u32 = 2;
/// Slot of root's own Space.
pub const SPACE: u32 = 3;
/// Slot of System.
pub const SYSTEM: u32 = 4;
/// First slot of the Untypeds listed in [`RootInfo`]; the slots after the last are empty.
pub const FIRST_UNTYPED: u32 = 5;
/// The table has 2^this slots.
pub const TABLE_BITS: u8 = 13;

/// Where [`RootInfo`] is mapped, readable (postcard, one page).
pub const INFO: u64 = 0x1000_0000_0000;
/// Where the archive is mapped, readable.
pub const ARCHIVE: u64 = 0x1100_0000_0000;
/// Root's thread area.
pub const THREAD_AREA: u64 = 0x7000_0000_0000;
/// Pages of root's stack.
pub const STACK_PAGES: u64 = 16;

/// What the kernel tells root.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootInfo<'a> {
    /// The command line.
    pub command_line: &'a str,
    /// Bytes of the archive at [`ARCHIVE`].
    pub archive_size: u64,
    /// Slot [`FIRST_UNTYPED`] + i holds memory of 2^`untyped[i]` bytes.
    pub untyped: Vec<u8, 128>,
    /// Interrupt wiring.
    pub acpi: Acpi,
    /// TSC ticks per second.
    pub tsc_hz: u64,
}
