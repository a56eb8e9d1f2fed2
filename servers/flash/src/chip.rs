//! The chip: Intel's commands (for example the 28F128J3 data sheet, "Command bus-cycle definitions" and "Status register").
//!
//! Between two calls the chip always shows its array. Whoever uses [`embedded_storage`]'s traits sees the same chip.

use crate::cfi::{self, Geometry, QueryError};
use crate::platform::Platform;
use bitflags::bitflags;
use core::ops::Range;
use embedded_storage::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// Bytes of a block. A constant, because [`NorFlash::ERASE_SIZE`] is one; chips with other blocks are refused.
pub const BLOCK: usize = 4096;

/// Bus cycles of the longest command, a buffered program: command, count, 256 bytes, confirmation.
const LONGEST_COMMAND: usize = 259;

/// Microseconds that a chip of unknown make may take for a block, at most.
const LONGEST_ERASE: u64 = 16_000_000;

/// Commands.
mod command {
    pub const READ_ARRAY: u8 = 0xff;
    pub const READ_STATUS: u8 = 0x70;
    pub const CLEAR_STATUS: u8 = 0x50;
    pub const ERASE: u8 = 0x20;
    pub const PROGRAM: u8 = 0x40;
    pub const BUFFERED_PROGRAM: u8 = 0xe8;
    pub const CONFIRM: u8 = 0xd0;
}

bitflags! {
    /// The status register.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Status: u8 {
        const READY = 1 << 7;
        const ERASE_ERROR = 1 << 5;
        const PROGRAM_ERROR = 1 << 4;
        const LOW_VOLTAGE = 1 << 3;
        const LOCKED = 1 << 1;
    }
}

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashError {
    /// Beyond the end.
    OutOfBounds,
    /// Not whole blocks.
    NotAligned,
    /// The block is locked.
    Locked,
    /// The chip could not erase.
    Erase,
    /// The chip could not program.
    Program,
    /// The supply voltage is too low.
    LowVoltage,
    /// The chip did not understand the commands.
    Sequence,
    /// The chip was not ready in time.
    Timeout,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            _ => NorFlashErrorKind::Other,
        }
    }
}

impl Status {
    /// What the register says once the chip is ready.
    fn result(self) -> Result<(), FlashError> {
        if self.contains(Self::ERASE_ERROR | Self::PROGRAM_ERROR) {
            Err(FlashError::Sequence)
        } else if self.contains(Self::LOW_VOLTAGE) {
            Err(FlashError::LowVoltage)
        } else if self.contains(Self::LOCKED) {
            Err(FlashError::Locked)
        } else if self.contains(Self::ERASE_ERROR) {
            Err(FlashError::Erase)
        } else if self.contains(Self::PROGRAM_ERROR) {
            Err(FlashError::Program)
        } else {
            Ok(())
        }
    }
}

/// A chip, showing its array.
#[derive(Debug)]
pub struct Chip<P> {
    platform: P,
    geometry: Geometry,
}

impl<P: Platform> Chip<P> {
    /// Asks the chip for its dimensions. `spare` is a byte of it that nobody needs.
    ///
    /// # Errors
    /// There is none, or one with other commands or other blocks than this driver knows.
    pub fn new(mut platform: P, spare: usize) -> Result<Self, QueryError> {
        if platform.size() <= cfi::QUERY_ADDRESS.max(spare) {
            return Err(QueryError::Absent);
        }
        // An earlier driver may have died between any two bus cycles. The chip takes these for a count, data (that change
        // nothing) or the refusal to go on, whatever it waits for; what is left over shows the array.
        for _ in 0..LONGEST_COMMAND {
            platform.write(spare, command::READ_ARRAY);
        }
        // Or it left the chip busy, which then takes no commands.
        platform.write(spare, command::READ_STATUS);
        let deadline = platform.now() + LONGEST_ERASE;
        let mut status = Status::from_bits_retain(platform.read(spare));
        while !status.contains(Status::READY) && platform.now() < deadline {
            core::hint::spin_loop();
            status = Status::from_bits_retain(platform.read(spare));
        }
        // Only what is there is cleared: QEMU's chip then forgets that it is ready, too, until the next operation.
        if status != Status::READY {
            platform.write(spare, command::CLEAR_STATUS);
        }
        platform.write(spare, command::READ_ARRAY);
        platform.write(cfi::QUERY_ADDRESS, cfi::QUERY);
        let geometry = cfi::parse(platform.size(), |at| platform.read(at));
        platform.write(0, command::READ_ARRAY);
        let geometry = geometry?;
        if geometry.block != BLOCK {
            return Err(QueryError::Unsupported(
                "its blocks are not 4096 bytes long",
            ));
        }
        Ok(Self { platform, geometry })
    }

    /// Bytes.
    pub fn size(&self) -> usize {
        self.geometry.size
    }

    /// Reads from `offset` on.
    ///
    /// # Errors
    /// `OutOfBounds`.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), FlashError> {
        self.inside(offset, bytes.len())?;
        self.platform.copy_out(offset, bytes);
        Ok(())
    }

    /// Programs bytes: clears the bits of the flash that are clear in `bytes`.
    ///
    /// # Errors
    /// `OutOfBounds`, or what the chip says; then the bytes before the failing ones may be programmed.
    pub fn program(&mut self, offset: usize, bytes: &[u8]) -> Result<(), FlashError> {
        self.inside(offset, bytes.len())?;
        // The buffer covers an aligned window; the smallest there can be is a byte.
        let window = self.geometry.write_buffer.max(1);
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(window - at % window));
            let programmed = match now {
                [byte] => self.program_byte(at, *byte),
                _ => self.program_buffer(at, now),
            };
            self.settle(programmed)?;
            at += now.len();
            rest = later;
        }
        Ok(())
    }

    /// Erases blocks: sets all their bits.
    ///
    /// # Errors
    /// `OutOfBounds`, `NotAligned`, or what the chip says; then the blocks before the failing one are erased.
    pub fn erase(&mut self, range: Range<usize>) -> Result<(), FlashError> {
        let length = range.end.checked_sub(range.start);
        self.inside(range.start, length.ok_or(FlashError::OutOfBounds)?)?;
        if !range.start.is_multiple_of(BLOCK) || !range.end.is_multiple_of(BLOCK) {
            return Err(FlashError::NotAligned);
        }
        for block in range.step_by(BLOCK) {
            self.platform.write(block, command::ERASE);
            self.platform.write(block, command::CONFIRM);
            let erased = self.ready(block, self.geometry.erase_limit);
            self.settle(erased)?;
        }
        Ok(())
    }

    fn inside(&self, offset: usize, length: usize) -> Result<(), FlashError> {
        offset
            .checked_add(length)
            .filter(|end| *end <= self.size())
            .map(drop)
            .ok_or(FlashError::OutOfBounds)
    }

    fn program_byte(&mut self, offset: usize, byte: u8) -> Result<(), FlashError> {
        self.platform.write(offset, command::PROGRAM);
        self.platform.write(offset, byte);
        self.ready(offset, self.geometry.program_limit)
    }

    fn program_buffer(&mut self, offset: usize, bytes: &[u8]) -> Result<(), FlashError> {
        // Any address in the block would do for the commands, but QEMU takes the buffer's place from them.
        // The chip answers the first one with its status: ready when a buffer is free.
        let deadline = self.platform.now() + self.geometry.buffer_limit;
        loop {
            self.platform.write(offset, command::BUFFERED_PROGRAM);
            if self.status(offset).contains(Status::READY) {
                break;
            }
            if self.platform.now() > deadline {
                return Err(FlashError::Timeout);
            }
        }
        self.platform.write(offset, (bytes.len() - 1) as u8);
        for (at, byte) in (offset..).zip(bytes) {
            self.platform.write(at, *byte);
        }
        self.platform.write(offset, command::CONFIRM);
        self.ready(offset, self.geometry.buffer_limit)
    }

    fn status(&self, offset: usize) -> Status {
        Status::from_bits_retain(self.platform.read(offset))
    }

    /// Waits until the chip, which shows its status, is ready.
    fn ready(&mut self, offset: usize, limit: u64) -> Result<(), FlashError> {
        let deadline = self.platform.now() + limit;
        loop {
            let status = self.status(offset);
            if status.contains(Status::READY) {
                return status.result();
            }
            if self.platform.now() > deadline {
                return Err(FlashError::Timeout);
            }
            core::hint::spin_loop();
        }
    }

    /// Shows the array again; errors are forgotten by the chip, or they would stay in the register.
    fn settle(&mut self, result: Result<(), FlashError>) -> Result<(), FlashError> {
        if result.is_err() {
            self.platform.write(0, command::READ_STATUS);
            self.platform.write(0, command::CLEAR_STATUS);
        }
        self.platform.write(0, command::READ_ARRAY);
        result
    }
}

impl<P> ErrorType for Chip<P> {
    type Error = FlashError;
}

impl<P: Platform> ReadNorFlash for Chip<P> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        Self::read(self, offset as usize, bytes)
    }

    fn capacity(&self) -> usize {
        self.size()
    }
}

impl<P: Platform> NorFlash for Chip<P> {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = BLOCK;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        Self::erase(self, from as usize..to as usize)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        self.program(offset as usize, bytes)
    }
}

/// A byte may be programmed again: its bits can only be cleared.
impl<P: Platform> MultiwriteNorFlash for Chip<P> {}

#[cfg(test)]
mod tests;
