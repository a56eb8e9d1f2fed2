//! `results.json`. Its schema is stable; other systems' figures can be written in it too.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::cli::Clock;
use super::guest::Measured;
use super::ids::Id;
use super::least;
use super::stats::Summary;
use crate::paths;

/// The unit of rows whose clock was a processor's counter of core cycles.
pub const CYCLES: &str = "core cycles";

/// Version of the schema.
pub const SCHEMA: u32 = 1;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What it was measured on.
    pub machine: Machine,
    /// The rows.
    pub results: Vec<Row>,
    /// What this processor cannot do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
    /// Other systems, measured in the same run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Other>,
}

/// Another system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Other {
    /// Its name.
    pub name: String,
    /// What it is, and how it was measured.
    pub source: String,
    /// The rows.
    pub results: Vec<Row>,
}

/// An id without a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// Its name.
    pub id: String,
    /// What the processor lacks.
    pub why: String,
}

/// What a run was measured on. Figures of the instruction clock are the same wherever emulator and compiler are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Name of the emulator.
    pub emulator: String,
    /// Its version.
    pub version: String,
    /// Its CPU model.
    pub cpu: String,
    /// What runs the guest's instructions: `tcg` or `kvm`.
    pub accelerator: String,
    /// What a tick is, in words.
    pub tick: String,
    /// What a core cycle is, in words, if some rows have counted them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles: Option<String>,
    /// Compiler of the guest.
    pub compiler: String,
    /// Processor of the host.
    pub host: String,
}

/// One id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub id: String,
    /// What was counted.
    pub clock: Clock,
    /// What one is: ticks of that clock, or bytes, or something else that is counted.
    pub unit: String,
    /// The figures, for one operation.
    #[serde(flatten)]
    pub summary: Summary,
    /// What reading the clock costs; subtracted from each sample.
    pub overhead: u64,
    /// Operations in each sample.
    pub batch: u64,
    /// Samples further from the median than [`Plausible`] ones: an interrupt struck them, or, on the time clock, the host.
    #[serde(default)]
    pub outliers: u64,
    /// The least that any system could do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Of another system's row: Postern's rows that do the same job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Limit>,
    /// What a person should know beside the figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What a row is compared with, measured in the same run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// The row that says it.
    pub id: String,
    /// How many times that must be done.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u64,
    /// Median of the row by the median of that one, so many times, to a hundredth.
    pub ratio: f64,
}

fn once() -> u64 {
    1
}

fn is_once(times: &u64) -> bool {
    *times == 1
}

/// How samples may spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plausible {
    /// Share of the median within which a sample is none that was struck.
    pub near: f64,
    /// One sample in so many may lie outside.
    pub one_in: u64,
}

impl Plausible {
    /// What a clock allows, without a device and with one.
    pub fn on(clock: Clock, device: bool) -> Plausible {
        let (near, one_in) = match (clock, device) {
            // Only interrupts make a difference.
            (Clock::Instructions, false) => (0.02, 20),
            // And when the device answers.
            (Clock::Instructions, true) => (0.25, 4),
            // And all that the host does.
            (Clock::Time, _) => (0.5, 4),
        };
        Plausible { near, one_in }
    }
}

impl Row {
    /// The row of `id`.
    ///
    /// # Errors
    /// There are no samples, or they spread as they cannot on this clock.
    pub fn new(id: &Id, clock: Clock, measured: &Measured) -> Result<Row> {
        let summary = measured.counts.summary().context("it gave no samples")?;
        let Plausible { near, one_in } = Plausible::on(clock, id.device);
        let outliers = measured.counts.outliers(near);
        ensure!(
            outliers * one_in <= summary.n,
            "refused: this clock ({}) cannot spread like this (min {}, median {}, p99 {}, max {})",
            clock.name(),
            summary.min,
            summary.median,
            summary.p99,
            summary.max
        );
        Ok(Row {
            id: id.name.into(),
            clock,
            unit: id.unit.into(),
            summary,
            overhead: measured.overhead,
            batch: measured.batch,
            outliers,
            limit: None,
            beside: Vec::new(),
            note: None,
        })
    }

    /// Whether instructions were counted.
    pub fn is_instructions(&self) -> bool {
        self.clock == Clock::Instructions
    }

    /// The same row, in core cycles if a counter of them was the clock.
    pub fn in_cycles(mut self, counted: bool) -> Row {
        if counted && self.unit == "ticks" {
            self.unit = CYCLES.into();
        }
        self
    }

    /// What was counted, for a person.
    pub fn what(&self) -> &str {
        match self.unit.as_str() {
            "ticks" => self.clock.name(),
            unit => unit,
        }
    }
}

impl Results {
    /// Nothing measured yet.
    pub fn new(machine: Machine) -> Results {
        Results {
            schema: SCHEMA,
            machine,
            results: Vec::new(),
            absent: Vec::new(),
            others: Vec::new(),
        }
    }

    /// The row of that name.
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.results.iter().find(|row| row.id == id)
    }

    /// Adds a row, and says beside each what its limit is, as far as that is measured.
    pub fn add(&mut self, row: Row) {
        self.results.push(row);
        let limit = |row: &Row| {
            let (id, times) = least::of(&row.id).ok()?;
            self.compared(row, &id, times)
        };
        let limits: Vec<_> = self.results.iter().map(limit).collect();
        for (row, limit) in self.results.iter_mut().zip(limits) {
            row.limit = limit;
        }
    }

    /// A row beside that of a name, so many times, if that is measured.
    fn compared(&self, row: &Row, id: &str, times: u64) -> Option<Limit> {
        // Core cycles and anything else are not comparable.
        let in_cycles = |row: &Row| row.unit == CYCLES;
        let other = self.row(id)?;
        if in_cycles(other) != in_cycles(row) {
            return None;
        }
        let other = other.summary.median * times;
        let ratio = row.summary.median as f64 / other.max(1) as f64;
        let ratio = (ratio * 100.0).round() / 100.0;
        let id = id.into();
        Some(Limit { id, times, ratio })
    }

    /// The system of that name, which is measured in this run.
    pub fn other(&mut self, name: &str, source: &str) -> &mut Other {
        let known = self.others.iter().position(|other| other.name == name);
        let index = known.unwrap_or(self.others.len());
        if known.is_none() {
            self.others.push(Other {
                name: name.into(),
                source: source.into(),
                results: Vec::new(),
            });
        }
        &mut self.others[index]
    }

    /// A row of another system, with Postern's rows of these names beside it, as far as they are measured.
    pub fn set_beside(&self, row: &mut Row, ids: &[&str]) {
        let beside = ids.iter().filter_map(|id| self.compared(row, id, 1));
        row.beside = beside.collect();
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is of another schema.
    pub fn load(file: &Path) -> Result<Results> {
        let name = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        let results: Results = serde_json::from_str(&text)
            .with_context(|| format!("{name} is not a results.json of schema {SCHEMA}"))?;
        ensure!(
            results.schema == SCHEMA,
            "{name} has schema {}, not {SCHEMA}",
            results.schema
        );
        Ok(results)
    }

    /// Writes `results.json` in `folder`, which is created if missing.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, folder: &Path) -> Result<PathBuf> {
        let file = paths::folder(folder.to_path_buf())?.join("results.json");
        paths::write(&file, self.text()?.as_bytes())?;
        Ok(file)
    }

    /// The file's content.
    ///
    /// # Errors
    /// None is.
    pub fn text(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

#[cfg(test)]
pub(super) mod tests;
