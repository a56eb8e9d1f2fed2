//! The options of `cargo bench`.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::ids::{self, Id};
use super::peer;
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
    #[arg(long, conflicts_with_all = ["only", "quick", "clock", "cpu", "emulator"])]
    pub publish: bool,
    /// Measure another system on the same emulator, too: only what both can do, unless all is measured for --publish
    #[arg(long, value_enum)]
    pub peer: Option<Peer>,
    /// Given by cargo
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// Another system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// Debian's cloud kernel
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

    /// Whether `--only` lets an id pass.
    pub fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.is_match(name))
    }

    /// The ids that are wanted. With a peer these are the peer's, and of Postern those that they stand beside, unless all is published.
    ///
    /// # Errors
    /// None is, nor anything that [`peer::web`] measures.
    pub fn ids(&self) -> Result<Vec<&'static Id>> {
        let picked = |id: &Id| match &self.only {
            Some(only) => only.is_match(id.name),
            None => id.quick || !self.quick,
        };
        let peers = peer::ids::LINUX.iter();
        let peers = peers.filter(|id| self.peer.is_some() && picked(id));
        let beside: Vec<_> = peers
            .clone()
            .flat_map(|id| peer::ids::beside(id.name))
            .collect();
        let own = |id: &&Id| match self.peer.is_none() || self.publish {
            true => picked(id),
            false => beside.contains(&id.name),
        };
        let possible = |id: &&Id| {
            let has_clock = self.clock == Clock::Instructions || id.source.has_time();
            has_clock && (self.emulator == Emulator::Qemu || id.on_any_pc)
        };
        let all = ids::ALL.iter().filter(own).chain(peers);
        let wanted: Vec<_> = all.filter(possible).collect();
        ensure!(
            !wanted.is_empty() || !peer::web::wanted(self).is_empty(),
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
        println!("{:<32} {}", id.shown(), id.about);
    }
    for figure in peer::web::wanted(arguments) {
        println!("{:<32} {}", figure.id, figure.unit);
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
        let linux = ["--peer", "linux", "--only", "^ipc.roundtrip.pipe$"];
        let both = ["ipc.roundtrip.cross.0", "ipc.roundtrip.pipe"];
        assert_eq!(names(&linux).expect("it is there"), both);
        let all = names(&["--peer", "linux", "--publish"]).expect("all are there");
        assert_eq!(all.len(), ids::ALL.len() + peer::ids::LINUX.len());
        assert!(names(&["--peer", "linux", "--only", "cap.revoke"]).is_err());
        let web = ["--peer", "linux", "--only", "^http.bulk$"];
        assert!(names(&web).expect("it is there").is_empty());
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
