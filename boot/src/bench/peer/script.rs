//! A Linux whose first program is a script of busybox.

use anyhow::{Context, Result};

use super::linux::Linux;
use super::{expect, packages};
use crate::qemu::Options;
use crate::run::Booted;

/// Debian's package.
const BUSYBOX: &str = "busybox-static";
/// What the script says when it has done all.
const READY: &str = "the peer is ready";

/// A Linux, and what it does when it starts.
pub struct Script {
    linux: Linux,
    text: String,
}

impl Script {
    /// Kernel and busybox, fetched if they are not here yet.
    ///
    /// # Errors
    /// As [`packages::unpacked`].
    pub fn new() -> Result<Script> {
        let mut linux = Linux::new()?;
        let busybox = packages::unpacked(BUSYBOX)?.join("bin/busybox");
        let bytes = std::fs::read(&busybox).context("the package has no busybox")?;
        linux.files.add("bin/busybox", true, bytes);
        let text = "#!/bin/busybox sh\n\
             export PATH=/bin\n\
             /bin/busybox --install -s /bin\n\
             mount -t devtmpfs none /dev\n\
             mount -t proc none /proc\n\
             mount -t sysfs none /sys\n";
        Ok(Script {
            linux,
            text: text.into(),
        })
    }

    /// Loads a kernel module, and those it depends on.
    ///
    /// # Errors
    /// As [`Linux::module`].
    pub fn module(&mut self, name: &str) -> Result<()> {
        for module in self.linux.module(name)? {
            self.command(&format!("insmod /modules/{module}.ko"));
        }
        Ok(())
    }

    /// Puts a file there.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        self.linux.files.add(path, false, content.into());
    }

    /// Runs a command of the shell.
    pub fn command(&mut self, command: &str) {
        self.text += &format!("{command}\n");
    }

    /// Boots it and waits for the end of the script.
    ///
    /// # Errors
    /// As [`Linux::start`], or it does not come so far.
    pub fn boot(mut self, options: &Options, more: &[String]) -> Result<Booted> {
        self.command(&format!("echo {READY}\nwhile :; do sleep 1000; done"));
        let booted = self.linux.start(self.text.into_bytes(), options, more)?;
        expect(&booted.machine, READY).context("Linux does not boot")?;
        Ok(booted)
    }
}
