//! Builds guest programs and packs them: the loader, and a tar archive with kernel, root, manifest and programs.
//!
//! The same sources and tools give the same bytes. Programs are packed without symbols; the files with symbols stay
//! beside the image, in `target/postern/<system>/`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use bootinfo::archive;
use object::read::elf::{FileHeader, ProgramHeader};

use crate::progress::Step;
use crate::system::System;
use crate::toolchain::{self, Frames, Toolchain};
use crate::{before, instances, paths, symbols::Symbols};

/// A system, ready to boot.
pub struct Image {
    /// The loader's ELF file.
    pub loader: PathBuf,
    /// The tar archive.
    pub archive: Vec<u8>,
    /// ELF files with symbols, by their names in the archive.
    pub symbols: Symbols,
}

/// Builds what `system` consists of and packs it.
///
/// # Errors
/// A program does not compile (the error is the compiler's), or a file cannot be written.
pub fn build(system: &System) -> Result<Image> {
    if !system.instances.is_empty() {
        return build_instances(system);
    }
    let toolchain = toolchain::ensure()?;
    let compile = |what, packages: &[String], features: &[String], frames| {
        compile(&toolchain, what, packages, features, frames)
    };
    compile("the loader", &["loader".into()], &[], Frames::Pointers)?;
    let (package, kernel) = match system.manifest.kernel.as_str() {
        "" => ("microkernel", archive::KERNEL),
        other => (other, other),
    };
    let features = &system.manifest.kernel_features;
    compile("the kernel", &[package.into()], features, Frames::DebugInfo)?;
    let root = match system.manifest.root.as_str() {
        "" => archive::ROOT,
        other => other,
    };
    let mut programs = system.packages();
    programs.push(root.into());
    compile("the user programs", &programs, &[], Frames::Pointers)?;

    let folder = paths::folder(paths::state()?.join(&system.manifest.name))?;
    let mut files = BTreeMap::new();
    let manifest =
        postcard::to_allocvec(&system.completed()).context("cannot encode the manifest")?;
    files.insert(archive::MANIFEST.to_string(), manifest);
    let programs = programs.iter().map(|name| {
        let place = if name == root { archive::ROOT } else { name };
        (place, built(name, Frames::Pointers, &[]))
    });
    for (name, elf) in
        programs.chain([(archive::KERNEL, built(kernel, Frames::DebugInfo, features))])
    {
        let elf = elf?;
        paths::write(&folder.join(name), &elf)?;
        let stripped = strip(&elf).with_context(|| format!("{name} is not a 64-bit ELF file"))?;
        files.insert(name.to_string(), stripped);
    }
    files.extend(before::files(system)?);
    let in_order = system.manifest.programs.iter();
    let files_in_order = in_order.map(|program| program.file().to_string()).collect();
    let loader = folder.join("loader");
    paths::write(&loader, &built("loader", Frames::Pointers, &[])?)?;
    Ok(Image {
        loader,
        archive: pack(&files)?,
        symbols: Symbols::new(folder, files_in_order),
    })
}

/// A program for bare metal that is part of no system, as its loader wants it.
///
/// # Errors
/// It does not compile, or there is none.
pub fn program(name: &str) -> Result<Vec<u8>> {
    let package = [name.to_string()];
    let toolchain = toolchain::ensure()?;
    compile(&toolchain, name, &package, &[], Frames::Pointers)?;
    strip(&built(name, Frames::Pointers, &[])?)
}

/// The hypervisor shim, and the archives of its instances in its own.
fn build_instances(system: &System) -> Result<Image> {
    let inner: Result<Vec<_>> = system.instances.iter().map(build).collect();
    let inner = inner?;
    let package = instances::PACKAGE.to_string();
    compile(
        &toolchain::ensure()?,
        "the hypervisor shim",
        std::slice::from_ref(&package),
        &[],
        Frames::DebugInfo,
    )?;
    let shim = built(&package, Frames::DebugInfo, &[])?;
    let folder = paths::folder(paths::state()?.join(&system.manifest.name))?;
    paths::write(&folder.join(archive::KERNEL), &shim)?;
    let archives: Vec<_> = inner.iter().map(|image| image.archive.as_slice()).collect();
    let mut files = instances::files(system, &archives)?;
    files.insert(archive::KERNEL.to_string(), strip(&shim)?);
    let archive = pack(&files)?;
    // Addresses of programs are those of the instance that the machine ends with.
    let mut images = inner.into_iter().skip(usize::from(system.primary));
    let Image {
        loader, symbols, ..
    } = images.next().context("there is no such instance")?;
    Ok(Image {
        loader,
        archive,
        symbols,
    })
}

/// The call that made each binary, by its folder and package, in this process.
static MADE: Mutex<BTreeMap<(PathBuf, String), String>> = Mutex::new(BTreeMap::new());

/// One inner cargo call: features unify within it, so kernel and user programs must not share one. What a process has compiled
/// it does not compile again, unless another call, with other features perhaps, has made one of the binaries since.
fn compile(
    toolchain: &Toolchain,
    what: &str,
    packages: &[String],
    features: &[String],
    frames: Frames,
) -> Result<()> {
    let mut command = toolchain.cargo("build", &target(frames, features), frames);
    for package in packages {
        command.args(["--package", package]);
    }
    if !features.is_empty() {
        command.args(["--features", &features.join(",")]);
    }
    command.arg("--bins");
    let call = format!("{command:?}");
    let folder = target(frames, features);
    let binaries = packages.iter().map(|name| (folder.clone(), name.clone()));
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if binaries
        .clone()
        .all(|binary| made.get(&binary) == Some(&call))
    {
        return Ok(());
    }
    Step {
        title: &format!("building {what}"),
        busy: "Compiling",
        limit: None,
    }
    .run(&mut command)?;
    made.extend(binaries.map(|binary| (binary, call.clone())));
    Ok(())
}

/// Where programs of a kind are built.
fn target(frames: Frames, features: &[String]) -> PathBuf {
    match frames {
        Frames::Pointers => paths::bare_target(),
        Frames::DebugInfo => paths::kernel_target(features),
    }
}

/// The bytes of a compiled program.
fn built(name: &str, frames: Frames, features: &[String]) -> Result<Vec<u8>> {
    let file = target(frames, features)
        .join(toolchain::TARGET)
        .join(toolchain::PROFILE)
        .join(name);
    std::fs::read(&file).with_context(|| {
        format!(
            "no package makes a binary `{name}`: cannot read {}",
            file.display()
        )
    })
}

/// The part of an ELF file that a loader needs: headers and segments. Sections and symbols lie behind them.
pub(crate) fn strip(elf: &[u8]) -> Result<Vec<u8>> {
    type Header = object::elf::FileHeader64<object::Endianness>;
    let header = Header::parse(elf)?;
    let endian = header.endian()?;
    let mut end = size_of::<Header>() as u64;
    for segment in header.program_headers(endian, elf)? {
        end = end.max(segment.p_offset(endian) + segment.p_filesz(endian));
    }
    let headers = header.e_phoff(endian)
        + u64::from(header.e_phnum(endian)) * u64::from(header.e_phentsize(endian));
    let end = usize::try_from(end.max(headers))?;
    ensure!(
        end <= elf.len(),
        "a segment lies beyond the end of the file"
    );
    let mut stripped = elf[..end].to_vec();
    // No section headers any more: e_shoff, e_shnum and e_shstrndx (ELF-64 object file format, figure 2).
    stripped[40..48].fill(0);
    stripped[60..64].fill(0);
    Ok(stripped)
}

/// A tar archive with sorted names, and no times or owners.
fn pack(files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        builder.append_data(&mut header, name, bytes.as_slice())?;
    }
    Ok(builder.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_deterministic_and_complete() {
        let files: BTreeMap<_, _> = [("root", vec![1; 700]), ("kernel", vec![2; 512])]
            .map(|(n, b)| (n.to_string(), b))
            .into();
        let bytes = pack(&files).expect("it can be packed");
        assert_eq!(bytes, pack(&files).expect("it can be packed"));
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries = archive.entries().expect("it is an archive");
        let found: Vec<_> = entries
            .map(|entry| entry.expect("an entry"))
            .map(|entry| {
                (
                    entry.path().expect("a name").display().to_string(),
                    entry.size(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [("kernel".to_string(), 512), ("root".to_string(), 700)]
        );
    }

    #[test]
    fn stripping_keeps_the_segments() {
        let own = std::fs::read(std::env::current_exe().expect("a test knows its file"))
            .expect("it can be read");
        let stripped = strip(&own).expect("a test is an ELF file");
        assert!(stripped.len() < own.len());
        assert_eq!(stripped[64..], own[64..stripped.len()]);
        assert!(strip(b"no ELF file").is_err());
        assert!(strip(&own[..4096]).is_err());
    }
}
