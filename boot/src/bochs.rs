//! Bochs, the other emulator: slower than QEMU, but with VT-x, PCID, x2APIC and the TSC deadline timer.
//!
//! It boots a CD image. Its serial line is a pseudo-terminal, so bytes go both ways and nothing listens on a network:
//! hence also the `term` display, which needs no terminal as long as `TERM` is set (`rfb`, the one in Debian's own
//! `bochs` package, listens on all addresses).

use std::io::IsTerminal;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::machine::Terminal;
use crate::qemu::Options;
use crate::{install, paths};

/// The emulator's program name.
pub const PROGRAM: &str = "bochs";
/// The Debian packages it needs.
pub const PACKAGES: [&str; 4] = ["bochs", "bochs-term", "bochsbios", "vgabios"];
/// Its processor model unless the person names one: the newest, with everything.
const PROCESSOR: &str = "tigerlake";
/// Most MiB of the host's memory that it uses for the guest's.
const LARGEST_HOST: u64 = 2048;
const BIOS: &str = "/usr/share/bochs/BIOS-bochs-latest";
const VGA_BIOS: &str = "/usr/share/bochs/VGABIOS-lgpl-latest";

/// The processor model of a machine.
pub fn processor(options: &Options) -> &str {
    options.cpu.as_deref().unwrap_or(PROCESSOR)
}

/// Finds Bochs, or installs it.
pub fn ensure() -> Result<()> {
    let files = [BIOS, VGA_BIOS].map(Path::new);
    let found = paths::program(PROGRAM).is_some() && files.iter().all(|file| file.exists());
    if !found {
        install::packages("Bochs", &PACKAGES)?;
    }
    Ok(())
}

/// Refuses options that Bochs cannot do.
pub fn check(options: &Options) -> Result<()> {
    let refused = [
        ("--null-disk", options.null_disk),
        ("--read-only", options.read_only),
        ("--flash", options.flash.is_some()),
        ("--forward", !options.forward.is_empty()),
        ("--icount", options.icount),
        ("--gdb", options.gdb),
        ("--display", options.display),
        ("--uefi", options.uefi),
        (
            "--accel kvm",
            options.accel == crate::accelerator::Accelerator::Kvm,
        ),
    ];
    match refused.iter().find(|(_, given)| *given) {
        Some((option, _)) => bail!("{option} needs --emulator qemu"),
        None => Ok(()),
    }
}

/// Bochs, ready to start: its files live as long as this.
pub struct Bochs {
    /// The command line.
    pub command: Command,
    /// The serial line.
    pub serial: Terminal,
    /// Settings and log.
    pub folder: tempfile::TempDir,
}

/// The command line that boots an image, with the disks of `options`.
///
/// # Errors
/// A file cannot be made, or Bochs does not know the processor model.
pub fn prepare(options: &Options, image: &Path) -> Result<Bochs> {
    let folder = tempfile::tempdir_in(paths::state()?).context("cannot make a folder for Bochs")?;
    let path = |name: &str| folder.path().join(name);
    let processor = processor(options);
    let known = processors()?;
    if !known.iter().any(|model| model == processor) {
        bail!("--cpu {processor}: Bochs knows {}", known.join(", "));
    }
    // Time is counted in instructions, and idle time passes at once, unless a person is there to wait for: then it passes
    // no faster than the person's, and an idle machine costs nothing.
    let person = options.exec.is_empty() && std::io::stdin().is_terminal();
    let sync = if person { "slowdown" } else { "none" };
    let serial = Terminal::open().context("cannot make a pseudo-terminal for the serial line")?;
    let files = [image, &serial.name, &path("log")].map(|file| file.display().to_string());
    let settings = settings(options, processor, sync, &files);
    paths::write(&path("bochsrc"), settings.as_bytes())?;
    // Debian's Bochs starts in its debugger: go on, and leave at the end.
    paths::write(&path("debugger"), b"c\nquit\n")?;
    let mut command = Command::new(PROGRAM);
    command.args(["-q", "-f"]).arg(path("bochsrc"));
    command.arg("-rc").arg(path("debugger"));
    command.env("TERM", "vt100");
    Ok(Bochs {
        command,
        serial,
        folder,
    })
}

/// The processor models it has.
fn processors() -> Result<Vec<String>> {
    let output = Command::new(PROGRAM).args(["--help", "cpu"]).output();
    let output = output.context("cannot start Bochs")?.stderr;
    let text = String::from_utf8_lossy(&output).into_owned();
    let models = text
        .lines()
        .skip_while(|line| !line.starts_with("Supported CPU"));
    Ok(models
        .skip(1)
        .filter(|line| {
            !line.is_empty() && line.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
        .map(String::from)
        .collect())
}

/// Bochs's configuration file; `files` are the image, the serial line and the log.
fn settings(options: &Options, processor: &str, sync: &str, files: &[String; 3]) -> String {
    let [image, serial, log] = files;
    let guest = options.memory >> 20;
    // It keeps the rest of a larger guest's memory in a file.
    let host = guest.min(LARGEST_HOST);
    // The first drive of each channel; the image is beside the first one.
    let disks: String = options
        .disks
        .iter()
        .enumerate()
        .map(|(channel, file)| {
            let file = file.display();
            format!("ata{channel}-master: type=disk, mode=flat, path=\"{file}\"\n")
        })
        .collect();
    format!(
        "plugin_ctrl: unmapped=1, biosdev=1, speaker=0, e1000=0, es1370=0, parallel=0, sb16=0, usb_uhci=0, gameport=0\n\
        config_interface: textconfig\n\
        display_library: term\n\
        memory: guest={guest}, host={host}\n\
        romimage: file={BIOS}\n\
        vgaromimage: file={VGA_BIOS}\n\
        ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14\n\
        ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15\n\
        {disks}\
        ata0-slave: type=cdrom, path=\"{image}\", status=inserted\n\
        boot: cdrom\n\
        cpu: model={processor}, count=1, ips=50000000, reset_on_triple_fault=0\n\
        com1: enabled=1, mode=term, dev=\"{serial}\"\n\
        clock: sync={sync}, time0=utc\n\
        log: \"{log}\"\n\
        panic: action=fatal\n\
        error: action=report\n\
        info: action=report\n\
        debug: action=ignore\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_name_every_file() {
        let options = Options {
            memory: 64 << 20,
            disks: vec!["a".into(), "b".into()],
            ..Options::default()
        };
        let files = ["/folder/system.iso", "/dev/pts/7", "/folder/log"].map(String::from);
        let text = settings(&options, "tigerlake", "none", &files);
        for line in [
            "cpu: model=tigerlake, count=1, ips=50000000, reset_on_triple_fault=0",
            "memory: guest=64, host=64",
            "ata0-master: type=disk, mode=flat, path=\"a\"",
            "ata0-slave: type=cdrom, path=\"/folder/system.iso\", status=inserted",
            "ata1-master: type=disk, mode=flat, path=\"b\"",
            "clock: sync=none, time0=utc",
            "com1: enabled=1, mode=term, dev=\"/dev/pts/7\"",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in {text}");
        }
    }

    #[test]
    fn what_only_qemu_can_do_is_refused() {
        assert!(check(&Options::default()).is_ok());
        let options = Options {
            icount: true,
            ..Options::default()
        };
        let error = check(&options).expect_err("Bochs has no such clock");
        assert_eq!(error.to_string(), "--icount needs --emulator qemu");
    }
}
