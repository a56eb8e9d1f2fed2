//! A Linux system in memory: its first program, kernel modules, and files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cpio::newc::{Builder, ModeFileType, trailer};
use object::{Object, ObjectSection};

/// What is in it.
#[derive(Debug, Default)]
pub struct Initramfs {
    /// Path without the first `/`, whether it can be executed, content.
    files: Vec<(String, bool, Vec<u8>)>,
}

impl Initramfs {
    /// Adds a file.
    pub fn add(&mut self, path: &str, executable: bool, content: Vec<u8>) {
        self.files.push((path.into(), executable, content));
    }

    /// Adds a kernel module below `modules` and those it depends on, and returns all that are new in the order to load them.
    ///
    /// # Errors
    /// There is none, or it is no module.
    pub fn module(&mut self, modules: &Path, name: &str) -> Result<Vec<String>> {
        let mut known = BTreeMap::new();
        find(modules, &mut known)?;
        let mut order = Vec::new();
        self.load(&known, name, &mut order)?;
        Ok(order)
    }

    fn load(
        &mut self,
        known: &BTreeMap<String, PathBuf>,
        name: &str,
        order: &mut Vec<String>,
    ) -> Result<()> {
        let path = format!("modules/{name}.ko");
        if self.files.iter().any(|(other, ..)| *other == path) {
            return Ok(());
        }
        let file = known
            .get(name)
            .with_context(|| format!("the kernel has no module {name}"))?;
        let bytes = read(file)?;
        let elf = object::File::parse(bytes.as_slice())?;
        let section = elf
            .section_by_name(".modinfo")
            .context("a module without .modinfo")?;
        let info = section.data()?.to_vec();
        self.add(&path, false, bytes);
        let depends = info
            .split(|byte| *byte == 0)
            .find_map(|entry| entry.strip_prefix(b"depends="));
        let depends = String::from_utf8_lossy(depends.unwrap_or_default()).into_owned();
        for other in depends.split(',').filter(|other| !other.is_empty()) {
            self.load(known, other, order)?;
        }
        order.push(name.into());
        Ok(())
    }

    /// The archive that the kernel unpacks.
    ///
    /// # Errors
    /// A file is too large.
    pub fn archive(&self) -> Result<Vec<u8>> {
        let mut archive = Vec::new();
        let mut folders: Vec<&str> = ["dev", "proc", "sys"].into();
        folders.extend(
            self.files
                .iter()
                .filter_map(|(path, ..)| Some(path.split_once('/')?.0)),
        );
        folders.sort_unstable();
        folders.dedup();
        for folder in folders {
            let entry = Builder::new(folder)
                .mode(0o755)
                .set_mode_file_type(ModeFileType::Directory);
            archive = entry.write(archive, 0).finish()?;
        }
        for (path, executable, content) in &self.files {
            let mode = if *executable { 0o755 } else { 0o644 };
            let entry = Builder::new(path)
                .mode(mode)
                .set_mode_file_type(ModeFileType::Regular);
            let mut writer = entry.write(archive, u32::try_from(content.len())?);
            std::io::Write::write_all(&mut writer, content)?;
            archive = writer.finish()?;
        }
        Ok(trailer(archive)?)
    }
}

/// The modules below a folder, by name as modules call each other: with `_`.
fn find(folder: &Path, known: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder);
    for entry in entries.with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, known)?;
        } else if path.extension().is_some_and(|extension| extension == "ko") {
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .replace('-', "_");
            known.insert(name, path);
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_their_folders_are_in_the_archive() {
        let mut system = Initramfs::default();
        system.add("init", true, b"#!/bin/busybox sh\n".to_vec());
        system.add("www/index.html", false, b"hello".to_vec());
        let archive = system.archive().expect("it fits");
        let mut rest = archive.as_slice();
        let mut seen = Vec::new();
        loop {
            let reader = cpio::newc::Reader::new(rest).expect("an entry");
            if reader.entry().is_trailer() {
                break;
            }
            let entry = reader.entry();
            seen.push((entry.name().to_string(), entry.mode(), entry.file_size()));
            rest = reader.finish().expect("the next one");
        }
        let folder = |name: &str| (name.to_string(), 0o040_755, 0);
        let expected = [
            folder("dev"),
            folder("proc"),
            folder("sys"),
            folder("www"),
            ("init".into(), 0o100_755, 18),
            ("www/index.html".into(), 0o100_644, 5),
        ];
        assert_eq!(seen, expected);
    }
}
