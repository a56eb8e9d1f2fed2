//! `doctor`: what is there, what is missing, and how to get it. It changes nothing.

use std::process::Command;

use anyhow::Result;

use crate::status::Status;
use crate::{bochs, iso, paths, qemu, toolchain};

/// Prints the table.
///
/// # Errors
/// None; something missing is [`Status::Refused`].
pub fn doctor() -> Result<Status> {
    let compiler = toolchain::installed().map(|toolchain| toolchain.describe());
    let emulator =
        paths::program(qemu::PROGRAM).map(|path| first_line(Command::new(path).arg("--version")));
    let needed = [
        (
            "compiler for bare metal",
            compiler,
            &toolchain::PACKAGES[..],
        ),
        ("QEMU", emulator, &[qemu::PACKAGE][..]),
    ];
    let mut missing: Vec<&str> = Vec::new();
    for (what, found, packages) in needed {
        row(what, found.as_deref());
        if found.is_none() {
            missing.extend(packages);
        }
    }
    let kvm = if std::path::Path::new("/dev/kvm").exists() {
        "/dev/kvm exists; --accel auto uses it if it is fast"
    } else {
        "absent: QEMU emulates the processor, which is fine"
    };
    row("KVM (optional)", Some(kvm));
    let bochs = match paths::program(bochs::PROGRAM) {
        Some(_) => "there for --emulator bochs",
        None => "absent: --emulator bochs gets it",
    };
    row("Bochs (optional)", Some(bochs));
    let images = match iso::is_ready() {
        true => "there for `image` and --emulator bochs",
        false => "absent: `image` and --emulator bochs get it",
    };
    row("GRUB, xorriso (optional)", Some(images));
    if missing.is_empty() {
        return Ok(Status::Success);
    }
    println!("`cargo run` gets what is missing by itself where it may; by hand it is");
    println!(
        "  sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
        missing.join(" ")
    );
    Ok(Status::Refused)
}

fn row(what: &str, found: Option<&str>) {
    println!(
        "{what:<24} {:<8} {}",
        if found.is_some() { "found" } else { "MISSING" },
        found.unwrap_or("-")
    );
}

fn first_line(command: &mut Command) -> String {
    let output = command
        .output()
        .map(|output| output.stdout)
        .unwrap_or_default();
    String::from_utf8_lossy(&output)
        .lines()
        .next()
        .unwrap_or("does not start")
        .to_string()
}
