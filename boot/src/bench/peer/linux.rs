//! Linux on the emulator that Postern runs on: Debian's cloud kernel, and busybox.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

use super::initramfs::Initramfs;
use super::{expect, packages};
use crate::machine::Machine;
use crate::paths;
use crate::qemu::{self, Options};

/// Debian's packages.
const KERNEL: &str = "linux-image-cloud-amd64";
const BUSYBOX: &str = "busybox-static";
/// What the script says when it has done all.
const READY: &str = "the peer is ready";
/// No waiting for a terminal, no mitigations: the figures are of the kernel alone.
const COMMAND_LINE: &str = "console=ttyS0 quiet panic=-1 mitigations=off";

/// A Linux that is made.
pub struct Linux {
    kernel: PathBuf,
    modules: PathBuf,
    system: Initramfs,
    script: String,
}

/// A Linux that runs.
pub struct Running {
    /// Its machine.
    pub machine: Machine,
    _archive: NamedTempFile,
}

impl Linux {
    /// Kernel and busybox, fetched if they are not here yet.
    ///
    /// # Errors
    /// As [`packages::unpacked`].
    pub fn new() -> Result<Linux> {
        let (image, busybox) = (packages::unpacked(KERNEL)?, packages::unpacked(BUSYBOX)?);
        let boot = std::fs::read_dir(image.join("boot"))?.flatten();
        let is_kernel = |file: &PathBuf| file.to_string_lossy().contains("vmlinuz");
        let kernel = boot.map(|entry| entry.path()).find(is_kernel);
        Ok(Linux {
            kernel: kernel.context("the package has no kernel")?,
            modules: image.join("lib/modules"),
            system: Initramfs::new(&busybox.join("bin/busybox"))?,
            script: "#!/bin/busybox sh\n\
                     export PATH=/bin\n\
                     /bin/busybox --install -s /bin\n\
                     mount -t devtmpfs none /dev\n\
                     mount -t proc none /proc\n\
                     mount -t sysfs none /sys\n"
                .into(),
        })
    }

    /// Loads a kernel module, and those it depends on.
    ///
    /// # Errors
    /// As [`Initramfs::module`].
    pub fn module(&mut self, name: &str) -> Result<()> {
        for module in self.system.module(&self.modules, name)? {
            self.command(&format!("insmod /modules/{module}.ko"));
        }
        Ok(())
    }

    /// Puts a file there.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        self.system.add(path, false, content.into());
    }

    /// Runs a command of the shell at its start.
    pub fn command(&mut self, command: &str) {
        self.script += &format!("{command}\n");
    }

    /// Boots it, on the machine that Postern would have with these options, and waits for the end of its script.
    ///
    /// # Errors
    /// QEMU does not start, or Linux does not come so far.
    pub fn boot(mut self, options: &Options, more: &[String]) -> Result<Running> {
        self.script += &format!("echo {READY}\nwhile :; do sleep 1000; done\n");
        self.system.add("init", true, self.script.into_bytes());
        let archive =
            NamedTempFile::new_in(paths::state()?).context("cannot write the initramfs")?;
        std::fs::write(archive.path(), self.system.archive()?)?;
        let options = Options {
            append: COMMAND_LINE.into(),
            ..options.clone()
        };
        let mut command = qemu::command(&options, &self.kernel, archive.path())?;
        command.args(more);
        let machine = Machine::start(command)?;
        expect(&machine, READY).context("Linux does not boot")?;
        Ok(Running {
            machine,
            _archive: archive,
        })
    }
}
