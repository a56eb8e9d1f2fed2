//! The table on standard output, a row as soon as it is known, and progress below it on a terminal.

use indicatif::{ProgressBar, ProgressStyle};

use super::cli::Clock;
use super::ids;
use super::peers::Peer;
use super::results::Row;

/// The table while it grows.
pub struct Table {
    bar: ProgressBar,
    width: usize,
    /// Those whose figures stand beside ours, which they do on the instruction clock only.
    peers: Vec<Peer>,
}

impl Table {
    /// For `count` rows.
    pub fn new(count: usize, clock: Clock, mut peers: Vec<Peer>) -> Table {
        if clock != Clock::Instructions {
            peers.clear();
        }
        let bar = ProgressBar::new(count as u64);
        if let Ok(style) = ProgressStyle::with_template("{elapsed} {bar:30} {pos}/{len} {wide_msg}")
        {
            bar.set_style(style);
        }
        let width = ids::ALL.iter().map(|id| id.name.len()).max().unwrap_or(0);
        let table = Table { bar, width, peers };
        let names: String = table
            .peers
            .iter()
            .map(|peer| format!(" {:>11}", format!("({})", peer.name)))
            .collect();
        table.print(&format!(
            "{:<width$} {:>11} {:>11} {:>11} {:>11} {:>10} {:>7} {:>7}{names} unit",
            "id", "min", "median", "p99", "max", "stddev", "n", "/limit"
        ));
        table
    }

    /// What is being done now.
    pub fn doing(&self, what: &str) {
        self.bar.set_message(what.to_string());
        self.bar.tick();
    }

    /// A row is known, of Postern or of another system.
    pub fn row(&self, system: Option<&str>, row: &Row) {
        let summary = &row.summary;
        let mut unit = row.what().to_string();
        for beside in &row.beside {
            unit += &format!(", {} times {}", beside.ratio, beside.id);
        }
        let id = match system {
            Some(name) => format!("{name}: {}", row.id),
            None => row.id.clone(),
        };
        let limit = row.limit.as_ref();
        let limit = limit.map_or(String::new(), |limit| format!("{:.2}", limit.ratio));
        let peers: String = self
            .peers
            .iter()
            .map(|peer| {
                let figure = peer.beside(&row.id, |figure| figure.to_string());
                let figure = figure.filter(|_| system.is_none());
                format!(" {:>11}", figure.unwrap_or_default())
            })
            .collect();
        self.print(&format!(
            "{:<width$} {:>11} {:>11} {:>11} {:>11} {:>10.3} {:>7} {limit:>7}{peers} {unit}",
            id,
            summary.min,
            summary.median,
            summary.p99,
            summary.max,
            summary.stddev,
            summary.n,
            width = self.width
        ));
        if let Some(note) = &row.note {
            self.print(&format!("{:width$} {note}", "", width = self.width));
        }
        self.bar.inc(1);
    }

    /// A row will not be known.
    pub fn failed(&self, id: &str, reason: &str) {
        self.print(&format!("{id:<width$} {reason}", width = self.width));
        self.bar.inc(1);
    }

    /// Clears the way for an error.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Nothing follows but where the peers' figures come from.
    pub fn end(&self) {
        self.clear();
        for peer in &self.peers {
            println!("({}) is not of this run: {}", peer.name, peer.source);
        }
    }

    fn print(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }
}
