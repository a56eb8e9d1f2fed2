//! Installing what is missing, on Debian and Ubuntu; elsewhere, or without consent, the one command to type.

use std::io::{BufRead, IsTerminal, Write};
use std::process::Command;

use anyhow::{Result, bail};

use crate::{paths, progress::Step};

/// Installs Debian packages that provide `what`.
///
/// As root at once; else, at a terminal, with `sudo` after the person agreed.
///
/// # Errors
/// It may not, or it does not work. The error names the command to type.
pub fn packages(what: &str, packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if paths::program("apt-get").is_none() {
        bail!("{what} is missing, and this is not Debian or Ubuntu: install what they call {list}");
    }
    let by_hand =
        format!("sudo apt-get update && sudo apt-get install -y --no-install-recommends {list}");
    let root = rustix::process::geteuid().is_root();
    if !root && !agreed(what, &by_hand)? {
        bail!("{what} is missing; type\n  {by_hand}");
    }
    let apt = |title: &str, arguments: &[&str]| {
        let mut command = if root {
            Command::new("apt-get")
        } else {
            Command::new("sudo")
        };
        if !root {
            command.args(["-n", "apt-get"]);
        }
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args([
                "-o",
                "DPkg::Lock::Timeout=300",
                "-o",
                "APT::Status-Fd=1",
                "-q",
            ])
            .args(arguments);
        Step {
            title,
            busy: "",
            limit: None,
        }
        .run(&mut command)
    };
    let install = || {
        apt("updating the package lists (apt-get update)", &["update"])?;
        let arguments = [&["install", "-y", "--no-install-recommends"], packages].concat();
        apt(&format!("installing {what} ({list})"), &arguments)
    };
    install().map_err(|error| {
        error.context(format!("cannot install {what}; by hand it is\n  {by_hand}"))
    })
}

/// Asks at a terminal; `sudo` asks for its password there, too. No terminal: no.
fn agreed(what: &str, command: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal()
        || !std::io::stderr().is_terminal()
        || paths::program("sudo").is_none()
    {
        return Ok(false);
    }
    eprint!("postern: {what} is missing. Install it now with\n  {command}\n? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes")
        && Command::new("sudo").arg("-v").status()?.success())
}
