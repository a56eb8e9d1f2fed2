//! The disk that the file system is measured on.

use std::io::Write;

use anyhow::{Context, Result};
use fatfs::{FileSystem, FormatVolumeOptions, FsOptions, format_volume};
use tempfile::NamedTempFile;

use crate::paths;

/// Bytes of the disk.
const SIZE: u64 = 4 << 20;
/// Bytes of a cluster: what is read lies in one.
const CLUSTER: u32 = 4096;
/// Name and bytes of its only file. `apps/crossings` has the same.
const FILE: (&str, usize) = ("FILE", 64 << 10);

/// Makes a FAT volume with one file.
///
/// # Errors
/// The disk cannot be written.
pub fn make() -> Result<NamedTempFile> {
    let disk = NamedTempFile::new_in(paths::state()?).context("cannot make a disk")?;
    disk.as_file().set_len(SIZE)?;
    let options = FormatVolumeOptions::new().bytes_per_cluster(CLUSTER);
    format_volume(disk.as_file(), options)?;
    let volume = FileSystem::new(disk.as_file(), FsOptions::new())?;
    let (name, size) = FILE;
    volume
        .root_dir()
        .create_file(name)?
        .write_all(&vec![b'.'; size])?;
    volume.unmount()?;
    Ok(disk)
}
