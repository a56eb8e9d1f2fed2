//! Disk images: the checks before QEMU starts, and the default disk.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tempfile::NamedTempFile;

use manifest::{Device, Manifest};

use crate::paths;
use crate::qemu::{Emulator, Machine, Options};

/// Bytes of a sector, the unit of every disk.
const SECTOR: u64 = 512;
/// Sectors of the default disk: 1 MiB.
const DEFAULT_SECTORS: u64 = 2048;

/// Most ATA disks: the first drive of each of the two channels that every PC has.
const ATA_DISKS: usize = 2;

/// PCI vendor and device ids of a virtio block device, transitional and modern (virtio 1.2, 4.1.2.1 and 5).
const VIRTIO: u16 = 0x1af4;
const BLOCK: [u16; 2] = [0x1001, 0x1042];

/// How many disks a system has drivers for.
pub fn served(manifest: &Manifest) -> usize {
    let devices = manifest
        .programs
        .iter()
        .flat_map(|program| &program.devices);
    devices
        .filter(|device| {
            matches!(device, Device::Pci { vendor: VIRTIO, device, .. }
                if device.iter().any(|id| BLOCK.contains(id)))
        })
        .count()
}

/// Checks that `file` can be a disk.
///
/// # Errors
/// It is missing, not a regular file, not readable (or not writable, unless `read_only`), empty, or not a whole number
/// of sectors.
pub fn check(file: &Path, read_only: bool) -> Result<()> {
    let name = file.display();
    let about = std::fs::metadata(file).with_context(|| format!("cannot use the disk {name}"))?;
    ensure!(!about.is_dir(), "the disk {name} is a directory");
    ensure!(about.is_file(), "the disk {name} is not a regular file");
    OpenOptions::new()
        .read(true)
        .open(file)
        .with_context(|| format!("cannot read the disk {name}"))?;
    if !read_only {
        let open = OpenOptions::new().read(true).write(true).open(file);
        open.with_context(|| {
            format!("cannot write the disk {name} (--read-only needs no writing)")
        })?;
    }
    let length = about.len();
    ensure!(length > 0, "the disk {name} is empty");
    ensure!(
        length.is_multiple_of(SECTOR),
        "the disk {name} has {length} bytes, which is not a multiple of {SECTOR}: {} too many",
        length % SECTOR
    );
    Ok(())
}

/// Checks that the machine of `options` can have ATA disks.
///
/// # Errors
/// The machine has no ATA controller with the ports of old, or there are more disks than it has channels.
pub fn check_ata(options: &Options) -> Result<()> {
    let pc = options.machine == Machine::Pc || options.emulator == Emulator::Bochs;
    ensure!(pc, "--ata needs --machine pc: q35 has another controller");
    let count = options.disks.len();
    ensure!(
        count <= ATA_DISKS,
        "{count} disks: ATA has at most {ATA_DISKS}"
    );
    Ok(())
}

/// The options with at least one disk: [`default`], which then goes with what is returned.
pub fn or_default(options: &Options) -> Result<(Options, Option<NamedTempFile>)> {
    let mut options = options.clone();
    let mut own = None;
    if options.disks.is_empty() && !options.null_disk {
        let file = own.insert(default()?);
        options.disks.push(file.path().into());
    }
    Ok((options, own))
}

/// The disk of a run that names none: always the same, and gone after the run, so that runs may be simultaneous and
/// nobody finds what another left.
pub fn default() -> Result<NamedTempFile> {
    let make = || {
        let mut file = NamedTempFile::new_in(paths::state()?)?;
        file.write_all(&generated(DEFAULT_SECTORS))?;
        Ok(file)
    };
    make().map_err(|error: anyhow::Error| error.context("cannot make a disk"))
}

/// A disk with a greeting in sector 0 and, in the others, their numbers.
pub fn generated(sectors: u64) -> Vec<u8> {
    let mut disk = Vec::new();
    for sector in 0..sectors {
        let text = match sector {
            0 => "Hello from sector 0 of Postern's default disk.\n".to_string(),
            _ => format!("This is sector {sector}.\n"),
        };
        let start = disk.len();
        disk.extend_from_slice(text.as_bytes());
        disk.resize(start + SECTOR as usize, 0);
    }
    disk
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_serves_the_disks_it_has_drivers_for() {
        let count = |name: &str| {
            let system = crate::system::System::load(name).expect("it comes with Postern");
            served(&system.manifest)
        };
        assert_eq!((count("default"), count("bench")), (4, 0));
    }

    #[test]
    fn the_default_disk_is_a_disk() {
        let file = default().expect("it can be made");
        check(file.path(), false).expect("it passes the checks");
        let bytes = generated(3);
        assert_eq!(bytes.len(), 3 * 512);
        assert!(bytes.starts_with(b"Hello from sector 0"));
        assert!(bytes[1024..].starts_with(b"This is sector 2.\n"));
    }

    #[test]
    fn what_cannot_be_a_disk() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let complaint = |path: &Path| format!("{:#}", check(path, false).unwrap_err());
        assert!(complaint(folder.path()).contains("directory"));
        assert!(complaint(&folder.path().join("none")).contains("No such file"));
        assert!(complaint(Path::new("/dev/null")).contains("regular"));
        let file = folder.path().join("disk");
        for (length, words) in [(0, "empty"), (513, "not a multiple of 512: 1 too many")] {
            std::fs::write(&file, vec![0; length]).expect("it can be written");
            assert!(complaint(&file).contains(words));
        }
    }
}
