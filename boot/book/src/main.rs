//! Builds the book: `book WORKSPACE OUT FIGURES`, which `cargo run -- book` calls.
//!
//! Its chapters are the pages of `docs/`, in the order of `docs/SUMMARY.md`. [`pages`] puts code and figures in; [`links`] follows
//! every link of what was made.
#![forbid(unsafe_code)]

mod links;
mod pages;

use std::path::Path;

use anyhow::{Context, Result, bail};
use mdbook::MDBook;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [workspace, out, figures] = &arguments[..] else {
        bail!("usage: book WORKSPACE OUT FIGURES (but type `cargo run -- book`)");
    };
    let (workspace, out) = (Path::new(workspace), Path::new(out));
    let mut book = MDBook::load(workspace.join("docs")).context("docs/ is no book")?;
    book.config.build.build_dir = out.into();
    // A chapter that SUMMARY.md names and nobody wrote is an error.
    book.config.build.create_missing = false;
    book.with_preprocessor(pages::Pages::new(workspace, Path::new(figures))?);
    book.build().context("the book cannot be built")?;
    let broken = links::broken(out)?;
    if !broken.is_empty() {
        bail!("links that lead nowhere:\n  {}", broken.join("\n  "));
    }
    Ok(())
}
