//! What boots in the kernel's place has the machine of systems `reads` and `frames`, and is told where its devices are.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use manifest::{Device, MemoryKind};

use crate::flash::{self, Flash};
use crate::network;
use crate::system::System;

/// A machine; by default one without devices that it would have to be told of.
#[derive(Debug, Default)]
pub struct Machine {
    /// QEMU's arguments beyond the usual.
    pub arguments: Vec<OsString>,
    /// Words for the command line.
    pub words: String,
    /// What QEMU reads: it goes with this value.
    _flash: Option<Flash>,
}

/// Such a machine, with this flash or a blank one.
///
/// # Errors
/// As [`flash::prepare`].
pub fn machine(image: Option<&Path>) -> Result<Machine> {
    let mut manifest = System::load("reads")?.manifest;
    let flash = flash::prepare(image, &manifest)?;
    let mut command = Command::new("");
    command.args(network::arguments(&[], &System::load("frames")?.manifest)?);
    if let Some(flash) = &flash {
        flash.place(&mut manifest);
        flash.arguments(&mut command);
    }
    let devices = manifest.programs.iter().flat_map(|p| &p.devices);
    let words = devices.filter_map(|device| match device {
        Device::Memory {
            kind: MemoryKind::Flash,
            base,
            size,
        } => Some(format!("flash={base},{size}")),
        _ => None,
    });
    Ok(Machine {
        words: words.collect::<Vec<_>>().join(" "),
        arguments: command.get_args().map(OsString::from).collect(),
        _flash: flash,
    })
}
