//! The disk below, which may be started anew while it is in use.

use fs::disk::{Disk, DiskError, SECTOR};
use libsys::handle::{Handle, IoError};
use libsys::syscall;

/// How often a request is made in all, if the disk's server dies of it or cannot take it.
const TRIES: usize = 8;

/// An open disk.
pub struct Medium {
    name: &'static str,
    handle: Handle,
    sectors: u64,
    read_only: bool,
}

impl Medium {
    /// Opens the disk of this name.
    ///
    /// # Errors
    /// As [`Handle::open`].
    pub fn open(name: &'static str) -> Result<Self, IoError> {
        let handle = Handle::open(name)?;
        let size = handle.stat()?.size;
        // Where there is nothing to write, the answer says whether there could be.
        let read_only = handle.write_at(size, &[0; SECTOR]) == Err(IoError::ReadOnly);
        Ok(Self {
            name,
            handle,
            sectors: size / SECTOR as u64,
            read_only,
        })
    }

    /// Makes a request, and makes it again if the server died: whole sectors may be read and written twice.
    fn request<T>(
        &mut self,
        mut request: impl FnMut(&Handle) -> Result<T, IoError>,
    ) -> Result<T, DiskError> {
        for _ in 0..TRIES {
            match request(&self.handle) {
                Err(IoError::WouldBlock) => syscall::yield_now(),
                Err(IoError::ServerDied { .. }) => match Handle::open(self.name) {
                    Ok(handle) => self.handle = handle,
                    Err(_) => syscall::yield_now(),
                },
                result => return result.map_err(|_| DiskError),
            }
        }
        Err(DiskError)
    }
}

impl Disk for Medium {
    fn sectors(&self) -> u64 {
        self.sectors
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }

    fn read(&mut self, sector: u64, bytes: &mut [u8]) -> Result<(), DiskError> {
        let mut done = 0;
        while done < bytes.len() {
            let offset = sector * SECTOR as u64 + done as u64;
            let rest = &mut bytes[done..];
            match self.request(|handle| handle.read_at(offset, rest))? {
                0 => return Err(DiskError),
                count => done += count,
            }
        }
        Ok(())
    }

    fn write(&mut self, sector: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut done = 0;
        while done < bytes.len() {
            let offset = sector * SECTOR as u64 + done as u64;
            match self.request(|handle| handle.write_at(offset, &bytes[done..]))? {
                0 => return Err(DiskError),
                count => done += count,
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.request(|handle| handle.sync())
    }
}
