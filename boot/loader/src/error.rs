//! Why the loader refuses to start a kernel.

use core::fmt;

use tar_no_std::CorruptDataError;

use crate::elf;

/// A refusal. It is shown as `<what>; <what to do>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Entered neither by PVH nor by multiboot2, or their information is damaged.
    Firmware(&'static str),
    /// The processor lacks a feature, here by its CPUID name.
    Processor(&'static str),
    /// The firmware's memory map has more ranges than [`bootinfo::BootInfo::memory`] holds.
    MapTooLong,
    /// No archive was given.
    NoArchive,
    /// The archive is not a tar archive.
    BadArchive(CorruptDataError),
    /// The archive has no file of this name.
    MissingFile(&'static str),
    /// A file of the archive is not a program that can be loaded.
    Program {
        /// Its name in the archive.
        name: &'static str,
        /// What is wrong with it.
        error: elf::Error,
    },
    /// No free piece of memory is large enough.
    NotEnoughMemory {
        /// What it was for.
        purpose: &'static str,
        /// How large it had to be, in bytes.
        size: u64,
    },
    /// The list of kernels that boot one after the other is damaged.
    Stages,
    /// The hypervisor shim's list of instances is damaged.
    Instances,
    /// An instance of the hypervisor shim cannot have this device.
    Device(&'static str),
    /// The command line is not UTF-8, or longer than [`crate::handover::COMMAND_LINE_LIMIT`].
    CommandLine,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Firmware(what) => write!(
                f,
                "{what}; start it with QEMU's -kernel (PVH) or with a multiboot2 loader such as GRUB"
            ),
            Self::Processor(name) => write!(
                f,
                "the CPU lacks {name}; use one that has it (QEMU: -cpu max or -cpu qemu64)"
            ),
            Self::MapTooLong => write!(
                f,
                "the firmware's memory map has too many pieces; give the machine a simpler one"
            ),
            Self::NoArchive => write!(
                f,
                "no system archive was given; add it with -initrd FILE (QEMU) or module2 FILE (GRUB)"
            ),
            Self::BadArchive(error) => write!(
                f,
                "the system archive is damaged ({error}); give an uncompressed tar file with -initrd or module2"
            ),
            Self::MissingFile(name) => write!(
                f,
                "the system archive has no file '{name}'; pack it again with cargo run"
            ),
            Self::Program { name, error } => write!(
                f,
                "'{name}' in the system archive cannot be loaded ({error}); build it again"
            ),
            Self::NotEnoughMemory { purpose, size } => write!(
                f,
                "not enough memory: {} KiB in one piece for {purpose}; give the machine more memory (QEMU: -m)",
                size.div_ceil(1024)
            ),
            Self::Stages => f.write_str(
                "the archive's list of kernels is damaged; build the image anew (cargo run -- image)",
            ),
            Self::Instances => write!(
                f,
                "the list of instances is damaged; pack it again with cargo run"
            ),
            Self::Device(what) => write!(
                f,
                "it cannot have {what}; take the device from its system's manifest"
            ),
            Self::CommandLine => write!(
                f,
                "the command line is not UTF-8 or too long; shorten it to {} bytes",
                crate::handover::COMMAND_LINE_LIMIT
            ),
        }
    }
}
