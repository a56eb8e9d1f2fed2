//! The command line. Its options and exit statuses are stable: scripts rely on them.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::qemu::Options;
use crate::status::Status;
use crate::{book, coverage, create, doctor, graph, iso, lint, progress, run};

/// Postern: a small capability microkernel with user-level servers.
///
/// Without a command it boots the default system, as `run` does. Exit status: 0 all succeeded, 1 a command failed,
/// 2 wrong usage, an error on the host or a refusal by the loader, 3 kernel panic, 124 timeout.
#[derive(Debug, Parser)]
#[command(
    name = "postern",
    bin_name = "cargo run --",
    version,
    propagate_version = true
)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Action>,
    #[command(flatten)]
    run: Options,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Boot a system in QEMU, with this terminal as its serial line (Ctrl-A h helps, Ctrl-A x leaves)
    Run(Box<Options>),
    /// Make an image that boots on a machine without Rust, by BIOS and UEFI, as CD and as disk; or show what is in one
    Image(iso::publish::Options),
    /// Show which tools are there and which are missing
    Doctor,
    /// Draw who may call whom in a system
    Graph(graph::Options),
    /// Make a program of your own, and add it to a system
    #[command(subcommand)]
    New(create::Options),
    /// Build the book: how Postern works, how to write a program, the map of the source
    Book(book::Options),
    /// Lint the guest's programs as they are built for bare metal
    #[command(hide = true)]
    Lint,
    /// Show which lines of the kernel's core the tests on the host reach; fails below 95 %
    #[command(hide = true)]
    Coverage,
}

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments
        .command
        .unwrap_or(Action::Run(Box::new(arguments.run)))
    {
        Action::Run(options) => run::run(&options),
        Action::Image(options) => iso::publish::publish(&options),
        Action::Doctor => doctor::doctor(),
        Action::Graph(options) => graph::graph(&options),
        Action::Book(options) => book::book(&options),
        Action::New(options) => create::create(&options),
        Action::Lint => lint::lint(),
        Action::Coverage => coverage::coverage(),
    };
    match done {
        Ok(status) => ExitCode::from(status.code()),
        Err(error) => {
            progress::note(&format!("error: {error:#}"));
            ExitCode::from(Status::Refused.code())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn run_is_the_default_command() {
        let implied = Arguments::parse_from(["postern", "--exec", "help", "--disk", "a"]);
        assert!(implied.command.is_none());
        assert_eq!(implied.run.exec, ["help"]);
        let said = Arguments::parse_from([
            "postern", "run", "--memory", "64M", "--disk", "a", "--disk", "b",
        ]);
        let Some(Action::Run(options)) = said.command else {
            panic!("{said:?}")
        };
        assert_eq!((options.memory, options.disks.len()), (64 << 20, 2));
    }
}
