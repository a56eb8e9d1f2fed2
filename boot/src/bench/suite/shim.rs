//! What is measured above the hypervisor shim.

use anyhow::{Context, Result, ensure};

use super::super::guest::Measured;
use super::super::ids::{Id, Source};
use super::super::stats::Counts;
use super::{Suite, counted};
use crate::run;
use crate::status::Status;
use crate::system::System;

/// The system with two instances, between which there is a channel.
const TWO: &str = "vms2";
/// How often the shim is asked for its latest switches, one to each instance.
const ASKED: usize = 20;
/// The instance whose bridge measures the channel, and how many round trips: the channel is up in less time than [`UP`].
const IMPORTER: u8 = 1;
const ROUND_TRIPS: usize = 200;
const UP: &str = "sleep 3";

/// A system as the only instance above the shim: another would have turns of its own.
///
/// # Errors
/// As [`System::load`].
fn alone(system: System) -> Result<System> {
    let mut above = System::load(TWO)?;
    above.manifest.instances.truncate(1);
    above.manifest.channels.clear();
    above.instances = vec![system];
    Ok(above)
}

impl Suite {
    /// Measures what needs a processor with virtualization, if this is one.
    pub(super) fn above_shim(&mut self, source: Source, ids: &[&'static Id]) -> Result<()> {
        if !self.has_virtualization()? {
            let why = "this processor has no AMD-V, and no VT-x";
            ids.iter().for_each(|id| self.absent(id, why.into()));
            return Ok(());
        }
        match source {
            Source::Exits => self.exits(ids),
            Source::Switches => self.switches(ids),
            Source::Channel => self.channel(ids),
            _ => self.measuring("bench", alone, ids),
        }
    }

    /// Whether the shim starts a guest: of a model that the person has chosen, it is tried.
    fn has_virtualization(&self) -> Result<bool> {
        if self.options.cpu.is_none() {
            return Ok(true);
        }
        let mut options = self.options.clone();
        options.append = "try 1 measure".into();
        let mut booted = run::boot(&options, &alone(System::load("hostile")?)?)?;
        let outcome = run::attend(&mut booted.machine, &options, &mut |_| Ok(()))?;
        Ok(outcome.status == Status::Success)
    }

    /// Boots a kernel above the shim that measures what stops it.
    fn exits(&mut self, ids: &[&'static Id]) -> Result<()> {
        let system = alone(System::load("hostile")?)?;
        self.in_kernels_place(&system, "measure", &[], ids)
    }

    /// What switches from one instance to another took: `vm list` at the shell of the one that may ask.
    fn switches(&mut self, ids: &[&'static Id]) -> Result<()> {
        // Time for turns of both.
        let asked = ["sleep 0.05".to_string(), "vm list".to_string()];
        let commands = std::iter::repeat_n(asked, ASKED).flatten().collect();
        let tables = self.two(System::load(TWO)?, commands)?;
        let counts = last_columns(&tables).context("`vm list` does not say what a switch took")?;
        for id in ids {
            self.row(id, &counted(id, counts.clone()))?;
        }
        Ok(())
    }

    /// What a message to the neighbour's bridge and back takes: its log says it.
    fn channel(&mut self, ids: &[&'static Id]) -> Result<()> {
        let mut system = System::load(TWO)?;
        system.choose(Some(IMPORTER))?;
        let instance = &mut system.instances[usize::from(IMPORTER)];
        let bridge = instance.program("bridge").context("it has no `bridge`")?;
        let words = ["measure".into(), ROUND_TRIPS.to_string()];
        bridge.args.splice(0..0, words);
        let log = self.two(system, [UP, "dmesg"].map(String::from).into())?;
        for id in ids {
            let counts = said(&log, id.name).context("the bridge does not say what it measured")?;
            let measured = Measured {
                id: id.name.into(),
                batch: 1,
                overhead: 0,
                counts,
            };
            self.row(id, &measured)?;
        }
        Ok(())
    }

    /// What these commands print at the shell of one of two instances.
    fn two(&mut self, system: System, commands: Vec<String>) -> Result<String> {
        self.table.doing("booting two instances");
        let mut options = self.options.clone();
        options.exec = commands;
        let (outcome, symbols) = run::execute(&options, &system, |_| Ok(()), &mut |_| Ok(()))?;
        if outcome.status != Status::Success {
            self.table.clear();
            eprintln!("--- the log\n{}---", symbols.annotate(&outcome.log));
        }
        ensure!(
            outcome.status == Status::Success,
            "two instances do not do what they should; results so far are kept"
        );
        Ok(outcome.output)
    }
}

/// The samples of a line `result ID BATCH TICKS*COUNT…` in a log.
fn said(log: &str, id: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    let line = log
        .lines()
        .find_map(|line| line.split_once(&format!("result {id} 1 ")))?;
    for sample in line.1.split_whitespace() {
        let (ticks, count) = sample.split_once('*')?;
        counts.add(ticks.parse().ok()?, count.parse().ok()?);
    }
    Some(counts)
}

/// The last columns of `vm list`'s tables. `None`: one is no number of ticks.
fn last_columns(tables: &str) -> Option<Counts> {
    let mut counts = Counts::default();
    for line in tables.lines() {
        match line.split_whitespace().last()? {
            "SWITCH" => {}
            ticks => counts.add(ticks.parse().ok().filter(|ticks| *ticks > 0)?, 1),
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_is_read() {
        let table = "VM STATE      MiB  RESTARTS        EXITS   SWITCH\n 0 running      96         0         4711      402\n";
        let twice = table.repeat(2) + " 1 running      64         0          815      404\n";
        let summary = last_columns(&twice).and_then(|counts| counts.summary());
        let summary = summary.map(|summary| (summary.n, summary.min, summary.max));
        assert_eq!(summary, Some((3, 402, 404)));
        assert!(last_columns("vm: this shell may not control instances\n").is_none());
        assert!(last_columns(&table.replace("402", "0")).is_none());
    }

    #[test]
    fn a_programs_line_in_the_log_is_read() {
        let log = "1.5 bridge: result vm.channel.roundtrip 1 700*2 900*1\n2.0 other\n";
        let summary = said(log, "vm.channel.roundtrip").and_then(|counts| counts.summary());
        assert_eq!(
            summary.map(|summary| (summary.n, summary.max)),
            Some((3, 900))
        );
        assert!(said(log, "vm.switch").is_none());
        assert!(said(&log.replace("900*1", "900"), "vm.channel.roundtrip").is_none());
    }
}
