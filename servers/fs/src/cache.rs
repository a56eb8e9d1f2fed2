//! The block cache: a fixed number of lines, each with one place, so that finding one is an index. Writes go through to the
//! disk in their order; nothing is ever held back.

use crate::disk::{Disk, DiskError, SECTOR};
use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use hadris_fs::{Error, ErrorKind};
use hadris_storage::sync::BlockDevice;
use hadris_storage::{BlockIndex, BlockSize};

/// Bytes of a line.
pub const LINE: usize = 4096;
/// Lines: 512 KiB.
const LINES: usize = 128;
/// Lines read at once, if that many are asked for.
const RUN: usize = 16;

/// A cached disk, by bytes.
pub struct Cache<D> {
    disk: D,
    bytes: Box<[u8]>,
    /// Which line of the disk each line of `bytes` holds.
    holds: Vec<Option<u64>>,
    run: Box<[u8]>,
    /// The first line begins so many bytes before the disk.
    skew: u64,
    /// While set, every write reaches the medium before the next one.
    strict: bool,
}

impl<D: Disk> Cache<D> {
    /// An empty cache.
    pub fn new(disk: D) -> Self {
        Self {
            disk,
            bytes: vec![0; LINES * LINE].into(),
            holds: vec![None; LINES],
            run: vec![0; RUN * LINE].into(),
            skew: 0,
            strict: false,
        }
    }

    /// The disk below.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// Bytes of the disk.
    pub fn size(&self) -> u64 {
        self.disk.sectors() * SECTOR as u64
    }

    /// Lets a line begin at `offset`, a multiple of the sector: what begins there or whole lines behind it needs no second line.
    pub fn align(&mut self, offset: u64) {
        self.skew = offset.next_multiple_of(LINE as u64) - offset;
        self.holds.fill(None);
    }

    /// The line of a byte, and where it is inside.
    fn place(&self, offset: u64) -> (u64, usize) {
        let offset = offset + self.skew;
        (offset / LINE as u64, (offset % LINE as u64) as usize)
    }

    /// Whether from now on every write shall reach the medium before the next one.
    pub fn set_strict(&mut self, strict: bool) {
        self.strict = strict;
    }

    /// The bytes from `offset` on up to the end of the line, at most `length` (not 0) of them. Behind the disk's end they are
    /// 0, as far as its last line goes.
    ///
    /// # Errors
    /// The disk, or behind its last line.
    #[inline]
    pub fn peek(&mut self, offset: u64, length: usize) -> Result<&[u8], DiskError> {
        let (line, within) = self.place(offset);
        let place = (line % LINES as u64) as usize;
        if self.holds[place] != Some(line) {
            self.fill(line, (within + length).div_ceil(LINE))?;
        }
        let end = (within + length).min(LINE);
        Ok(&self.bytes[place * LINE + within..place * LINE + end])
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// As [`Cache::peek`].
    pub fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
        let mut done = 0;
        while done < bytes.len() {
            let piece = self.peek(offset + done as u64, bytes.len() - done)?;
            bytes[done..done + piece.len()].copy_from_slice(piece);
            done += piece.len();
        }
        Ok(())
    }

    /// Writes bytes; the rest of their sectors stays as it is.
    ///
    /// # Errors
    /// As [`Cache::peek`].
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let first = offset / SECTOR as u64;
        let skip = (offset % SECTOR as u64) as usize;
        let mut whole = vec![0; (skip + bytes.len()).next_multiple_of(SECTOR)];
        self.read(first * SECTOR as u64, &mut whole)?;
        whole[skip..skip + bytes.len()].copy_from_slice(bytes);
        self.write_sectors(first, &whole)
    }

    /// Writes whole sectors.
    ///
    /// # Errors
    /// The disk, or beyond its end.
    pub fn write_sectors(&mut self, sector: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.check(sector, bytes.len())?;
        let written = self.disk.write(sector, bytes);
        for (sector, bytes) in (sector..).zip(bytes.chunks(SECTOR)) {
            let (line, within) = self.place(sector * SECTOR as u64);
            let place = (line % LINES as u64) as usize;
            if self.holds[place] != Some(line) {
                continue;
            }
            if written.is_ok() {
                self.bytes[place * LINE + within..][..SECTOR].copy_from_slice(bytes);
            } else {
                // Nobody knows what is there now.
                self.holds[place] = None;
            }
        }
        written?;
        if self.strict { self.flush() } else { Ok(()) }
    }

    /// Returns when everything written has reached the medium.
    ///
    /// # Errors
    /// The disk.
    pub fn flush(&mut self) -> Result<(), DiskError> {
        self.disk.flush()
    }

    fn check(&self, sector: u64, length: usize) -> Result<(), DiskError> {
        let end = sector.checked_add((length / SECTOR) as u64);
        let inside = end.is_some_and(|end| end <= self.disk.sectors());
        inside.then_some(()).ok_or(DiskError)
    }

    /// Reads `line`, and in the same request up to `wanted` lines that follow and are not there yet.
    fn fill(&mut self, line: u64, wanted: usize) -> Result<(), DiskError> {
        let missing =
            |next: &u64| self.holds[((line + next) % LINES as u64) as usize] != Some(line + next);
        let count = 1 + (1..wanted.min(RUN) as u64).take_while(missing).count();
        // The first line and the last one may lie on the disk in part only.
        let start = line * LINE as u64;
        let before = self.skew.saturating_sub(start) as usize;
        let first = (start + before as u64 - self.skew) / SECTOR as u64;
        let left = self.disk.sectors().checked_sub(first).ok_or(DiskError)?;
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let end = left.saturating_mul(SECTOR).saturating_add(before);
        let end = end.min(count * LINE);
        if end <= before {
            return Err(DiskError);
        }
        self.run[end..].fill(0);
        self.disk.read(first, &mut self.run[before..end])?;
        for (line, content) in (line..).zip(self.run.chunks(LINE)).take(count) {
            let place = (line % LINES as u64) as usize;
            self.bytes[place * LINE..][..LINE].copy_from_slice(content);
            self.holds[place] = Some(line);
        }
        Ok(())
    }
}

/// The cache, shared between `hadris-fat`, which owns its device, and this crate.
pub struct Shared<D>(pub Rc<RefCell<Cache<D>>>);

impl<D> Clone for Shared<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D> hadris_io::ErrorType for Shared<D> {
    type Error = DiskError;
}

impl<D: Disk> BlockDevice for Shared<D> {
    fn block_size(&self) -> BlockSize {
        const SIZE: BlockSize = BlockSize::new(SECTOR as u32).expect("a power of two");
        SIZE
    }

    fn block_count(&self) -> u64 {
        self.0.borrow().disk.sectors()
    }

    fn writable(&self) -> bool {
        !self.0.borrow().disk.is_read_only()
    }

    fn read_blocks(&mut self, first: BlockIndex, bytes: &mut [u8]) -> Result<(), Error<DiskError>> {
        let offset = first.get().checked_mul(SECTOR as u64);
        let offset = offset.ok_or(ErrorKind::InvalidInput)?;
        let read = self.0.borrow_mut().read(offset, bytes);
        read.map_err(|error| Error::device(error, "read"))
    }

    fn write_blocks(&mut self, first: BlockIndex, bytes: &[u8]) -> Result<(), Error<DiskError>> {
        let written = self.0.borrow_mut().write_sectors(first.get(), bytes);
        written.map_err(|error| Error::device(error, "write"))
    }

    fn flush(&mut self) -> Result<(), Error<DiskError>> {
        let flushed = self.0.borrow_mut().flush();
        flushed.map_err(|error| Error::device(error, "flush"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that counts requests.
    struct Counting {
        bytes: Vec<u8>,
        reads: usize,
        broken: bool,
    }

    impl Disk for Counting {
        fn sectors(&self) -> u64 {
            (self.bytes.len() / SECTOR) as u64
        }
        fn is_read_only(&self) -> bool {
            false
        }
        fn read(&mut self, sector: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
            self.reads += 1;
            let start = sector as usize * SECTOR;
            let found = self.bytes.get(start..start + bytes.len());
            bytes.copy_from_slice(found.ok_or(DiskError)?);
            Ok(())
        }
        fn write(&mut self, sector: u64, bytes: &[u8]) -> Result<(), DiskError> {
            if self.broken {
                return Err(DiskError);
            }
            self.bytes[sector as usize * SECTOR..][..bytes.len()].copy_from_slice(bytes);
            Ok(())
        }
        fn flush(&mut self) -> Result<(), DiskError> {
            Ok(())
        }
    }

    fn cache(sectors: usize) -> Cache<Counting> {
        let bytes = (0..sectors * SECTOR).map(|i| (i / 5) as u8).collect();
        Cache::new(Counting {
            bytes,
            reads: 0,
            broken: false,
        })
    }

    #[test]
    fn all_bytes_are_there_wherever_lines_begin() {
        // More than all lines hold, and no whole number of them.
        let sectors = LINES * LINE / SECTOR * 2 + 3;
        for begin in [0, 512, 4096, 7 * 512, 300 * 512] {
            let mut cache = cache(sectors);
            cache.align(begin);
            for (offset, length) in [(0, 9000), (1, 1), (begin, 4096), (500, 600_000)] {
                let mut bytes = vec![0; length];
                cache.read(offset, &mut bytes).unwrap();
                assert_eq!(bytes, cache.disk.bytes[offset as usize..][..length]);
            }
            let end = cache.size();
            assert_eq!(cache.peek(end - 1, 10).map(<[u8]>::len), Ok(10));
            assert_eq!(cache.peek(end + LINE as u64, 1), Err(DiskError));
            assert_eq!(
                cache.read(u64::from(u32::MAX) << 20, &mut [0]),
                Err(DiskError)
            );
            assert_eq!(cache.peek(begin, LINE).map(<[u8]>::len), Ok(LINE));
        }
    }

    #[test]
    fn what_is_there_is_not_read_again() {
        let mut cache = cache(1024);
        let mut bytes = vec![0; RUN * LINE];
        cache.read(0, &mut bytes).unwrap();
        assert_eq!(cache.disk.reads, 1);
        cache.read(3, &mut bytes[..60_000]).unwrap();
        assert_eq!(cache.disk.reads, 1);
    }

    #[test]
    fn writes_go_through_and_failed_ones_are_forgotten() {
        let mut cache = cache(64);
        cache.read(0, &mut [0; 8192]).unwrap();
        cache.write(4090, b"across").unwrap();
        cache.write(4099, b"!").unwrap();
        assert_eq!(cache.disk.bytes[4090..4100], *b"across\x33\x33\x33!");
        let mut bytes = [0; 10];
        cache.read(4090, &mut bytes).unwrap();
        assert_eq!(bytes, cache.disk.bytes[4090..4100]);
        cache.disk.broken = true;
        assert_eq!(cache.write(0, b"x"), Err(DiskError));
        cache.disk.bytes[0] = 77;
        cache.read(0, &mut bytes).unwrap();
        assert_eq!(bytes[0], 77, "read again");
        assert_eq!(cache.write_sectors(63, &[0; 1024]), Err(DiskError));
    }
}
