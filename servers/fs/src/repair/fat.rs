//! The allocation table: copies, chains, owners.

use super::{Repair, RepairError};
use crate::cache::LINE;
use crate::disk::{Disk, SECTOR};
use alloc::vec;
use alloc::vec::Vec;
use hadris_fat_raw::FIRST_DATA_CLUSTER;

/// Bytes of a FAT that hold whole entries of every kind.
const CHUNK: usize = 3 * SECTOR;

impl<D: Disk> Repair<'_, D> {
    /// Byte offsets of all copies in use, the one that is written first at the front.
    fn copies(&self) -> impl Iterator<Item = u64> + use<D> {
        let geometry = self.geometry;
        (0..geometry.copies()).map(move |step| geometry.fat_copy(geometry.active_fat() ^ step))
    }

    /// Whether any copy says that the volume was in use.
    pub(super) fn is_dirty(&mut self) -> Result<bool, RepairError> {
        let kind = self.geometry.kind();
        let mut dirty = false;
        for copy in self.copies() {
            let mut bytes = [0; 4];
            let entry = &mut bytes[..kind.entry_len()];
            self.cache.read(copy + kind.entry_offset(1), entry)?;
            dirty |= kind.decode(1, &bytes) & kind.clean_bit() != kind.clean_bit();
        }
        Ok(dirty)
    }

    /// Says in all copies that the volume is in order.
    pub(super) fn mark_clean(&mut self) -> Result<(), RepairError> {
        let kind = self.geometry.kind();
        for copy in self.copies() {
            let at = copy + kind.entry_offset(1);
            let mut bytes = [0; 4];
            self.cache.read(at, &mut bytes[..kind.entry_len()])?;
            let entry = kind.decode(1, &bytes);
            if entry & kind.clean_bit() != kind.clean_bit() {
                kind.encode(1, entry | kind.clean_bit(), &mut bytes);
                self.cache.write(at, &bytes[..kind.entry_len()])?;
            }
        }
        Ok(())
    }

    /// Makes all copies equal the first.
    pub(super) fn mirror(&mut self) -> Result<(), RepairError> {
        let mut copies = self.copies();
        let Some(first) = copies.next() else {
            return Ok(());
        };
        let size = self.geometry.fat_size();
        let (mut right, mut other) = (vec![0; LINE], vec![0; LINE]);
        for copy in copies {
            for at in (0..size).step_by(LINE) {
                let length = (size - at).min(LINE as u64) as usize;
                let (right, other) = (&mut right[..length], &mut other[..length]);
                self.cache.read(first + at, right)?;
                self.cache.read(copy + at, other)?;
                let sectors = right.chunks(SECTOR).zip(other.chunks(SECTOR));
                for (i, (right, _)) in sectors.enumerate().filter(|(_, (a, b))| a != b) {
                    self.cache.write(copy + at + (i * SECTOR) as u64, right)?;
                    self.report.copies += 1;
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, cluster: u32) -> Result<u32, RepairError> {
        let (kind, geometry) = (self.geometry.kind(), self.geometry);
        let at = geometry.fat_copy(geometry.active_fat()) + kind.entry_offset(cluster.into());
        let mut bytes = [0; 4];
        self.cache.read(at, &mut bytes[..kind.entry_len()])?;
        Ok(kind.decode(cluster.into(), &bytes))
    }

    fn set_entry(&mut self, cluster: u32, value: u32) -> Result<(), RepairError> {
        let kind = self.geometry.kind();
        for copy in self.copies() {
            let at = copy + kind.entry_offset(cluster.into());
            let mut bytes = [0; 4];
            let entry = &mut bytes[..kind.entry_len()];
            self.cache.read(at, entry)?;
            kind.encode(cluster.into(), value, entry);
            self.cache.write(at, entry)?;
        }
        Ok(())
    }

    pub(super) fn is_cluster(&self, cluster: u32) -> bool {
        (FIRST_DATA_CLUSTER..=self.geometry.max_cluster()).contains(&cluster)
    }

    pub(super) fn is_owned(&self, cluster: u32) -> bool {
        self.owned[cluster as usize / 64] >> (cluster % 64) & 1 != 0
    }

    /// Follows a chain from `first`, which is a data cluster that nobody owns, for at most `most` (not 0) clusters, and
    /// takes them. Whatever follows them is cut off.
    pub(super) fn take_chain(&mut self, first: u32, most: u64) -> Result<Vec<u32>, RepairError> {
        let kind = self.geometry.kind();
        let mut clusters = Vec::new();
        let mut next = first;
        loop {
            self.owned[next as usize / 64] |= 1 << (next % 64);
            clusters.push(next);
            let link = self.entry(next)?;
            match kind.next(link, self.geometry.max_cluster()) {
                Ok(None) => return Ok(clusters),
                Ok(Some(link)) if (clusters.len() as u64) < most && !self.is_owned(link) => {
                    next = link;
                }
                _ => {
                    self.set_entry(next, kind.end_of_chain() | kind.mask())?;
                    self.report.cut += 1;
                    return Ok(clusters);
                }
            }
        }
    }

    /// Frees all clusters that nobody owns. Returns how many are free then.
    pub(super) fn free_lost(&mut self) -> Result<u32, RepairError> {
        let (kind, geometry) = (self.geometry.kind(), self.geometry);
        let active = geometry.fat_copy(geometry.active_fat());
        let entries = (CHUNK * 8) as u64 / kind.entry_bits();
        let mut free = 0;
        for chunk in 0..=u64::from(geometry.max_cluster()) / entries {
            let first = chunk * entries;
            let start = kind.entry_offset(first);
            let mut bytes = vec![0; (geometry.fat_size() - start).min(CHUNK as u64) as usize];
            self.cache.read(active + start, &mut bytes)?;
            let old = bytes.clone();
            for cluster in first..first + entries {
                let cluster = u32::try_from(cluster).unwrap_or(u32::MAX);
                if !self.is_cluster(cluster) || self.is_owned(cluster) {
                    continue;
                }
                let entry = &mut bytes[(kind.entry_offset(cluster.into()) - start) as usize..];
                match kind.decode(cluster.into(), entry) & kind.mask() {
                    0 => free += 1,
                    value if kind.is_bad(value) => {}
                    _ => {
                        kind.encode(cluster.into(), 0, entry);
                        self.report.lost += 1;
                        free += 1;
                    }
                }
            }
            if bytes != old {
                for copy in self.copies() {
                    self.cache.write(copy + start, &bytes)?;
                }
            }
        }
        Ok(free)
    }
}
