//! A table for a person at a screen of 80 characters, where no host tool is at the other end: the columns of `cargo bench`.

use crate::Failure;
use crate::clock::Samples;
use alloc::format;
use alloc::string::String;

/// The first line.
pub fn heading() -> String {
    line(
        "id",
        &["min", "median", "p99", "max", "stddev", "n"].map(String::from),
    )
}

/// The line of an id.
pub fn row(id: &str, measured: Result<Samples, Failure>) -> String {
    match measured.and_then(|samples| figures(samples.ticks)) {
        Ok(figures) => line(id, &figures),
        Err(why) => format!("{id:<24} {why}"),
    }
}

fn line(id: &str, [min, median, p99, max, stddev, n]: &[String; 6]) -> String {
    format!("{id:<24} {min:>8} {median:>8} {p99:>8} {max:>9} {stddev:>9} {n:>5}")
}

/// Least, middle one (the lower of two), 99 of 100 not above it, greatest, standard deviation, number.
///
/// # Errors
/// There are none, or more than one in four are further from the median than half of it: more is going on than what is measured.
fn figures(mut ticks: alloc::vec::Vec<u64>) -> Result<[String; 6], Failure> {
    ticks.sort_unstable();
    let (Some(min), Some(max)) = (ticks.first(), ticks.last()) else {
        return Err("it gave no samples".into());
    };
    let count = ticks.len();
    let (median, p99) = (
        ticks[count.div_ceil(2) - 1],
        ticks[(count * 99).div_ceil(100) - 1],
    );
    let far = |tick: &&u64| tick.abs_diff(median) > (median / 2).max(1);
    if ticks.iter().filter(far).count() * 4 > count {
        return Err(format!(
            "refused: it spreads from {min} to {max} around {median}"
        ));
    }
    let sum: u128 = ticks.iter().map(|tick| u128::from(*tick)).sum();
    let squares: u128 = ticks.iter().map(|tick| u128::from(*tick).pow(2)).sum();
    let (n, spread) = (count as u128, squares * count as u128 - sum * sum);
    // In thousandths, rounded: half of the root of four times the square.
    let stddev = (4_000_000 * spread / (n * n)).isqrt().div_ceil(2);
    let stddev = format!("{}.{:03}", stddev / 1000, stddev % 1000);
    let [min, median, p99, max] = [*min, median, p99, *max].map(|tick| format!("{tick}"));
    Ok([min, median, p99, max, stddev, format!("{count}")])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(ticks: impl IntoIterator<Item = u64>) -> Result<[String; 6], Failure> {
        figures(ticks.into_iter().collect())
    }

    #[test]
    fn figures_are_those_of_the_host_tool() {
        // `boot/src/bench/stats.rs` has the same.
        let hundred = shown(1_000_001..=1_000_100).expect("it is plausible");
        assert_eq!(
            hundred,
            ["1000001", "1000050", "1000099", "1000100", "28.866", "100"]
        );
        let one = shown([7]).expect("it is plausible");
        assert_eq!(one, ["7", "7", "7", "7", "0.000", "1"]);
        assert!(shown([]).is_err());
        assert!(shown((0..8).map(|at| if at < 2 { 900 } else { 100 })).is_ok());
        assert!(shown((0..8).map(|at| if at < 3 { 900 } else { 100 })).is_err());
    }

    #[test]
    fn a_line_fits_a_screen() {
        let ticks = alloc::vec![9_999_999; 2];
        let samples = Samples {
            ticks,
            batch: 1,
            overhead: 0,
        };
        let text = row("write.ipc.null.1048576", Ok(samples));
        assert!(text.len() < 80 && heading().len() == text.len(), "{text}");
        assert!(row("x", Err("no such id".into())).ends_with("no such id"));
    }
}
