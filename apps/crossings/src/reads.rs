//! Reads through servers, with `libsys`'s ordinary handle.

use crate::Failure;
use crate::clock::{self, Samples};
use alloc::{format, vec};
use libsys::handle::{Handle, IoError};
use libsys::shared::Shared;

/// Reads in one sample, where no device has a part.
const BATCH: u64 = 16;

/// An error of a server, in words.
fn refused(error: IoError) -> Failure {
    format!("{error}")
}

/// Reads `size` bytes at the beginning of `name`, of which `expected` come, in batches.
pub fn plain(samples: usize, name: &str, size: usize, expected: usize) -> Result<Samples, Failure> {
    let (handle, mut buffer) = (Handle::open(name).map_err(refused)?, vec![0; size]);
    clock::loops(samples, BATCH, || {
        whole(handle.read_at(0, &mut buffer), expected)
    })
}

/// Reads `size` bytes at the beginning of the disk into the caller's memory, one read in each sample.
pub fn disk(samples: usize, size: usize) -> Result<Samples, Failure> {
    let (handle, mut buffer) = (Handle::open("disk:0").map_err(refused)?, vec![0; size]);
    clock::singles(
        samples,
        || Ok(()),
        || whole(handle.read_at(0, &mut buffer), size),
    )
}

/// Reads `size` bytes at the beginning of the disk into memory that is shared with the device.
pub fn shared(samples: usize, size: usize) -> Result<Samples, Failure> {
    let handle = Handle::open("disk:0").map_err(refused)?;
    let mut buffer = Shared::new("disk:0", size).map_err(refused)?;
    buffer.attach(&handle).map_err(refused)?;
    clock::singles(
        samples,
        || Ok(()),
        || whole(buffer.read(&handle, 0, &[(0, size)]), size),
    )
}

fn whole(count: Result<usize, IoError>, expected: usize) -> Result<(), Failure> {
    match count {
        Ok(count) if count == expected => Ok(()),
        Ok(count) => Err(format!("{count} bytes came instead of {expected}")),
        Err(error) => Err(refused(error)),
    }
}
