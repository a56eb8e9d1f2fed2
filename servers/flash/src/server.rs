//! The message loop around the chip. Shared with `flash-faulty`.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use flash::cfi::QueryError;
use flash::chip::{BLOCK, Chip, FlashError};
use flash::keys::{BLOCKS, KeyError, Keys, VALUE_MAX};
use flash::platform::Platform;
use flash::raw;
use libsys::proto::file::{Entry, LIST, Page, REMOVE, SET_SIZE};
use libsys::proto::io::{APPEND, CREATE, IoError, Kind, NAME_MAX, Stat, TRUNCATE};
use libsys::registers::Registers;
use libsys::serve::{Done, Reaction, Request, Server, serve};
use libsys::time::Instant;

/// Bytes that are copied at once.
const PIECE: usize = 16 << 10;
/// Entries of a [`Page`]: so many fit the smallest buffer that a client may give.
const ENTRIES: usize = 4;

/// A program of Postern as the driver's platform.
struct Program(Registers);

impl Platform for Program {
    fn size(&self) -> usize {
        self.0.size()
    }

    fn read(&self, offset: usize) -> u8 {
        self.0.read(offset)
    }

    fn write(&mut self, offset: usize, value: u8) {
        self.0.write(offset, value);
    }

    fn copy_out(&self, offset: usize, bytes: &mut [u8]) {
        self.0.copy_out(offset, bytes);
    }

    fn now(&self) -> u64 {
        u64::try_from(Instant(0).elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Called at each read of `flash:0`, before it is answered, with the number of reads so far.
pub type OnRead = fn(u64);

/// The chip and its two uses.
struct Ready {
    chip: Chip<Program>,
    /// Bytes of `flash:0`; the values lie behind them.
    raw: u64,
    keys: Keys,
}

struct Flash {
    /// The chip, or what opening it says.
    device: Result<Ready, IoError>,
    piece: Vec<u8>,
    block: Box<[u8; BLOCK]>,
    reads: u64,
    on_read: OnRead,
}

/// What a session has open.
enum Open {
    Raw,
    List,
    Value(String),
}

impl Server for Flash {
    type Session = Open;

    fn open(&mut self, name: &str, request: &Request) -> Result<Open, IoError> {
        let Ready { chip, keys, .. } = ready(&mut self.device)?;
        let name = match (name, name.strip_prefix("kv/")) {
            ("0", _) => return Ok(Open::Raw),
            ("kv", _) | (_, Some("")) => return Ok(Open::List),
            (_, Some(name)) => name.to_string(),
            _ => return Err(IoError::NotFound),
        };
        let how = request.words[0];
        match keys.get(chip, &name) {
            Ok(_) if how & TRUNCATE == 0 => {}
            Ok(_) => keys.set(chip, &name, &[]).map_err(io_error)?,
            Err(KeyError::NotFound) if how & CREATE != 0 => {
                keys.set(chip, &name, &[]).map_err(io_error)?;
            }
            Err(error) => return Err(io_error(error)),
        }
        Ok(Open::Value(name))
    }

    fn read(&mut self, open: &mut Open, offset: u64, request: Request) -> Reaction<'_> {
        let Ready { chip, raw, keys } = ready(&mut self.device)?;
        match open {
            Open::List => Err(IoError::IsDirectory),
            Open::Value(name) => {
                let value = keys.get(chip, name).map_err(io_error)?;
                let length = clip(offset, request.length(), value.len() as u64)?;
                Ok(Done::Data(&value[offset as usize..][..length]))
            }
            Open::Raw => {
                let length = clip(offset, request.length(), *raw)?;
                let offset = offset as usize;
                self.reads += 1;
                (self.on_read)(self.reads);
                if length <= PIECE {
                    let piece = &mut self.piece[..length];
                    chip.read(offset, piece).map_err(flash_error)?;
                    return Ok(Done::Data(piece));
                }
                for done in (0..length).step_by(PIECE) {
                    let piece = &mut self.piece[..PIECE.min(length - done)];
                    chip.read(offset + done, piece).map_err(flash_error)?;
                    request.copy_out(done, piece)?;
                }
                Ok(Done::Count(length))
            }
        }
    }

    fn write(&mut self, open: &mut Open, offset: u64, request: Request) -> Reaction<'_> {
        let Ready { chip, raw, keys } = ready(&mut self.device)?;
        match open {
            Open::List => Err(IoError::IsDirectory),
            Open::Value(name) => {
                let mut value = keys.get(chip, name).map_err(io_error)?.to_vec();
                let offset = if offset == APPEND {
                    value.len()
                } else {
                    clip(offset, 0, value.len() as u64).map(|_| offset as usize)?
                };
                if request.length() > VALUE_MAX - offset.min(VALUE_MAX) {
                    return Err(IoError::NoSpace);
                }
                let end = offset + request.length();
                value.resize(end.max(value.len()), 0);
                request.copy_in(0, &mut value[offset..end])?;
                keys.set(chip, name, &value).map_err(io_error)?;
                Ok(Done::Count(request.length()))
            }
            Open::Raw => {
                let length = clip(offset, request.length(), *raw)?;
                // Writing at the end would otherwise "succeed" without progress.
                if length == 0 && request.length() != 0 {
                    return Err(IoError::BeyondEnd);
                }
                for done in (0..length).step_by(PIECE) {
                    let piece = &mut self.piece[..PIECE.min(length - done)];
                    request.copy_in(done, piece)?;
                    raw::write(chip, offset as usize + done, piece, &mut self.block)
                        .map_err(flash_error)?;
                }
                Ok(Done::Count(length))
            }
        }
    }

    fn stat(&mut self, open: &mut Open) -> Result<Stat, IoError> {
        let Ready { chip, raw, keys } = ready(&mut self.device)?;
        let (size, block_size, kind) = match open {
            Open::Raw => (*raw, BLOCK as u32, Kind::Block),
            Open::List => (0, 1, Kind::Directory),
            Open::Value(name) => {
                let size = keys.get(chip, name).map_err(io_error)?.len();
                (size as u64, 1, Kind::Block)
            }
        };
        Ok(Stat {
            size,
            block_size,
            kind,
        })
    }

    fn other(&mut self, open: Option<&mut Open>, label: u32, request: Request) -> Reaction<'_> {
        let Ready { chip, keys, .. } = ready(&mut self.device)?;
        match (label, open) {
            (REMOVE, None) => {
                let mut name = [0; NAME_MAX];
                let name = name
                    .get_mut(..request.length())
                    .ok_or(IoError::BadRequest)?;
                request.copy_in(0, name)?;
                let name = str::from_utf8(name).map_err(|_| IoError::BadRequest)?;
                let name = name.strip_prefix("kv/").ok_or(IoError::NotPermitted)?;
                keys.remove(chip, &name.to_string()).map_err(io_error)?;
                Ok(Done::Count(0))
            }
            (LIST, Some(Open::List)) => {
                let from = usize::try_from(request.words[0]).map_err(|_| IoError::BadRequest)?;
                let names = keys.list(chip).map_err(io_error)?;
                let bytes = postcard::to_allocvec(&page(&names, from));
                let bytes = bytes.map_err(|_| IoError::OutOfMemory)?;
                request.copy_out(0, &bytes)?;
                Ok(Done::Count(bytes.len()))
            }
            (SET_SIZE, Some(Open::Value(name))) => {
                let mut value = keys.get(chip, name).map_err(io_error)?.to_vec();
                let size = usize::try_from(request.words[0]).unwrap_or(usize::MAX);
                if size > value.len() {
                    return Err(IoError::BeyondEnd);
                }
                value.truncate(size);
                keys.set(chip, name, &value).map_err(io_error)?;
                Ok(Done::Count(0))
            }
            (LIST, Some(_)) => Err(IoError::NotDirectory),
            _ => Err(IoError::BadRequest),
        }
    }
}

fn ready(device: &mut Result<Ready, IoError>) -> Result<&mut Ready, IoError> {
    device.as_mut().map_err(|error| *error)
}

/// How many of `length` bytes from `offset` on lie before `end`.
fn clip(offset: u64, length: usize, end: u64) -> Result<usize, IoError> {
    let left = end.checked_sub(offset).ok_or(IoError::BeyondEnd)?;
    Ok(usize::try_from(left).unwrap_or(usize::MAX).min(length))
}

/// A part of the list of values.
fn page(names: &[(String, usize)], from: usize) -> Page {
    let entry = |(name, size): &(String, usize)| Entry {
        name: name.clone(),
        size: *size as u64,
        directory: false,
    };
    let rest = names.get(from..).unwrap_or_default();
    let more = rest.len() > ENTRIES;
    Page {
        entries: rest.iter().take(ENTRIES).map(entry).collect(),
        next: more.then_some((from + ENTRIES) as u64),
    }
}

fn io_error(error: KeyError) -> IoError {
    match error {
        KeyError::BadName => IoError::BadName,
        KeyError::NotFound => IoError::NotFound,
        KeyError::TooLong | KeyError::Full => IoError::NoSpace,
        KeyError::Corrupt => IoError::Corrupt,
        KeyError::Flash(error) => flash_error(error),
    }
}

fn flash_error(error: FlashError) -> IoError {
    match error {
        FlashError::OutOfBounds => IoError::BeyondEnd,
        FlashError::Locked => IoError::ReadOnly,
        _ => IoError::DeviceError,
    }
}

/// Serves the program's device for good.
pub fn run(on_read: OnRead) {
    let device = probe().map_err(|(error, why)| {
        libsys::rt::say(format_args!("{why}"));
        error
    });
    serve(&mut Flash {
        device,
        piece: vec![0; PIECE],
        block: Box::new([0; BLOCK]),
        reads: 0,
        on_read,
    })
}

/// Finds the chip.
fn probe() -> Result<Ready, (IoError, &'static str)> {
    let absent = (IoError::NoDevice, "absent");
    let registers = Registers::take().ok_or(absent)?;
    // From the end: the values, a block that nobody needs, and what is left.
    let small = (IoError::NoDevice, "too small");
    let values = registers.size().checked_sub(BLOCKS * BLOCK).ok_or(small)?;
    let raw = values.checked_sub(BLOCK).ok_or(small)?;
    let mut chip = Chip::new(Program(registers), raw).map_err(|error| match error {
        QueryError::Absent => absent,
        QueryError::Unsupported(why) => (IoError::NoDevice, why),
    })?;
    let size = values + BLOCKS * BLOCK;
    if chip.size() != size {
        return Err((IoError::NoDevice, "it is smaller than what is mapped of it"));
    }
    let keys = Keys::new(&mut chip, values..size)
        .map_err(|error| (flash_error(error), "its blocks cannot be erased"))?;
    Ok(Ready {
        chip,
        raw: raw as u64,
        keys,
    })
}
