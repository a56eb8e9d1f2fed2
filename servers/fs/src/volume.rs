//! A mounted volume: files and directories by path.

use crate::cache::{Cache, Shared};
use crate::disk::{Disk, DiskError};
use crate::repair::{RepairError, Report, repair};
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use hadris_fat::sync::FatFs;
use hadris_fs::{
    DirCursor, Error, ErrorKind, Extent, MountOptions, Name, NodeId, OpenMode, Resolve, SetAttr,
};
use libsys::proto::file::Entry;
use libsys::proto::io::IoError;

/// Runs of clusters that are asked for at once.
const RUNS: usize = 16;

/// A mounted volume.
pub struct Volume<D: Disk> {
    pub(crate) fs: FatFs<Shared<D>>,
    pub(crate) device: Shared<D>,
    /// Counts changes of what lies where.
    pub(crate) changes: u64,
    /// Files that somebody has open, once for each opening.
    pub(crate) opened: Vec<NodeId>,
}

/// An open file or directory. It is given back with [`Volume::close`].
#[derive(Debug)]
pub struct Open {
    node: NodeId,
    directory: bool,
    /// A file's bytes, and where they lie, as far as it was asked for: both as of `changes`.
    size: u64,
    extents: Vec<Extent>,
    changes: u64,
}

impl Open {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.directory
    }
}

impl<D: Disk> Volume<D> {
    /// Repairs the volume on a disk, if it needs that, and mounts it.
    ///
    /// # Errors
    /// `NoFileSystem`, `Corrupt`, `DeviceError`.
    pub fn mount(disk: D) -> Result<(Self, Option<Report>), IoError> {
        let mut cache = Cache::new(disk);
        let mut report = None;
        if !cache.disk().is_read_only() {
            report = repair(&mut cache).map_err(|error| match error {
                RepairError::NoFileSystem => IoError::NoFileSystem,
                RepairError::Corrupt => IoError::Corrupt,
                RepairError::Disk => IoError::DeviceError,
            })?;
        }
        let device = Shared(Rc::new(RefCell::new(cache)));
        let fs = FatFs::mount(device.clone(), MountOptions::new());
        let fs = fs.map_err(|error| match error.kind() {
            ErrorKind::NotRecognized => IoError::NoFileSystem,
            kind => io_error(kind),
        })?;
        device.0.borrow_mut().align(fs.info().data_start());
        let volume = Self {
            fs,
            device,
            changes: 0,
            opened: Vec::new(),
        };
        Ok((volume, report))
    }

    /// Opens a path. A missing file is made, if `create` says so; what is in a file goes, if `truncate` says so.
    ///
    /// # Errors
    /// `NotFound`, `NotDirectory`, `IsDirectory` (to be truncated), `BadName`, `NoSpace`, `ReadOnly`, and the disk's.
    pub fn open(&mut self, path: &str, create: bool, truncate: bool) -> Result<Open, IoError> {
        let node = match self.resolve(path) {
            Err(IoError::NotFound) if create => self.make(path, false)?,
            found => found?,
        };
        let opened = self.open_node(node, truncate);
        if opened.is_err() {
            self.fs.forget(node, 1);
        }
        opened
    }

    fn open_node(&mut self, node: NodeId, truncate: bool) -> Result<Open, IoError> {
        let about = self.fs.stat(node).map_err(error)?;
        let directory = about.file_type().is_dir();
        if directory && truncate {
            return Err(IoError::IsDirectory);
        }
        if !directory {
            self.fs.open(node, OpenMode::Read).map_err(error)?;
            self.opened.push(node);
        }
        let mut open = Open {
            node,
            directory,
            size: about.len(),
            extents: Vec::new(),
            changes: self.changes,
        };
        if truncate && let Err(error) = self.set_size(&mut open, 0) {
            // The truncation's error says more than this one's.
            let _ = self.end(&open);
            return Err(error);
        }
        Ok(open)
    }

    /// Gives an open file back.
    ///
    /// # Errors
    /// The disk's.
    pub fn close(&mut self, open: Open) -> Result<(), IoError> {
        let closed = self.end(&open);
        self.fs.forget(open.node, 1);
        closed
    }

    fn end(&mut self, open: &Open) -> Result<(), IoError> {
        if open.directory {
            return Ok(());
        }
        if let Some(index) = self.opened.iter().position(|node| *node == open.node) {
            self.opened.swap_remove(index);
        }
        self.fs.close(open.node).map_err(error)
    }

    /// Bytes of a file; 0 for a directory.
    ///
    /// # Errors
    /// The disk's.
    pub fn size(&mut self, open: &mut Open) -> Result<u64, IoError> {
        if open.changes != self.changes {
            open.size = self.fs.stat(open.node).map_err(error)?.len();
            open.extents.clear();
            open.changes = self.changes;
        }
        Ok(open.size)
    }

    /// Bytes of a cluster.
    pub fn cluster_size(&self) -> u32 {
        self.fs.info().cluster_size()
    }

    /// Gives up to `length` bytes of a file from `offset` on, piece by piece, to `take`, with where each begins. Returns how
    /// many there were.
    ///
    /// # Errors
    /// `BeyondEnd`: `offset` lies behind the end. `IsDirectory`, the disk's, and those of `take`.
    pub fn read(
        &mut self,
        open: &mut Open,
        offset: u64,
        length: usize,
        mut take: impl FnMut(usize, &[u8]) -> Result<(), IoError>,
    ) -> Result<usize, IoError> {
        let length = self.clip(open, offset, length)?;
        let mut done = 0;
        while done < length {
            let (at, run) = self.find(open, offset + done as u64)?;
            let wanted = usize::try_from(run)
                .unwrap_or(usize::MAX)
                .min(length - done);
            let mut cache = self.device.0.borrow_mut();
            let piece = cache.peek(at, wanted).map_err(|_| IoError::DeviceError)?;
            take(done, piece)?;
            done += piece.len();
        }
        Ok(length)
    }

    /// Writes bytes to a file at `offset`, or at its end. Returns their number.
    ///
    /// # Errors
    /// `BeyondEnd`: `offset` lies behind the end. `IsDirectory`, `NoSpace` (then nothing is written), `ReadOnly`, the disk's.
    pub fn write(
        &mut self,
        open: &mut Open,
        offset: Option<u64>,
        bytes: &[u8],
    ) -> Result<usize, IoError> {
        let offset = match offset {
            Some(offset) => self.clip(open, offset, 0).map(|_| offset)?,
            None => self.size(open)?,
        };
        if open.directory {
            return Err(IoError::IsDirectory);
        }
        self.changes += 1;
        let count = self.fs.write(open.node, offset, bytes).map_err(error)?;
        self.publish(open)?;
        Ok(count)
    }

    /// Shortens a file.
    ///
    /// # Errors
    /// `BeyondEnd`: it is not that long. `IsDirectory`, `ReadOnly`, the disk's.
    pub fn set_size(&mut self, open: &mut Open, size: u64) -> Result<(), IoError> {
        self.clip(open, size, 0)?;
        self.changes += 1;
        self.fs.truncate(open.node, size).map_err(error)?;
        self.publish(open)
    }

    /// Returns when everything has reached the medium.
    ///
    /// # Errors
    /// The disk's.
    pub fn sync(&mut self) -> Result<(), IoError> {
        self.fs.sync().map_err(error)
    }

    /// Up to `most` entries of a directory, from a place on (0 at first), and the place behind them (`None`: the end).
    ///
    /// # Errors
    /// `NotDirectory`, and the disk's.
    pub fn list(
        &mut self,
        open: &Open,
        from: u64,
        most: usize,
    ) -> Result<(Vec<Entry>, Option<u64>), IoError> {
        if !open.directory {
            return Err(IoError::NotDirectory);
        }
        let mut cursor = DirCursor::from_raw(from);
        let mut entries = Vec::new();
        while entries.len() < most {
            let Some(entry) = self.fs.readdir(open.node, cursor).map_err(error)? else {
                return Ok((entries, None));
            };
            cursor = entry.next_cursor();
            let directory = entry.file_type().is_dir();
            entries.push(Entry {
                name: String::from_utf8_lossy(entry.name().as_bytes()).into_owned(),
                size: if directory { 0 } else { entry.metadata().len() },
                directory,
            });
        }
        Ok((entries, Some(cursor.into_raw())))
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound` (the one around it), `NotDirectory`, `BadName`, `NoSpace`, `ReadOnly`, the disk's.
    pub fn make_directory(&mut self, path: &str) -> Result<(), IoError> {
        let node = self.make(path, true)?;
        self.fs.forget(node, 1);
        Ok(())
    }

    /// Removes a file, or a directory that is empty.
    ///
    /// # Errors
    /// `NotFound`, `NotEmpty`, `InUse`, `NotPermitted` (the root), `ReadOnly`, the disk's.
    pub fn remove(&mut self, path: &str) -> Result<(), IoError> {
        self.changes += 1;
        self.in_directory(path, |fs, directory, name| {
            match fs.unlink(directory, name) {
                Err(error) if error.kind() == ErrorKind::IsADirectory => fs.rmdir(directory, name),
                done => done,
            }
        })
    }

    /// Pins what a path names.
    pub(crate) fn resolve(&mut self, path: &str) -> Result<NodeId, IoError> {
        self.fs
            .resolve(path.as_bytes(), Resolve::Lexical)
            .map_err(error)
    }

    /// Makes and pins something. Its entry must not reach the medium before what it names, nor a directory's new cluster
    /// before it is blank.
    fn make(&mut self, path: &str, directory: bool) -> Result<NodeId, IoError> {
        self.device.0.borrow_mut().set_strict(true);
        let made = self.in_directory(path, |fs, parent, name| match directory {
            true => fs.mkdir(parent, name, &SetAttr::new()),
            false => fs.create(parent, name, &SetAttr::new()),
        });
        self.device.0.borrow_mut().set_strict(false);
        made
    }

    /// Does `work` with the directory around a path's last name.
    fn in_directory<T>(
        &mut self,
        path: &str,
        work: impl FnOnce(&mut FatFs<Shared<D>>, NodeId, &Name) -> Result<T, Error<DiskError>>,
    ) -> Result<T, IoError> {
        let (around, name) = split(path)?;
        let directory = self.resolve(around)?;
        let done = work(&mut self.fs, directory, name);
        self.fs.forget(directory, 1);
        done.map_err(error)
    }

    /// Writes a file's size and place, without waiting for the medium.
    fn publish(&mut self, open: &Open) -> Result<(), IoError> {
        // The end of a use that does nothing: `hadris-fat` has no other word for it.
        self.fs.open(open.node, OpenMode::Write).map_err(error)?;
        self.fs.close(open.node).map_err(error)
    }

    /// How many of `length` bytes from `offset` on lie in a file.
    #[inline]
    fn clip(&mut self, open: &mut Open, offset: u64, length: usize) -> Result<usize, IoError> {
        if open.directory {
            return Err(IoError::IsDirectory);
        }
        let left = self.size(open)?.checked_sub(offset);
        let left = usize::try_from(left.ok_or(IoError::BeyondEnd)?).unwrap_or(usize::MAX);
        Ok(left.min(length))
    }

    /// Where the byte at `offset` of a file, whose size was just asked for, lies on the disk, and how many follow it there.
    fn find(&mut self, open: &mut Open, offset: u64) -> Result<(u64, u64), IoError> {
        loop {
            let known = &open.extents;
            let after = known.partition_point(|extent| extent.file_offset() <= offset);
            if let Some(extent) = after.checked_sub(1).map(|index| known[index]) {
                let within = offset - extent.file_offset();
                if within < extent.len() {
                    return Ok((extent.offset() + within, extent.len() - within));
                }
            }
            let from = known
                .last()
                .map_or(0, |last| last.file_offset() + last.len());
            let mut runs = [Extent::new(0, 0); RUNS];
            let count = self.fs.extents(open.node, from, &mut runs).map_err(error)?;
            if count == 0 {
                return Err(IoError::Corrupt);
            }
            open.extents.extend(&runs[..count]);
        }
    }
}

/// The directory and the last name of a path.
pub(crate) fn split(path: &str) -> Result<(&str, &Name), IoError> {
    let path = path.trim_end_matches('/');
    let (around, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "" | "." | ".." => Err(IoError::NotPermitted),
        name => Ok((around, Name::new(name))),
    }
}

pub(crate) fn error(error: Error<DiskError>) -> IoError {
    io_error(error.kind())
}

fn io_error(kind: ErrorKind) -> IoError {
    match kind {
        ErrorKind::NotRecognized => IoError::NoFileSystem,
        ErrorKind::Corrupt => IoError::Corrupt,
        ErrorKind::NotFound | ErrorKind::InvalidHandle => IoError::NotFound,
        ErrorKind::AlreadyExists => IoError::AlreadyExists,
        ErrorKind::NotADirectory => IoError::NotDirectory,
        ErrorKind::IsADirectory => IoError::IsDirectory,
        ErrorKind::DirectoryNotEmpty => IoError::NotEmpty,
        ErrorKind::NoSpace | ErrorKind::FileTooLarge | ErrorKind::LimitExceeded => IoError::NoSpace,
        ErrorKind::ReadOnly => IoError::ReadOnly,
        ErrorKind::InvalidInput | ErrorKind::NameTooLong => IoError::BadName,
        ErrorKind::Busy => IoError::InUse,
        ErrorKind::Unsupported | ErrorKind::Symlink => IoError::BadRequest,
        _ => IoError::DeviceError,
    }
}
