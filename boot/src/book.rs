//! `book`: the pages of `docs/` as HTML, by a package of its own (`boot/book`), which nobody builds who does not ask for it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::progress::Step;
use crate::status::Status;
use crate::{paths, toolchain};

/// What `book` can be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where to put it [default: target/book/html]
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
    /// Figures to show: the results.json of a `cargo bench` [default: that of the last one here]
    #[arg(long, value_name = "FILE")]
    pub figures: Option<PathBuf>,
}

/// Builds the book and says where it is.
///
/// # Errors
/// It does not compile, a page asks for code that is no longer there, or a link leads nowhere.
pub fn book(options: &Options) -> Result<Status> {
    let target = paths::root().join("target");
    let out = match &options.out {
        Some(out) => std::path::absolute(out)?,
        None => target.join("book/html"),
    };
    let figures = match &options.figures {
        Some(figures) => std::path::absolute(figures)?,
        None => target.join("bench/results.json"),
    };
    let package = paths::root().join("boot/book/Cargo.toml");
    let mut cargo = Command::new("cargo");
    toolchain::clean(&mut cargo)
        .args(["run", "--locked", "--manifest-path"])
        .arg(package)
        .arg("--target-dir")
        .arg(target.join("book"))
        .arg("--")
        .args([paths::root(), out.clone(), figures]);
    Step {
        title: "building the book",
        busy: "Compiling",
        limit: None,
    }
    .run(&mut cargo)?;
    println!("{}", out.join("index.html").display());
    Ok(Status::Success)
}
