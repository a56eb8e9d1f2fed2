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

    /// Samples that lie further than a share `near` from the median.
    pub fn outliers(&self, near: f64) -> u64 {
        let n: u64 = self.0.values().sum();
        let median = self.rank(n.div_ceil(2)).unwrap_or(0);
        let near = (median as f64 * near).max(1.0);
        let far = |(value, _): &(&u64, &u64)| value.abs_diff(median) as f64 > near;
        self.0.iter().filter(far).map(|(_, count)| count).sum()
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
        assert_eq!((counts.outliers(0.1), counts.outliers(1.0)), (89, 0));
        assert_eq!(
            Counts::one(7)
                .summary()
                .map(|s| (s.median, s.p99, s.stddev)),
            Some((7, 7, 0.0))
        );
    }
}
