//! `read` and `write` of every device, whoever asks: the application itself, or a system call.

use crate::caller::{Memory, each, pieces, put, take};
use crate::flash::{self, Registers};
use crate::keyboard::Keyboard;
use crate::net::Network;
use crate::{Machine, bus, interrupts};
use ::flash::chip::{BLOCK, Chip};
use ::flash::raw;
use alloc::boxed::Box;
use alloc::rc::Rc;
use bootinfo::BootInfo;
use disk::device::{Device as _, Operation, Pieces};
use disk::driver::Disk;
use disk::range::{Chunk, SECTOR, clip};
use heapless::Vec;
use libsys::proto::io::IoError;
use microkernel::arch::apic;
use null::Null;
use virtio::transport::MsiX;

/// Ids of virtio block devices (virtio 1.2, 4.1.2.1 and 5).
const DISKS: [u16; 2] = [0x1001, 0x1042];
/// Bytes of the keyboard that one read takes at most.
const TYPED: usize = 64;
/// The disk has one request at a time.
const SLOT: usize = 0;

/// A device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// Nothing to read; takes everything.
    Null,
    /// Zeros without end.
    Zero,
    /// The first disk.
    Disk,
    /// The flash, but for its last blocks.
    Flash,
    /// The keyboard; what is written comes as if it were struck.
    Keyboard,
    /// The frames of the network.
    Net,
}

impl Name {
    /// The device with a number.
    pub fn of(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Null),
            1 => Some(Self::Zero),
            2 => Some(Self::Disk),
            3 => Some(Self::Flash),
            4 => Some(Self::Keyboard),
            5 => Some(Self::Net),
            _ => None,
        }
    }

    /// The device of that name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "null" => Some(Self::Null),
            "zero" => Some(Self::Zero),
            "disk" => Some(Self::Disk),
            "flash" => Some(Self::Flash),
            "keyboard" => Some(Self::Keyboard),
            "net" => Some(Self::Net),
            _ => None,
        }
    }
}

/// Whether bytes that a device could move itself are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The device writes the caller's memory.
    Direct,
    /// It writes the driver's, and the bytes are copied.
    Copied,
}

/// All devices.
pub struct Devices {
    disk: Option<Disk<Machine, MsiX>>,
    /// The chip, and how many bytes of it are for any use.
    flash: Option<(Chip<Registers>, u64)>,
    keyboard: Option<Keyboard>,
    net: Option<Network>,
    /// Working memory of writes to the flash.
    block: Box<[u8; BLOCK]>,
    /// What keeps callers' memory while a device has it: they wait, so nothing need be.
    owner: Rc<()>,
}

impl Devices {
    /// Finds them: those on the bus, and those that the command line names; and the keyboard.
    ///
    /// # Errors
    /// One cannot be used, in words.
    pub fn find(info: &BootInfo<'_>) -> Result<Self, &'static str> {
        let disk = match bus::connect(&DISKS, interrupts::FIRST)? {
            None => None,
            Some(transport) => Some(Disk::new(transport).map_err(|_| "the disk cannot be used")?),
        };
        Ok(Self {
            disk,
            flash: flash::find(info.command_line, apic::calibrate())?,
            keyboard: Keyboard::find(&info.acpi, interrupts::FIRST + 1),
            net: Network::find(interrupts::FIRST + 2)?,
            block: Box::new([0; BLOCK]),
            owner: Rc::new(()),
        })
    }

    /// Reads from byte `offset` of a device into memory. Returns how many bytes came: 0 at the end.
    ///
    /// # Errors
    /// As the servers say.
    #[inline(always)]
    pub fn read(
        &mut self,
        name: Name,
        how: How,
        offset: u64,
        memory: &impl Memory,
    ) -> Result<usize, IoError> {
        match name {
            Name::Null => put(memory, 0, Null::EMPTY.read(memory.length())),
            Name::Zero => zeros(memory),
            Name::Disk => self.transfer(false, how, offset, memory),
            Name::Flash => self.read_flash(offset, memory),
            Name::Keyboard => self.read_keyboard(memory),
            Name::Net => self.read_frame(memory),
        }
    }

    /// A read of [`Name::Zero`], in registers.
    #[inline(always)]
    pub fn read_words(&self, length: usize) -> [u64; 2] {
        Null::ZEROS.read_words(length)
    }

    /// Writes memory to a device, from its byte `offset` on. Returns how many bytes went.
    ///
    /// # Errors
    /// As the servers say. `BadRequest`: not whole sectors of a disk.
    #[inline(always)]
    pub fn write(
        &mut self,
        name: Name,
        how: How,
        offset: u64,
        memory: &impl Memory,
    ) -> Result<usize, IoError> {
        match name {
            Name::Null => Ok(Null::EMPTY.write(memory.length())),
            Name::Zero => Ok(Null::ZEROS.write(memory.length())),
            Name::Disk => self.transfer(true, how, offset, memory),
            Name::Flash => self.write_flash(offset, memory),
            Name::Keyboard => self.write_keyboard(memory),
            Name::Net => self.write_frame(memory),
        }
    }

    /// Copies bytes out of the flash: the chip shows them as memory.
    #[inline(never)]
    fn read_flash(&mut self, offset: u64, memory: &impl Memory) -> Result<usize, IoError> {
        let (chip, size) = self.flash.as_ref().ok_or(IoError::NoDevice)?;
        let length = clip(offset, memory.length(), *size).ok_or(IoError::BeyondEnd)?;
        let mut result = Ok(());
        each(memory, 0, length, true, |piece, done, count| {
            // SAFETY: `count` bytes of the caller's memory, to which no reference points.
            let bytes = unsafe { core::slice::from_raw_parts_mut(piece, count) };
            result = result.and_then(|()| chip.read(offset as usize + done, bytes));
        })?;
        result.map_err(|_| IoError::DeviceError).map(|()| length)
    }

    /// Writes bytes to the flash: blocks are erased where they must be.
    #[inline(never)]
    fn write_flash(&mut self, offset: u64, memory: &impl Memory) -> Result<usize, IoError> {
        let (chip, size) = self.flash.as_mut().ok_or(IoError::NoDevice)?;
        let length = clip(offset, memory.length(), *size).ok_or(IoError::BeyondEnd)?;
        let (mut result, block) = (Ok(()), &mut self.block);
        each(memory, 0, length, false, |piece, done, count| {
            // SAFETY: as in `read_flash`.
            let bytes = unsafe { core::slice::from_raw_parts(piece, count) };
            result = result.and_then(|()| raw::write(chip, offset as usize + done, bytes, block));
        })?;
        result.map_err(|_| IoError::DeviceError).map(|()| length)
    }

    /// Waits for what is typed.
    #[inline(never)]
    fn read_keyboard(&mut self, memory: &impl Memory) -> Result<usize, IoError> {
        let keyboard = self.keyboard.as_mut().ok_or(IoError::NoDevice)?;
        if memory.length() == 0 {
            return Ok(0);
        }
        // Looked at before anything is taken: what is typed is not lost.
        memory
            .piece(0, memory.length(), true)
            .ok_or(IoError::BadBuffer)?;
        let mut typed = Vec::<u8, TYPED>::new();
        typed.extend(keyboard.read(memory.length().min(TYPED)));
        put(memory, 0, &typed)
    }

    #[inline(never)]
    fn read_frame(&mut self, memory: &impl Memory) -> Result<usize, IoError> {
        self.net.as_mut().ok_or(IoError::NoDevice)?.read(memory)
    }

    #[inline(never)]
    fn write_frame(&mut self, memory: &impl Memory) -> Result<usize, IoError> {
        self.net.as_mut().ok_or(IoError::NoDevice)?.write(memory)
    }

    /// Waits until there is something to read, where that is not so always.
    ///
    /// # Errors
    /// `NoDevice`.
    pub fn wait(&mut self, name: Name) -> Result<(), IoError> {
        if name == Name::Net {
            self.net.as_mut().ok_or(IoError::NoDevice)?.wait();
        }
        Ok(())
    }

    /// Strikes the key whose scan code is the first byte.
    #[inline(never)]
    fn write_keyboard(&mut self, memory: &impl Memory) -> Result<usize, IoError> {
        let keyboard = self.keyboard.as_ref().ok_or(IoError::NoDevice)?;
        let mut code = [0];
        if memory.length() == 0 {
            return Ok(0);
        }
        take(memory, 0, &mut code)?;
        keyboard.strike(code[0])?;
        Ok(code.len())
    }

    /// Moves bytes between the disk and memory.
    #[inline(never)]
    fn transfer(
        &mut self,
        write: bool,
        how: How,
        offset: u64,
        memory: &impl Memory,
    ) -> Result<usize, IoError> {
        let disk = self.disk.as_mut().ok_or(IoError::NoDevice)?;
        if write && disk.is_read_only() {
            return Err(IoError::ReadOnly);
        }
        let length = clip(offset, memory.length(), disk.size()).ok_or(IoError::BeyondEnd)?;
        let whole = offset.is_multiple_of(SECTOR as u64) && length.is_multiple_of(SECTOR);
        if write && !whole {
            return Err(IoError::BadRequest);
        }
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            done += match how {
                How::Direct if whole => {
                    let (pieces, bytes) = pieces(memory, done..length, !write)?;
                    let (sector, sectors) = (at / SECTOR as u64, bytes / SECTOR);
                    let owner = self.owner.clone();
                    // SAFETY: `Memory::piece` gives contiguous memory of the caller, who waits until this is done.
                    let pieces = unsafe { Pieces::new(pieces, owner) }.ok_or(IoError::BadBuffer)?;
                    request(disk, write, sector, sectors, Some(pieces))?;
                    bytes
                }
                _ => {
                    let chunk = Chunk::first(at, length - done);
                    let range = chunk.skip..chunk.skip + chunk.bytes;
                    if write {
                        take(memory, done, &mut disk.buffer(SLOT)[range.clone()])?;
                    }
                    request(disk, write, chunk.sector, chunk.sectors, None)?;
                    if !write {
                        put(memory, done, &disk.buffer(SLOT)[range])?;
                    }
                    chunk.bytes
                }
            };
        }
        Ok(length)
    }
}

/// A read of `zero:`. Not inlined: what has no bytes to copy need not save registers for it.
#[inline(never)]
fn zeros(memory: &impl Memory) -> Result<usize, IoError> {
    put(memory, 0, Null::ZEROS.read(memory.length()))
}

/// One request, from its submission to its end. The processor sleeps meanwhile.
fn request(
    disk: &mut Disk<Machine, MsiX>,
    write: bool,
    sector: u64,
    sectors: usize,
    pieces: Option<Pieces>,
) -> Result<(), IoError> {
    let operation = match write {
        false => Operation::Read { sector, sectors },
        true => Operation::Write { sector, sectors },
    };
    disk.submit(SLOT, operation, pieces);
    loop {
        interrupts::wait();
        if let Some((_, result)) = disk.completed() {
            return result.map_err(|_| IoError::DeviceError);
        }
    }
}
