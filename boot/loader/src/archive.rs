//! Files of the system archive.

use tar_no_std::{CorruptDataError, TarArchiveRef};

/// Size of a tar block in bytes; a file's data starts in the block after its header.
const BLOCK: usize = 512;

/// The system archive: an uncompressed tar file with checked headers.
pub struct Archive<'a> {
    bytes: &'a [u8],
    tar: TarArchiveRef<'a>,
}

impl<'a> Archive<'a> {
    /// Checks every header. What follows the last whole block (a loader may pad) is ignored.
    pub fn new(bytes: &'a [u8]) -> Result<Self, CorruptDataError> {
        let bytes = &bytes[..bytes.len() / BLOCK * BLOCK];
        let tar = TarArchiveRef::new(bytes)?;
        Ok(Self { bytes, tar })
    }

    /// The contents of the regular file `name`. (Not through the crate's `entries`: that panics on long names.)
    pub fn file(&self, name: &str) -> Option<&'a [u8]> {
        let (block, header) = self.tar.headers().find(|(_, header)| {
            header.prefix.is_empty()
                && header.name.as_str() == Ok(name)
                && header
                    .typeflag
                    .try_to_type_flag()
                    .is_ok_and(|kind| kind.is_regular_file())
        })?;
        let start = (block + 1) * BLOCK;
        let size = header.size.as_number::<usize>().ok()?;
        self.bytes.get(start..start.checked_add(size)?)
    }
}
