//! Programs of Debian, unpacked and not installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::paths;
use crate::progress::Step;

/// The folder of an unpacked package; it is fetched once. `name` may be a package that only names the present one of a kind
/// (`linux-image-cloud-amd64`).
///
/// # Errors
/// This is no Debian, or there is no network.
pub fn unpacked(name: &str) -> Result<PathBuf> {
    let folder = paths::state()?.join("peer").join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    for program in ["apt-get", "apt-cache", "dpkg-deb"] {
        ensure!(
            paths::program(program).is_some(),
            "the peer's {name} comes from Debian's packages, but there is no {program} here"
        );
    }
    let around = paths::folder(paths::state()?.join("peer"))?;
    let download = tempfile::tempdir_in(&around).context("cannot make a folder")?;
    let package = meant(name).unwrap_or_else(|| name.into());
    let fetch = |package: &str| {
        Step {
            title: &format!("fetching {package} from Debian"),
            busy: "",
            limit: None,
        }
        .run(
            Command::new("apt-get")
                .args(["-q", "download", package])
                .current_dir(&download),
        )
    };
    fetch(&package).with_context(|| {
        format!("cannot fetch {package}: is there a network, and was `apt-get update` run?")
    })?;
    let file = deb(download.path())?;
    let content = download.path().join("content");
    Step {
        title: &format!("unpacking {package}"),
        busy: "never",
        limit: None,
    }
    .run(Command::new("dpkg-deb").arg("-x").arg(file).arg(&content))?;
    // In one step, so that no interrupted one is taken for whole.
    std::fs::rename(content, &folder).context("cannot keep the package")?;
    Ok(folder)
}

/// The image package that a package without content depends on.
fn meant(name: &str) -> Option<String> {
    let output = Command::new("apt-cache")
        .args(["depends", name])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut depends = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "));
    depends
        .find(|package| package.starts_with("linux-image-"))
        .map(str::to_string)
}

fn deb(folder: &Path) -> Result<PathBuf> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            return Ok(path);
        }
    }
    bail!("apt-get has fetched nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_fetched_is_named() {
        let error = unpacked("no-such-package").expect_err("there is none");
        assert!(
            format!("{error:#}").contains("no-such-package"),
            "{error:#}"
        );
    }
}
