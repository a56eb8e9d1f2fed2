//! Comparing a run with what it must not exceed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::cli::Clock;
use super::ids;
use super::results::Results;

/// Highest median of each id, on the instruction clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits(BTreeMap<String, u64>);

impl Limits {
    /// Reads a TOML file of lines `"id" = highest`.
    ///
    /// # Errors
    /// It cannot be read, or names an id that does not exist.
    pub fn load(file: &Path) -> Result<Limits> {
        let name = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        let limits: BTreeMap<String, u64> =
            toml::from_str(&text).with_context(|| format!("{name} is not a file of limits"))?;
        for id in limits.keys() {
            ensure!(ids::find(id).is_some(), "{name}: there is no id `{id}`");
        }
        Ok(Limits(limits))
    }

    /// The bound of an id.
    pub fn of(&self, id: &str) -> Option<u64> {
        self.0.get(id).copied()
    }

    /// What is above its limit or was not measured, one sentence each.
    pub fn complaints(&self, results: &Results) -> Vec<String> {
        let complaint = |(id, highest): (&String, &u64)| {
            let row = results
                .results
                .iter()
                .find(|row| row.id == *id && row.clock == Clock::Instructions);
            match row {
                None => Some(format!("{id} was not measured")),
                Some(row) if row.summary.median > *highest => Some(format!(
                    "{id} is {}, and must not be above {highest}",
                    row.summary.median
                )),
                Some(_) => None,
            }
        };
        self.0.iter().filter_map(complaint).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::guest::Measured;
    use super::super::results::{Machine, Row};
    use super::super::stats::Counts;
    use super::*;

    #[test]
    fn the_file_of_the_project_is_sound() {
        let file = crate::paths::root().join("tests/bench-limits.toml");
        Limits::load(&file).expect("every id in it exists");
    }

    #[test]
    fn what_is_above_or_missing_is_named() {
        let mut results = Results::new(Machine::default());
        for (name, value) in [("trap.null", 25), ("ipc.roundtrip.cross.0", 111)] {
            let id = ids::find(name).expect("it is there");
            let measured = Measured {
                id: name.into(),
                batch: 1,
                overhead: 0,
                counts: Counts::one(value),
            };
            let row = Row::new(id, Clock::Instructions, &measured);
            results.results.push(row.expect("it is plausible"));
        }
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("limits.toml");
        let text = "\"trap.null\" = 25\n\"ipc.roundtrip.cross.0\" = 110\n\"thread.life\" = 1\n";
        std::fs::write(&file, text).expect("it can be written");
        let limits = Limits::load(&file).expect("it is sound");
        assert_eq!(
            limits.complaints(&results),
            [
                "ipc.roundtrip.cross.0 is 111, and must not be above 110",
                "thread.life was not measured"
            ]
        );
        std::fs::write(&file, "nothing = 1\n").expect("it can be written");
        assert!(Limits::load(&file).is_err());
    }
}
