//! Linux on the emulator that Postern runs on: Debian's cloud kernel, with files in memory.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

use super::initramfs::Initramfs;
use super::packages;
use crate::machine::Machine;
use crate::paths;
use crate::qemu::{self, Options};
use crate::run::{Booted, Files};
use crate::symbols::Symbols;

/// Debian's package.
const KERNEL: &str = "linux-image-cloud-amd64";
/// No waiting for a terminal, no mitigations: the figures are of the kernel alone. A processor that has nothing to do asks and does not
/// halt: Linux always has some timer armed, to whose end the clock of an idle emulator would jump.
const COMMAND_LINE: &str = "console=ttyS0 quiet panic=-1 mitigations=off idle=poll";

/// A Linux that is made.
pub struct Linux {
    kernel: PathBuf,
    modules: PathBuf,
    /// What is in its memory.
    pub files: Initramfs,
}

impl Linux {
    /// The kernel, fetched if it is not here yet, and no files.
    ///
    /// # Errors
    /// As [`packages::unpacked`].
    pub fn new() -> Result<Linux> {
        let image = packages::unpacked(KERNEL)?;
        let boot = std::fs::read_dir(image.join("boot"))?.flatten();
        let is_kernel = |file: &PathBuf| file.to_string_lossy().contains("vmlinuz");
        let kernel = boot.map(|entry| entry.path()).find(is_kernel);
        Ok(Linux {
            kernel: kernel.context("the package has no kernel")?,
            modules: image.join("lib/modules"),
            files: Initramfs::default(),
        })
    }

    /// What its kernel calls itself.
    pub fn version(&self) -> String {
        let name = self.kernel.file_name().unwrap_or_default();
        name.to_string_lossy().replace("vmlinuz-", "Linux ")
    }

    /// Adds a kernel module and those it depends on; returns those that are new, in the order to load them.
    ///
    /// # Errors
    /// As [`Initramfs::module`].
    pub fn module(&mut self, name: &str) -> Result<Vec<String>> {
        self.files.module(&self.modules, name)
    }

    /// Starts it with this program as its first one, on the machine that Postern would have with these options.
    ///
    /// # Errors
    /// QEMU does not start.
    pub fn start(mut self, init: Vec<u8>, options: &Options, more: &[String]) -> Result<Booted> {
        self.files.add("init", true, init);
        let state = paths::state()?;
        let archive = NamedTempFile::new_in(&state).context("cannot write the initramfs")?;
        paths::write(archive.path(), &self.files.archive()?)?;
        let options = Options {
            append: COMMAND_LINE.into(),
            ..options.clone()
        };
        let mut command = qemu::command(&options, &self.kernel, archive.path())?;
        command.args(more);
        Ok(Booted {
            machine: Machine::start(command)?,
            // Its programs are not Postern's: there is nothing to name addresses by.
            symbols: Symbols::new(state, Vec::new()),
            files: Files(vec![Box::new(archive)]),
        })
    }
}
