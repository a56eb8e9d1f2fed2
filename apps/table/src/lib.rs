//! A table for a person at a screen of 80 characters, where no host tool is at the other end: the columns of `cargo bench`. It needs
//! no memory but that of the samples, so that what runs in a kernel's place can print it.
#![no_std]
#![forbid(unsafe_code)]

use core::fmt::{self, Display};

/// The first word of a command line, in place of the host tool's nonce, that asks for the table.
pub const WORD: &str = "table";

/// What a tick is, if it is one of the time stamp counter, and if core cycles were counted.
pub const TICKS: &str =
    "Ticks of the time stamp counter: instructions, if an emulator counts them.";
/// See [`TICKS`].
pub const CYCLES: &str = "Core cycles, counted by the processor's fixed counter 1.";

/// The first line.
pub const HEADING: &str =
    "id                            min   median      p99       max    stddev     n";

/// Least, middle one (the lower of two), 99 of 100 not above it, greatest, standard deviation in thousandths, number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    min: u64,
    median: u64,
    p99: u64,
    max: u64,
    stddev: u64,
    n: usize,
}

/// Why samples have no figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There are none.
    Nothing,
    /// More than one in four are further from the median than half of it: more is going on than what is measured.
    Spread {
        /// The least.
        min: u64,
        /// The middle one.
        median: u64,
        /// The greatest.
        max: u64,
    },
}

impl Figures {
    /// Those of samples, which are sorted by it.
    ///
    /// # Errors
    /// There are none, or they spread too far.
    pub fn of(ticks: &mut [u64]) -> Result<Self, Refusal> {
        ticks.sort_unstable();
        let (Some(&min), Some(&max)) = (ticks.first(), ticks.last()) else {
            return Err(Refusal::Nothing);
        };
        let count = ticks.len();
        let median = ticks[count.div_ceil(2) - 1];
        let far = |tick: &&u64| tick.abs_diff(median) > (median / 2).max(1);
        if ticks.iter().filter(far).count() * 4 > count {
            return Err(Refusal::Spread { min, median, max });
        }
        let sum: u128 = ticks.iter().map(|tick| u128::from(*tick)).sum();
        let squares: u128 = ticks.iter().map(|tick| u128::from(*tick).pow(2)).sum();
        let (n, spread) = (count as u128, squares * count as u128 - sum * sum);
        // In thousandths, rounded: half of the root of four times the square.
        let stddev = (4_000_000 * spread / (n * n)).isqrt().div_ceil(2);
        Ok(Self {
            min,
            median,
            p99: ticks[(count * 99).div_ceil(100) - 1],
            max,
            stddev: stddev as u64,
            n: count,
        })
    }
}

impl Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            min,
            median,
            p99,
            max,
            stddev,
            n,
        } = self;
        let (whole, part) = (stddev / 1000, stddev % 1000);
        write!(
            f,
            "{min:>8} {median:>8} {p99:>8} {max:>9} {whole:>5}.{part:03} {n:>5}"
        )
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("it gave no samples"),
            Self::Spread { min, median, max } => {
                write!(f, "refused: it spreads from {min} to {max} around {median}")
            }
        }
    }
}

/// The line of an id: its figures, or why there are none.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a, T>(pub &'a str, pub T);

impl<T: Display> Display for Line<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(id, what) = self;
        write!(f, "{id:<24} {what}")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;
    use std::vec::Vec;

    fn figures(ticks: impl IntoIterator<Item = u64>) -> Result<Figures, Refusal> {
        Figures::of(&mut ticks.into_iter().collect::<Vec<_>>())
    }

    fn words(figures: Figures) -> Vec<std::string::String> {
        let line = format!("{figures}");
        line.split_whitespace().map(Into::into).collect()
    }

    #[test]
    fn figures_are_those_of_the_host_tool() {
        // `boot/src/bench/stats.rs` has the same.
        let hundred = figures(1_000_001..=1_000_100).expect("it is plausible");
        assert_eq!(
            words(hundred),
            ["1000001", "1000050", "1000099", "1000100", "28.866", "100"]
        );
        let one = figures([7]).expect("it is plausible");
        assert_eq!(words(one), ["7", "7", "7", "7", "0.000", "1"]);
        assert_eq!(figures([]), Err(Refusal::Nothing));
        assert!(figures((0..8).map(|at| if at < 2 { 900 } else { 100 })).is_ok());
        assert!(figures((0..8).map(|at| if at < 3 { 900 } else { 100 })).is_err());
    }

    #[test]
    fn a_line_fits_a_screen() {
        let figures = figures([9_999_999; 2]).expect("it is plausible");
        let text = format!("{}", Line("write.ipc.null.1048576", figures));
        assert!(text.len() < 80 && HEADING.len() == text.len(), "{text}");
        let ends: Vec<_> = HEADING.split_whitespace().collect();
        assert_eq!(ends, ["id", "min", "median", "p99", "max", "stddev", "n"]);
        assert!(format!("{}", Line("x", "no such id")).ends_with(" no such id"));
    }
}
