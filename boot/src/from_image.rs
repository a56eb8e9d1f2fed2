//! A machine that boots an image: in QEMU by BIOS or UEFI, or in Bochs.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;

use crate::machine::Machine;
use crate::qemu::{self, Emulator, Options};
use crate::run::{Booted, Files, check};
use crate::symbols::Symbols;
use crate::{bochs, disk, network, paths};

/// Starts a machine that boots an image, with arguments for QEMU beyond those of the options.
///
/// # Errors
/// Whatever keeps it from starting, in words for the person.
pub fn boot(options: &Options, image: &Path, more: &[OsString]) -> Result<Booted> {
    check(options)?;
    let network = network::device(&options.forward);
    let network = network.iter().map(OsString::from);
    let more: Vec<OsString> = network.chain(more.to_vec()).collect();
    start(options, image, &more)
}

/// The same with options that were checked, and with no other arguments than `more`.
pub(crate) fn start(options: &Options, image: &Path, more: &[OsString]) -> Result<Booted> {
    // Nobody knows what is in it.
    let symbols = Symbols::new(paths::state()?, Vec::new());
    let (options, disk) = disk::or_default(options)?;
    if options.emulator == Emulator::Bochs {
        bochs::ensure()?;
        let bochs = bochs::prepare(&options, image)?;
        return Ok(Booted {
            machine: Machine::start_on(bochs.serial, bochs.command)?,
            symbols,
            files: Files(vec![Box::new((bochs.folder, disk))]),
        });
    }
    qemu::ensure()?;
    let mut command = qemu::from_image(&options, image)?;
    command.args(more);
    Ok(Booted {
        machine: Machine::start(command)?,
        symbols,
        files: Files(vec![Box::new(disk)]),
    })
}
