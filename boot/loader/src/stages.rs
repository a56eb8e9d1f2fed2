//! Kernels that boot one after the other.

use bootinfo::archive::STAGES;

use crate::archive::Archive;
use crate::error::Error;

/// The folder of the archive's own files.
const OWN: &str = ".";

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage<'a> {
    /// Where its files are; empty: they are the archive's own.
    pub folder: &'a str,
    /// Words for it.
    pub words: &'a str,
    /// There are others, before or after it.
    pub is_one_of_several: bool,
}

impl<'a> Stage<'a> {
    /// What an archive without a list boots.
    const ONLY: Self = Stage {
        folder: "",
        words: "",
        is_one_of_several: false,
    };

    /// The one with this number, from 0 on.
    ///
    /// # Errors
    /// The list is damaged, or does not have so many.
    pub fn of(files: &Archive<'a>, number: usize) -> Result<Self, Error> {
        let Some(list) = files.file(STAGES) else {
            return Ok(Self::ONLY);
        };
        let mut lines = str::from_utf8(list)
            .map_err(|_| Error::Stages)?
            .lines()
            .skip(number);
        let line = lines.next().ok_or(Error::Stages)?;
        let is_followed = lines.next().is_some();
        let (folder, words) = line.split_once(' ').unwrap_or((line, ""));
        let folder = match (folder, is_followed) {
            (OWN, false) => "",
            // One that nobody follows could not end; and one that another follows must.
            ("", _) | (OWN, true) | (_, false) => return Err(Error::Stages),
            (folder, true) => folder,
        };
        Ok(Stage {
            folder,
            words,
            is_one_of_several: true,
        })
    }
}
