//! `lint`: clippy over the guest's programs for the target they run on, as `.ci/run` does. The code under
//! `cfg(target_os = "none")` is seen by no other linter.

use std::path::Path;

use anyhow::{Context, Result};

use crate::progress::Step;
use crate::status::Status;
use crate::system::{self, System};
use crate::toolchain::Frames;
use crate::{install, instances, paths, toolchain};

/// Lints the loader, the kernels, and all user programs, each as it is built.
///
/// # Errors
/// The linter's complaints.
pub fn lint() -> Result<Status> {
    let toolchain = toolchain::ensure()?;
    if toolchain.from_source.is_some() && !Path::new("/usr/bin/cargo-clippy").exists() {
        install::packages("a linter for bare metal", &[toolchain::LINT_PACKAGE])?;
    }
    // One call each, as they are built: features unify within a call.
    let mut groups = vec![vec!["loader".to_string()], vec!["microkernel".to_string()]];
    let kernels = kernels()?;
    let programs = programs()?;
    groups.push(
        programs
            .into_iter()
            .filter(|name| !kernels.contains(name))
            .collect(),
    );
    groups.push(vec![instances::PACKAGE.to_string()]);
    groups.extend(kernels.into_iter().map(|kernel| vec![kernel]));
    for packages in groups {
        let mut command = toolchain.cargo("clippy", &paths::bare_target(), Frames::Pointers);
        for package in &packages {
            command.args(["--package", package]);
        }
        // Its features are instruments for tests, which must be clean too.
        if packages == ["microkernel"] {
            command.arg("--all-features");
        }
        command.args(["--", "-D", "warnings"]);
        Step {
            title: &format!("linting {}", packages.join(", ")),
            busy: "",
            limit: None,
        }
        .run(&mut command)?;
    }
    Ok(Status::Success)
}

/// The packages that some system boots in the kernel's place.
fn kernels() -> Result<Vec<String>> {
    let systems = system::known().into_iter();
    let kernels: Result<Vec<_>> = systems
        .map(|name| Ok(System::load(&name)?.manifest.kernel))
        .collect();
    let mut kernels = kernels?;
    kernels.retain(|kernel| !kernel.is_empty());
    kernels.sort();
    kernels.dedup();
    Ok(kernels)
}

/// The packages in `servers` and `apps`, which are named as their folders.
fn programs() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for folder in ["servers", "apps"] {
        let folder = paths::root().join(folder);
        let describe = || format!("cannot list {}", folder.display());
        for entry in std::fs::read_dir(&folder).with_context(describe)? {
            let entry = entry.with_context(describe)?;
            if entry.path().join("Cargo.toml").is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_is_linted() {
        let programs = programs().expect("the folders are there");
        for program in ["root", "disk", "shell"] {
            assert!(programs.contains(&program.to_string()), "{programs:?}");
        }
    }
}
