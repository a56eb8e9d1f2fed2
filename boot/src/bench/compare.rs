//! `--compare OLD.json`: what changed since an earlier run, and the gate: no row may have become dearer.

use std::fmt;

use super::cli::Clock;
use super::results::{Results, Row};

/// Hundredths that a median of the instruction clock may grow, or differ between two runs of one system: none at all where no
/// device has a part, as tests see to.
pub const TOLERANCE: f64 = 2.0;

/// A row that both runs have, with another median.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub id: String,
    /// Median in the earlier run.
    pub old: u64,
    /// Median now.
    pub new: u64,
    /// It must not have grown like this.
    pub regression: bool,
}

/// Two runs beside each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Rows with another median, in the order of the new run.
    pub changes: Vec<Change>,
    /// Rows with the same.
    pub same: usize,
    /// Rows that only one of them has.
    pub alone: usize,
    /// Why nothing is a regression, whatever it says.
    pub ungated: Option<String>,
}

impl Comparison {
    /// Compares medians. The gate holds for the instruction clock, one compiler, one emulator and one processor model.
    pub fn new(old: &Results, new: &Results) -> Comparison {
        let about = |results: &Results| {
            let machine = &results.machine;
            let (compiler, emulator, cpu) = (&machine.compiler, &machine.emulator, &machine.cpu);
            format!("compiled by {compiler} and run by {emulator} as CPU {cpu}")
        };
        let (before, now) = (about(old), about(new));
        let ungated = (before != now)
            .then(|| format!("no gate: the earlier run's guest was {before}, this one's {now}"));
        let mut comparison = Comparison {
            changes: Vec::new(),
            same: 0,
            alone: 0,
            ungated,
        };
        for row in &new.results {
            let same = |other: &&Row| (&other.id, other.clock) == (&row.id, row.clock);
            let Some(earlier) = old.results.iter().find(same) else {
                comparison.alone += 1;
                continue;
            };
            let (old, new) = (earlier.summary.median, row.summary.median);
            if old == new {
                comparison.same += 1;
                continue;
            }
            let gated = row.clock == Clock::Instructions && comparison.ungated.is_none();
            comparison.changes.push(Change {
                id: row.id.clone(),
                old,
                new,
                regression: gated && new as f64 > old as f64 * (1.0 + TOLERANCE / 100.0),
            });
        }
        comparison.alone += old.results.len() - comparison.same - comparison.changes.len();
        comparison
    }

    /// Rows that must not have grown so much.
    pub fn regressions(&self) -> Vec<&Change> {
        self.changes
            .iter()
            .filter(|change| change.regression)
            .collect()
    }
}

impl fmt::Display for Change {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let percent = (self.new as f64 / (self.old as f64).max(1.0) - 1.0) * 100.0;
        let regression = if self.regression { "  regression" } else { "" };
        let Change { id, old, new, .. } = self;
        write!(
            to,
            "{id:<36} {old:>11} {new:>11} {percent:>+8.1} %{regression}"
        )
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        for change in &self.changes {
            writeln!(to, "{change}")?;
        }
        let Comparison {
            changes,
            same,
            alone,
            ungated,
        } = self;
        write!(
            to,
            "{} changed, {same} the same, {alone} in one run only",
            changes.len()
        )?;
        match ungated {
            Some(why) => write!(to, "; {why}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::results;
    use super::*;

    #[test]
    fn more_than_two_hundredths_are_a_regression_for_the_same_compiler() {
        let old = results([("a", 1000), ("b", 1000), ("c", 20), ("d", 7), ("gone", 1)]);
        let mut new = results([("a", 1020), ("b", 1021), ("c", 19), ("d", 7), ("came", 1)]);
        let comparison = Comparison::new(&old, &new);
        let regressions = |comparison: &Comparison| -> Vec<String> {
            comparison
                .regressions()
                .iter()
                .map(|change| change.id.clone())
                .collect()
        };
        assert_eq!(regressions(&comparison), ["b"]);
        assert_eq!(
            (comparison.changes.len(), comparison.same, comparison.alone),
            (3, 1, 2)
        );
        let text = comparison.to_string();
        assert!(
            text.contains("+2.1 %  regression") && text.contains("-5.0 %\n"),
            "{text}"
        );

        new.machine.compiler = "another".into();
        let comparison = Comparison::new(&old, &new);
        assert_eq!(regressions(&comparison), [""; 0]);
        assert!(comparison.to_string().contains("no gate"));

        let mut time = (old.clone(), results([("b", 1021)]));
        (time.0.results[1].clock, time.1.results[0].clock) = (Clock::Time, Clock::Time);
        let comparison = Comparison::new(&time.0, &time.1);
        assert_eq!(
            (comparison.changes.len(), regressions(&comparison).len()),
            (1, 0)
        );
    }
}
