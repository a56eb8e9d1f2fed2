//! What a power cut left behind, put in order before a volume is used again.
//!
//! `hadris-fat` writes new things before it links them and unlinks old things before it frees them, so all that can be
//! found is: FAT copies that differ (the first one is the newer), clusters that nobody owns, chains longer than their
//! files, two entries for one renamed thing, long names without their entry, a wrong count of free clusters. The same
//! steps also make a volume that was damaged otherwise consistent, at the cost of what cannot be true.

mod fat;
mod tree;

use crate::cache::Cache;
use crate::disk::{Disk, DiskError};
use core::fmt;
use hadris_fat_raw::{
    FSINFO_LEAD_SIG, FSINFO_STRUC_SIG, FSINFO_TRAIL_SIG, FatKind, Geometry, parse_boot,
};

/// Bit in a FAT boot sector's flags: not unmounted (as Linux and `fsck.fat` see it).
const BOOT_DIRTY: u8 = 1;

/// Offset of the count in FAT32's FSInfo sector.
const FREE_COUNT: usize = 488;

/// What was repaired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Sectors of FAT copies that differed from the first.
    pub copies: u32,
    /// Clusters that belonged to nothing, now free.
    pub lost: u32,
    /// Chains that were cut: too long, broken, or running into another one.
    pub cut: u32,
    /// Entries that were removed: second ones of one thing, or of nothing.
    pub entries: u32,
    /// Slots of long names without an entry, or behind a directory's end.
    pub names: u32,
    /// Entries whose size or cluster was corrected.
    pub corrected: u32,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = [
            (self.copies, "sectors of FAT copies"),
            (self.lost, "lost clusters"),
            (self.cut, "chains"),
            (self.entries, "entries too many"),
            (self.names, "pieces of names"),
            (self.corrected, "entries"),
        ];
        f.write_str("it was not unmounted; repaired:")?;
        let mut nothing = true;
        for (count, what) in found.into_iter().filter(|(count, _)| *count != 0) {
            let comma = if nothing { "" } else { "," };
            write!(f, "{comma} {count} {what}")?;
            nothing = false;
        }
        if nothing {
            f.write_str(" nothing else")?;
        }
        Ok(())
    }
}

/// Why a volume cannot be repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepairError {
    /// There is no FAT volume.
    NoFileSystem,
    /// The boot sector contradicts itself or the disk.
    Corrupt,
    /// The disk.
    Disk,
}

impl From<DiskError> for RepairError {
    fn from(_: DiskError) -> Self {
        Self::Disk
    }
}

/// The repair of one volume.
struct Repair<'a, D> {
    cache: &'a mut Cache<D>,
    geometry: Geometry,
    /// A bit for each cluster that something owns.
    owned: alloc::vec::Vec<u64>,
    report: Report,
}

/// Repairs the volume on a disk that can be written, if it was in use when the power went (FAT12 does not say: always).
///
/// # Errors
/// There is no volume, or the disk fails.
pub fn repair<D: Disk>(cache: &mut Cache<D>) -> Result<Option<Report>, RepairError> {
    let mut sector = [0; 512];
    cache.read(0, &mut sector)?;
    let geometry = parse_boot(&sector).map_err(|error| match error.kind() {
        hadris_fs::ErrorKind::NotRecognized => RepairError::NoFileSystem,
        _ => RepairError::Corrupt,
    })?;
    if geometry.data_end() > cache.size() {
        return Err(RepairError::Corrupt);
    }
    let flags = match geometry.kind() {
        FatKind::Fat32 => 0x41,
        _ => 0x25,
    };
    let clusters = geometry.max_cluster() as usize + 1;
    let mut repair = Repair {
        cache,
        geometry,
        owned: alloc::vec![0; clusters.div_ceil(64)],
        report: Report::default(),
    };
    let unclean = sector[flags] & BOOT_DIRTY != 0 || repair.is_dirty()?;
    if !unclean && geometry.kind() != FatKind::Fat12 {
        return Ok(None);
    }
    repair.mirror()?;
    repair.tree()?;
    let free = repair.free_lost()?;
    repair.count(free)?;
    // Everything before the marks that say so.
    repair.cache.flush()?;
    repair.mark_clean()?;
    if sector[flags] & BOOT_DIRTY != 0 {
        let clean = sector[flags] & !BOOT_DIRTY;
        repair.cache.write(flags as u64, &[clean])?;
    }
    repair.cache.flush()?;
    let report = repair.report;
    Ok((unclean || report != Report::default()).then_some(report))
}

impl<D: Disk> Repair<'_, D> {
    /// Writes the number of free clusters where FAT32 keeps it.
    fn count(&mut self, free: u32) -> Result<(), RepairError> {
        let Some(sector) = self.geometry.fs_info_sector() else {
            return Ok(());
        };
        let offset = u64::from(sector) * u64::from(self.geometry.sector_size());
        let mut info = [0; 512];
        self.cache.read(offset, &mut info)?;
        let signatures = [
            (0, FSINFO_LEAD_SIG),
            (484, FSINFO_STRUC_SIG),
            (508, FSINFO_TRAIL_SIG),
        ];
        let valid = signatures
            .iter()
            .all(|(at, signature)| info[*at..at + 4] == signature.to_le_bytes());
        if valid && info[FREE_COUNT..FREE_COUNT + 4] != free.to_le_bytes() {
            self.cache
                .write(offset + FREE_COUNT as u64, &free.to_le_bytes())?;
        }
        Ok(())
    }
}
