//! Renaming, so that a power cut leaves the old names or the new one.

use crate::disk::{Disk, DiskError};
use crate::replace::{Slots, exchange, set_leaving};
use crate::volume::{Volume, error, split};
use hadris_fs::{Extent, Name, NodeId, RenameMode, SetAttr};
use libsys::proto::io::IoError;

/// What a path names.
struct Found {
    node: NodeId,
    /// Offset of its entry on the disk.
    slot: u64,
    directory: bool,
}

impl<D: Disk> Volume<D> {
    /// Renames a file or directory; a file of the new name is replaced, and so is an empty directory by a directory. A
    /// power cut leaves the old names or the new one, whatever the disk has done with writes that were not flushed.
    ///
    /// # Errors
    /// `NotFound`, `IsDirectory`, `NotDirectory`, `NotEmpty`, `InUse`, `BadName`, `NoSpace`, `ReadOnly`, the disk's.
    pub fn rename(&mut self, from: &str, to: &str) -> Result<(), IoError> {
        let names = (split(from)?, split(to)?);
        let source = self.find_entry(from)?.ok_or(IoError::NotFound)?;
        let target = self
            .find_entry(to)?
            .filter(|target| target.slot != source.slot);
        let both = target.filter(|target| !source.directory && !target.directory);
        if let Some(target) = &both
            && (self.opened.contains(&source.node) || self.opened.contains(&target.node))
        {
            return Err(IoError::InUse);
        }
        self.changes += 1;
        self.sync()?;
        self.mark_in_use(from)?;
        self.device.0.borrow_mut().set_strict(true);
        let renamed = match both {
            Some(target) => self.replace(from, source.slot, target.slot),
            None => self.move_entry(source.slot, names.0, names.1),
        };
        self.device.0.borrow_mut().set_strict(false);
        renamed
    }

    /// What a path names, not pinned; `None`: nothing.
    fn find_entry(&mut self, path: &str) -> Result<Option<Found>, IoError> {
        let node = match self.resolve(path) {
            Err(IoError::NotFound) => return Ok(None),
            found => found?,
        };
        let mut record = [Extent::new(0, 0)];
        let found = self.fs.records(node, &mut record);
        let found = found.and_then(|_| self.fs.stat(node));
        self.fs.forget(node, 1);
        Ok(Some(Found {
            node,
            slot: record[0].offset(),
            directory: found.map_err(error)?.file_type().is_dir(),
        }))
    }

    /// Marks the volume as in use, by a change of an entry that changes nothing.
    fn mark_in_use(&mut self, path: &str) -> Result<(), IoError> {
        let node = self.resolve(path)?;
        let marked = self.fs.stat(node).and_then(|about| {
            let same = SetAttr::new().with_attributes(about.attributes());
            self.fs.setattr(node, &same)
        });
        self.fs.forget(node, 1);
        marked.map_err(error)
    }

    /// See [`crate::replace`].
    fn replace(&mut self, path: &str, from: u64, to: u64) -> Result<(), IoError> {
        let kind = self.fs.info().kind();
        exchange(&self.device, kind, Slots { from, to }).map_err(disk_error)?;
        self.fs.clear_cache();
        self.remove(path)
    }

    /// Renames without replacing a file. The entry is marked as leaving: for a while it has a twin.
    fn move_entry(
        &mut self,
        slot: u64,
        from: (&str, &Name),
        to: (&str, &Name),
    ) -> Result<(), IoError> {
        set_leaving(&self.device, slot, true).map_err(disk_error)?;
        self.fs.clear_cache();
        let moved = self.move_to(from, to);
        if moved.is_err() {
            // If this fails, too, the next mount does it.
            let _ = set_leaving(&self.device, slot, false);
            self.fs.clear_cache();
        }
        moved
    }

    fn move_to(&mut self, from: (&str, &Name), to: (&str, &Name)) -> Result<(), IoError> {
        let source = self.resolve(from.0)?;
        let moved = self.resolve(to.0).and_then(|target| {
            let mode = RenameMode::Replace;
            let moved = self.fs.rename(source, from.1, target, to.1, mode);
            self.fs.forget(target, 1);
            moved.map_err(error)
        });
        self.fs.forget(source, 1);
        moved
    }
}

fn disk_error(_: DiskError) -> IoError {
    IoError::DeviceError
}
