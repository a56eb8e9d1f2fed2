//! `lint`: clippy over the guest's programs for the target they run on, as `.ci/run` does. The code under
//! `cfg(target_os = "none")` is seen by no other linter.

use std::path::Path;

use anyhow::Result;

use crate::progress::Step;
use crate::status::Status;
use crate::system::System;
use crate::{install, toolchain};

/// Lints the loader, the kernel and what boots in its place, and the programs, each as it is built.
///
/// # Errors
/// The linter's complaints.
pub fn lint() -> Result<Status> {
    let toolchain = toolchain::ensure()?;
    if toolchain.from_source.is_some() && !Path::new("/usr/bin/cargo-clippy").exists() {
        install::packages("a linter for bare metal", &[toolchain::LINT_PACKAGE])?;
    }
    let mut programs = System::load("default")?.packages();
    programs.extend(System::load("bench")?.packages());
    programs.push(bootinfo::archive::ROOT.into());
    for packages in [
        vec!["loader".to_string()],
        vec!["microkernel".to_string()],
        vec![System::load("limits")?.manifest.kernel],
        programs,
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
