//! `coverage`: which lines of the kernel's core the tests on the host reach.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
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
/// `microkernel/src` but `arch/` and `main.rs`; a file's unit tests, at its end, are no lines of it.
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
    let profiles = tempfile::tempdir()?;
    let mut run = cargo_test(profiles.path());
    // The exploration takes minutes with counters and reaches no line of its own.
    run.args(["--", "--skip", "explore"]);
    step("running the kernel's tests with counters").run(&mut run)?;

    let merged = profiles.path().join("all.profdata");
    let mut merge = Command::new(&tools[0]);
    merge
        .arg("merge")
        .arg("-sparse")
        .args(counters(profiles.path())?)
        .arg("-o")
        .arg(&merged);
    step("merging the counters").run(&mut merge)?;

    // The summary of llvm-cov takes the best of a function's copies in several programs; by lines it adds them up.
    let mut export = Command::new(&tools[1]);
    export
        .args(["export", "-format=lcov", "-instr-profile"])
        .arg(&merged);
    for program in programs(cargo_test(profiles.path()))? {
        export.arg("-object").arg(program);
    }
    print(&read(&output(&mut export)?)?)
}

fn step(title: &str) -> Step<'_> {
    Step {
        title,
        busy: "",
        limit: None,
    }
}

/// The command that builds and runs the tests. One seed, so that the same source has the same coverage.
fn cargo_test(profiles: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command
        .current_dir(paths::root())
        .args(["test", "--package", "microkernel", "--tests"])
        .arg("--target-dir")
        .arg(paths::root().join("target/coverage"))
        .env("RUSTFLAGS", "-C instrument-coverage")
        .env("LLVM_PROFILE_FILE", profiles.join("%p-%m.profraw"))
        .env("POSTERN_SEED", "1")
        .env_remove("POSTERN_LONG");
    command
}

/// What a command prints.
fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        bail!("{program} failed ({})\n{}", output.status, log.trim_end());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The counters that the programs left.
fn counters(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.into_iter().map(|entry| entry.path()).collect())
}

/// The programs that the command for the tests runs.
fn programs(mut tests: Command) -> Result<Vec<PathBuf>> {
    let text = output(tests.args(["--no-run", "--message-format", "json"]))?;
    let mut programs = Vec::new();
    for line in text.lines() {
        let message: Value = serde_json::from_str(line)?;
        programs.extend(message["executable"].as_str().map(PathBuf::from));
    }
    Ok(programs)
}

/// Lines reached and lines there are, of each file of the core.
fn read(report: &str) -> Result<BTreeMap<String, (usize, usize)>> {
    let core = paths::root().join("microkernel/src");
    let mut files = BTreeMap::new();
    for record in report.split("end_of_record") {
        let Some(path) = record.lines().find_map(|line| line.strip_prefix("SF:")) else {
            continue;
        };
        let Ok(name) = Path::new(path).strip_prefix(&core) else {
            continue;
        };
        if name.starts_with("arch") || name == Path::new("main.rs") {
            continue;
        }
        let source = std::fs::read_to_string(path)?;
        let own = source.lines().take_while(|&line| line != "#[cfg(test)]");
        let lines = hits(record, own.count());
        let reached = lines.iter().filter(|&&count| count > 0).count();
        files.insert(name.display().to_string(), (reached, lines.len()));
    }
    Ok(files)
}

/// How often each of the first `last` lines of a file was reached, those without code left out.
fn hits(record: &str, last: usize) -> Vec<u64> {
    let lines = record.lines().filter_map(|line| {
        let (line, count) = line.strip_prefix("DA:")?.split_once(',')?;
        Some((line.parse().ok()?, count.parse().ok()?))
    });
    lines
        .filter(|&(line, _): &(usize, u64)| line <= last)
        .map(|(_, count)| count)
        .collect()
}

/// Prints the table; a failure if too little was reached.
fn print(files: &BTreeMap<String, (usize, usize)>) -> Result<Status> {
    let (mut reached, mut all) = (0, 0);
    for (name, &(part, whole)) in files {
        row(name, part, whole);
        reached += part;
        all += whole;
    }
    if all == 0 {
        bail!("nothing was counted");
    }
    row("the core", reached, all);
    if percent(reached, all) >= WANTED {
        return Ok(Status::Success);
    }
    println!("wanted: {WANTED} %");
    Ok(Status::CommandFailed)
}

fn row(name: &str, part: usize, whole: usize) {
    let share = percent(part, whole);
    println!("{name:<16}{part:>6} of {whole:>5} lines {share:>6.1} %");
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_report() {
        let record = "SF:a.rs\nFN:1,f\nDA:1,5\nDA:2,0\nDA:4,18446744073709551615\nDA:9,1\nLF:4\n";
        assert_eq!(hits(record, 8), [5, 0, u64::MAX]);
        assert_eq!(percent(2, 4), 50.0);
    }

    #[test]
    fn too_little_and_nothing_fail() {
        let files = |part| BTreeMap::from([("a.rs".to_string(), (part, 100))]);
        assert_eq!(print(&files(95)).unwrap(), Status::Success);
        assert_eq!(print(&files(94)).unwrap(), Status::CommandFailed);
        assert!(print(&BTreeMap::new()).is_err());
    }
}
