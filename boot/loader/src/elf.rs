//! A program's ELF file becomes a checked plan of what goes where. Nothing in a file can make this panic.

use core::fmt;
use core::ops::Range;

use elf::ElfBytes;
use elf::abi::{EM_X86_64, ET_EXEC, PF_W, PF_X, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::Class;
use elf::segment::ProgramHeader;
use heapless::Vec;

use crate::memory::PAGE;

/// Most segments of a program ([`bootinfo::Image`]).
pub const SEGMENTS: usize = 8;

/// A program that may be loaded: static, for x86-64, with segments that share no page, rising by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program<'a> {
    /// Virtual address of the first instruction; it lies in an executable segment.
    pub entry: u64,
    /// At least one.
    pub segments: Vec<Segment<'a>, SEGMENTS>,
}

/// What one PT_LOAD becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Virtual address of the first page.
    pub address: u64,
    /// Length in bytes, a multiple of [`PAGE`], not 0.
    pub size: u64,
    /// Where in these pages `data` starts; all other bytes are zero.
    pub offset: u64,
    /// The bytes that the file gives.
    pub data: &'a [u8],
    /// May be written (then it may not be executed).
    pub write: bool,
    /// May be executed.
    pub execute: bool,
}

/// Why a file is not such a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Not a 64-bit little-endian ELF file, or its headers lie outside it.
    NotElf,
    /// For another processor.
    WrongMachine,
    /// Not linked to fixed addresses (ET_EXEC).
    NotStatic,
    /// More than [`SEGMENTS`] segments.
    TooManySegments,
    /// No segment to load.
    NoSegments,
    /// A segment's bytes lie outside the file, or are more than its memory.
    DataOutsideFile,
    /// A segment lies outside the addresses such a program may use.
    AddressOutOfRange,
    /// A segment is writable and executable.
    WriteAndExecute,
    /// Two segments share a page.
    Overlap,
    /// The entry point is in no executable segment.
    BadEntry,
}

impl<'a> Program<'a> {
    /// Reads a program whose segments must lie in `window` (whole pages).
    pub fn parse(file: &'a [u8], window: Range<u64>) -> Result<Self, Error> {
        let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(|_| Error::NotElf)?;
        if elf.ehdr.class != Class::ELF64 {
            return Err(Error::NotElf);
        }
        if elf.ehdr.e_machine != EM_X86_64 {
            return Err(Error::WrongMachine);
        }
        if elf.ehdr.e_type != ET_EXEC {
            return Err(Error::NotStatic);
        }
        let mut segments: Vec<Segment<'a>, SEGMENTS> = Vec::new();
        for header in elf.segments().into_iter().flatten() {
            if header.p_type == PT_LOAD && header.p_memsz != 0 {
                let data = match header.p_filesz {
                    0 => Ok(&[][..]), // wherever its offset points
                    _ => elf.segment_data(&header),
                };
                let data = data.map_err(|_| Error::DataOutsideFile)?;
                let segment = Segment::new(&header, data, &window)?;
                segments.push(segment).map_err(|_| Error::TooManySegments)?;
            }
        }
        segments.sort_unstable_by_key(|segment| segment.address);
        if segments.is_empty() {
            return Err(Error::NoSegments);
        }
        if segments
            .windows(2)
            .any(|pair| pair[0].address + pair[0].size > pair[1].address)
        {
            return Err(Error::Overlap);
        }
        let entry = elf.ehdr.e_entry;
        if !segments
            .iter()
            .any(|segment| segment.execute && segment.contains(entry))
        {
            return Err(Error::BadEntry);
        }
        Ok(Self { entry, segments })
    }

    /// From the first page of the first segment to the end of the last.
    pub fn span(&self) -> Range<u64> {
        let start = self.segments.first().map_or(0, |first| first.address);
        let end = self
            .segments
            .last()
            .map_or(0, |last| last.address + last.size);
        start..end
    }
}

impl<'a> Segment<'a> {
    fn new(header: &ProgramHeader, data: &'a [u8], window: &Range<u64>) -> Result<Self, Error> {
        if header.p_filesz > header.p_memsz {
            return Err(Error::DataOutsideFile);
        }
        let start = header.p_vaddr;
        let address = start / PAGE * PAGE;
        let end = start
            .checked_add(header.p_memsz)
            .and_then(|end| end.checked_next_multiple_of(PAGE))
            .filter(|&end| window.start <= address && end <= window.end)
            .ok_or(Error::AddressOutOfRange)?;
        let (write, execute) = (header.p_flags & PF_W != 0, header.p_flags & PF_X != 0);
        if write && execute {
            return Err(Error::WriteAndExecute);
        }
        Ok(Self {
            address,
            size: end - address,
            offset: start - address,
            data,
            write,
            execute,
        })
    }

    fn contains(&self, address: u64) -> bool {
        (self.address..self.address + self.size).contains(&address)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotElf => "it is no complete 64-bit ELF file",
            Self::WrongMachine => "it is not for x86-64",
            Self::NotStatic => "it is not linked to fixed addresses",
            Self::TooManySegments => "it has more than 8 segments",
            Self::NoSegments => "it has nothing to load",
            Self::DataOutsideFile => "a segment's bytes lie outside the file",
            Self::AddressOutOfRange => "a segment's address is out of range",
            Self::WriteAndExecute => "a segment is writable and executable",
            Self::Overlap => "two segments share a page",
            Self::BadEntry => "its entry point is not in executable memory",
        })
    }
}
