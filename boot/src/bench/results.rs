//! `results.json`. Its schema is stable; other systems' figures can be written in it too.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::cli::Clock;
use super::guest::Measured;
use super::ids::Id;
use super::stats::Summary;
use crate::paths;

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
    /// What a person should know beside the figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Row {
    /// The row of `id`.
    ///
    /// # Errors
    /// There are no samples, or they spread as they cannot on this clock.
    pub fn new(id: &Id, clock: Clock, measured: &Measured) -> Result<Row> {
        let summary = measured.counts.summary().context("it gave no samples")?;
        let strict = clock == Clock::Instructions && !id.device;
        ensure!(
            !strict || measured.counts.is_plausible(),
            "refused: an instruction count cannot spread like this (min {}, median {}, p99 {}, max {})",
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
            note: None,
        })
    }
}

impl Results {
    /// Nothing measured yet.
    pub fn new(machine: Machine) -> Results {
        Results {
            schema: SCHEMA,
            machine,
            results: Vec::new(),
        }
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
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        paths::write(&file, text.as_bytes())?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ids, stats::Counts};
    use super::*;

    fn measured(values: &[(u64, u64)]) -> Measured {
        let mut counts = Counts::default();
        values
            .iter()
            .for_each(|(value, count)| counts.add(*value, *count));
        Measured {
            id: "trap.null".into(),
            batch: 16,
            overhead: 7,
            counts,
        }
    }

    #[test]
    fn the_file_comes_back_and_has_the_schemas_fields() {
        let id = ids::find("trap.null").expect("it is there");
        let machine = Machine {
            emulator: "QEMU".into(),
            version: "7.2".into(),
            cpu: "max".into(),
            accelerator: "tcg".into(),
            tick: "instruction".into(),
            compiler: "rustc".into(),
            host: "some".into(),
        };
        let mut results = Results::new(machine);
        let row = Row::new(id, Clock::Instructions, &measured(&[(23, 10)]));
        results.results.push(row.expect("it is plausible"));
        let folder = tempfile::tempdir().expect("a folder");
        let file = results
            .save(&folder.path().join("new"))
            .expect("it can be written");
        assert_eq!(Results::load(&file).expect("it can be read"), results);
        let text = std::fs::read_to_string(&file).expect("it can be read");
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let row = &value["results"][0];
        for field in ["n", "min", "median", "p99", "max", "overhead"] {
            assert!(row[field].is_u64(), "{field} in {text}");
        }
        assert_eq!(
            (&value["schema"], &row["clock"]),
            (&1.into(), &"instructions".into())
        );
        std::fs::write(&file, text.replace("\"schema\": 1", "\"schema\": 2"))
            .expect("it can be written");
        assert!(Results::load(&file).is_err());
    }

    #[test]
    fn an_implausible_spread_is_refused() {
        let id = ids::find("trap.null").expect("it is there");
        let wild = measured(&[(20, 10), (40, 10)]);
        let error = Row::new(id, Clock::Instructions, &wild)
            .unwrap_err()
            .to_string();
        assert!(error.contains("refused"), "{error}");
        assert!(Row::new(id, Clock::Time, &wild).is_ok());
        assert!(Row::new(id, Clock::Time, &measured(&[])).is_err());
    }
}
