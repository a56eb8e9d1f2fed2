//! `cargo bench`: boots bench systems, collects what they measure, prints a table and writes `results.json`.
//!
//! Read in this order: [`cli`] (options), [`ids`] (everything that can be measured), [`suite`] (the run) on a [`machine`], [`guest`] (what
//! a bench system says), [`traced`], [`trace`], [`stages`] and [`gdb`] (what it does, instruction by instruction), [`stats`],
//! [`results`] (the file) with [`least`] (which row is another's limit), [`table`] with [`peers`], [`report`] with [`curves`] (the page), [`publish`] (the book's chapter),
//! [`compare`] and [`limits`] (what tests compare a run with), [`peer`] (another system in the same run). The method is in `docs/benchmarks.md`.

pub mod cli;
pub mod compare;
pub mod csv;
pub mod curves;
pub mod gdb;
pub mod guest;
pub mod ids;
pub mod least;
pub mod limits;
pub mod machine;
pub mod matrix;
pub mod peer;
pub mod peers;
pub mod publish;
pub mod report;
pub mod results;
pub mod ring0;
pub mod stages;
pub mod stats;
pub mod suite;
pub mod table;
pub mod trace;
pub mod traced;
mod volume;

use std::process::ExitCode;

use clap::Parser;

use crate::progress::note;
use crate::status::Status;

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    // `cargo test --all-targets` runs this program too, without the flag of `cargo bench`: that is no benchmark.
    if !arguments.bench {
        return ExitCode::SUCCESS;
    }
    let done = if arguments.list {
        cli::list(&arguments)
    } else {
        suite::run(&arguments).and_then(|status| peer::web::run(&arguments, status))
    };
    match done {
        Ok(status) => ExitCode::from(status.code()),
        Err(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::from(Status::Refused.code())
        }
    }
}
