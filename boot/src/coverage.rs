//! `coverage`: which lines of the kernel's core the tests on the host reach.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::progress::Step;
use crate::status::Status;
use crate::{install, paths};

/// Least share of lines, in percent.
const WANTED: f64 = 95.0;
/// The Debian package of the tools, and their version: that of the LLVM inside rustc.
const PACKAGE: &str = "llvm-22";
const VERSION: &str = "22";

/// Builds the kernel's tests with counters, runs them, and prints the share of lines reached, file by file. The core is all of
/// `microkernel/src` but `arch/` and `main.rs`.
///
/// # Errors
/// A tool is missing and may not be installed, a test fails, or nothing was counted.
pub fn coverage() -> Result<Status> {
    let tools = [
        format!("llvm-profdata-{VERSION}"),
        format!("llvm-cov-{VERSION}"),
    ];
    if tools.iter().any(|tool| paths::program(tool).is_none()) {
        install::packages("the coverage tools", &[PACKAGE])?;
    }
    let target = paths::root().join("target/coverage");
    let profiles = tempfile::tempdir()?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command
        .current_dir(paths::root())
        .args([
            "test",
            "--package",
            "microkernel",
            "--tests",
            "--target-dir",
        ])
        .arg(&target)
        // The exploration takes minutes with counters and reaches no line of its own.
        .args(["--", "--skip", "explore"])
        .env("RUSTFLAGS", "-C instrument-coverage")
        .env("LLVM_PROFILE_FILE", profiles.path().join("%p-%m.profraw"));
    Step {
        title: "running the kernel's tests with counters",
        busy: "",
        limit: None,
    }
    .run(&mut command)?;

    let merged = profiles.path().join("all.profdata");
    let mut merge = Command::new(&tools[0]);
    merge
        .arg("merge")
        .arg("-sparse")
        .args(files(profiles.path(), "profraw")?);
    Step {
        title: "merging the counters",
        busy: "",
        limit: None,
    }
    .run(merge.arg("-o").arg(&merged))?;

    let mut export = Command::new(&tools[1]);
    export
        .args(["export", "-summary-only", "-instr-profile"])
        .arg(&merged);
    for program in programs(&target)? {
        export.arg("-object").arg(program);
    }
    let output = export.output().context("cannot start llvm-cov")?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    print(&report)
}

/// The files of a folder with an ending.
fn files(folder: &Path, ending: &str) -> Result<Vec<std::path::PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let paths = entries.into_iter().map(|entry| entry.path());
    Ok(paths
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect())
}

/// The newest test programs of the kernel: its unit tests and its proof.
fn programs(target: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut newest = Vec::new();
    for name in ["microkernel-", "proof-"] {
        let entries =
            std::fs::read_dir(target.join("debug/deps"))?.collect::<Result<Vec<_>, _>>()?;
        let programs = entries.into_iter().filter(|entry| {
            let path = entry.path();
            path.extension().is_none() && entry.file_name().to_string_lossy().starts_with(name)
        });
        let last =
            programs.max_by_key(|entry| entry.metadata().and_then(|data| data.modified()).ok());
        newest.push(last.context("no test program was built")?.path());
    }
    Ok(newest)
}

/// Prints the table; a failure if too little was reached.
fn print(report: &Value) -> Result<Status> {
    let files = report["data"][0]["files"]
        .as_array()
        .context("nothing was counted")?;
    let (mut all, mut reached) = (0, 0);
    for file in files {
        let name = file["filename"].as_str().unwrap_or_default();
        let Some((_, name)) = name.split_once("microkernel/src/") else {
            continue;
        };
        if name.starts_with("arch/") || name == "main.rs" {
            continue;
        }
        let lines = &file["summary"]["lines"];
        let (count, covered) = (lines["count"].as_u64(), lines["covered"].as_u64());
        let (count, covered) = (count.context("lines")?, covered.context("lines")?);
        println!(
            "{name:<16}{covered:>6} of {count:>5} lines {:>6.1} %",
            percent(covered, count)
        );
        all += count;
        reached += covered;
    }
    let share = percent(reached, all);
    println!(
        "{:<16}{reached:>6} of {all:>5} lines {share:>6.1} %",
        "the core"
    );
    if share >= WANTED {
        return Ok(Status::Success);
    }
    println!("wanted: {WANTED} %");
    Ok(Status::CommandFailed)
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}
