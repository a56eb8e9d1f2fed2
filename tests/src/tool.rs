//! The host tool as a person runs it.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The host tool's binary, built from the present sources.
///
/// # Panics
/// It does not compile.
pub fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let own = std::env::current_exe().expect("a test knows its file");
        // target/PROFILE/deps/TEST
        let folder = own.ancestors().nth(2).expect("a test lies deep enough");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "postern"]);
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        let built = cargo
            .current_dir(postern::paths::root())
            .status()
            .expect("cargo starts");
        assert!(built.success());
        folder.join("postern")
    };
    BINARY.get_or_init(build).clone()
}

/// `cargo run -- ARGUMENTS`, without cargo.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments);
    command
}

/// How a run of the tool ended.
#[derive(Debug)]
pub struct Run {
    /// Exit status.
    pub status: i32,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub messages: String,
}

/// Runs a command to its end.
///
/// # Panics
/// It cannot be started, or a signal ended it.
pub fn run(command: &mut Command) -> Run {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("it starts");
    let run = Run {
        status: status.code().expect("no signal ends it"),
        output: String::from_utf8_lossy(&stdout).into_owned(),
        messages: String::from_utf8_lossy(&stderr).into_owned(),
    };
    println!("{run:#?}");
    run
}
