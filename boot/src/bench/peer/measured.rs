//! A Linux whose only program measures it: `apps/linux-init`.

use anyhow::Result;

use super::super::ids::Id;
use super::linux::Linux;
use crate::image;
use crate::qemu::{self, Options};
use crate::run::Booted;

/// The program, a package of this workspace.
const INIT: &str = "linux-init";
/// Modules of Linux for the disk.
const MODULES: [&str; 2] = ["virtio_pci", "virtio_blk"];

/// A Linux that is made.
pub struct Measured {
    linux: Linux,
    /// Words for its program.
    words: String,
}

impl Measured {
    /// Kernel and program, fetched and built if they are not here yet.
    ///
    /// # Errors
    /// As [`Linux::new`], or it has no such modules.
    pub fn new() -> Result<Measured> {
        let (mut linux, mut words) = (Linux::new()?, String::new());
        for name in MODULES {
            for module in linux.module(name)? {
                words += &format!(" module={module}");
            }
        }
        Ok(Measured { linux, words })
    }

    /// What it is, and how it is measured.
    pub fn source(&self) -> String {
        format!(
            "{} of Debian, mitigations off, on the same emulator with the same options; the suite's own program is its only process",
            self.linux.version()
        )
    }

    /// Boots it; its lines have this nonce.
    ///
    /// # Errors
    /// It does not start, or the program does not compile.
    pub fn boot(
        mut self,
        options: &Options,
        nonce: &str,
        samples: usize,
        ids: &[&'static Id],
    ) -> Result<Booted> {
        let mut words = format!("{nonce} {samples}{}", self.words);
        ids.iter().for_each(|id| words += &format!(" {}", id.name));
        self.linux.files.add("arguments", false, words.into_bytes());
        let disk = qemu::null_disk(0);
        self.linux.start(image::program(INIT)?, options, &disk)
    }
}
