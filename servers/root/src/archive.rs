//! Files of the archive.

use tar_no_std::TarArchiveRef;

/// The content of the file `name`, if the archive is sound and has it.
pub fn file<'a>(archive: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let archive = TarArchiveRef::new(archive).ok()?;
    archive
        .entries()
        .find(|entry| entry.filename().as_str() == Ok(name))
        .map(|entry| entry.data())
}
