//! Reading a program's ELF file: every number in it is checked here, nowhere else.

use abi::PAGE;
use alloc::vec::Vec;
use libsys::proto::program::INFO;
use object::elf::{EM_X86_64, ET_EXEC, FileHeader64, PF_W, PF_X, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, elf};

/// A part of a program with rights of its own: whole pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment<'a> {
    /// First address, a multiple of the page size.
    pub address: u64,
    /// Pages.
    pub pages: u64,
    /// Where in the first page `bytes` begins.
    pub skip: usize,
    /// What the file says; the rest is zero.
    pub bytes: &'a [u8],
    /// May be written; then it may not be executed.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
}

/// A program as its file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf<'a> {
    /// Address of the first instruction.
    pub entry: u64,
    /// In order of address, not overlapping, below [`INFO`].
    pub segments: Vec<Segment<'a>>,
}

/// Reads a statically linked program.
pub fn parse(file: &[u8]) -> Result<Elf<'_>, &'static str> {
    let header = FileHeader64::<LittleEndian>::parse(file).map_err(|_| "no 64-bit ELF header")?;
    let endian = header.endian().map_err(|_| "not little-endian")?;
    if header.e_machine(endian) != EM_X86_64 || header.e_type(endian) != ET_EXEC {
        return Err("not a static x86-64 program");
    }
    let headers = header
        .program_headers(endian, file)
        .map_err(|_| "program headers outside the file")?;
    let mut segments = Vec::new();
    for header in headers
        .iter()
        .filter(|h| h.p_type(endian) == PT_LOAD && h.p_memsz(endian) != 0)
    {
        segments.push(segment(header, endian, file)?);
    }
    segments.sort_by_key(|s| s.address);
    if segments
        .windows(2)
        .any(|pair| pair[0].address + pair[0].pages * PAGE > pair[1].address)
    {
        return Err("segments share a page");
    }
    let entry = header.e_entry(endian);
    if !segments
        .iter()
        .any(|s| s.execute && (s.address..s.address + s.pages * PAGE).contains(&entry))
    {
        return Err("the entry point is not in an executable segment");
    }
    Ok(Elf { entry, segments })
}

fn segment<'a>(
    header: &elf::ProgramHeader64<LittleEndian>,
    endian: LittleEndian,
    file: &'a [u8],
) -> Result<Segment<'a>, &'static str> {
    let (start, size) = (header.p_vaddr(endian), header.p_memsz(endian));
    let end = start
        .checked_add(size)
        .filter(|end| *end <= INFO)
        .ok_or("a segment lies too high")?;
    if start < PAGE {
        return Err("a segment covers address 0");
    }
    let bytes = header
        .data(endian, file)
        .map_err(|()| "a segment lies outside the file")?;
    if bytes.len() as u64 > size {
        return Err("a segment is larger in the file than in memory");
    }
    let has = |flag| header.p_flags(endian).0 & flag != 0;
    let (write, execute) = (has(PF_W.0), has(PF_X.0));
    if write && execute {
        return Err("a segment is writable and executable");
    }
    let address = start / PAGE * PAGE;
    let pages = (end - address).div_ceil(PAGE);
    Ok(Segment {
        address,
        pages,
        skip: (start - address) as usize,
        bytes,
        write,
        execute,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program with these (flags, address, file offset, file size, memory size) segments, 8 KiB long.
    fn file(entry: u64, segments: &[(u32, u64, u64, u64, u64)]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        bytes.extend([2u16, 62].map(u16::to_le_bytes).concat());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend([entry, 64, 0].map(u64::to_le_bytes).concat());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(
            [64u16, 56, segments.len() as u16, 64, 0, 0]
                .map(u16::to_le_bytes)
                .concat(),
        );
        for (flags, address, offset, in_file, in_memory) in segments {
            bytes.extend([1u32, *flags].map(u32::to_le_bytes).concat());
            bytes.extend(
                [*offset, *address, *address, *in_file, *in_memory, 4096]
                    .map(u64::to_le_bytes)
                    .concat(),
            );
        }
        bytes.resize(8192, 0x55);
        bytes
    }

    const TEXT: (u32, u64, u64, u64, u64) = (5, 0x400000, 4096, 100, 100);

    #[test]
    fn segments_become_pages() {
        let bytes = file(0x400000, &[TEXT, (6, 0x402010, 4096, 16, 5000)]);
        let elf = parse(&bytes).unwrap();
        assert_eq!(elf.entry, 0x400000);
        assert_eq!(
            (
                elf.segments[0].address,
                elf.segments[0].pages,
                elf.segments[0].skip
            ),
            (0x400000, 1, 0)
        );
        assert!(elf.segments[0].execute && !elf.segments[0].write);
        assert_eq!(
            (
                elf.segments[1].address,
                elf.segments[1].pages,
                elf.segments[1].skip
            ),
            (0x402000, 2, 0x10)
        );
        assert_eq!(elf.segments[1].bytes, &bytes[4096..4112]);
    }

    #[test]
    fn malformed_files_are_named() {
        let check = |bytes: &[u8], why| assert_eq!(parse(bytes), Err(why));
        check(b"#!/bin/sh", "no 64-bit ELF header");
        check(
            &file(0x400000, &[(7, 0x400000, 4096, 1, 1)]),
            "a segment is writable and executable",
        );
        check(
            &file(0x500000, &[TEXT]),
            "the entry point is not in an executable segment",
        );
        check(
            &file(0x400000, &[(5, 0x400000, 8000, 1000, 1000)]),
            "a segment lies outside the file",
        );
        check(
            &file(0x400000, &[(5, 0x400000, 4096, 100, 10)]),
            "a segment is larger in the file than in memory",
        );
        check(
            &file(0x400000, &[TEXT, (6, 0x400800, 4096, 1, 1)]),
            "segments share a page",
        );
        check(
            &file(0x400000, &[(5, INFO - 1, 4096, 100, 100)]),
            "a segment lies too high",
        );
        check(
            &file(0x400000, &[(5, u64::MAX, 4096, 100, 100)]),
            "a segment lies too high",
        );
        check(
            &file(0x400000, &[(5, 0, 4096, 100, 100)]),
            "a segment covers address 0",
        );
        check(
            &file(0x400000, &[TEXT; 1])[..80],
            "program headers outside the file",
        );
    }

    #[test]
    fn no_prefix_of_a_file_panics() {
        let bytes = file(0x400000, &[TEXT, (6, 0x402010, 4096, 16, 5000)]);
        for end in 0..bytes.len() {
            let _ = parse(&bytes[..end]);
        }
    }
}
