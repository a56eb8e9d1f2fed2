//! The memory map: what firmware reported, less what is taken.

use bootinfo::{MemoryKind, MemoryRange, Range};
use heapless::Vec;

use crate::Error;

/// Page size in bytes; every range is made of whole pages.
pub const PAGE: u64 = 4096;

/// Memory from here on is left out of the map: one top-level page-table entry of the physical map reaches this far.
pub const PHYSICAL_LIMIT: u64 = 512 << 30;

/// Memory below is never taken for anything: firmware and the start of other processors live there.
const LOW_MEMORY: u64 = 1 << 20;

/// Ranges in [`bootinfo::BootInfo::memory`].
const RANGES: usize = 64;

/// The memory of a machine as page-aligned ranges: sorted, not overlapping, neighbours of one kind merged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Map {
    ranges: Vec<MemoryRange, RANGES>,
}

impl Map {
    /// A machine without memory.
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// The ranges.
    pub fn ranges(&self) -> &Vec<MemoryRange, RANGES> {
        &self.ranges
    }

    /// Says that `range` is of `kind`. Where ranges overlap, the stronger kind holds (Reserved, then Acpi, Loaded,
    /// Usable), so the order in which they are added does not matter. A page that is only partly usable is left
    /// out; a page that is partly anything else is wholly that. Fails with [`Error::MapTooLong`]; the map is then
    /// unchanged.
    pub fn add(&mut self, range: Range, kind: MemoryKind) -> Result<(), Error> {
        let (start, end) = align(range, kind);
        if range.size == 0 || start >= end {
            return Ok(());
        }
        let mut merged = Merged::default();
        let mut rest = start; // what of the new range is not yet in `merged` starts here
        for old in &self.ranges {
            let (old_start, old_end) = (old.start, old.start + old.size);
            merged.push(rest, end.min(old_start), kind)?;
            merged.push(old_start, old_end.min(start), old.kind)?;
            let stronger = if strength(kind) > strength(old.kind) {
                kind
            } else {
                old.kind
            };
            merged.push(old_start.max(start), old_end.min(end), stronger)?;
            merged.push(old_start.max(end), old_end, old.kind)?;
            rest = rest.max(old_end.min(end));
        }
        merged.push(rest, end, kind)?;
        self.ranges = merged.0;
        Ok(())
    }

    /// Takes `size` bytes (rounded up to whole pages) of usable memory below `limit`, the lowest that fits, and
    /// marks them Loaded. `purpose` is for the error.
    pub fn take(&mut self, size: u64, limit: u64, purpose: &'static str) -> Result<u64, Error> {
        self.take_aligned(size, PAGE, limit, purpose)
    }

    /// [`Map::take`], at a multiple of `alignment`, itself a multiple of [`PAGE`].
    pub fn take_aligned(
        &mut self,
        size: u64,
        alignment: u64,
        limit: u64,
        purpose: &'static str,
    ) -> Result<u64, Error> {
        let none = Error::NotEnoughMemory { purpose, size };
        let size = size.checked_next_multiple_of(PAGE).ok_or(none.clone())?;
        let start = self
            .ranges
            .iter()
            .filter(|range| range.kind == MemoryKind::Usable)
            .map(|range| {
                let start = range.start.max(LOW_MEMORY).next_multiple_of(alignment);
                (start, range.start + range.size)
            })
            .find(|&(start, end)| {
                start
                    .checked_add(size)
                    .is_some_and(|needed| needed <= end.min(limit))
            })
            .ok_or(none)?
            .0;
        self.add(Range { start, size }, MemoryKind::Loaded)?;
        Ok(start)
    }

    /// Bytes of a kind.
    pub fn size(&self, kind: MemoryKind) -> u64 {
        let ranges = self.ranges.iter().filter(|range| range.kind == kind);
        ranges.map(|range| range.size).sum()
    }

    /// The end of what the physical map must cover: the last Usable, Loaded or Acpi byte.
    pub fn memory_end(&self) -> u64 {
        self.ranges
            .iter()
            .filter(|range| range.kind != MemoryKind::Reserved)
            .map(|range| range.start + range.size)
            .max()
            .unwrap_or(0)
    }
}

/// Which kind holds where two overlap: the one that is safer to believe.
fn strength(kind: MemoryKind) -> u8 {
    match kind {
        MemoryKind::Usable => 0,
        MemoryKind::Loaded => 1,
        MemoryKind::Acpi => 2,
        MemoryKind::Reserved => 3,
    }
}

/// First and end address in whole pages below the limit: inward for usable memory, outward for the rest.
fn align(range: Range, kind: MemoryKind) -> (u64, u64) {
    let end = range.start.saturating_add(range.size).min(PHYSICAL_LIMIT);
    let start = range.start.min(end);
    match kind {
        MemoryKind::Usable => (start.next_multiple_of(PAGE), end / PAGE * PAGE),
        _ => (start / PAGE * PAGE, end.next_multiple_of(PAGE)),
    }
}

/// Ranges pushed in rising order, neighbours of one kind merged.
#[derive(Default)]
struct Merged(Vec<MemoryRange, RANGES>);

impl Merged {
    /// Appends a range, unless it is empty.
    fn push(&mut self, start: u64, end: u64, kind: MemoryKind) -> Result<(), Error> {
        if start >= end {
            return Ok(());
        }
        let size = end - start;
        match self.0.last_mut() {
            Some(last) if last.kind == kind && last.start + last.size == start => last.size += size,
            _ => {
                let range = MemoryRange { start, size, kind };
                self.0.push(range).map_err(|_| Error::MapTooLong)?;
            }
        }
        Ok(())
    }
}
