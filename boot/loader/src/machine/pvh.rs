//! What a PVH boot (QEMU's `-kernel`) gives: `hvm_start_info` (Xen, `public/arch-x86/hvm/start_info.h`).

use bootinfo::{MemoryKind, Range};

use super::{Firmware, Identity};
use crate::handover::COMMAND_LINE_LIMIT;
use crate::{Error, Map, Physical};

/// The structure's magic; `start.s` passes it for this way of booting.
pub const MAGIC: u32 = 0x336e_c578;

/// Sizes in bytes: the structure (version 1), a memory-map entry, a module entry.
const START_INFO: u64 = 56;
const MEMORY_ENTRY: u64 = 24;
const MODULE_ENTRY: u64 = 32;

/// Reads everything at `address`.
pub fn read(physical: &Identity, address: u32) -> Result<Firmware, Error> {
    const DAMAGED: Error = Error::Firmware("the PVH start information is damaged");
    let address = u64::from(address);
    let long = |at: u64| physical.read_u64(at).ok_or(DAMAGED);
    let word = |at: u64| long(at).map(|value| value as u32);
    if word(address)? != MAGIC || word(address + 4)? < 1 {
        return Err(DAMAGED);
    }
    let modules = word(address + 12)?;
    let module_list = long(address + 16)?;
    let command_line = long(address + 24)?;
    let root_pointer = long(address + 32)?;
    let memory_map = long(address + 40)?;
    let memory_entries = u64::from(word(address + 48)?);

    let mut memory = Map::new();
    let entries = (0..memory_entries).map(|index| memory_map + index * MEMORY_ENTRY);
    for entry in entries {
        let range = Range {
            start: long(entry)?,
            size: long(entry + 8)?,
        };
        memory.add(range, memory_kind(word(entry + 16)?))?;
    }
    let mut keep = |start, size| memory.add(Range { start, size }, MemoryKind::Loaded);
    keep(address, START_INFO)?;
    keep(memory_map, memory_entries * MEMORY_ENTRY)?;
    keep(module_list, u64::from(modules) * MODULE_ENTRY)?;

    let command_line = zero_terminated(physical, command_line);
    if modules == 0 {
        return Err(Error::NoArchive);
    }
    let archive = Range {
        start: long(module_list)?,
        size: long(module_list + 8)?,
    };
    Ok(Firmware {
        memory,
        archive,
        command_line,
        pixels: None,
        root_pointer,
    })
}

/// E820 types, which PVH and multiboot2 share.
pub fn memory_kind(kind: u32) -> MemoryKind {
    match kind {
        1 => MemoryKind::Usable,
        3 => MemoryKind::Acpi,
        _ => MemoryKind::Reserved,
    }
}

/// The bytes before the zero, at most one more than a command line may have; none at address 0.
fn zero_terminated(physical: &Identity, start: u64) -> &'static [u8] {
    let size = COMMAND_LINE_LIMIT as u64 + 1;
    let bytes = physical.bytes(Range { start, size }).unwrap_or(&[]);
    let end = bytes.iter().position(|&byte| byte == 0);
    &bytes[..end.unwrap_or(bytes.len())]
}
