//! The licences of what is in an image: Postern's, GRUB's, and those of the crates that guest programs are made with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{paths, toolchain};

/// What is copied, and where it is on a Debian system or in the workspace.
const COPIED: [(&str, &str); 4] = [
    ("GRUB.txt", "/usr/share/doc/grub-common/copyright"),
    ("GPL-3.txt", "/usr/share/common-licenses/GPL-3"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
];
/// The crates' own.
const CRATES: &str = "crates.txt";
/// Packages of the workspace that never are in a guest.
const OF_THE_HOST: [&str; 2] = ["postern", "tests"];
/// How files with licences begin.
const TEXTS: [&str; 4] = ["LICENSE", "COPYING", "NOTICE", "UNLICENSE"];

/// Writes them into `folder` and returns their names.
///
/// # Errors
/// A file cannot be read or written.
pub fn write(folder: &Path) -> Result<Vec<&'static str>> {
    for (name, file) in COPIED {
        // An absolute path stays as it is.
        let file = paths::root().join(file);
        let text = std::fs::read(&file)
            .with_context(|| format!("cannot read the licence {}", file.display()))?;
        paths::write(&folder.join(name), &text)?;
    }
    paths::write(&folder.join(CRATES), crates()?.as_bytes())?;
    let copied = COPIED.into_iter().map(|(name, _)| name);
    Ok(copied.chain([CRATES]).collect())
}

/// Name, version and licence of each crate, then the texts that come with them.
fn crates() -> Result<String> {
    let metadata = metadata()?;
    let empty = Vec::new();
    let list = |value: &'_ Value| value.as_array().unwrap_or(&empty).clone();
    let packages: BTreeMap<String, Value> = list(&metadata["packages"])
        .into_iter()
        .map(|package| (word(&package["id"]), package))
        .collect();
    let needs: BTreeMap<String, Vec<Value>> = list(&metadata["resolve"]["nodes"])
        .into_iter()
        .map(|node| (word(&node["id"]), list(&node["deps"])))
        .collect();
    let is_linked = |id: &String| {
        let package = &packages[id];
        let proc_macro = list(&package["targets"])
            .iter()
            .any(|target| list(&target["kind"]).contains(&"proc-macro".into()));
        !proc_macro && !OF_THE_HOST.contains(&word(&package["name"]).as_str())
    };
    let mut reached = BTreeSet::new();
    let members = list(&metadata["workspace_members"]);
    let mut next: Vec<String> = members.iter().map(word).collect();
    while let Some(id) = next.pop() {
        if is_linked(&id) && reached.insert(id.clone()) {
            let normal = needs[&id].iter().filter(|dependency| {
                // Those for build scripts and tests have a kind.
                list(&dependency["dep_kinds"])
                    .iter()
                    .any(|kind| kind["kind"].is_null())
            });
            next.extend(normal.map(|dependency| word(&dependency["pkg"])));
        }
    }
    let foreign = reached
        .iter()
        .map(|id| &packages[id])
        .filter(|package| !package["source"].is_null());
    let (mut lines, mut texts) = (BTreeSet::new(), BTreeMap::<String, BTreeSet<String>>::new());
    for package in foreign {
        let name = format!("{} {}", word(&package["name"]), word(&package["version"]));
        lines.insert(format!("{name}: {}\n", word(&package["license"])));
        let manifest = word(&package["manifest_path"]);
        for text in texts_beside(Path::new(&manifest))? {
            texts.entry(text).or_default().insert(name.clone());
        }
    }
    let mut all: String = lines.into_iter().collect();
    for (text, crates) in texts {
        let crates: Vec<String> = crates.into_iter().collect();
        all += &format!("\n==== {} ====\n\n{}\n", crates.join(", "), text.trim_end());
    }
    Ok(all)
}

/// What cargo knows of the workspace and its crates for bare metal.
fn metadata() -> Result<Value> {
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--format-version", "1", "--locked"]);
    cargo.args(["--filter-platform", toolchain::TARGET]);
    let output = toolchain::clean(&mut cargo)
        .current_dir(paths::root())
        .output()
        .context("cannot start cargo")?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        complaints.trim_end()
    );
    serde_json::from_slice(&output.stdout).context("cargo metadata")
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or("unknown").to_string()
}

/// The texts of the licences in a crate's folder.
fn texts_beside(manifest: &Path) -> Result<Vec<String>> {
    let folder = manifest.parent().unwrap_or(manifest);
    let failed = || format!("cannot read {}", folder.display());
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let name = entry.file_name().to_string_lossy().to_ascii_uppercase();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && TEXTS.iter().any(|start| name.starts_with(start)) {
            let bytes = std::fs::read(entry.path()).with_context(failed)?;
            texts.push(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"));
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_guests_are_listed_and_no_others() {
        let list = crates().expect("cargo knows them");
        let has = |name: &str| list.lines().any(|line| line.starts_with(name));
        assert!(has("heapless 0."), "{list}");
        assert!(has("smoltcp 0."), "{list}");
        assert!(list.contains("Permission is hereby granted"));
        // Of the host tool, of tests, and what only runs in the compiler.
        for other in ["clap ", "proptest ", "syn ", "abi ", "loader "] {
            assert!(!has(other), "{other}");
        }
    }
}
