//! From samples to the figures of a row.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Samples: how often each value was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<u64, u64>);

/// The figures of a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Samples.
    pub n: u64,
    /// Least.
    pub min: u64,
    /// Middle one (the lower of two).
    pub median: u64,
    /// 99 of 100 are not above it (nearest rank).
    pub p99: u64,
    /// Greatest.
    pub max: u64,
    /// Standard deviation, to a thousandth.
    pub stddev: f64,
}

impl Counts {
    /// Adds a value seen `count` times.
    pub fn add(&mut self, value: u64, count: u64) {
        *self.0.entry(value).or_insert(0) += count;
    }

    /// A single value.
    pub fn one(value: u64) -> Counts {
        let mut counts = Counts::default();
        counts.add(value, 1);
        counts
    }

    /// The figures; `None` without samples.
    pub fn summary(&self) -> Option<Summary> {
        let n: u64 = self.0.values().sum();
        let (min, max) = (*self.0.keys().next()?, *self.0.keys().next_back()?);
        let mean = self.mean(n, |value| value);
        let variance = self.mean(n, |value| (value - mean).powi(2));
        Some(Summary {
            n,
            min,
            median: self.rank(n.div_ceil(2))?,
            p99: self.rank((n * 99).div_ceil(100))?,
            max,
            stddev: (variance.sqrt() * 1000.0).round() / 1000.0,
        })
    }

    /// Whether samples of the instruction clock may spread like this when no device has a part in them: all but 1 in 20
    /// (those that an interrupt struck) lie within 2% of the median.
    pub fn is_plausible(&self) -> bool {
        let n: u64 = self.0.values().sum();
        let median = self.rank(n.div_ceil(2)).unwrap_or(0);
        let near = (median / 50).max(1);
        let far = self
            .0
            .iter()
            .filter(|(value, _)| value.abs_diff(median) > near);
        far.map(|(_, count)| count).sum::<u64>() * 20 <= n
    }

    fn mean(&self, n: u64, of: impl Fn(f64) -> f64) -> f64 {
        let weighted = self
            .0
            .iter()
            .map(|(value, count)| of(*value as f64) * *count as f64);
        weighted.sum::<f64>() / n as f64
    }

    /// The `rank`-th smallest, from 1 on.
    fn rank(&self, rank: u64) -> Option<u64> {
        let mut seen = 0;
        self.0.iter().find_map(|(value, count)| {
            seen += count;
            (seen >= rank).then_some(*value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        let mut counts = Counts::default();
        assert_eq!(counts.summary(), None);
        (1..=100).for_each(|value| counts.add(value, 1));
        let summary = counts.summary().expect("there are samples");
        assert_eq!(
            (
                summary.n,
                summary.min,
                summary.median,
                summary.p99,
                summary.max
            ),
            (100, 1, 50, 99, 100)
        );
        assert_eq!(summary.stddev, 28.866);
        assert!(!counts.is_plausible());
        assert_eq!(
            Counts::one(7)
                .summary()
                .map(|s| (s.median, s.p99, s.stddev)),
            Some((7, 7, 0.0))
        );
    }

    #[test]
    fn one_in_twenty_may_be_struck_by_an_interrupt() {
        let mut counts = Counts::default();
        counts.add(110, 95);
        counts.add(900, 5);
        assert!(counts.is_plausible());
        counts.add(20, 1);
        assert!(!counts.is_plausible());
    }
}
