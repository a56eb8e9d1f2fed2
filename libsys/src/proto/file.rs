//! `file`: what servers of names that come and go answer besides [`super::io`], such as `file:` and `flash:kv/`.
//!
//! Names are the part behind the server's prefix, up to [`NAME_MAX`] bytes. Operations on names go to the capability that
//! root gave, those on an open name to its session. Reply labels are as for `io`.

use super::io::{FIRST_OTHER, NAME_MAX};
use alloc::{string::String, vec::Vec};
use serde::{Deserialize, Serialize};

/// On a name. Lease 0 (READ): the name. Removes a file, or a directory that is empty.
pub const REMOVE: u32 = FIRST_OTHER + 0x10;
/// On names. `w0` = length of the old one; lease 0 (READ): the old name, then the new one. A file there is replaced.
pub const RENAME: u32 = FIRST_OTHER + 0x11;
/// On a name. Lease 0 (READ): the name. Makes a directory.
pub const MAKE_DIRECTORY: u32 = FIRST_OTHER + 0x12;
/// On an open directory. `w0` = where to go on, 0 at first; lease 0 (WRITE), at least [`PAGE_MIN`] bytes: a [`Page`].
/// Replies `w0` = its bytes.
pub const LIST: u32 = FIRST_OTHER + 0x13;
/// On an open file. `w0` = new size, at most the old one.
pub const SET_SIZE: u32 = FIRST_OTHER + 0x14;

/// Smallest lease for [`LIST`]: room for any one entry.
pub const PAGE_MIN: usize = NAME_MAX + 64;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the directory.
    pub name: String,
    /// Bytes; 0 for a directory.
    pub size: u64,
    /// Whether it is a directory.
    pub directory: bool,
}

/// A part of a directory's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// In the server's order.
    pub entries: Vec<Entry>,
    /// `w0` of the [`LIST`] that goes on behind them; `None` at the end.
    pub next: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_entry_fits_the_smallest_lease() {
        let entry = Entry {
            name: "n".repeat(NAME_MAX),
            size: u64::MAX,
            directory: true,
        };
        let page = Page {
            entries: alloc::vec![entry],
            next: Some(u64::MAX),
        };
        assert!(postcard::to_allocvec(&page).unwrap().len() <= PAGE_MIN);
    }
}
