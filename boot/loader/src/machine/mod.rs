//! The bare machine: what firmware left, in the order the loader uses it.
//!
//! It runs on one processor, interrupts off, with the low 4 GiB mapped at their own addresses (`start.s`).

pub mod console;
mod counter;
mod identity;
mod multiboot;
mod processor;
mod pvh;

use core::fmt::Write;

use bootinfo::pixels::Pixels;
use bootinfo::relay::Relay;
use bootinfo::{MemoryKind, Range};

use heapless::String;

use crate::archive::Archive;
use crate::handover::COMMAND_LINE_LIMIT;
use crate::memory::PAGE;
use crate::stages::Stage;
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

/// What `start.s` knows.
pub struct Start {
    /// What it was entered with: the way of booting, and where the firmware's information is.
    pub magic: u32,
    /// See `magic`.
    pub information: u32,
    /// How many kernels have run before.
    pub stage: u32,
    /// The loader's own memory.
    pub image: Range,
    /// For kernels after which another one follows.
    pub relay: Relay,
}

/// Starts the kernel, or says why not and stops.
///
/// # Safety
/// The machine must be in the state that `start.s` makes, with nothing but the loader running.
pub unsafe fn start(start: &Start) -> ! {
    // SAFETY: the caller keeps the machine's state.
    let entry = unsafe { boot(start) };
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
unsafe fn boot(start: &Start) -> Result<Entry, Error> {
    processor::check()?;
    // SAFETY: its features were just checked, and the caller keeps the low 4 GiB mapped.
    let mut physical = unsafe {
        processor::prepare();
        Identity::new()
    };
    let firmware = match start.magic {
        pvh::MAGIC => pvh::read(&physical, start.information)?,
        multiboot2::MAGIC => multiboot::read(&physical, start.information)?,
        _ => return Err(Error::Firmware("started by an unknown boot protocol")),
    };
    let mut memory = firmware.memory;
    memory.add(start.image, MemoryKind::Loaded)?;
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
    let archive_bytes = physical
        .bytes(firmware.archive)
        .ok_or(Error::Firmware("the archive lies above 4 GiB"))?;
    let files = Archive::new(archive_bytes).map_err(Error::BadArchive)?;
    let stage = Stage::of(&files, start.stage as usize)?;
    let words = command_line(firmware.command_line, firmware.pixels, &stage, &start.relay);
    let words = words.map_err(|_| Error::CommandLine)?;
    if stage.is_one_of_several {
        // The text is memory that every kernel leaves alone, and that the last one gives to a program.
        let text = Range {
            start: start.relay.text,
            size: start.relay.size,
        };
        memory.add(text, MemoryKind::Reserved)?;
    }
    counter::start(&words);
    let machine = Machine {
        memory,
        archive: firmware.archive,
        archive_bytes,
        command_line: &words,
        folder: stage.folder,
        acpi: acpi::read(&physical, root_pointer),
    };
    handover::load(machine, &mut physical)
}

/// The firmware's words, the stage's, and the loader's: the relay, if there are several kernels, and last the screen.
fn command_line(
    firmware: &[u8],
    pixels: Option<Pixels>,
    stage: &Stage<'_>,
    relay: &Relay,
) -> Result<String<COMMAND_LINE_LIMIT>, core::fmt::Error> {
    let mut words = String::new();
    words.write_str(str::from_utf8(firmware).map_err(|_| core::fmt::Error)?)?;
    if stage.is_one_of_several {
        write!(words, " {} {relay}", stage.words)?;
    }
    if let Some(pixels) = pixels {
        write!(words, " {pixels}")?;
    }
    Ok(words)
}
