//! The emulator: the options of a run, and the command line they become.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::accelerator::Accelerator;
use crate::{install, paths, size};

/// The emulator's program name.
pub const PROGRAM: &str = "qemu-system-x86_64";
/// The Debian package it is in.
pub const PACKAGE: &str = "qemu-system-x86";

/// A UEFI for QEMU, and the Debian package it is in.
const UEFI: &str = "/usr/share/ovmf/OVMF.fd";
const UEFI_PACKAGE: &str = "ovmf";

/// Bytes of the disk for measuring.
const NULL_DISK: u64 = 64 << 20;
/// How long it takes when instructions are counted, in nanoseconds of the host (QEMU rounds it up to a millisecond): so long
/// that the processor waits by then, whatever the host is doing. The instruction clock stands still meanwhile.
const NULL_DISK_LATENCY: u64 = 1_000_000;

/// What `run` can be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// System to boot: NAME for boot/systems/NAME.toml, or the path of such a file
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    pub system: String,
    /// Disk image, a multiple of 512 bytes long; once for each disk, `disk:0` first [default: a small one,
    /// made for this run]
    #[arg(long = "disk", value_name = "FILE")]
    pub disks: Vec<PathBuf>,
    /// A disk, and no other, that answers every read at once with zeros: for measuring
    #[arg(long, hide = true, conflicts_with_all = ["disks", "flash"])]
    pub null_disk: bool,
    /// Memory of the machine
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = size::memory)]
    pub memory: u64,
    /// Boot this image instead (`image` makes one), at this terminal
    #[arg(long, value_name = "FILE", conflicts_with_all = ["system", "exec", "flash", "gdb", "append"])]
    pub iso: Option<PathBuf>,
    /// Boot by UEFI, from an image; the machine then has no flash for the guest
    #[arg(long, conflicts_with_all = ["flash", "gdb"])]
    pub uefi: bool,
    /// Disks are ATA disks instead of virtio's, at most two (--machine pc; Bochs has no others)
    #[arg(long, conflicts_with_all = ["null_disk", "read_only"])]
    pub ata: bool,
    /// What emulates the machine
    #[arg(long, value_enum, default_value_t)]
    pub emulator: Emulator,
    /// Processor model, as the emulator names them [default: max, or host with KVM; Bochs: tigerlake]
    #[arg(long, value_name = "MODEL")]
    pub cpu: Option<String>,
    /// Kind of machine (Bochs has its own)
    #[arg(long, value_enum, default_value_t)]
    pub machine: Machine,
    /// What runs the guest's instructions
    #[arg(long, value_enum, default_value_t)]
    pub accel: Accelerator,
    /// Count instructions: one per clock tick, the same in every run (emulation only)
    #[arg(long)]
    pub icount: bool,
    /// Give up after so long, with exit status 124
    #[arg(long, value_name = "SECONDS", value_parser = size::seconds)]
    pub timeout: Option<Duration>,
    /// Wait for a debugger before the first instruction, and say how to start it
    #[arg(long)]
    pub gdb: bool,
    /// The guest cannot write the disks
    #[arg(long)]
    pub read_only: bool,
    /// Flash image, a multiple of 4096 bytes long [default: a small blank one, made for this run]
    #[arg(long, value_name = "FILE")]
    pub flash: Option<PathBuf>,
    /// Make TCP port GUEST reachable as port HOST of 127.0.0.1
    #[arg(long, value_name = "HOST:GUEST", value_parser = size::ports)]
    pub forward: Vec<(u16, u16)>,
    /// Show the machine's screen in a window
    #[arg(long, conflicts_with = "exec")]
    pub display: bool,
    /// Boot headless, type this command, print only what it prints, power off; once for each command
    #[arg(long, value_name = "CMD")]
    pub exec: Vec<String>,
    /// Of a system with several instances, the one to type into [default: 0, and show all]
    #[arg(long, value_name = "N")]
    pub vm: Option<u8>,
    /// Write what the one `trace COMMAND` of --exec found, as JSON for a trace viewer (Perfetto, chrome://tracing)
    #[arg(long, value_name = "FILE", requires = "exec")]
    pub trace_json: Option<PathBuf>,
    /// The same, drawn as a sequence diagram
    #[arg(long, value_name = "FILE", requires = "exec")]
    pub trace_svg: Option<PathBuf>,
    /// The kernel's command line
    #[arg(long, value_name = "TEXT", default_value = "", hide = true)]
    pub append: String,
}

/// What `--emulator` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Emulator {
    /// Fast, with virtio devices
    #[default]
    Qemu,
    /// Slow, without virtio; has VT-x, PCID, x2APIC and the TSC deadline timer
    Bochs,
}

/// What `--machine` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Machine {
    /// ISA and PCI
    Pc,
    /// PCI Express
    #[default]
    Q35,
}

impl Default for Options {
    /// Those of `run` without any option.
    fn default() -> Options {
        #[derive(Parser)]
        struct Alone {
            #[command(flatten)]
            options: Options,
        }
        Alone::parse_from(["run"]).options
    }
}

/// Finds QEMU, or installs it.
pub fn ensure() -> Result<()> {
    if paths::program(PROGRAM).is_none() {
        install::packages("QEMU", &[PACKAGE])?;
    }
    Ok(())
}

/// The file of UEFI for QEMU, which is installed if need be.
pub fn uefi() -> Result<&'static str> {
    if !Path::new(UEFI).exists() {
        install::packages("UEFI for QEMU", &[UEFI_PACKAGE])?;
    }
    Ok(UEFI)
}

/// QEMU's command line, with the disks of `options` and no other. The serial line is its standard input and output.
///
/// # Errors
/// KVM was asked for and cannot be used.
pub fn command(options: &Options, loader: &Path, archive: &Path) -> Result<Command> {
    let mut command = machine(options)?;
    if !options.append.is_empty() {
        command.args(["-append", &options.append]);
    }
    command
        .arg("-kernel")
        .arg(loader)
        .arg("-initrd")
        .arg(archive);
    Ok(command)
}

/// The same for a machine whose firmware starts an image from its CD drive.
///
/// # Errors
/// As [`command`]; or there is no UEFI, and it cannot be installed.
pub fn from_image(options: &Options, image: &Path) -> Result<Command> {
    let mut command = machine(options)?;
    if options.uefi {
        command.args(["-bios", uefi()?]);
    }
    let mut drive = OsString::from("driver=raw,node-name=iso,read-only=on,file.driver=file,");
    drive.push("file.filename=");
    drive.push(quoted(image));
    command.arg("-blockdev").arg(drive);
    // Beside the first disk: the second one has a channel of its own.
    let place = match options.machine {
        Machine::Pc => ",bus=ide.0,unit=1",
        Machine::Q35 => "",
    };
    let device = format!("ide-cd,drive=iso,bootindex=0{place}");
    command.args(["-device", &device]);
    Ok(command)
}

/// All of the machine but what it boots.
fn machine(options: &Options) -> Result<Command> {
    let accelerator = if options.icount {
        Accelerator::Tcg
    } else {
        options.accel.choose()?
    };
    let (accelerator, processor) = match accelerator {
        Accelerator::Kvm => ("kvm", "host"),
        _ => ("tcg", "max"),
    };
    let machine = match options.machine {
        Machine::Pc => "pc",
        Machine::Q35 => "q35",
    };
    let mut command = Command::new(PROGRAM);
    command.args([
        "-nodefaults",
        "-no-reboot",
        "-no-user-config",
        "-vga",
        "std",
    ]);
    command.args(["-machine", machine, "-accel", accelerator]);
    command.args(["-cpu", options.cpu.as_deref().unwrap_or(processor)]);
    command.args(["-m", &format!("{}M", options.memory >> 20)]);
    command.args([
        "-chardev",
        "stdio,id=serial,signal=off",
        "-serial",
        "chardev:serial",
    ]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
    if !options.display {
        command.args(["-display", "none"]);
    }
    if options.icount {
        command.args(["-icount", "shift=0,sleep=off"]);
    }
    for (index, file) in options.disks.iter().enumerate() {
        let read_only = if options.read_only { "on" } else { "off" };
        let mut drive = OsString::from(format!(
            "driver=raw,node-name=d{index},read-only={read_only},file.driver=file,"
        ));
        drive.push("file.filename=");
        drive.push(quoted(file));
        command.arg("-blockdev").arg(drive);
        let device = match options.ata {
            // The first drive of each channel.
            true => format!("ide-hd,drive=d{index},bus=ide.{index},unit=0"),
            false => format!("virtio-blk-pci,drive=d{index},disable-legacy=on"),
        };
        command.args(["-device", &device]);
    }
    if options.null_disk {
        let latency = if options.icount { NULL_DISK_LATENCY } else { 0 };
        command.args(null_disk(latency));
        // A frame leaves in the processor's own time, and its answer comes then.
        if options.icount {
            command.args(["-global", "virtio-net-pci.ioeventfd=off"]);
            command.args(["-global", "virtio-net-device.tx=timer"]);
        }
    }
    Ok(command)
}

/// A disk that answers so many nanoseconds of the host later, with zeros.
pub fn null_disk(latency: u64) -> [String; 4] {
    let size = NULL_DISK;
    [
        "-blockdev".into(),
        format!("null-co,node-name=null,size={size},read-zeroes=on,latency-ns={latency}"),
        "-device".into(),
        // With an event descriptor the emulator's own thread would answer, at a time of its own.
        "virtio-blk-pci,drive=null,disable-legacy=on,ioeventfd=off".into(),
    ]
}

/// A file name as the value of an option: QEMU wants commas doubled.
pub fn quoted(file: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = file.as_os_str().as_bytes().iter();
    OsString::from_vec(
        bytes
            .flat_map(|byte| std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 }))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(options: &Options) -> String {
        let command = command(options, Path::new("loader"), Path::new("archive"))
            .expect("emulation always works");
        command
            .get_args()
            .map(|argument| format!("{} ", argument.to_string_lossy()))
            .collect()
    }

    #[test]
    fn options_reach_qemu() {
        let emulated = Options {
            accel: Accelerator::Tcg,
            ..Options::default()
        };
        let plain = line(&emulated);
        assert!(
            plain.contains("-machine q35 -accel tcg -cpu max -m 256M "),
            "{plain}"
        );
        assert!(!plain.contains("virtio-blk"), "{plain}");
        assert!(
            plain.ends_with("-kernel loader -initrd archive "),
            "{plain}"
        );
        assert!(
            !plain.contains("-icount") && !plain.contains("-S"),
            "{plain}"
        );
        let all = line(&Options {
            disks: vec!["a,b".into(), "c".into()],
            memory: 64 << 20,
            cpu: Some("Haswell".into()),
            machine: Machine::Pc,
            icount: true,
            read_only: true,
            ..emulated
        });
        for part in [
            "-machine pc ",
            "-cpu Haswell ",
            "-m 64M ",
            "-icount shift=0,sleep=off",
            "filename=a,,b ",
        ] {
            assert!(all.contains(part), "{part} in {all}");
        }
        assert_eq!(all.matches("read-only=on").count(), 2, "{all}");
    }
}
