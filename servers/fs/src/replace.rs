//! Marks on entries that are being renamed, and renaming a file onto another one, so that a power cut leaves both as they
//! were or the new one in the old one's place.
//!
//! `hadris-fat` would first remove the old one. Here the entries change hands instead, each by a write of one sector:
//!
//! 1. `from` is marked as leaving: should it have a twin at the next mount, the twin is right;
//! 2. `to` names `from`'s clusters: from here on the new state holds;
//! 3. `from` names `to`'s old clusters and is marked as doomed;
//! 4. `from` is removed as any file is, which frees them.
//!
//! The marks are bits of the entry's case byte. Bits 3 and 4 are the case, bits 0 and 1 Windows' marks of encrypted files
//! (`FAT_DIRENT_NT_BYTE_ENCRYPTED`, `..._BIG_HEADER`); of the others nobody makes use today.

use crate::cache::Shared;
use crate::disk::{Disk, DiskError};
use hadris_fat_raw::{ENTRY_SIZE, FatKind, ShortEntry, Slot};

/// Mark: if another entry names the same clusters, this one is no more; else it stays.
pub const LEAVING: u8 = 0x20;
/// Mark: this entry and its clusters are no more.
pub const DOOMED: u8 = 0x40;

/// The slots of two files, as offsets on the disk.
#[derive(Debug, Clone, Copy)]
pub struct Slots {
    /// The file that gets another name.
    pub from: u64,
    /// The file that has this name.
    pub to: u64,
}

/// Marks an entry as leaving, or takes the mark back.
///
/// # Errors
/// The disk, or the slot holds no entry.
pub fn set_leaving<D: Disk>(device: &Shared<D>, slot: u64, leaving: bool) -> Result<(), DiskError> {
    let mut entry = entry(device, slot)?;
    let case = entry.nt_case() & !LEAVING;
    entry.set_nt_case(if leaving { case | LEAVING } else { case });
    put(device, slot, &entry)
}

/// Does steps 1 to 3. The volume must be marked as in use.
///
/// # Errors
/// The disk, or the slots hold no entries.
pub fn exchange<D: Disk>(device: &Shared<D>, kind: FatKind, slots: Slots) -> Result<(), DiskError> {
    let source = entry(device, slots.from)?;
    let target = entry(device, slots.to)?;
    let case = source.nt_case() & !(LEAVING | DOOMED);
    set_leaving(device, slots.from, true)?;

    let mut new = source;
    new.set_name(target.name());
    new.set_nt_case(target.nt_case());
    put(device, slots.to, &new)?;

    let mut doomed = source;
    doomed.set_nt_case(case | DOOMED);
    doomed.set_first_cluster(kind, target.first_cluster(kind));
    doomed.set_size(target.size());
    put(device, slots.from, &doomed)
}

fn entry<D: Disk>(device: &Shared<D>, slot: u64) -> Result<ShortEntry, DiskError> {
    let mut raw = [0; ENTRY_SIZE];
    device.0.borrow_mut().read(slot, &mut raw)?;
    match Slot::parse(&raw) {
        Slot::Short(entry) if !entry.is_label() => Ok(entry),
        _ => Err(DiskError),
    }
}

fn put<D: Disk>(device: &Shared<D>, slot: u64, entry: &ShortEntry) -> Result<(), DiskError> {
    device.0.borrow_mut().write(slot, &entry.encode())
}
