//! `read` and `write` of every device, whoever asks: the application itself, or a system call.

use crate::flash::{self, Registers};
use crate::keyboard::Keyboard;
use crate::memory;
use crate::net::Network;
use crate::{Machine, bus, interrupts};
use ::flash::chip::{BLOCK, Chip};
use ::flash::raw;
use alloc::boxed::Box;
use alloc::rc::Rc;
use bootinfo::BootInfo;
use core::marker::PhantomData;
use core::ptr::NonNull;
use disk::device::{Device as _, Operation, PIECES, Piece, Pieces};
use disk::driver::Disk;
use disk::range::{Chunk, SECTOR, clip};
use heapless::Vec;
use libsys::proto::io::IoError;
use microkernel::arch::{apic, cpu};
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

/// Memory of whoever asks.
pub trait Memory {
    /// Bytes.
    fn length(&self) -> usize;

    /// The longest contiguous piece of at most `most` bytes from `offset` on (all inside), if it may be read, or written. It stays
    /// the caller's memory as long as this value lives, and no Rust reference points there.
    fn piece(&self, offset: usize, most: usize, write: bool) -> Option<Piece>;
}

/// The application's own memory.
pub struct Own<'a> {
    address: NonNull<u8>,
    length: usize,
    borrowed: PhantomData<&'a mut [u8]>,
}

impl<'a> Own<'a> {
    /// A buffer.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self {
            length: bytes.len(),
            address: NonNull::from(bytes).cast(),
            borrowed: PhantomData,
        }
    }
}

impl Memory for Own<'_> {
    fn length(&self) -> usize {
        self.length
    }

    #[inline(always)]
    fn piece(&self, offset: usize, most: usize, _: bool) -> Option<Piece> {
        // SAFETY: inside the buffer.
        let address = unsafe { self.address.add(offset) };
        Some(Piece {
            address,
            physical: memory::physical(address.as_ptr() as u64),
            bytes: most as u32,
        })
    }
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

/// The pieces of a range of memory, whole sectors of it: as many as one request can have. Returns how many bytes they are.
#[inline(always)]
fn pieces(
    memory: &impl Memory,
    range: core::ops::Range<usize>,
    write: bool,
) -> Result<([Piece; PIECES], usize), IoError> {
    let (mut pieces, mut bytes) = (Vec::<Piece, PIECES>::new(), 0);
    while bytes < range.len() && !pieces.is_full() {
        let (at, most) = (range.start + bytes, range.len() - bytes);
        let piece = memory.piece(at, most, write).ok_or(IoError::BadBuffer)?;
        bytes += piece.bytes as usize;
        // There is room.
        let _ = pieces.push(piece);
    }
    // Three pieces may end inside a sector: then the last of them, at least a page long, ends earlier.
    let rest = bytes % SECTOR;
    if let Some(last) = pieces.last_mut() {
        last.bytes -= rest as u32;
    }
    let all = core::array::from_fn(|index| pieces.get(index).copied().unwrap_or(Piece::NONE));
    Ok((all, bytes - rest))
}

/// Copies bytes into memory; returns how many.
///
/// # Errors
/// `BadBuffer`: it may not be written.
#[inline(always)]
pub fn put(memory: &impl Memory, offset: usize, bytes: &[u8]) -> Result<usize, IoError> {
    each(memory, offset, bytes.len(), true, |piece, done, count| {
        // SAFETY: `count` bytes of the caller's memory, and as many of `bytes`.
        unsafe { cpu::copy(bytes.as_ptr().add(done) as u64, piece as u64, count as u64) }
    })
}

/// Copies bytes out of memory; returns how many.
///
/// # Errors
/// `BadBuffer`: it may not be read.
#[inline(always)]
pub fn take(memory: &impl Memory, offset: usize, bytes: &mut [u8]) -> Result<usize, IoError> {
    let (start, length) = (bytes.as_mut_ptr(), bytes.len());
    each(memory, offset, length, false, |piece, done, count| {
        // SAFETY: as in `put`.
        unsafe { cpu::copy(piece as u64, start.add(done) as u64, count as u64) }
    })
}

/// Visits `length` bytes of memory, piece by piece: where each is, how many bytes came before it, and how many it has.
#[inline(always)]
fn each(
    memory: &impl Memory,
    offset: usize,
    length: usize,
    write: bool,
    mut visit: impl FnMut(*mut u8, usize, usize),
) -> Result<usize, IoError> {
    let mut done = 0;
    while done < length {
        let piece = memory.piece(offset + done, length - done, write);
        let piece = piece.ok_or(IoError::BadBuffer)?;
        let count = piece.bytes as usize;
        visit(piece.address.as_ptr(), done, count);
        done += count;
    }
    Ok(length)
}
