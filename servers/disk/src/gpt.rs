//! Partitions by GUID partition table (UEFI 2.10, 5.3). The types, and the checksums, are `gpt_disk_types`'; what a table must
//! fulfil before a word of it is believed is here: whoever wrote the disk may wish us ill.

use crate::range::SECTOR;
use alloc::vec;
use alloc::vec::Vec;
use bytemuck::{bytes_of_mut, pod_read_unaligned};
use core::ops::Range;
use gpt_disk_types::{BlockSize, GptHeader, GptPartitionEntryArray, GptPartitionEntryArrayLayout};

/// Most bytes of the array of entries: four times what is usual.
const LONGEST: usize = 64 << 10;
/// Sector of the first table's header; the other one's is the last sector.
const FIRST: u64 = 1;

/// Why a partition cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GptError<E> {
    /// There is no partition table.
    NoTable,
    /// There is one, and neither it nor its copy is sound.
    BadTable,
    /// There is no partition with this number.
    NoPartition,
    /// The disk.
    Disk(E),
}

/// A table's header, checked.
struct Table {
    usable: Range<u64>,
    layout: GptPartitionEntryArrayLayout,
    header: GptHeader,
}

/// The sectors of partition `number` (from 1 on) of a disk of `sectors`, whose sectors `read` fills a buffer with.
///
/// # Errors
/// See [`GptError`].
pub fn partition<E>(
    sectors: u64,
    number: u32,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<Range<u64>, GptError<E>> {
    let mut worst = GptError::NoTable;
    for place in [Some(FIRST), sectors.checked_sub(1)].into_iter().flatten() {
        match entries(sectors, place, &mut read) {
            Ok(entries) => return pick(&entries, number),
            Err(GptError::NoTable) => {}
            Err(GptError::Disk(error)) => return Err(GptError::Disk(error)),
            Err(error) => worst = error,
        }
    }
    Err(worst)
}

fn pick<E>(entries: &[Option<Range<u64>>], number: u32) -> Result<Range<u64>, GptError<E>> {
    let index = (number as usize).checked_sub(1);
    let entry = index.and_then(|index| entries.get(index));
    entry.cloned().flatten().ok_or(GptError::NoPartition)
}

/// The sectors of each entry of the table whose header is at `place`; `None` for those that are not used.
fn entries<E>(
    sectors: u64,
    place: u64,
    read: &mut impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<Vec<Option<Range<u64>>>, GptError<E>> {
    if place >= sectors {
        return Err(GptError::NoTable);
    }
    let mut sector = [0; SECTOR];
    read(place, &mut sector).map_err(GptError::Disk)?;
    let mut header: GptHeader = pod_read_unaligned(&sector[..size_of::<GptHeader>()]);
    if !header.is_signature_valid() {
        return Err(GptError::NoTable);
    }
    let table = check(&mut header, sectors, place).ok_or(GptError::BadTable)?;
    let blocks = table.layout.num_blocks_as_usize(BlockSize::BS_512);
    let mut bytes = vec![0; blocks.unwrap_or(0) * SECTOR];
    read(table.layout.start_lba.to_u64(), &mut bytes).map_err(GptError::Disk)?;
    ranges(&table, &mut bytes).ok_or(GptError::BadTable)
}

/// A header, if it and what it says can be.
fn check(header: &mut GptHeader, sectors: u64, place: u64) -> Option<Table> {
    let layout = header.get_partition_entry_array_layout().ok()?;
    let first = header.first_usable_lba.to_u64();
    let end = header.last_usable_lba.to_u64().checked_add(1)?;
    let blocks = layout.num_blocks(BlockSize::BS_512)?;
    let start = layout.start_lba.to_u64();
    let array_end = start.checked_add(blocks)?;
    let whole = header.header_size.to_u32() as usize == bytes_of_mut(header).len()
        && header.revision.major() == 1
        && header.header_crc32 == header.calculate_header_crc32()
        && header.my_lba.to_u64() == place;
    let usable_is_usable = first > FIRST && first < end && end <= sectors;
    // The array lies on one side of what partitions may use, and not over a header.
    let outside = array_end <= first || start >= end;
    let array_is_there = start > FIRST && array_end < sectors && outside;
    let short = (1..=LONGEST as u64).contains(&layout.num_bytes_exact()?);
    (whole && usable_is_usable && array_is_there && short).then_some(Table {
        usable: first..end,
        layout,
        header: *header,
    })
}

/// The sectors of each entry, if all of them can be.
fn ranges(table: &Table, bytes: &mut [u8]) -> Option<Vec<Option<Range<u64>>>> {
    let array = GptPartitionEntryArray::new(table.layout, BlockSize::BS_512, bytes).ok()?;
    if array.calculate_crc32() != table.header.partition_entry_array_crc32 {
        return None;
    }
    let mut ranges: Vec<Option<Range<u64>>> = Vec::new();
    for index in 0..table.layout.num_entries {
        let entry = array.get_partition_entry(index)?;
        let range = match entry.is_used() {
            false => None,
            true => {
                let range = entry.lba_range()?;
                let range = range.start().to_u64()..range.end().to_u64().checked_add(1)?;
                let inside = range.start >= table.usable.start && range.end <= table.usable.end;
                let clashes =
                    |other: &Range<u64>| range.start < other.end && other.start < range.end;
                if !inside || ranges.iter().flatten().any(clashes) {
                    return None;
                }
                Some(range)
            }
        };
        ranges.push(range);
    }
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::bytes_of;
    use gpt_disk_types::{
        GptHeaderRevision, GptHeaderSignature, GptPartitionEntry, GptPartitionType, LbaLe, U32Le,
    };
    use proptest::prelude::*;

    const SECTORS: u64 = 2048;

    /// Writes a table with these partitions, its header at `place`, its array at `array`.
    fn write(disk: &mut [u8], place: u64, array: u64, partitions: &[(u64, u64)]) {
        let mut entries = vec![0; 128 * 128];
        for ((first, last), bytes) in partitions.iter().zip(entries.chunks_mut(128)) {
            let entry = GptPartitionEntry {
                partition_type_guid: GptPartitionType::BASIC_DATA,
                starting_lba: LbaLe::from_u64(*first),
                ending_lba: LbaLe::from_u64(*last),
                ..GptPartitionEntry::default()
            };
            bytes.copy_from_slice(bytes_of(&entry));
        }
        disk[array as usize * 512..][..entries.len()].copy_from_slice(&entries);
        let layout = GptPartitionEntryArrayLayout {
            start_lba: gpt_disk_types::Lba(array),
            num_entries: 128,
            ..Default::default()
        };
        let crc = GptPartitionEntryArray::new(layout, BlockSize::BS_512, &mut entries);
        let mut header = GptHeader {
            signature: GptHeaderSignature::EFI_COMPATIBLE_PARTITION_TABLE_HEADER,
            revision: GptHeaderRevision::VERSION_1_0,
            my_lba: LbaLe::from_u64(place),
            first_usable_lba: LbaLe::from_u64(34),
            last_usable_lba: LbaLe::from_u64(SECTORS - 34),
            partition_entry_lba: LbaLe::from_u64(array),
            number_of_partition_entries: U32Le::from_u32(128),
            size_of_partition_entry: U32Le::from_u32(128),
            partition_entry_array_crc32: crc.unwrap().calculate_crc32(),
            ..GptHeader::default()
        };
        header.update_header_crc32();
        disk[place as usize * 512..][..92].copy_from_slice(bytes_of(&header));
    }

    fn disk(partitions: &[(u64, u64)]) -> Vec<u8> {
        let mut disk = vec![0; SECTORS as usize * 512];
        write(&mut disk, 1, 2, partitions);
        write(&mut disk, SECTORS - 1, SECTORS - 33, partitions);
        disk
    }

    fn find(disk: &[u8], number: u32) -> Result<Range<u64>, GptError<()>> {
        partition(disk.len() as u64 / 512, number, |sector, bytes| {
            let start = sector as usize * 512;
            bytes.copy_from_slice(disk.get(start..start + bytes.len()).ok_or(())?);
            Ok(())
        })
    }

    #[test]
    fn partitions_are_found() {
        let disk = disk(&[(34, 99), (200, SECTORS - 34)]);
        assert_eq!(find(&disk, 1), Ok(34..100));
        assert_eq!(find(&disk, 2), Ok(200..SECTORS - 33));
        for number in [0, 3, 128, 129, u32::MAX] {
            assert_eq!(find(&disk, number), Err(GptError::NoPartition));
        }
        assert_eq!(find(&vec![0; 512 * 100], 1), Err(GptError::NoTable));
        for sectors in 0..4 {
            assert_eq!(find(&vec![0; 512 * sectors], 1), Err(GptError::NoTable));
        }
    }

    #[test]
    fn the_copy_stands_in() {
        let good = disk(&[(34, 99)]);
        for damaged in [512, 512 + 40, 1024, 1024 + 32] {
            let mut disk = good.clone();
            disk[damaged] ^= 1;
            assert_eq!(find(&disk, 1), Ok(34..100), "{damaged}");
            let last = disk.len() - 512;
            disk[last + 20] ^= 1;
            assert_eq!(find(&disk, 1), Err(GptError::BadTable), "{damaged}");
        }
    }

    #[test]
    fn tables_with_good_checksums_that_cannot_be() {
        let outside = [(33, 50), (50, SECTORS - 33), (60, 50), (34, u64::MAX)];
        for partition in outside {
            assert_eq!(find(&disk(&[partition]), 1), Err(GptError::BadTable));
        }
        let clash = disk(&[(34, 60), (60, 70)]);
        assert_eq!(find(&clash, 1), Err(GptError::BadTable));
        // A disk that is shorter than its table says.
        let cut = disk(&[(34, 99)]);
        assert_eq!(find(&cut[..512 * 1000], 1), Err(GptError::BadTable));
    }

    proptest! {
        /// Whatever the headers say (their checksums made good), a partition lies on the disk or there is an error.
        #[test]
        fn no_table_leads_outside(
            changes in prop::collection::vec((0..92usize, any::<u8>()), 1..6),
            entry in prop::collection::vec((0..256usize, any::<u8>()), 0..6),
            number in 0..4u32,
        ) {
            let mut disk = disk(&[(34, 99), (200, 300)]);
            for (at, value) in &entry {
                disk[1024 + at] = *value;
            }
            for (at, value) in &changes {
                disk[512 + at] = *value;
            }
            let mut header: GptHeader = pod_read_unaligned(&disk[512..604]);
            header.update_header_crc32();
            disk[512..604].copy_from_slice(bytes_of(&header));
            if let Ok(range) = find(&disk, number) {
                prop_assert!(range.start > 1 && range.start < range.end && range.end < SECTORS);
            }
        }

        #[test]
        fn noise_is_no_table(bytes in prop::collection::vec(any::<u8>(), 0..4096), number in 0..4u32) {
            let mut disk = vec![0; 512 * 40];
            disk[512..512 + bytes.len()].copy_from_slice(&bytes);
            prop_assert!(find(&disk, number).is_err());
        }
    }
}
