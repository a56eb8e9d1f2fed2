//! What is in an image, and whether it is what was put there.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::{CONTENTS, check, digest, run};
use crate::status::Status;

/// Prints how an image boots, what made it, and each of its files, those of the system archive, too.
///
/// # Errors
/// It is no image of Postern, it cannot be read, or a file is not the one that `image.txt` tells.
pub fn list(image: &Path) -> Result<Status> {
    check(image)?;
    super::ensure()?;
    let files = Files::extract(image)?;
    let contents = files.named(CONTENTS).with_context(|| {
        format!(
            "{} is not an image of Postern: it has no {CONTENTS}",
            image.display()
        )
    })?;
    let contents = String::from_utf8_lossy(contents).into_owned();
    println!("boots by: {}", firmware(image)?.join(", "));
    for line in contents.lines() {
        if let Some((name, value)) = line.split_once(": ") {
            println!("{name}: {value}");
        }
    }
    for (name, bytes) in &files.0 {
        println!("{:>10}  {}  {name}", bytes.len(), &digest(bytes)[..16]);
    }
    for (digest_there, name) in contents.lines().filter_map(|line| line.split_once("  ")) {
        let there = files.named(name).map(digest);
        ensure!(
            there.as_deref() == Some(digest_there),
            "{}: {name} is damaged: it is not what {CONTENTS} tells",
            image.display()
        );
    }
    let archive = files.named("boot/system.tar").unwrap_or_default();
    println!("in boot/system.tar:");
    for entry in tar::Archive::new(archive)
        .entries()
        .context("boot/system.tar")?
    {
        let entry = entry.context("boot/system.tar")?;
        println!("{:>10}  {}", entry.size(), entry.path()?.display());
    }
    Ok(Status::Success)
}

/// The kinds of firmware that start an image, as `xorriso` reports them.
fn firmware(image: &Path) -> Result<Vec<String>> {
    let mut report = Command::new("xorriso");
    report.arg("-indev").arg(image);
    report.args(["-report_el_torito", "plain", "-report_system_area", "plain"]);
    let output = run(&mut report)?.stdout;
    let output = String::from_utf8_lossy(&output).into_owned();
    let has = |start: &str, word: &str| {
        output
            .lines()
            .any(|line| line.starts_with(start) && line.split_whitespace().any(|w| w == word))
    };
    let ways = [
        ("BIOS (CD)", has("El Torito boot img", "BIOS")),
        ("UEFI (CD)", has("El Torito boot img", "UEFI")),
        ("BIOS (disk)", has("System area summary", "grub2-mbr")),
        ("UEFI (disk)", has("GPT partition path", "/boot/efi.img")),
    ];
    let there = ways.into_iter().filter(|(_, there)| *there);
    Ok(there.map(|(name, _)| name.to_string()).collect())
}

/// Names and bytes.
struct Files(Vec<(String, Vec<u8>)>);

impl Files {
    fn extract(image: &Path) -> Result<Files> {
        let mut find = Command::new("xorriso");
        find.arg("-indev")
            .arg(image)
            .args(["-find", "/", "-type", "f"]);
        let names = run(&mut find)?.stdout;
        let names = String::from_utf8_lossy(&names).into_owned();
        // In quotes, which no file of ours has in its name.
        let names: Vec<&str> = names.lines().map(|name| name.trim_matches('\'')).collect();
        if names.is_empty() {
            bail!("{} is an empty image", image.display());
        }
        let folder = tempfile::tempdir().context("cannot read the image's files")?;
        let target = |index: usize| folder.path().join(index.to_string());
        let mut extract = Command::new("xorriso");
        extract.args(["-osirrox", "on", "-indev"]).arg(image);
        for (index, name) in names.iter().enumerate() {
            extract.args(["-extract_single", name]).arg(target(index));
        }
        run(&mut extract)?;
        let read = |(index, name): (usize, &&str)| {
            let bytes = std::fs::read(target(index)).context("cannot read the image's files")?;
            Ok((name.trim_start_matches('/').to_string(), bytes))
        };
        names
            .iter()
            .enumerate()
            .map(read)
            .collect::<Result<_>>()
            .map(Files)
    }

    fn named(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(there, _)| there == name);
        found.map(|(_, bytes)| bytes.as_slice())
    }
}
