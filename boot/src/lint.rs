//! `lint`: clippy over the guest's programs for the target they run on, as `.ci/run` does. The code under
//! `cfg(target_os = "none")` is seen by no other linter.

use std::path::Path;

use anyhow::{Context, Result};

use crate::progress::Step;
use crate::status::Status;
use crate::{install, paths, toolchain};

/// Lints the loader, the kernel, and all user programs, each as it is built.
///
/// # Errors
/// The linter's complaints.
pub fn lint() -> Result<Status> {
    let toolchain = toolchain::ensure()?;
    if toolchain.from_source.is_some() && !Path::new("/usr/bin/cargo-clippy").exists() {
        install::packages("a linter for bare metal", &[toolchain::LINT_PACKAGE])?;
    }
    for packages in [
        vec!["loader".to_string()],
        vec!["microkernel".to_string()],
        user_programs()?,
    ] {
        let mut command = toolchain.cargo("clippy");
        for package in &packages {
            command.args(["--package", package]);
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

/// The packages in `servers` and `apps`, which are named as their folders.
fn user_programs() -> Result<Vec<String>> {
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
        let programs = user_programs().expect("the folders are there");
        for program in ["root", "disk", "shell"] {
            assert!(programs.contains(&program.to_string()), "{programs:?}");
        }
    }
}
