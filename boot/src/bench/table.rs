//! The table on standard output, a row as soon as it is known, and progress below it on a terminal.

use indicatif::{ProgressBar, ProgressStyle};

use super::ids;
use super::results::Row;

/// The table while it grows.
pub struct Table {
    bar: ProgressBar,
    width: usize,
}

impl Table {
    /// For `count` rows.
    pub fn new(count: usize) -> Table {
        let bar = ProgressBar::new(count as u64);
        if let Ok(style) = ProgressStyle::with_template("{elapsed} {bar:30} {pos}/{len} {wide_msg}")
        {
            bar.set_style(style);
        }
        let width = ids::ALL.iter().map(|id| id.name.len()).max().unwrap_or(0);
        let table = Table { bar, width };
        table.print(&format!(
            "{:<width$} {:>11} {:>11} {:>11} {:>11} {:>10} {:>7} unit",
            "id", "min", "median", "p99", "max", "stddev", "n"
        ));
        table
    }

    /// What is being done now.
    pub fn doing(&self, what: &str) {
        self.bar.set_message(what.to_string());
        self.bar.tick();
    }

    /// A row is known.
    pub fn row(&self, row: &Row) {
        let summary = &row.summary;
        let unit = if row.unit == "ticks" {
            row.clock.name()
        } else {
            &row.unit
        };
        self.print(&format!(
            "{:<width$} {:>11} {:>11} {:>11} {:>11} {:>10.3} {:>7} {unit}",
            row.id,
            summary.min,
            summary.median,
            summary.p99,
            summary.max,
            summary.stddev,
            summary.n,
            width = self.width
        ));
        self.bar.inc(1);
    }

    /// A row will not be known.
    pub fn failed(&self, id: &str, reason: &str) {
        self.print(&format!("{id:<width$} {reason}", width = self.width));
        self.bar.inc(1);
    }

    /// Nothing follows.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn print(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }
}
