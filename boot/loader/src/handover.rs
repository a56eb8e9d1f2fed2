//! Loading a kernel and the first program: everything `bootinfo` promises the kernel, in the order it is made.

use core::fmt::Write;

use bootinfo::{
    Acpi, BootInfo, Image, KERNEL_BASE, PHYSICAL_MAP, Range, Segment, VERSION, archive,
};
use heapless::{String, Vec};
use x86_64::structures::paging::PageTableFlags as Flags;

use crate::archive::Archive;
use crate::elf::Program;
use crate::memory::{Map, PAGE};
use crate::paging::Tables;
use crate::{Error, Physical};

/// Longest command line in bytes.
pub const COMMAND_LINE_LIMIT: usize = 2048;

/// Most bytes of a file's name (ustar).
const PATH: usize = 100;

/// Room for [`BootInfo`] in postcard: 64 ranges, 8 segments and 20 interrupt lines need less than half of it.
const BOOT_INFO_SIZE: usize = 8192;

/// Everything that is loaded lies below: the loader runs with the low 4 GiB mapped.
const LOAD_LIMIT: u64 = 4 << 30;

/// Addresses of a kernel. The last page stays free, so that ends of ranges do not overflow.
const KERNEL_WINDOW: core::ops::Range<u64> = KERNEL_BASE..0xffff_ffff_ffff_f000;

/// Addresses of the first program; page 0 stays free to catch null pointers.
const USER_WINDOW: core::ops::Range<u64> = PAGE..abi::USER_END;

/// The machine that is to be started.
pub struct Machine<'a> {
    /// Its memory; what must not be overwritten (archive, firmware's information, the loader) is not Usable.
    pub memory: Map,
    /// Where the archive lies in its memory.
    pub archive: Range,
    /// The archive's bytes.
    pub archive_bytes: &'a [u8],
    /// The words for the kernel.
    pub command_line: &'a str,
    /// Where in the archive the kernel and the first program are; empty: not in a folder.
    pub folder: &'a str,
    /// What ACPI says.
    pub acpi: Acpi,
}

/// How to enter the kernel, interrupts off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Value for CR3.
    pub page_tables: u64,
    /// Virtual address of the kernel's first instruction.
    pub kernel: u64,
    /// For RDI: address of the postcard bytes in the physical map.
    pub boot_info: u64,
    /// For RSI: their length in bytes.
    pub boot_info_size: u64,
}

/// Loads kernel and root from the archive and writes page tables and [`BootInfo`] into the machine's memory.
/// On an error nothing has started; memory that was taken stays written.
pub fn load(machine: Machine<'_>, physical: &mut impl Physical) -> Result<Entry, Error> {
    let mut map = machine.memory;
    if machine.command_line.len() > COMMAND_LINE_LIMIT {
        return Err(Error::CommandLine);
    }
    let files = Archive::new(machine.archive_bytes).map_err(Error::BadArchive)?;
    let kernel = program(&files, machine.folder, archive::KERNEL, KERNEL_WINDOW)?;
    let root = match program(&files, machine.folder, archive::ROOT, USER_WINDOW) {
        // The hypervisor shim starts kernels, not programs; what measures in a kernel's place has none.
        Err(Error::MissingFile(_))
            if files.file(archive::INSTANCES).is_some() || !machine.folder.is_empty() =>
        {
            None
        }
        root => Some(root?),
    };

    let kernel_span = kernel.span();
    let kernel_range = place_kernel(&kernel, &mut map, physical)?;
    let root = match root {
        Some(root) => place_root(&root, &mut map, physical)?,
        None => Image::default(),
    };
    let boot_info = map.take(BOOT_INFO_SIZE as u64, LOAD_LIMIT, "boot information")?;
    let page_tables = build_tables(&kernel, kernel_range, &mut map, physical)?;

    let information = BootInfo {
        version: VERSION,
        command_line: machine.command_line,
        memory: map.ranges().clone(),
        kernel: kernel_range,
        kernel_virtual: kernel_span.start,
        root,
        archive: machine.archive,
        acpi: machine.acpi,
    };
    let mut buffer = [0; BOOT_INFO_SIZE]; // of all that is in it, only the command line could be too long
    let bytes = postcard::to_slice(&information, &mut buffer).map_err(|_| Error::CommandLine)?;
    physical.write(boot_info, bytes);
    Ok(Entry {
        page_tables,
        kernel: kernel.entry,
        boot_info: PHYSICAL_MAP + boot_info,
        boot_info_size: bytes.len() as u64,
    })
}

/// Finds and checks a program of the archive.
fn program<'a>(
    files: &Archive<'a>,
    folder: &str,
    name: &'static str,
    window: core::ops::Range<u64>,
) -> Result<Program<'a>, Error> {
    let mut path = String::<PATH>::new();
    let written = match folder {
        "" => path.push_str(name),
        folder => write!(path, "{folder}/{name}").map_err(|_| Default::default()),
    };
    let file = written.ok().and_then(|()| files.file(&path));
    let file = file.ok_or(Error::MissingFile(name))?;
    Program::parse(file, window).map_err(|error| Error::Program { name, error })
}

/// Copies the kernel into one piece of memory; gaps between its segments are zero.
fn place_kernel(
    kernel: &Program<'_>,
    map: &mut Map,
    physical: &mut impl Physical,
) -> Result<Range, Error> {
    let span = kernel.span();
    let size = span.end - span.start;
    let start = map.take(size, LOAD_LIMIT, "the kernel")?;
    physical.clear(start, size);
    for segment in &kernel.segments {
        let offset = segment.address - span.start + segment.offset;
        physical.write(start + offset, segment.data);
    }
    Ok(Range { start, size })
}

/// Copies each segment of the first program into memory of its own.
fn place_root(
    root: &Program<'_>,
    map: &mut Map,
    physical: &mut impl Physical,
) -> Result<Image, Error> {
    let mut segments = Vec::new();
    for segment in &root.segments {
        let start = map.take(segment.size, LOAD_LIMIT, "root, the first program")?;
        physical.clear(start, segment.size);
        physical.write(start + segment.offset, segment.data);
        let placed = Segment {
            address: segment.address,
            physical: start,
            size: segment.size,
            write: segment.write,
            execute: segment.execute,
        };
        segments.push(placed).map_err(|_| Error::Program {
            name: archive::ROOT,
            error: crate::elf::Error::TooManySegments,
        })?;
    }
    Ok(Image {
        entry: root.entry,
        segments,
    })
}

/// The three parts of the address space that `bootinfo` documents. Returns the value for CR3.
fn build_tables(
    kernel: &Program<'_>,
    placed: Range,
    map: &mut Map,
    physical: &mut impl Physical,
) -> Result<u64, Error> {
    let memory_end = map.memory_end();
    let span = kernel.span();
    let data = Flags::PRESENT | Flags::WRITABLE | Flags::NO_EXECUTE | Flags::GLOBAL;
    let mut tables = Tables::new(map, physical)?;
    tables.map_large(0, 0, LOAD_LIMIT, Flags::PRESENT | Flags::WRITABLE)?;
    tables.map_large(PHYSICAL_MAP, 0, memory_end, data)?;
    for segment in &kernel.segments {
        let mut flags = Flags::PRESENT | Flags::GLOBAL;
        flags.set(Flags::WRITABLE, segment.write);
        flags.set(Flags::NO_EXECUTE, !segment.execute);
        let from = placed.start + (segment.address - span.start);
        tables.map(segment.address, from, segment.size, flags)?;
        if !segment.write {
            let flags = data & !Flags::WRITABLE;
            tables.map(PHYSICAL_MAP + from, from, segment.size, flags)?;
        }
    }
    Ok(tables.root)
}
