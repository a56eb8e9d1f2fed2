//! The bare machine: what firmware left, in the order the loader uses it.
//!
//! It runs on one processor, interrupts off, with the low 4 GiB mapped at their own addresses (`start.s`).

pub mod console;
mod identity;
mod multiboot;
mod processor;
mod pvh;

use core::fmt::Write;

use bootinfo::pixels::Pixels;
use bootinfo::{MemoryKind, Range};

use crate::handover::COMMAND_LINE_LIMIT;
use crate::memory::PAGE;
use crate::{Entry, Error, Machine, Map, acpi, handover};
use identity::Identity;

/// What firmware says about the machine.
struct Firmware {
    /// All memory, with firmware's information and the archive marked as taken.
    memory: Map,
    /// The first module.
    archive: Range,
    /// The words for the kernel.
    command_line: &'static [u8],
    /// The screen, if it is one of pixels.
    pixels: Option<Pixels>,
    /// ACPI's root pointer, 0 if firmware gives none.
    root_pointer: u64,
}

/// Starts the kernel, or says why not and stops. `magic` and `information` are what `start.s` was entered with,
/// `image` is the loader's own memory.
///
/// # Safety
/// The machine must be in the state that `start.s` makes, with nothing but the loader running.
pub unsafe fn start(magic: u32, information: u32, image: Range) -> ! {
    // SAFETY: the caller keeps the machine's state.
    let entry = unsafe { boot(magic, information, image) };
    match entry {
        // SAFETY: `load` made the page tables with everything that `enter` needs.
        Ok(entry) => unsafe { processor::enter(entry) },
        Err(error) => console::refuse(format_args!("{error}")),
    }
}

/// Everything up to the jump.
///
/// # Safety
/// As [`start`].
unsafe fn boot(magic: u32, information: u32, image: Range) -> Result<Entry, Error> {
    processor::check()?;
    // SAFETY: its features were just checked, and the caller keeps the low 4 GiB mapped.
    let mut physical = unsafe {
        processor::prepare();
        Identity::new()
    };
    let firmware = match magic {
        pvh::MAGIC => pvh::read(&physical, information)?,
        multiboot2::MAGIC => multiboot::read(&physical, information)?,
        _ => return Err(Error::Firmware("started by an unknown boot protocol")),
    };
    let mut memory = firmware.memory;
    memory.add(image, MemoryKind::Loaded)?;
    memory.add(firmware.archive, MemoryKind::Loaded)?;
    // The BIOS's data, and kernels like page 0 to be nobody's.
    let page_zero = Range {
        start: 0,
        size: PAGE,
    };
    memory.add(page_zero, MemoryKind::Loaded)?;

    let root_pointer = match firmware.root_pointer {
        0 => acpi::find_root_pointer(&physical),
        known => known,
    };
    let command_line =
        core::str::from_utf8(firmware.command_line).map_err(|_| Error::CommandLine)?;
    let mut words = heapless::String::<COMMAND_LINE_LIMIT>::new();
    let mut written = words.push_str(command_line).map_err(|_| Error::CommandLine);
    if let Some(pixels) = firmware.pixels {
        written = written.and(write!(words, " {pixels}").map_err(|_| Error::CommandLine));
    }
    written?;
    let machine = Machine {
        memory,
        archive: firmware.archive,
        archive_bytes: physical
            .bytes(firmware.archive)
            .ok_or(Error::Firmware("the archive lies above 4 GiB"))?,
        command_line: &words,
        acpi: acpi::read(&physical, root_pointer),
    };
    handover::load(machine, &mut physical)
}
