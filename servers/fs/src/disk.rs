//! What the file system lies on.

use core::fmt;

/// Bytes of a sector.
pub const SECTOR: usize = 512;

/// Sectors. A write that was answered reaches the medium at the latest with the next flush; until then, a power cut leaves
/// any part of the writes since the last one, whole sectors each.
pub trait Disk {
    /// How many there are.
    fn sectors(&self) -> u64;
    /// Whether nothing can be written.
    fn is_read_only(&self) -> bool;
    /// Reads whole sectors.
    ///
    /// # Errors
    /// The device.
    fn read(&mut self, sector: u64, bytes: &mut [u8]) -> Result<(), DiskError>;
    /// Writes whole sectors.
    ///
    /// # Errors
    /// The device.
    fn write(&mut self, sector: u64, bytes: &[u8]) -> Result<(), DiskError>;
    /// Returns when everything written has reached the medium.
    ///
    /// # Errors
    /// The device.
    fn flush(&mut self) -> Result<(), DiskError>;
}

/// The disk did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskError;

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("disk error")
    }
}

impl core::error::Error for DiskError {}
