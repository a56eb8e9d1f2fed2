//! A machine made of a byte vector, and files to load into it.
#![allow(dead_code)] // every test file uses its own part

use bootinfo::{MemoryKind, Range};
use loader::{Map, Physical};

/// Physical memory from address 0 on. Writing outside `writable` is an error of the loader.
pub struct Memory {
    pub bytes: Vec<u8>,
    pub writable: Map,
}

/// What memory holds that nobody wrote.
pub const UNTOUCHED: u8 = 0xaa;

impl Memory {
    pub fn new(size: usize, writable: Map) -> Self {
        let bytes = vec![UNTOUCHED; size];
        Self { bytes, writable }
    }

    fn target(&mut self, start: u64, size: u64) -> &mut [u8] {
        let usable = self.writable.ranges().iter().any(|range| {
            range.kind == MemoryKind::Usable
                && range.start <= start
                && start + size <= range.start + range.size
        });
        assert!(
            usable,
            "write of {size:#x} at {start:#x} outside free memory"
        );
        &mut self.bytes[start as usize..(start + size) as usize]
    }
}

impl Physical for Memory {
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        let Some(end) = address.checked_add(buffer.len() as u64) else {
            return false;
        };
        match self.bytes.get(address as usize..end as usize) {
            Some(bytes) => buffer.copy_from_slice(bytes),
            None => return false,
        }
        true
    }

    fn write(&mut self, address: u64, bytes: &[u8]) {
        self.target(address, bytes.len() as u64)
            .copy_from_slice(bytes);
    }

    fn clear(&mut self, address: u64, size: u64) {
        self.target(address, size).fill(0);
    }
}

pub fn map(ranges: &[(u64, u64, MemoryKind)]) -> Map {
    let mut map = Map::new();
    for &(start, size, kind) in ranges {
        map.add(Range { start, size }, kind).expect("it fits");
    }
    map
}

/// A PT_LOAD for [`elf`].
#[derive(Clone)]
pub struct Load {
    pub address: u64,
    pub data: Vec<u8>,
    pub memory_size: u64,
    /// PF_X 1, PF_W 2, PF_R 4.
    pub flags: u32,
}

/// A static x86-64 ELF file with these segments.
pub fn elf(entry: u64, loads: &[Load]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(2u16.to_le_bytes()); // ET_EXEC
    file.extend(62u16.to_le_bytes()); // EM_X86_64
    file.extend(1u32.to_le_bytes());
    for word in [entry, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    for half in [64, 56, loads.len() as u16, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let mut offset = 64 + 56 * loads.len() as u64;
    for load in loads {
        file.extend(1u32.to_le_bytes()); // PT_LOAD
        file.extend(load.flags.to_le_bytes());
        let size = load.data.len() as u64;
        for word in [
            offset,
            load.address,
            load.address,
            size,
            load.memory_size,
            4096,
        ] {
            file.extend(word.to_le_bytes());
        }
        offset += size;
    }
    loads.iter().for_each(|load| file.extend(&load.data));
    file
}

/// An archive of these files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, data) in files {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..108].copy_from_slice(b"0000644\0");
        header[108..116].copy_from_slice(b"0000000\0");
        header[116..124].copy_from_slice(b"0000000\0");
        header[124..136].copy_from_slice(format!("{:011o}\0", data.len()).as_bytes());
        header[136..148].copy_from_slice(b"00000000000\0");
        header[148..156].copy_from_slice(b"        ");
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar.extend(header);
        tar.extend(*data);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// Where [`kernel`] is linked, and its size in memory.
pub const KERNEL: u64 = 0xffff_ffff_8020_0000;
pub const KERNEL_SIZE: u64 = 0x5000;

/// Code, read-only data after a gap of a page, writable data with a zeroed tail, not page aligned.
pub fn kernel() -> Vec<u8> {
    let load = |address, data: &[u8], memory_size, flags| Load {
        address,
        data: data.to_vec(),
        memory_size,
        flags,
    };
    elf(
        KERNEL + 0x10,
        &[
            load(KERNEL, &[0x90; 0x123], 0x123, 5),
            load(KERNEL + 0x2000, &[0x22; 0x40], 0x40, 4),
            load(KERNEL + 0x3010, &[0x33; 0x50], 0x1100, 6),
        ],
    )
}

/// A first program of two segments.
pub fn root() -> Vec<u8> {
    let code = Load {
        address: 0x40_0000,
        data: vec![0xc3; 0x2001],
        memory_size: 0x2001,
        flags: 5,
    };
    let data = Load {
        address: 0x40_5008,
        data: vec![0x44; 8],
        memory_size: 0x3000,
        flags: 6,
    };
    elf(0x40_0004, &[code, data])
}
