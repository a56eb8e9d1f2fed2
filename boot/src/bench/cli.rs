//! The options of `cargo bench`.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::ids::{self, Id};
use crate::paths;
use crate::qemu::Emulator;
use crate::status::Status;

/// Measures what crossings of the kernel cost.
///
/// Exit status: 0 all was measured, 1 something could not be or has become dearer (--compare), 2 wrong usage or an error on the host.
#[derive(Debug, Clone, Parser)]
#[command(name = "suite", bin_name = "cargo bench --")]
pub struct Arguments {
    /// Only ids that match this regular expression
    #[arg(long, value_name = "REGEX")]
    pub only: Option<Regex>,
    /// What to count
    #[arg(long, value_enum, default_value_t)]
    pub clock: Clock,
    /// Processor model, as the emulator names them [default: max, or host with KVM; Bochs: tigerlake]
    #[arg(long, value_name = "MODEL", conflicts_with = "peer")]
    pub cpu: Option<String>,
    /// What emulates the machine. Bochs has PCIDs and measures a part: what needs neither virtio, flash nor a debugger
    #[arg(long, value_enum, default_value_t, conflicts_with = "peer")]
    pub emulator: Emulator,
    /// Folder for results.json, results.csv and report.html [default: target/bench]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// List the ids and what they measure
    #[arg(long)]
    pub list: bool,
    /// Fewer samples; and, unless --only picks them, only some sizes of reads and writes
    #[arg(long)]
    pub quick: bool,
    /// Print what changed since an earlier run; on the instruction clock, and for the same compiler, a median that grew by more
    /// than 2% makes the exit status 1
    #[arg(long, value_name = "OLD.json", conflicts_with = "peer")]
    pub compare: Option<PathBuf>,
    /// Make the README's table, the book's chapter of results and the tests' baseline from this run
    #[arg(long, conflicts_with_all = ["only", "quick", "peer", "clock", "cpu", "emulator"])]
    pub publish: bool,
    /// Measure what another system on the same emulator can do, too, and only that (ids `http.…`)
    #[arg(long, value_enum)]
    pub peer: Option<Peer>,
    /// Given by cargo
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// Another system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Debian's cloud kernel with busybox
    Linux,
}

/// What a tick is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Guest instructions, counted by the emulator: the same in every run
    #[default]
    Instructions,
    /// Ticks of the time stamp counter
    Time,
}

impl Clock {
    /// As in results.json.
    pub fn name(self) -> &'static str {
        match self {
            Clock::Instructions => "instructions",
            Clock::Time => "time",
        }
    }
}

impl Arguments {
    /// As if typed behind `cargo bench --`.
    ///
    /// # Errors
    /// What a person would be told.
    pub fn typed(words: &[&str]) -> Result<Arguments> {
        let words = ["suite", "--bench"].iter().chain(words);
        Ok(Arguments::try_parse_from(words)?)
    }

    /// The ids that are wanted.
    ///
    /// # Errors
    /// None is.
    pub fn ids(&self) -> Result<Vec<&'static Id>> {
        let wanted = |id: &&Id| {
            let matches = match &self.only {
                Some(only) => only.is_match(id.name),
                None => id.quick || !self.quick,
            };
            let has_clock = self.clock == Clock::Instructions || id.source.has_time();
            let has_devices = self.emulator == Emulator::Qemu || id.on_any_pc;
            matches && has_clock && has_devices
        };
        let wanted: Vec<_> = ids::ALL.iter().filter(wanted).collect();
        ensure!(
            !wanted.is_empty(),
            "no id matches (--list shows those there are{})",
            match (self.clock, self.emulator) {
                (_, Emulator::Bochs) => "; Bochs measures some of them",
                (Clock::Time, _) => "; some have no time",
                (Clock::Instructions, _) => "",
            }
        );
        Ok(wanted)
    }

    /// Where results go.
    pub fn folder(&self) -> PathBuf {
        match &self.out {
            None => paths::root().join("target/bench"),
            Some(folder) => here(folder),
        }
    }

    /// Samples of each id.
    pub fn samples(&self) -> usize {
        if self.quick { 200 } else { 10_000 }
    }
}

/// A path as the person means it. Cargo runs a benchmark in its package's folder; the person is in `$PWD`.
pub fn here(path: &Path) -> PathBuf {
    let folder = std::env::var_os("PWD").map(PathBuf::from);
    folder.unwrap_or_default().join(path)
}

/// What `--list` does.
///
/// # Errors
/// No id matches.
pub fn list(arguments: &Arguments) -> Result<Status> {
    for id in arguments.ids()? {
        println!("{:<32} {}", id.name, id.about);
    }
    Ok(Status::Success)
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
    fn ids_are_chosen_by_regular_expression() {
        let names = |words: &[&str]| -> Result<Vec<&str>> {
            let ids = Arguments::typed(words)?.ids()?;
            Ok(ids.iter().map(|id| id.name).collect())
        };
        assert_eq!(
            names(&["--only", "^trap.null$"]).expect("it is there"),
            ["trap.null"]
        );
        assert_eq!(names(&[]).expect("all are there").len(), ids::ALL.len());
        let quick = names(&["--quick"]).expect("some are there");
        assert!(quick.contains(&"trap.null") && quick.contains(&"read.ipc.disk.4096"));
        let left_out = "read.ipc.disk.256";
        assert!(!quick.contains(&left_out));
        let picked = names(&["--quick", "--only", "^read.ipc.disk.256$"]);
        assert_eq!(picked.expect("it is there"), [left_out]);
        assert!(names(&["--only", "nothing"]).is_err());
        assert!(names(&["--only", "("]).is_err());
        assert!(Arguments::typed(&["--publish"]).is_ok());
        for less in [
            ["--publish", "--cpu=Haswell"],
            ["--publish", "--emulator=bochs"],
            ["--publish", "--quick"],
            ["--publish", "--clock=time"],
            ["--publish", "--only=trap"],
        ] {
            assert!(Arguments::typed(&less).is_err(), "{less:?}");
        }
        let in_bochs = names(&["--emulator", "bochs"]).expect("some are there");
        for (id, there) in [
            ("switch.cr3_pcid", true),
            ("ipc.roundtrip.cross.0", true),
            ("read.trap.null.0", true),
            ("read.ipc.disk.4096", false),
            ("irq.to_server", false),
        ] {
            assert_eq!(in_bochs.contains(&id), there, "{id}");
        }
        let with_time = names(&["--clock", "time"]).expect("some are there");
        assert!(with_time.contains(&"trap.null") && !with_time.contains(&"kernel.text"));
    }

    #[test]
    fn a_relative_folder_is_the_persons() {
        let arguments = Arguments::typed(&["--out", "there"]).expect("it is well formed");
        let here = std::env::var_os("PWD")
            .map(PathBuf::from)
            .unwrap_or_default();
        assert_eq!(arguments.folder(), here.join("there"));
    }
}
