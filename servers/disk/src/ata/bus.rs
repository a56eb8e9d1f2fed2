//! The registers of a channel (ATA/ATAPI-6, 7), and what is written to them.

use crate::range::SECTOR;

/// A register by its place among the channel's command ports; [`Register::Control`] has a port of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Register {
    /// Sectors' bytes.
    Data = 0,
    /// What went wrong.
    Error = 1,
    /// How many sectors.
    Count = 2,
    /// Bits 0 to 7 of the address, and 24 to 31.
    Low = 3,
    /// Bits 8 to 15, and 32 to 39.
    Middle = 4,
    /// Bits 16 to 23, and 40 to 47.
    High = 5,
    /// Which drive, and bits 24 to 27 of a short address.
    Device = 6,
    /// Read: the state; reading it takes the interrupt back.
    Status = 7,
    /// Write: the reset and the interrupt. Read: the state, and nothing else.
    Control = 8,
}

impl Register {
    /// Written, the status is the command.
    pub const COMMAND: Register = Register::Status;
}

/// [`Register::Device`]: the first drive, addressed by sector; the bits that were always set once are set.
pub const LBA: u8 = 0xe0;

bitflags::bitflags! {
    /// [`Register::Status`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Status: u8 {
        /// The command failed.
        const ERROR = 1 << 0;
        /// A sector can be moved.
        const DATA = 1 << 3;
        /// The drive failed.
        const FAULT = 1 << 5;
        /// No other bit means anything.
        const BUSY = 1 << 7;
    }

    /// [`Register::Control`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Control: u8 {
        /// No interrupts.
        const NO_INTERRUPT = 1 << 1;
        /// The channel is being reset.
        const RESET = 1 << 2;
    }
}

impl Status {
    /// Whether the command failed.
    pub fn is_error(self) -> bool {
        self.intersects(Status::ERROR | Status::FAULT)
    }
}

/// What a drive is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Command {
    /// READ SECTOR(S).
    Read = 0x20,
    /// READ SECTOR(S) EXT.
    ReadWide = 0x24,
    /// WRITE SECTOR(S).
    Write = 0x30,
    /// WRITE SECTOR(S) EXT.
    WriteWide = 0x34,
    /// FLUSH CACHE.
    Flush = 0xe7,
    /// FLUSH CACHE EXT.
    FlushWide = 0xea,
    /// IDENTIFY DEVICE.
    Identify = 0xec,
}

/// A channel, and a clock.
pub trait Bus {
    /// Reads a register, but [`Register::Data`].
    fn read(&mut self, register: Register) -> u8;

    /// Writes a register, but [`Register::Data`].
    fn write(&mut self, register: Register, value: u8);

    /// Takes a sector from the drive.
    fn read_sector(&mut self, sector: &mut [u8; SECTOR]);

    /// Gives the drive a sector.
    fn write_sector(&mut self, sector: &[u8; SECTOR]);

    /// The time, in ticks.
    fn now(&self) -> u64;
}
