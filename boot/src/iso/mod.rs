//! A bootable image: GRUB, the loader and an archive. One file boots by BIOS and by UEFI, as a CD and as a disk.
//!
//! The same sources and tools give the same bytes: `image.txt` in it names the tools. (`grub-mkrescue` is not used: it stamps
//! the current time.) Read in this order: this (what is made), [`licenses`], [`publish`] (the command
//! `image`), [`list`] (what is in one).

pub mod licenses;
pub mod list;
pub mod publish;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::{image, install, paths, toolchain};

/// What makes images, and the Debian packages it is in.
const TOOLS: [&str; 3] = ["grub-mkimage", "xorriso", "mformat"];
const PACKAGES: [&str; 5] = [
    "grub-common",
    "grub-pc-bin",
    "grub-efi-amd64-bin",
    "xorriso",
    "mtools",
];
/// GRUB's own files for each kind of firmware.
const BIOS: &str = "/usr/lib/grub/i386-pc";
const UEFI: &str = "/usr/lib/grub/x86_64-efi";
/// What GRUB must know: file systems, how to find a file there, how to start a loader.
const MODULES: &str = "iso9660 part_msdos part_gpt search search_fs_file multiboot2 boot";
/// What GRUB does, in a script in which no word may mean more than it says. Without `boot` at its end nothing would start.
fn script(command_line: &str, screen: &str) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || " _-.,:/=+".contains(c);
    ensure!(
        command_line.chars().all(plain),
        "the command line of an image cannot have more than letters, digits and _-.,:/=+"
    );
    Ok(format!(
        "search --no-floppy --set=root --file /boot/postern\n\
        multiboot2 /boot/postern {command_line}\nset gfxpayload={screen}\n\
        module2 /boot/system.tar\nboot\n"
    ))
}

/// The time of everything in the image, in seconds and as the image has it: 14 November 2023.
const EPOCH: u64 = 1_700_000_000;
const DATE: &str = "2023111422132000";
/// KiB of the file system that UEFI reads; its serial number, and the disk's identity.
const EFI_SIZE: u64 = 2880;
const SERIAL: &str = "504f5354";
const IDENTITY: &str = "504f5354-4552-4e00-8000-000000000001";
/// The folder of licences, the list of what is in the image, and the words for people.
const LICENSE_FOLDER: &str = "licenses";
const CONTENTS: &str = "image.txt";
const README: &str = "README.txt";

/// Whether the tools are there.
pub fn is_ready() -> bool {
    let folders = [BIOS, UEFI].map(Path::new);
    let tools = TOOLS.iter().all(|tool| paths::program(tool).is_some());
    tools && folders.iter().all(|folder| folder.is_dir())
}

/// Finds the tools, or installs them.
pub fn ensure() -> Result<()> {
    if !is_ready() {
        install::packages("what makes boot images", &PACKAGES)?;
    }
    Ok(())
}

/// What an image boots.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// The system's name.
    pub system: &'a str,
    /// The loader's ELF file.
    pub loader: &'a Path,
    /// The system archive.
    pub archive: &'a [u8],
    /// The words for the kernel.
    pub command_line: &'a str,
}

/// Makes `output` an image that boots `content`.
///
/// # Errors
/// A file cannot be written, or a tool fails; the error is what the tool says.
pub fn build(content: Content<'_>, output: &Path) -> Result<()> {
    ensure()?;
    let work = tempfile::tempdir_in(paths::state()?).context("cannot make an image")?;
    let tree = work.path().join("tree");
    let boot = paths::folder(tree.join("boot"))?;
    let elf = std::fs::read(content.loader).context("cannot read the loader")?;
    paths::write(
        &boot.join("postern"),
        &image::strip(&elf).context("the loader")?,
    )?;
    paths::write(&boot.join("system.tar"), content.archive)?;
    // A screen of text, where the firmware has one.
    let (text, pixels) = (work.path().join("bios.cfg"), work.path().join("uefi.cfg"));
    paths::write(&text, script(content.command_line, "text")?.as_bytes())?;
    paths::write(&pixels, script(content.command_line, "auto")?.as_bytes())?;
    grub(
        BIOS,
        "i386-pc-eltorito",
        "biosdisk",
        &text,
        &boot.join("eltorito.img"),
    )?;
    let efi = work.path().join("BOOTX64.EFI");
    grub(UEFI, "x86_64-efi", "fat efi_gop efi_uga", &pixels, &efi)?;
    file_system(&efi, &boot.join("efi.img"))?;
    paths::write(&tree.join(README), publish::README_TEXT.as_bytes())?;
    licenses::write(&paths::folder(tree.join(LICENSE_FOLDER))?)?;
    paths::write(
        &tree.join(CONTENTS),
        contents(content.system, &tree)?.as_bytes(),
    )?;

    let mut xorriso = Command::new("xorriso");
    xorriso.args(["-as", "mkisofs", "-quiet", "-r", "-V", "POSTERN"]);
    xorriso.arg(format!("--modification-date={DATE}"));
    xorriso.args(["--set_all_file_dates", DATE, "--gpt_disk_guid", IDENTITY]);
    xorriso.args(["-b", "boot/eltorito.img", "-no-emul-boot"]);
    xorriso.args(["-boot-load-size", "4", "-boot-info-table"]);
    xorriso.args(["--grub2-boot-info", "--grub2-mbr"]);
    xorriso.arg(Path::new(BIOS).join("boot_hybrid.img"));
    xorriso.args(["--efi-boot", "boot/efi.img", "-efi-boot-part"]);
    xorriso.args(["--efi-boot-image", "--protective-msdos-label"]);
    xorriso.arg("-o").arg(output).arg(&tree);
    run(&mut xorriso).map(drop)
}

/// GRUB for a kind of firmware, with the modules it needs there.
fn grub(folder: &str, format: &str, modules: &str, script: &Path, output: &Path) -> Result<()> {
    let mut grub = Command::new("grub-mkimage");
    grub.args(["-d", folder, "-O", format, "-p", "/boot/grub"]);
    grub.arg("-c").arg(script).arg("-o").arg(output);
    grub.args(modules.split(' ')).args(MODULES.split(' '));
    run(&mut grub).map(drop)
}

/// The file system in which UEFI looks for `program`.
fn file_system(program: &Path, output: &Path) -> Result<()> {
    let failed = || format!("cannot write {}", output.display());
    let made = |file: &File| file.set_modified(UNIX_EPOCH + Duration::from_secs(EPOCH));
    File::options()
        .write(true)
        .open(program)
        .and_then(|program| made(&program))
        .with_context(failed)?;
    File::create(output)
        .and_then(|file| file.set_len(EFI_SIZE << 10))
        .with_context(failed)?;
    let size = EFI_SIZE.to_string();
    for arguments in [
        &["mformat", "-f", &size, "-N", SERIAL, "::"][..],
        &["mmd", "::/EFI", "::/EFI/BOOT"],
    ] {
        let mut command = Command::new(arguments[0]);
        run(command.arg("-i").arg(output).args(&arguments[1..]))?;
    }
    let mut copy = Command::new("mcopy");
    copy.arg("-i").arg(output).arg("-m").arg(program);
    run(copy.arg("::/EFI/BOOT/")).map(drop)
}

/// What is in an image, and what made it.
fn contents(system: &str, tree: &Path) -> Result<String> {
    let mut text = format!("system: {system}\n");
    for (tool, option) in [
        ("grub-mkimage", "--version"),
        ("xorriso", "-version"),
        ("mformat", "--version"),
    ] {
        let output = run(Command::new(tool).arg(option))?;
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = output.lines().next().unwrap_or_default();
        text += &format!("tool: {}\n", version.split(" :").next().unwrap_or_default());
    }
    if let Some(toolchain) = toolchain::installed() {
        text += &format!("tool: {}\n", toolchain.version());
    }
    for name in files(tree)? {
        // `xorriso` writes into it where it lies.
        if name != Path::new("boot/eltorito.img") {
            let bytes = std::fs::read(tree.join(&name)).context("cannot read the image's files")?;
            text += &format!("{}  {}\n", digest(&bytes), name.display());
        }
    }
    Ok(text)
}

/// The files in a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(inside) = folders.pop() {
        for entry in std::fs::read_dir(folder.join(&inside))? {
            let entry = entry?;
            let name = inside.join(entry.file_name());
            match entry.file_type()?.is_dir() {
                true => folders.push(name),
                false => found.push(name),
            }
        }
    }
    found.sort();
    Ok(found)
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Checks that `file` can be an image.
///
/// # Errors
/// It is missing, not a regular file, not readable, or not an ISO 9660 file system.
pub fn check(file: &Path) -> Result<()> {
    use std::os::unix::fs::FileExt;
    /// Where the first volume descriptor's identifier is (ECMA-119, 8.4.2).
    const IDENTIFIER: u64 = 0x8001;
    let name = file.display();
    let about = std::fs::metadata(file).with_context(|| format!("cannot use the image {name}"))?;
    ensure!(about.is_file(), "the image {name} is not a regular file");
    let opened = File::open(file).with_context(|| format!("cannot read the image {name}"))?;
    let mut identifier = [0; 5];
    let read = opened.read_exact_at(&mut identifier, IDENTIFIER);
    if read.is_err() || &identifier != b"CD001" {
        bail!("{name} is not an image: it has no ISO 9660 file system");
    }
    Ok(())
}

/// Runs a tool.
fn run(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .env("SOURCE_DATE_EPOCH", EPOCH.to_string())
        .envs([("TZ", "UTC"), ("LC_ALL", "C"), ("MTOOLSRC", "/dev/null")])
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}", complaints.trim_end());
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the tool's own file becomes in an image: any ELF file does.
    fn make(folder: &Path, name: &str, archive: &[u8]) -> Result<PathBuf> {
        let output = folder.join(name);
        let content = Content {
            system: "test",
            loader: &std::env::current_exe().expect("a test knows its file"),
            archive,
            command_line: "",
        };
        build(content, &output).map(|()| output)
    }

    #[test]
    fn the_same_files_give_the_same_image() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let image = |name, archive| {
            let output = make(folder.path(), name, archive).expect("the tools are there");
            std::fs::read(output).expect("it can be read")
        };
        let first = image("first.iso", b"archive");
        assert_eq!(first[0x8001..0x8006], *b"CD001", "ISO 9660, 8.4.2");
        assert_eq!(first[510..512], [0x55, 0xaa], "it boots as a disk, too");
        assert!(first == image("second.iso", b"archive"));
        assert!(first != image("third.iso", b"another"));
    }

    #[test]
    fn a_tool_that_fails_says_why() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = make(folder.path(), "missing/x.iso", b"").expect_err("there is no such folder");
        assert!(format!("{error:#}").contains("xorriso: "), "{error:#}");
    }

    #[test]
    fn the_command_line_is_only_words() {
        let two = script("one=1 two", "text").expect("they are words");
        assert!(
            two.contains("multiboot2 /boot/postern one=1 two\n"),
            "{two}"
        );
        for bad in ["a;b", "$a", "'a", "a\nb", "{", "\\"] {
            script(bad, "text").expect_err(bad);
        }
    }

    #[test]
    fn what_is_no_image_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("x");
        let complaint = |file: &Path| format!("{:#}", check(file).expect_err("it is no image"));
        assert!(complaint(&file).contains("cannot use the image"));
        std::fs::write(&file, [0; 40_000]).expect("it can be written");
        assert!(complaint(&file).contains("it has no ISO 9660 file system"));
        assert!(complaint(folder.path()).contains("is not a regular file"));
        let good = make(folder.path(), "good.iso", b"").expect("the tools are there");
        check(&good).expect("it is an image");
    }
}
