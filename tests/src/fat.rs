//! FAT images made, filled and checked by the host's own tools.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

use postern::{install, paths};
use tempfile::NamedTempFile;

/// Makes a volume of `bits` (12, 16 or 32) bits in an image of `size` bytes, with clusters of one sector.
///
/// # Panics
/// `mkfs.fat` refuses.
pub fn make(image: &Path, bits: u8, size: u64) {
    let file = std::fs::File::create(image).expect("an image can be made");
    file.set_len(size).expect("an image can be that large");
    let kind = ["-F", &bits.to_string(), "-s", "1", "-i", "706f7374"];
    run(Command::new(tool("mkfs.fat")).args(kind).arg(image));
}

/// A disk of 1 MiB whose first half is a volume; the rest is nobody's.
///
/// # Panics
/// As [`make`].
pub fn disk() -> NamedTempFile {
    let disk = NamedTempFile::new().expect("a temporary file");
    make(disk.path(), 12, 512 << 10);
    disk.as_file().set_len(1 << 20).expect("it can grow");
    disk
}

/// What `fsck.fat -n` complains about.
///
/// # Errors
/// All it says.
pub fn check(image: &Path) -> Result<(), String> {
    let output = Command::new(tool("fsck.fat")).arg("-n").arg(image).output();
    let output = output.expect("fsck.fat starts");
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Copies a file of the host into a volume.
///
/// # Panics
/// `mcopy` refuses.
pub fn put(image: &Path, file: &Path, name: &str) {
    let name = format!("::{name}");
    let mut command = Command::new(tool("mcopy"));
    run(command.arg("-i").arg(image).arg(file).arg(name));
}

/// Makes a directory in a volume.
///
/// # Panics
/// `mmd` refuses.
pub fn make_directory(image: &Path, name: &str) {
    let mut command = Command::new(tool("mmd"));
    run(command.arg("-i").arg(image).arg(format!("::{name}")));
}

/// A file of a volume.
///
/// # Panics
/// `mtype` refuses.
pub fn get(image: &Path, name: &str) -> Vec<u8> {
    let mut command = Command::new(tool("mtype"));
    run(command.arg("-i").arg(image).arg(format!("::{name}")))
}

fn run(command: &mut Command) -> Vec<u8> {
    // mtools would complain about sizes that old BIOSes could not use.
    let output = command.env("MTOOLS_SKIP_CHECK", "1").output();
    let output = output.expect("the tool starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
    output.stdout
}

/// A tool's file. The tools are installed if they are missing.
fn tool(name: &str) -> PathBuf {
    static INSTALL: Once = Once::new();
    let find = |name| {
        let system = ["/usr/sbin", "/sbin"].map(|folder| Path::new(folder).join(name));
        paths::program(name).or_else(|| system.into_iter().find(|file| file.is_file()))
    };
    INSTALL.call_once(|| {
        if find("mkfs.fat").is_none() || find("mcopy").is_none() {
            install::packages("tools for FAT volumes", &["dosfstools", "mtools"])
                .expect("dosfstools and mtools can be installed");
        }
    });
    find(name).expect("it is installed")
}
