//! What a multiboot2 boot (GRUB) gives.

use bootinfo::pixels::Pixels;
use bootinfo::{MemoryKind, Range};
use multiboot2::{BootInformation, BootInformationHeader, FramebufferTag, FramebufferType};

use super::{Firmware, Identity, pvh};
use crate::{Error, Map, Physical};

/// Reads everything at `address`.
pub fn read(physical: &Identity, address: u32) -> Result<Firmware, Error> {
    const DAMAGED: Error = Error::Firmware("the multiboot2 information is damaged");
    let start = u64::from(address);
    let size = physical.read_u64(start).ok_or(DAMAGED)? & 0xffff_ffff;
    let bytes = physical.bytes(Range { start, size }).ok_or(DAMAGED)?;
    // SAFETY: the bytes are readable over the size that they state, and stay: they are marked as taken below.
    let information =
        unsafe { BootInformation::load(bytes.as_ptr().cast::<BootInformationHeader>()) }
            .map_err(|_| DAMAGED)?;

    let mut memory = Map::new();
    let areas = information.memory_map_tag().ok_or(DAMAGED)?.memory_areas();
    for area in areas {
        let range = Range {
            start: area.start_address(),
            size: area.size(),
        };
        memory.add(range, pvh::memory_kind(u32::from(area.typ())))?;
    }
    memory.add(Range { start, size }, MemoryKind::Loaded)?;

    let module = information.module_tags().next().ok_or(Error::NoArchive)?;
    let (start, end) = (module.start_address(), module.end_address());
    let command_line = match information.command_line_tag() {
        Some(tag) => tag.cmdline().map_err(|_| Error::CommandLine)?,
        None => "",
    };
    // The tags hold copies of the root pointer, after their type and size.
    let new = information.rsdp_v2_tag().map(|tag| &raw const *tag as u64);
    let old = information.rsdp_v1_tag().map(|tag| &raw const *tag as u64);
    Ok(Firmware {
        memory,
        archive: Range {
            start: start.into(),
            size: end.saturating_sub(start).into(),
        },
        command_line: physical
            .bytes(Range {
                start: command_line.as_ptr() as u64,
                size: command_line.len() as u64,
            })
            .ok_or(DAMAGED)?,
        pixels: information
            .framebuffer_tag()
            .and_then(Result::ok)
            .and_then(pixels),
        root_pointer: new.or(old).map_or(0, |tag| tag + 8),
    })
}

/// A screen of pixels of 32 bits with 8 for each colour; there may be others, and text.
fn pixels(tag: &FramebufferTag) -> Option<Pixels> {
    let Ok(FramebufferType::RGB { red, green, blue }) = tag.buffer_type() else {
        return None;
    };
    let colours = [red, green, blue];
    let usual = tag.bpp() == 32 && colours.iter().all(|colour| colour.size == 8);
    usual.then(|| Pixels {
        address: tag.address(),
        pitch: tag.pitch(),
        width: tag.width(),
        height: tag.height(),
        shifts: colours.map(|colour| colour.position),
    })
}
