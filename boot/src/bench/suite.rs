//! The run: one boot for each source of figures, and a row for each id. [`rows`] keeps them; [`counted`] has the sources that no guest measures,
//! [`shim`] what is measured above the hypervisor shim.

mod counted;
mod rows;
mod shim;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bootinfo::cycles;

use super::cli::{Arguments, Clock, here};
use super::compare::Comparison;
use super::csv;
use super::guest::{Lines, Measured, Said};
use super::ids::{Id, Source};
use super::machine;
use super::peer::{self, measured};
use super::peers;
use super::publish;
use super::report;
use super::results::Results;
use super::ring0;
use super::stats::Counts;
use super::table::Table;
use super::volume;
use crate::exec;
use crate::instances::Demultiplexer;
use crate::progress::note;
use crate::qemu::{Emulator, Options};
use crate::run::{self, Booted};
use crate::status::Status;
use crate::system::System;

/// Ids that one boot measures at most, where they are words of a command line.
const ONE_BOOT: usize = 60;
/// Boots of the default system for `boot.prompt`.
const BOOTS: usize = 3;

/// A run under way.
struct Suite {
    clock: Clock,
    samples: usize,
    boots: usize,
    options: Options,
    folder: PathBuf,
    results: Results,
    table: Table,
    /// Ids that were wanted and not measured.
    failures: usize,
    /// What runs counts core cycles.
    counts_cycles: bool,
}

/// What `cargo bench` does.
///
/// # Errors
/// Whatever keeps the suite from going on; results so far are in the file.
pub fn run(arguments: &Arguments) -> Result<Status> {
    let ids = arguments.ids()?;
    if ids.is_empty() {
        // Only the web servers of a peer are wanted.
        return Ok(Status::Success);
    }
    // What cannot be compared with is told before anything boots.
    let old = arguments
        .compare
        .as_deref()
        .map(|file| Results::load(&here(file)));
    let old = old.transpose()?;
    let (results, mut status) = collect(arguments, &ids)?;
    if let Some(old) = &old {
        let comparison = Comparison::new(old, &results);
        println!("{comparison}");
        if !comparison.regressions().is_empty() {
            status = Status::CommandFailed;
        }
    }
    if arguments.publish && status == Status::Success {
        publish::publish(&results)?;
        note(&format!(
            "README.md, {} and {}",
            publish::CHAPTER,
            publish::BASELINE
        ));
    }
    let folder = arguments.folder();
    note(&format!(
        "results.json, results.csv and report.html in {}",
        folder.display()
    ));
    Ok(status)
}

/// Measures `ids`, printing rows as they come, and writes the files, also those of a run that an error ended.
///
/// # Errors
/// As [`run`].
pub fn collect(arguments: &Arguments, ids: &[&'static Id]) -> Result<(Results, Status)> {
    let options = machine::options(arguments)?;
    let results = Results::new(machine::describe(&options, arguments.clock)?);
    // An unwritable folder is told before an hour is spent.
    results.save(&arguments.folder())?;
    let mut suite = Suite {
        clock: arguments.clock,
        samples: arguments.samples(),
        boots: if arguments.quick { 1 } else { BOOTS },
        options,
        folder: arguments.folder(),
        results,
        table: Table::new(ids.len(), arguments.clock, peers::known()?),
        failures: 0,
        counts_cycles: false,
    };
    let measured = suite.all(ids);
    suite.table.clear();
    csv::save(&suite.results, &suite.folder)?;
    report::save(&suite.results, &suite.folder)?;
    measured?;
    suite.table.end();
    let status = if suite.failures == 0 {
        Status::Success
    } else {
        Status::CommandFailed
    };
    Ok((suite.results, status))
}

impl Suite {
    /// One source after the other.
    fn all(&mut self, ids: &[&'static Id]) -> Result<()> {
        for source in [
            Source::Limits,
            Source::Crossings,
            Source::Trace,
            Source::Call,
            Source::Trap,
            Source::Reads,
            Source::Frames,
            Source::Files,
            Source::Section,
            Source::Boot,
            Source::File,
            Source::Exits,
            Source::Switches,
            Source::Instance,
            Source::Channel,
            Source::Linux,
        ] {
            let ids: Vec<_> = ids
                .iter()
                .copied()
                .filter(|id| id.source == source)
                .collect();
            if !ids.is_empty() {
                self.measure(source, &ids)?;
            }
        }
        Ok(())
    }

    fn measure(&mut self, source: Source, ids: &[&'static Id]) -> Result<()> {
        match source {
            Source::Crossings => self.crossings("bench", ids),
            Source::Section => self.crossings("section", ids),
            Source::Exits | Source::Switches | Source::Instance | Source::Channel => {
                self.above_shim(source, ids)
            }
            Source::Call => self.with_null_disk(ids, |suite, ids| suite.ring0("library-os", ids)),
            Source::Trap => self.with_null_disk(ids, |suite, ids| suite.ring0("monolith", ids)),
            Source::Reads => self.with_null_disk(ids, |suite, ids| suite.crossings("reads", ids)),
            Source::Frames => self.with_null_disk(ids, |suite, ids| suite.crossings("frames", ids)),
            Source::Files => {
                let disk = volume::make()?;
                self.options.disks = vec![disk.path().into()];
                let measured = self.crossings("reads", ids);
                self.options.disks.clear();
                measured
            }
            Source::Limits => self.limits(ids),
            Source::Trace => self.trace(ids),
            Source::Boot => self.boots(ids),
            Source::File => self.file(ids),
            Source::Linux => {
                let measured = self.linux(ids);
                measured.context("no Linux peer; the results so far are kept")
            }
        }
    }

    /// Boots a Linux whose first program measures.
    fn linux(&mut self, ids: &[&'static Id]) -> Result<()> {
        self.boot_linux(ids)?;
        // Its processor asks while its disk works, so a busy host is in the figures: what was refused is measured once more.
        let other = self.results.other(peer::LINUX, "");
        let measured = |id: &Id| other.results.iter().any(|row| row.id == id.name);
        let refused: Vec<_> = ids.iter().copied().filter(|id| !measured(id)).collect();
        if !refused.is_empty() {
            self.failures -= refused.len();
            self.boot_linux(&refused)?;
        }
        Ok(())
    }

    fn boot_linux(&mut self, ids: &[&'static Id]) -> Result<()> {
        self.table.doing("making a Linux");
        let linux = measured::Measured::new()?;
        self.results.other(peer::LINUX, &linux.source());
        let nonce = exec::nonce();
        let booted = linux.boot(&self.options, &nonce, self.samples, ids)?;
        self.listen(peer::LINUX, booted, &nonce, ids)
    }

    /// Boots the kernel with the measuring program.
    fn crossings(&mut self, system: &str, ids: &[&'static Id]) -> Result<()> {
        self.measuring(system, Ok, ids)
    }

    /// The same, with the system changed, or as a part of another one.
    fn measuring(
        &mut self,
        system: &str,
        place: impl Fn(System) -> Result<System>,
        ids: &[&'static Id],
    ) -> Result<()> {
        let mut system = System::load(system)?;
        let nonce = exec::nonce();
        let program = system.program("crossings").context("no `crossings`")?;
        program.args = vec!["measure".into(), nonce.clone(), self.samples.to_string()];
        let names = ids.iter().map(|id| id.name.to_string());
        program.args.extend(names);
        self.guest(&place(system)?, &nonce, &[], ids)
    }

    /// Measures with a disk that has no more to do than to answer (Bochs has none).
    fn with_null_disk(
        &mut self,
        ids: &[&'static Id],
        measure: impl Fn(&mut Suite, &[&'static Id]) -> Result<()>,
    ) -> Result<()> {
        self.options.null_disk = self.options.emulator == Emulator::Qemu;
        // A command line has room for so many.
        let measured = ids.chunks(ONE_BOOT).try_for_each(|ids| measure(self, ids));
        self.options.null_disk = false;
        measured
    }

    /// Boots the limits in the kernel's place, which measures all it has.
    fn limits(&mut self, ids: &[&'static Id]) -> Result<()> {
        self.in_kernels_place(&System::load("limits")?, "", &[], ids)
    }

    /// Boots drivers at ring 0 in the kernel's place.
    fn ring0(&mut self, system: &str, ids: &[&'static Id]) -> Result<()> {
        let machine = match self.options.emulator {
            Emulator::Qemu => ring0::machine(None)?,
            Emulator::Bochs => ring0::Machine::default(),
        };
        let names = ids.iter().map(|id| format!(" {}", id.name));
        let words = machine.words.clone() + &names.collect::<String>();
        self.in_kernels_place(&System::load(system)?, &words, &machine.arguments, ids)
    }

    /// Boots a system with a command line (nonce, samples, and what else it wants) and arguments for QEMU.
    fn in_kernels_place(
        &mut self,
        system: &System,
        words: &str,
        arguments: &[OsString],
        ids: &[&'static Id],
    ) -> Result<()> {
        let nonce = exec::nonce();
        self.options.append = format!("{nonce} {} {words}", self.samples);
        let measured = self.guest(system, &nonce, arguments, ids);
        self.options.append.clear();
        measured
    }

    /// Boots a bench system and takes what it says.
    fn guest(
        &mut self,
        system: &System,
        nonce: &str,
        more: &[OsString],
        ids: &[&'static Id],
    ) -> Result<()> {
        let name = &system.manifest.name;
        self.table.doing(&format!("booting system {name}"));
        let mut options = self.options.clone();
        // Above the shim kernels let nobody read counters.
        if self.clock == Clock::Time && system.instances.is_empty() {
            options.append = format!("{} {}", options.append, cycles::WORD);
        }
        let booted = run::boot_with(&options, system, more)?;
        self.listen(name, booted, nonce, ids)
    }

    /// Takes what a system says that has just been started, to its end.
    fn listen(
        &mut self,
        name: &str,
        mut booted: Booted,
        nonce: &str,
        ids: &[&'static Id],
    ) -> Result<()> {
        let Booted {
            machine, symbols, ..
        } = &mut booted;
        let mut lines = Lines::new(nonce);
        // Above the shim the first instance measures; elsewhere nobody says who speaks.
        let (mut line, primary) = (Demultiplexer::default(), 0);
        let mut left: Vec<_> = ids.to_vec();
        let mut ended = false;
        let outcome = run::attend(machine, &self.options.clone(), &mut |bytes| {
            let mut own = Vec::with_capacity(bytes.len());
            line.feed(bytes, |source, byte| {
                own.extend((source == primary).then_some(byte))
            });
            for said in lines.feed(&own) {
                match said {
                    Ok(Said::End) => ended = true,
                    Ok(Said::Ready) => {}
                    Ok(Said::Cycles) => self.cycles(),
                    Ok(Said::Result(measured)) => {
                        if let Some(id) = take(&mut left, &measured.id) {
                            self.row(id, &measured).map_err(std::io::Error::other)?;
                        }
                    }
                    Ok(Said::Failed(name, reason)) => {
                        if let Some(id) = take(&mut left, &name) {
                            self.failed(id, &reason);
                        }
                    }
                    Ok(Said::Absent(name, why)) => {
                        if let Some(id) = take(&mut left, &name) {
                            self.absent(id, why);
                        }
                    }
                    Err(line) => {
                        return Err(std::io::Error::other(format!("damaged line: {line}")));
                    }
                }
            }
            if let Some(next) = left.first() {
                self.table.doing(next.name);
            }
            Ok(())
        })?;
        self.counts_cycles = false;
        if outcome.status != Status::Success || !ended || !left.is_empty() {
            self.table.clear();
            let why = outcome
                .explanation
                .unwrap_or_else(|| "it ended early".into());
            eprintln!("--- the log\n{}---", symbols.annotate(&outcome.log));
            bail!(
                "the bench system {name} did not measure {}: {why}; results so far are kept",
                left.first().map_or("all", |id| id.name)
            );
        }
        Ok(())
    }
}

/// Something counted outside the guest, where there is no clock to read.
fn counted(id: &Id, counts: Counts) -> Measured {
    Measured {
        id: id.name.into(),
        batch: 1,
        overhead: 0,
        counts,
    }
}

/// Takes the id of that name out of the list.
fn take(left: &mut Vec<&'static Id>, name: &str) -> Option<&'static Id> {
    let index = left.iter().position(|id| id.name == name)?;
    Some(left.remove(index))
}
