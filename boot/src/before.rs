//! Kernels that boot before a system's own, one after the other, from the same archive (`before` in a manifest).

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, Result, ensure};
use bootinfo::{archive, cycles};

use crate::bench::ids;
use crate::image;
use crate::system::System;

/// The files that a system's archive has because of them: none if there are none.
///
/// # Errors
/// There is no such system, it is none that can boot so, or it does not compile.
pub fn files(system: &System) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    if system.manifest.before.is_empty() {
        return Ok(files);
    }
    let mut stages = String::new();
    for entry in &system.manifest.before {
        let (name, words) = entry.split_once(' ').unwrap_or((entry, ""));
        let before = System::load(name)?;
        let manifest = &before.manifest;
        ensure!(
            !manifest.kernel.is_empty()
                && manifest.programs.is_empty()
                && manifest.before.is_empty(),
            "{}: the system {name} cannot boot before another: it has Postern's kernel, programs, or others before it",
            system.file.display()
        );
        let built = image::build(&before)?;
        let mut own = vec![archive::KERNEL];
        own.extend((!manifest.root.is_empty()).then_some(archive::ROOT));
        for file in own {
            files.insert(format!("{name}/{file}"), extract(&built.archive, file)?);
        }
        let wanted: String = ids::for_a_person_in(name)
            .map(|id| format!(" {id}"))
            .collect();
        stages += &format!("{name} {words} {}{wanted}\n", cycles::WORD);
    }
    stages += &format!(". {}\n", cycles::WORD);
    files.insert(archive::STAGES.into(), stages.into_bytes());
    Ok(files)
}

/// A file of an archive.
fn extract(bytes: &[u8], name: &str) -> Result<Vec<u8>> {
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()?.to_str() == Some(name) {
            let mut file = Vec::new();
            entry.read_to_end(&mut file)?;
            return Ok(file);
        }
    }
    None.with_context(|| format!("the archive has no file {name}"))
}
