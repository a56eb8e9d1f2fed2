//! A bootable CD image: GRUB, the loader and an archive. The same sources and tools give the same bytes.
//!
//! It boots by BIOS, as a CD and as a disk. `grub-mkrescue` is not used: it stamps the current time.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::{install, paths};

/// What makes images, and the Debian packages it is in.
const TOOLS: [&str; 2] = ["grub-mkimage", "xorriso"];
const PACKAGES: [&str; 3] = ["grub-common", "grub-pc-bin", "xorriso"];
/// GRUB's own files for BIOS machines.
const GRUB: &str = "/usr/lib/grub/i386-pc";
/// What GRUB must know: the disk and its file system, how to find a file there, how to start a loader.
const MODULES: &str = "biosdisk iso9660 part_msdos search search_fs_file multiboot2 boot";
/// What GRUB does. Without `boot` at its end nothing would start.
const SCRIPT: &str = "search --no-floppy --set=root --file /boot/postern\n\
    multiboot2 /boot/postern\nmodule2 /boot/system.tar\nboot\n";
/// The time of everything in the image, as seconds and as the image has it: 14 November 2023.
const EPOCH: &str = "1700000000";
const DATE: &str = "2023111422132000";

/// Finds the tools, or installs them.
pub fn ensure() -> Result<()> {
    let found = TOOLS.iter().all(|tool| paths::program(tool).is_some()) && Path::new(GRUB).is_dir();
    if !found {
        install::packages("what makes CD images", &PACKAGES)?;
    }
    Ok(())
}

/// Makes `output` an image that boots `loader` with `archive`.
///
/// # Errors
/// A file cannot be written, or a tool fails; the error is what the tool says.
pub fn build(loader: &Path, archive: &[u8], output: &Path) -> Result<()> {
    ensure()?;
    let work = tempfile::tempdir_in(paths::state()?).context("cannot make an image")?;
    let tree = work.path().join("tree");
    let boot = paths::folder(tree.join("boot"))?;
    let script = work.path().join("grub.cfg");
    std::fs::copy(loader, boot.join("postern")).context("cannot copy the loader")?;
    paths::write(&boot.join("system.tar"), archive)?;
    paths::write(&script, SCRIPT.as_bytes())?;

    let mut grub = Command::new("grub-mkimage");
    grub.args(["-d", GRUB, "-O", "i386-pc-eltorito", "-p", "/boot/grub"]);
    grub.arg("-c").arg(&script);
    grub.arg("-o").arg(boot.join("eltorito.img"));
    grub.args(MODULES.split(' '));
    run(&mut grub)?;

    let mut xorriso = Command::new("xorriso");
    xorriso.args(["-as", "mkisofs", "-quiet", "-r", "-V", "POSTERN"]);
    xorriso.arg(format!("--modification-date={DATE}"));
    xorriso.args(["--set_all_file_dates", DATE]);
    xorriso.args(["-b", "boot/eltorito.img", "-no-emul-boot"]);
    xorriso.args(["-boot-load-size", "4", "-boot-info-table"]);
    xorriso.args(["--grub2-boot-info", "--grub2-mbr"]);
    xorriso.arg(Path::new(GRUB).join("boot_hybrid.img"));
    xorriso.arg("-o").arg(output).arg(&tree);
    run(&mut xorriso)
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .envs([("SOURCE_DATE_EPOCH", EPOCH), ("TZ", "UTC"), ("LC_ALL", "C")])
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}", complaints.trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_image() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = |name: &str, loader: &str| {
            let file = folder.path().join("loader");
            std::fs::write(&file, loader).expect("it can be written");
            let output = folder.path().join(name);
            build(&file, b"archive", &output).expect("the tools are there or can be installed");
            std::fs::read(output).expect("it can be read")
        };
        let first = image("first.iso", "loader");
        assert_eq!(first[0x8001..0x8006], *b"CD001", "ISO 9660, 8.4.2");
        assert_eq!(first[510..512], [0x55, 0xaa], "it boots as a disk, too");
        assert!(first == image("second.iso", "loader"));
        assert!(first != image("third.iso", "another"));
    }

    #[test]
    fn a_tool_that_fails_says_why() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let loader = folder.path().join("loader");
        std::fs::write(&loader, "loader").expect("it can be written");
        let output = folder.path().join("missing/x.iso");
        let error = build(&loader, b"archive", &output).expect_err("there is no such folder");
        assert!(format!("{error:#}").contains("xorriso: "), "{error:#}");
    }
}
