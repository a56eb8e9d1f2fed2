//! Directories: every entry owns its clusters, and every cluster has one owner.

use super::{Repair, RepairError};
use crate::disk::Disk;
use crate::replace::{DOOMED, LEAVING};
use alloc::vec;
use alloc::vec::Vec;
use hadris_fat_raw::lfn::Assembler;
use hadris_fat_raw::{ENTRY_FREE, ENTRY_SIZE, MAX_DIR_ENTRIES, RootLocation, ShortEntry, Slot};

/// A directory to be looked at.
struct Directory {
    /// Its first cluster; 0 for the root.
    first: u32,
    /// First cluster of the directory around it; 0 for the root.
    parent: u32,
    /// Offsets of its slots: where each piece begins, and its bytes.
    pieces: Vec<(u64, u64)>,
}

/// Where an entry is.
struct Place {
    /// Its own slot.
    slot: u64,
    /// The slots of its long name.
    names: Vec<u64>,
    /// First cluster of the directory; 0 for the root.
    directory: u32,
}

impl<D: Disk> Repair<'_, D> {
    /// Looks at all directories, from the root on.
    pub(super) fn tree(&mut self) -> Result<(), RepairError> {
        let mut open = vec![self.root()?];
        // An entry on its way out gives way to its twin. If none was found, it never left.
        let mut leaving = Vec::new();
        loop {
            if let Some(directory) = open.pop() {
                self.directory(&directory, &mut open, &mut leaving)?;
            } else if let Some((place, entry)) = leaving.pop() {
                self.entry_at(&place, entry, &mut open)?;
            } else {
                return Ok(());
            }
        }
    }

    fn root(&mut self) -> Result<Directory, RepairError> {
        let pieces = match self.geometry.root() {
            RootLocation::Fixed { start, size } => vec![(start, size)],
            RootLocation::Cluster(first) if self.is_cluster(first) => self.take_directory(first)?,
            RootLocation::Cluster(_) => return Err(RepairError::Corrupt),
        };
        Ok(Directory {
            first: 0,
            parent: 0,
            pieces,
        })
    }

    /// Takes the clusters of a directory.
    fn take_directory(&mut self, first: u32) -> Result<Vec<(u64, u64)>, RepairError> {
        let bytes = u64::from(self.geometry.cluster_size());
        let most = u64::from(MAX_DIR_ENTRIES * ENTRY_SIZE as u32) / bytes;
        let chain = self.take_chain(first, most.max(1))?;
        let offsets = chain.into_iter();
        let offsets = offsets.filter_map(|cluster| self.geometry.cluster_offset(cluster));
        Ok(offsets.map(|offset| (offset, bytes)).collect())
    }

    fn directory(
        &mut self,
        directory: &Directory,
        open: &mut Vec<Directory>,
        leaving: &mut Vec<(Place, ShortEntry)>,
    ) -> Result<(), RepairError> {
        let mut long = Assembler::new();
        let mut names = Vec::new();
        let slots = directory.pieces.iter();
        let slots = slots.flat_map(|(at, bytes)| (*at..at + bytes).step_by(ENTRY_SIZE));
        let mut ended = false;
        for slot in slots {
            let mut raw = [0; ENTRY_SIZE];
            self.cache.read(slot, &mut raw)?;
            if ended {
                // The next entry that is made would bring back what lies behind the end.
                if Slot::parse(&raw) != Slot::End {
                    self.cache.write(slot, &[0; ENTRY_SIZE])?;
                    self.report.names += 1;
                }
                continue;
            }
            let entry = match Slot::parse(&raw) {
                Slot::Long(piece) => {
                    // A new name begins: what came before belongs to nothing.
                    if piece.sequence() & hadris_fat_raw::LFN_LAST_ENTRY != 0 {
                        self.forget_names(&mut names)?;
                    }
                    long.push(&piece);
                    names.push(slot);
                    continue;
                }
                Slot::Short(entry) => entry,
                free @ (Slot::Free | Slot::End) => {
                    long.reset();
                    self.forget_names(&mut names)?;
                    ended = free == Slot::End;
                    continue;
                }
            };
            if long.finish(entry.lfn_checksum()).is_none() {
                self.forget_names(&mut names)?;
            }
            if entry.is_label() {
                // Owns nothing.
                names.clear();
            } else if entry.is_dot() {
                self.dot(slot, entry, directory)?;
                names.clear();
            } else {
                let place = Place {
                    slot,
                    names: core::mem::take(&mut names),
                    directory: directory.first,
                };
                match entry.nt_case() & LEAVING {
                    0 => self.entry_at(&place, entry, open)?,
                    _ => leaving.push((place, entry)),
                }
            }
        }
        self.forget_names(&mut names)
    }

    /// `.` and `..` name the directory and the one around it.
    fn dot(
        &mut self,
        slot: u64,
        mut entry: ShortEntry,
        directory: &Directory,
    ) -> Result<(), RepairError> {
        let right = if entry.is_dot_dot() {
            directory.parent
        } else {
            directory.first
        };
        if entry.first_cluster(self.geometry.kind()) != right {
            entry.set_first_cluster(self.geometry.kind(), right);
            self.correct(slot, &entry)?;
        }
        Ok(())
    }

    /// A file or directory takes its clusters. If they have an owner already, there is one entry too many.
    fn entry_at(
        &mut self,
        place: &Place,
        entry: ShortEntry,
        open: &mut Vec<Directory>,
    ) -> Result<(), RepairError> {
        let first = entry.first_cluster(self.geometry.kind());
        let owned = self.is_cluster(first) && self.is_owned(first);
        let nothing = entry.is_dir() && !self.is_directory(first)?;
        if owned || nothing || entry.nt_case() & DOOMED != 0 {
            return self.remove(place);
        }
        let mut right = entry;
        right.set_nt_case(entry.nt_case() & !(LEAVING | DOOMED));
        if entry.is_dir() {
            open.push(Directory {
                first,
                parent: place.directory,
                pieces: self.take_directory(first)?,
            });
        } else {
            self.take_file(&mut right)?;
        }
        if right != entry {
            self.correct(place.slot, &right)?;
        }
        Ok(())
    }

    /// Whether a directory begins with this cluster: with `.` and `..`, or it never reached the medium.
    fn is_directory(&mut self, first: u32) -> Result<bool, RepairError> {
        let Some(offset) = self.geometry.cluster_offset(first) else {
            return Ok(false);
        };
        let mut dots = [[0; ENTRY_SIZE]; 2];
        self.cache.read(offset, dots.as_flattened_mut())?;
        let [dot, dot_dot] = dots.map(|raw| Slot::parse(&raw));
        let named = |slot, name: &[u8; 11]| matches!(slot, Slot::Short(entry) if entry.name() == *name && entry.is_dir());
        Ok(named(dot, b".          ") && named(dot_dot, b"..         "))
    }

    /// Takes a file's clusters; its size becomes what they can hold at most.
    fn take_file(&mut self, entry: &mut ShortEntry) -> Result<(), RepairError> {
        let kind = self.geometry.kind();
        let bytes = u64::from(self.geometry.cluster_size());
        let first = entry.first_cluster(kind);
        if entry.size() == 0 || !self.is_cluster(first) {
            entry.set_size(0);
            entry.set_first_cluster(kind, 0);
            return Ok(());
        }
        let size = u64::from(entry.size());
        let there = self.take_chain(first, size.div_ceil(bytes))?.len() as u64 * bytes;
        entry.set_size(size.min(there) as u32);
        Ok(())
    }

    fn correct(&mut self, slot: u64, entry: &ShortEntry) -> Result<(), RepairError> {
        self.cache.write(slot, &entry.encode())?;
        self.report.corrected += 1;
        Ok(())
    }

    fn remove(&mut self, place: &Place) -> Result<(), RepairError> {
        // Its own slot first: a name without an entry is harmless.
        for slot in core::iter::once(&place.slot).chain(&place.names) {
            self.cache.write(*slot, &[ENTRY_FREE])?;
        }
        self.report.entries += 1;
        Ok(())
    }

    fn forget_names(&mut self, names: &mut Vec<u64>) -> Result<(), RepairError> {
        for slot in names.drain(..) {
            self.cache.write(slot, &[ENTRY_FREE])?;
            self.report.names += 1;
        }
        Ok(())
    }
}
