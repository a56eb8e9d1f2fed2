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
        while platform.read(spare) & Status::READY.bits() == 0 && platform.now() < deadline {
            core::hint::spin_loop();
        }
        platform.write(spare, command::CLEAR_STATUS);
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
mod tests {
    use super::*;
    use crate::model::Model;

    fn chip(buffer: u8) -> (Model, Chip<Model>) {
        let model = Model::new(8, buffer);
        (model.clone(), Chip::new(model, 0).unwrap())
    }

    #[test]
    fn bits_are_cleared_by_programming_and_set_by_erasing() {
        for buffer in [0, 1, 5, 8] {
            let (model, mut chip) = chip(buffer);
            let bytes: Vec<u8> = (0..5000).map(|i| i as u8 ^ 0x5a).collect();
            for (offset, length) in [(0, 1), (3, 2), (4090, 12), (8192, 5000), (32_767, 1)] {
                chip.erase(0..32_768).unwrap();
                chip.program(offset, &bytes[..length]).unwrap();
                let mut expected = vec![0xff; 32_768];
                expected[offset..offset + length].copy_from_slice(&bytes[..length]);
                assert_eq!(model.cells.borrow().bytes, expected);
                let mut read = vec![0; 32_768];
                chip.read(0, &mut read).unwrap();
                assert_eq!(read, expected);
            }
            chip.program(100, &[0x0f]).unwrap();
            chip.program(100, &[0xf3]).unwrap();
            assert_eq!(model.cells.borrow().bytes[100], 0x03);
            assert_eq!(model.cells.borrow().erased, [5; 8]);
        }
    }

    #[test]
    fn ranges_are_checked() {
        let (model, mut chip) = chip(8);
        let mut byte = [0];
        assert_eq!(chip.read(32_768, &mut byte), Err(FlashError::OutOfBounds));
        assert_eq!(
            chip.read(usize::MAX, &mut byte),
            Err(FlashError::OutOfBounds)
        );
        assert_eq!(chip.program(32_767, &[0, 0]), Err(FlashError::OutOfBounds));
        assert_eq!(chip.erase(0..36_864), Err(FlashError::OutOfBounds));
        assert_eq!(
            chip.erase(Range {
                start: 4096,
                end: 0
            }),
            Err(FlashError::OutOfBounds)
        );
        assert_eq!(chip.erase(1..4096), Err(FlashError::NotAligned));
        assert_eq!(chip.erase(0..4095), Err(FlashError::NotAligned));
        assert_eq!(model.cells.borrow().operations, 0);
    }

    #[test]
    fn what_the_chip_says_is_told_and_forgotten() {
        for buffer in [0, 8] {
            let (model, mut chip) = chip(buffer);
            model.cells.borrow_mut().locked = vec![1];
            model.cells.borrow_mut().broken = vec![2];
            let bytes = [0x11; 3];
            assert_eq!(chip.program(4096, &bytes), Err(FlashError::Locked));
            assert_eq!(chip.program(8192, &bytes), Err(FlashError::Program));
            assert_eq!(chip.erase(4096..8192), Err(FlashError::Locked));
            assert_eq!(chip.erase(0..32_768), Err(FlashError::Locked));
            assert_eq!(chip.erase(8192..12_288), Err(FlashError::Erase));
            assert_eq!(chip.program(0, &bytes), Ok(()));
            assert_eq!(chip.erase(0..4096), Ok(()));
            assert_eq!(model.cells.borrow().erased, [2, 0, 0, 0, 0, 0, 0, 0]);
        }
    }

    #[test]
    fn a_chip_that_is_never_ready_is_given_up() {
        for buffer in [0, 8] {
            let (model, mut chip) = chip(buffer);
            model.cells.borrow_mut().busy_for = u32::MAX;
            assert_eq!(chip.program(0, &[1, 2]), Err(FlashError::Timeout));
            assert_eq!(chip.erase(0..4096), Err(FlashError::Timeout));
        }
    }

    #[test]
    fn a_driver_may_die_between_any_two_bus_cycles() {
        const SPARE: usize = 7 * BLOCK;
        for buffer in [0, 5, 8] {
            for cycles in 0.. {
                let model = Model::new(8, buffer);
                let mut chip = Chip::new(model.clone(), SPARE).unwrap();
                chip.program(0, &[0x5a; 1000]).unwrap();
                model.cells.borrow_mut().cycles = Some(cycles);
                // What it does to block 1 nobody answers for.
                let result = chip
                    .erase(BLOCK..2 * BLOCK)
                    .and_then(|()| chip.program(BLOCK + 3, &[1; 300]));
                let alive = model.cells.borrow().cycles != Some(0);
                model.cells.borrow_mut().cycles = None;
                let mut next = Chip::new(model.clone(), SPARE).unwrap();
                next.erase(2 * BLOCK..3 * BLOCK).unwrap();
                next.program(2 * BLOCK, &[0x77; 50]).unwrap();
                let bytes = model.cells.borrow().bytes.clone();
                assert!(bytes[..1000].iter().all(|byte| *byte == 0x5a));
                assert!(bytes[1000..BLOCK].iter().all(|byte| *byte == 0xff));
                assert!(bytes[2 * BLOCK..][..50].iter().all(|byte| *byte == 0x77));
                assert!(
                    bytes[2 * BLOCK + 50..SPARE]
                        .iter()
                        .all(|byte| *byte == 0xff)
                );
                if alive {
                    assert!(result.is_ok() && cycles > 300);
                    break;
                }
            }
        }
    }

    #[test]
    fn only_chips_with_such_blocks() {
        struct Other(Vec<u8>, core::cell::Cell<u64>);
        impl Platform for Other {
            fn size(&self) -> usize {
                1 << 20
            }
            fn read(&self, offset: usize) -> u8 {
                self.0.get(offset).copied().unwrap_or(0)
            }
            fn write(&mut self, _: usize, _: u8) {}
            fn copy_out(&self, _: usize, _: &mut [u8]) {}
            fn now(&self) -> u64 {
                self.1.replace(self.1.get() + 1_000_000)
            }
        }
        let of = |table: Vec<u8>| Chip::new(Other(table, Default::default()), 0).err();
        assert_eq!(of(cfi::example(16, 4096, 0).into()), None);
        assert_eq!(of(vec![0xff; 64]), Some(QueryError::Absent));
        let blocks = of(cfi::example(16, 8192, 0).into());
        assert!(matches!(blocks, Some(QueryError::Unsupported(why)) if why.contains("4096")));
    }
}
