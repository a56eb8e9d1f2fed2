//! `image`: makes an image for people without Rust, and what has to be beside it; or shows what is in one.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Content, LICENSE_FOLDER, README, build, digest, licenses, list};
use crate::status::Status;
use crate::system::System;
use crate::{image, paths};

/// What `image` can be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// System to put into it: NAME for boot/systems/NAME.toml, or the path of such a file
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    pub system: String,
    /// The image; its checksum, a README and the licences go beside it
    #[arg(long, value_name = "FILE", default_value = IMAGE)]
    pub out: PathBuf,
    /// Check an image and show what is in it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["system", "out"])]
    pub list: Option<PathBuf>,
}

/// What an image is called that nobody calls otherwise.
const IMAGE: &str = "postern.iso";
/// Boots [`IMAGE`] at this terminal.
pub const QEMU_LINE: &str = "qemu-system-x86_64 -cpu max -m 256M -nographic -cdrom postern.iso";
/// Checksums of what was published into a folder.
const SUMS: &str = "SHA256SUMS";

/// The words for people, with [`QEMU_LINE`].
pub const README_TEXT: &str = "\
Postern, a small capability microkernel with user-level servers: a bootable image.

It boots on an x86-64 machine by BIOS or UEFI, from a CD or, copied onto it whole, from a disk or USB stick. The system
speaks on the first serial port (115200 baud) and on the screen. In QEMU, at a terminal (Ctrl-A x leaves):

  qemu-system-x86_64 -cpu max -m 256M -nographic -cdrom postern.iso

What is in the image, made by which versions of which tools, is in image.txt; the same sources and tools give the same
bytes. SHA256SUMS is checked by `sha256sum -c SHA256SUMS`.

Licences, in the folder licenses: Postern is MIT OR Apache-2.0. What starts it, boot/eltorito.img, boot/efi.img and the
first sectors, is GNU GRUB 2, GPL-3 or later; image.txt names its version, and its source is Debian's package `grub2` of
that version (`apt-get source grub2=VERSION`). GRUB starts Postern; neither is part of the other. The crates that Postern's
programs are made with are in licenses/crates.txt, with theirs.
";

/// Makes an image, or shows what is in one.
///
/// # Errors
/// A file cannot be read or written, a tool is missing or fails, or the system cannot be built.
pub fn publish(options: &Options) -> Result<Status> {
    if let Some(file) = &options.list {
        return list::list(file);
    }
    let system = System::load(&options.system)?;
    let out = std::path::absolute(&options.out)?;
    let shown = options.out.display();
    let name = out.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("cannot write {shown}: it names no file"))?;
    ensure!(!out.is_dir(), "cannot write {shown}: it is a directory");
    let folder = out.parent().unwrap_or(Path::new("/"));
    // Before anything is built.
    let file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .with_context(|| format!("cannot write {shown}"))?;
    super::ensure()?;
    let image = image::build(&system)?;
    let content = Content {
        system: &system.manifest.name,
        loader: &image.loader,
        archive: &image.archive,
        command_line: "",
    };
    build(content, file.path())?;
    let bytes = std::fs::read(file.path()).with_context(|| format!("cannot read {shown}"))?;
    file.persist(&out)
        .with_context(|| format!("cannot write {shown}"))?;

    let stem = name.strip_suffix(".iso").unwrap_or(name);
    let (readme, beside) = (
        format!("{stem}.{README}"),
        format!("{stem}.{LICENSE_FOLDER}"),
    );
    let text = README_TEXT.replace(IMAGE, name);
    let licenses = licenses::write(&paths::folder(folder.join(&beside))?)?;
    let mut published = vec![
        (name.to_string(), digest(&bytes)),
        (readme.clone(), digest(text.as_bytes())),
    ];
    write(&folder.join(&readme), &text)?;
    for license in licenses {
        let name = format!("{beside}/{license}");
        let text = std::fs::read(folder.join(&name))?;
        published.push((name, digest(&text)));
    }
    let sums = folder.join(SUMS);
    let old = std::fs::read_to_string(&sums).unwrap_or_default();
    write(&sums, &merged(&old, &published))?;
    println!("{} ({} KiB)", out.display(), bytes.len() >> 10);
    println!("beside it: {SUMS}, {readme}, {beside}/");
    println!("without Rust it boots by");
    println!("  {}", QEMU_LINE.replace(IMAGE, name));
    Ok(Status::Success)
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Checksums as `sha256sum` writes them: those of other files stay, in a folder with several images.
fn merged(old: &str, published: &[(String, String)]) -> String {
    let others = old.lines().filter(|line| {
        let name = line.split_once("  ").map(|(_, name)| name);
        !published.iter().any(|(new, _)| Some(new.as_str()) == name)
    });
    let mut lines: Vec<String> = others.map(String::from).collect();
    lines.extend(
        published
            .iter()
            .map(|(name, digest)| format!("{digest}  {name}")),
    );
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_line_that_is_printed() {
        assert!(README_TEXT.contains(QEMU_LINE));
        assert!(QEMU_LINE.ends_with(IMAGE));
    }

    #[test]
    fn checksums_of_other_files_stay() {
        let new = [("a.iso".to_string(), "22".to_string())];
        assert_eq!(merged("", &new), "22  a.iso\n");
        let old = "11  a.iso\n33  b.iso\n";
        assert_eq!(merged(old, &new), "33  b.iso\n22  a.iso\n");
    }
}
