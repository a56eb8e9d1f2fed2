//! The flash chip in the machine's address space.

use crate::bus;
use flash::chip::{BLOCK, Chip};
use flash::keys::BLOCKS;
use flash::platform::Platform;
use microkernel::arch::cpu;

/// The chip's memory, mapped.
#[derive(Debug)]
pub struct Registers {
    address: u64,
    size: usize,
    /// TSC ticks in a microsecond.
    ticks: u64,
}

impl Registers {
    fn place(&self, offset: usize, bytes: usize) -> u64 {
        let end = offset.checked_add(bytes);
        assert!(end.is_some_and(|end| end <= self.size), "outside the chip");
        self.address + offset as u64
    }
}

impl Platform for Registers {
    fn size(&self) -> usize {
        self.size
    }

    fn read(&self, offset: usize) -> u8 {
        // SAFETY: mapped registers, inside.
        unsafe { (self.place(offset, 1) as *const u8).read_volatile() }
    }

    fn write(&mut self, offset: usize, value: u8) {
        // SAFETY: as in `read`.
        unsafe { (self.place(offset, 1) as *mut u8).write_volatile(value) }
    }

    fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        let from = self.place(offset, bytes.len());
        // SAFETY: the source is as in `read`; the target is a borrow of the same length.
        unsafe { cpu::copy(from, bytes.as_mut_ptr() as u64, bytes.len() as u64) }
    }

    fn now(&self) -> u64 {
        cpu::now() / self.ticks
    }
}

/// The chip that a word of the command line names: `flash=ADDRESS,SIZE`, in decimal. Returns how many of its bytes are free for any
/// use, as the server has it: behind them lie named values and a spare block. `None`: the line names none.
///
/// # Errors
/// It is not such a word, or there is no such chip.
pub fn find(
    command_line: &str,
    tsc_hz: u64,
) -> Result<Option<(Chip<Registers>, u64)>, &'static str> {
    let mut words = command_line.split_whitespace();
    let Some(place) = words.find_map(|word| word.strip_prefix("flash=")) else {
        return Ok(None);
    };
    let (address, size) = place.split_once(',').ok_or("flash= wants ADDRESS,SIZE")?;
    let (Ok(physical), Ok(size)) = (address.parse(), size.parse::<usize>()) else {
        return Err("flash= wants numbers");
    };
    let spare = size.checked_sub((BLOCKS + 1) * BLOCK);
    let spare = spare.ok_or("the flash is too small")?;
    let registers = Registers {
        address: bus::map(physical, size as u64).ok_or("the flash is too large")?,
        size,
        ticks: (tsc_hz / 1_000_000).max(1),
    };
    let chip = Chip::new(registers, spare).map_err(|_| "there is no such flash")?;
    Ok(Some((chip, spare as u64)))
}
