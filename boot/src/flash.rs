//! Flash images: the checks before QEMU starts, the default flash, and where the machine has it.
//!
//! QEMU's flash is two chips that end at 4 GiB: the second one, below, is the guest's; the first holds the firmware.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use manifest::{Device, Manifest, MemoryKind};
use tempfile::NamedTempFile;

use crate::{paths, qemu};

/// Bytes of a block, the unit of every flash image.
const BLOCK: u64 = 4096;
/// Bytes that the flash server needs at least: its values, a spare block, and one beside them.
const SMALLEST: u64 = 34 * BLOCK;
/// Bytes of both chips that QEMU allows.
const LARGEST: u64 = 8 << 20;
/// Where both chips end.
const END: u64 = 1 << 32;
/// Bytes of the default flash.
const DEFAULT_SIZE: usize = 512 << 10;
/// The firmware that QEMU would use by itself.
const FIRMWARE: &str = "bios-256k.bin";

/// The flash of a machine, while it runs.
#[derive(Debug)]
pub struct Flash {
    firmware: PathBuf,
    image: PathBuf,
    base: u64,
    size: u64,
    /// The image, if it is this run's alone and goes with it.
    _own: Option<NamedTempFile>,
}

/// Checks that `file` can be a flash image.
///
/// # Errors
/// It is missing, not a regular file, not readable and writable, too small, too large, or not whole blocks.
pub fn check(file: &Path) -> Result<()> {
    let name = file.display();
    let about = std::fs::metadata(file).with_context(|| format!("cannot use the flash {name}"))?;
    ensure!(!about.is_dir(), "the flash {name} is a directory");
    ensure!(about.is_file(), "the flash {name} is not a regular file");
    let open = OpenOptions::new().read(true).write(true).open(file);
    open.with_context(|| format!("cannot read and write the flash {name}"))?;
    let length = about.len();
    ensure!(
        length.is_multiple_of(BLOCK),
        "the flash {name} has {length} bytes, which is not a multiple of {BLOCK}: {} too many",
        length % BLOCK
    );
    ensure!(
        length >= SMALLEST,
        "the flash {name} has {length} bytes; the smallest flash has {SMALLEST}"
    );
    Ok(())
}

/// The flash of a machine that boots `system`; `None` if the system has no use for one.
///
/// # Errors
/// The firmware is not found, or the image is too large beside it, or `given` for a system without flash.
pub fn prepare(given: Option<&Path>, manifest: &Manifest) -> Result<Option<Flash>> {
    if !devices(&mut manifest.clone()).any(|_| true) {
        if given.is_some() {
            bail!(
                "--flash: the system `{}` has no flash server",
                manifest.name
            );
        }
        return Ok(None);
    }
    let firmware = firmware()?;
    let (image, own) = match given {
        Some(file) => (file.to_path_buf(), None),
        None => default().map(|file| (file.path().to_path_buf(), Some(file)))?,
    };
    let length = |file: &Path| {
        let about = std::fs::metadata(file);
        about
            .map(|about| about.len())
            .with_context(|| format!("cannot use {}", file.display()))
    };
    let (size, above) = (length(&image)?, length(&firmware)?);
    ensure!(
        size + above <= LARGEST,
        "the flash {} has {size} bytes; the largest flash has {}",
        image.display(),
        LARGEST - above
    );
    Ok(Some(Flash {
        firmware,
        image,
        base: END - above - size,
        size,
        _own: own,
    }))
}

impl Flash {
    /// Tells the system where the flash is.
    pub fn place(&self, manifest: &mut Manifest) {
        for (base, size) in devices(manifest) {
            (*base, *size) = (self.base, self.size);
        }
    }

    /// Puts both chips into the machine.
    pub fn arguments(&self, command: &mut Command) {
        for (unit, read_only, file) in [(0, "on", &self.firmware), (1, "off", &self.image)] {
            let mut drive = OsString::from(format!(
                "if=pflash,unit={unit},format=raw,readonly={read_only},file="
            ));
            drive.push(qemu::quoted(file));
            command.arg("-drive").arg(drive);
        }
    }
}

/// Base and size of each flash device of a system that says nothing about them itself.
fn devices(manifest: &mut Manifest) -> impl Iterator<Item = (&mut u64, &mut u64)> {
    let all = manifest.programs.iter_mut().flat_map(|p| &mut p.devices);
    all.filter_map(|device| match device {
        Device::Memory {
            kind: MemoryKind::Flash,
            base,
            size,
        } => Some((base, size)),
        _ => None,
    })
}

/// The firmware's file: where distributions have it, or in one of the folders that QEMU tells.
fn firmware() -> Result<PathBuf> {
    let usual = ["/usr/share/seabios", "/usr/share/qemu"].map(PathBuf::from);
    let in_folder = |folder: &PathBuf| Some(folder.join(FIRMWARE)).filter(|file| file.is_file());
    if let Some(file) = usual.iter().find_map(in_folder) {
        return Ok(file);
    }
    let output = Command::new(qemu::PROGRAM).args(["-L", "help"]).output();
    let output = output.context("cannot ask QEMU for its folders")?;
    let folders = String::from_utf8_lossy(&output.stdout);
    folders
        .lines()
        .map(PathBuf::from)
        .find_map(|folder| in_folder(&folder))
        .with_context(|| format!("QEMU's firmware {FIRMWARE} is in none of its folders"))
}

/// The flash of a run that names none: blank, and gone after the run.
fn default() -> Result<NamedTempFile> {
    let make = || {
        let mut file = NamedTempFile::new_in(paths::state()?)?;
        file.write_all(&[0xff; DEFAULT_SIZE])?;
        Ok(file)
    };
    make().map_err(|error: anyhow::Error| error.context("cannot make a flash"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn what_cannot_be_a_flash() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let complaint = |path: &Path| format!("{:#}", check(path).unwrap_err());
        assert!(complaint(folder.path()).contains("directory"));
        assert!(complaint(&folder.path().join("none")).contains("No such file"));
        assert!(complaint(Path::new("/dev/null")).contains("regular"));
        let file = folder.path().join("flash");
        let of = |length| {
            let file = File::create(&file).expect("it can be made");
            file.set_len(length).expect("it can have this size");
        };
        for (length, words) in [
            (0, "smallest"),
            (SMALLEST - BLOCK, "smallest"),
            (SMALLEST + 1, "not a multiple of 4096: 1 too many"),
        ] {
            of(length);
            assert!(complaint(&file).contains(words), "{length}");
        }
        of(SMALLEST);
        check(&file).expect("the smallest flash is one");
    }

    #[test]
    fn it_lies_below_the_firmware() {
        qemu::ensure().expect("QEMU is there");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = folder.path().join("a,b");
        std::fs::write(&image, vec![0; 1 << 20]).expect("it can be written");
        let mut manifest = crate::system::System::load("default")
            .expect("it is there")
            .manifest;
        let flash = prepare(Some(&image), &manifest).expect("it can be used");
        let flash = flash.expect("the default system has a flash server");
        flash.place(&mut manifest);
        let places: Vec<_> = devices(&mut manifest)
            .map(|(base, size)| (*base, *size))
            .collect();
        assert_eq!(places, [(0x1_0000_0000 - (256 << 10) - (1 << 20), 1 << 20)]);
        let mut command = Command::new("qemu");
        flash.arguments(&mut command);
        let line = format!("{command:?}");
        assert!(line.contains("unit=0") && line.contains("a,,b"), "{line}");

        let large = File::create(&image).expect("it can be made");
        large.set_len(8 << 20).expect("it can be that large");
        let error = prepare(Some(&image), &manifest).unwrap_err().to_string();
        assert!(error.contains("the largest flash has 8126464"), "{error}");

        manifest.programs.retain(|program| program.name != "flash");
        assert!(
            prepare(None, &manifest)
                .expect("no flash is fine")
                .is_none()
        );
        let error = prepare(Some(&image), &manifest).unwrap_err().to_string();
        assert!(error.contains("no flash server"), "{error}");
    }
}
