//! Files and directories: what a [`Handle`] cannot say. Names are full ones, such as `file:/dir/name` or `flash:kv/name`.

use crate::handle::{self, Handle, IoError};
use crate::lease::Lease;
use crate::proto::io::NAME_MAX;
use crate::proto::{file, io};
use crate::syscall;
use alloc::vec;
use alloc::vec::Vec;
pub use file::Entry;

/// Opens a file for writing from its beginning: makes it if it is missing, empties it if it is not.
///
/// # Errors
/// As [`Handle::open`]; `IsDirectory`, `NoSpace`, `BadName`.
pub fn create(name: &str) -> Result<Handle, IoError> {
    Handle::open_with(name, io::CREATE | io::TRUNCATE)
}

/// Opens a file, and makes it if it is missing. Errors as for [`create`].
pub fn open_or_create(name: &str) -> Result<Handle, IoError> {
    Handle::open_with(name, io::CREATE)
}

/// Removes a file, or a directory that is empty.
///
/// # Errors
/// `NotFound`, `NotEmpty`, `InUse` (somebody has it open).
pub fn remove(name: &str) -> Result<(), IoError> {
    on_name(file::REMOVE, name)
}

/// Makes a directory.
///
/// # Errors
/// `AlreadyExists`, `NotFound` (the directory around it), `NoSpace`, `BadName`.
pub fn make_directory(name: &str) -> Result<(), IoError> {
    on_name(file::MAKE_DIRECTORY, name)
}

/// Renames a file or directory; a file of the new name is replaced. A power cut leaves one of both names.
///
/// # Errors
/// `BadRequest`: different servers, or a server whose names stay. `NotFound`, `InUse`, `IsDirectory`, `NotDirectory`,
/// `NotEmpty`, `NoSpace`, `BadName` (into itself, too).
pub fn rename(old: &str, new: &str) -> Result<(), IoError> {
    let (server, old) = handle::server_of(old)?;
    let (other, new) = handle::server_of(new)?;
    if server != other {
        return Err(IoError::BadRequest);
    }
    let names = [old.as_bytes(), new.as_bytes()].concat();
    let words = [old.len() as u64, 0, 0, 0];
    let lease = Lease::read(&names);
    handle::answered(syscall::call_lending(server, file::RENAME, words, lease)).map(drop)
}

/// The entries of a directory.
///
/// # Errors
/// As [`Handle::open`]; `NotDirectory`.
pub fn list(name: &str) -> Result<Vec<Entry>, IoError> {
    let directory = Handle::open(name)?;
    let mut buffer = vec![0; 4 * NAME_MAX.max(file::PAGE_MIN)];
    let (mut entries, mut next) = (Vec::new(), Some(0));
    while let Some(at) = next {
        let page = page(&directory, at, &mut buffer)?;
        entries.extend(page.entries);
        next = page.next;
    }
    Ok(entries)
}

fn page(directory: &Handle, at: u64, buffer: &mut [u8]) -> Result<file::Page, IoError> {
    let lease = Lease::write(buffer);
    lease.touch();
    let output = syscall::call_lending(directory.slot(), file::LIST, [at, 0, 0, 0], lease);
    let count = handle::answered(output)?[0];
    usize::try_from(count)
        .ok()
        .and_then(|count| buffer.get(..count))
        .and_then(|bytes| postcard::from_bytes(bytes).ok())
        .ok_or(IoError::DeviceError)
}

/// Shortens an open file to `size` bytes.
///
/// # Errors
/// `BeyondEnd`: it is not that long.
pub fn set_size(file: &Handle, size: u64) -> Result<(), IoError> {
    handle::answered(syscall::call(file.slot(), file::SET_SIZE, [size, 0, 0, 0])).map(drop)
}

/// Writes at the end of an open file, wherever it is by then. Returns the number of bytes.
///
/// # Errors
/// As [`Handle::write`].
pub fn append(file: &Handle, buffer: &[u8]) -> Result<usize, IoError> {
    file.write_at(io::APPEND, buffer)
}

fn on_name(operation: u32, name: &str) -> Result<(), IoError> {
    let (server, name) = handle::server_of(name)?;
    let lease = Lease::read(name.as_bytes());
    handle::answered(syscall::call_lending(server, operation, [0; 4], lease)).map(drop)
}
