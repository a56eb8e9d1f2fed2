//! `cargo bench -- --peer linux`: another system on the same emulator, in the same run. Its figures are shown beside Postern's.
//!
//! Read in this order: [`packages`] (where the peer comes from), [`initramfs`] (what it boots with), [`linux`] (the machine),
//! [`http`] (what is measured). To measure something else, add a function that takes a server's address, or talks to the
//! peer's serial line, and rows for what it returns.

pub mod http;
pub mod initramfs;
pub mod linux;
pub mod packages;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::cli::Arguments;
use crate::machine::{Event, Machine};
use crate::progress::note;
use crate::qemu;
use crate::status::Status;

/// No healthy system takes longer to boot.
const LIMIT: Duration = Duration::from_secs(120);

/// A figure of both systems.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Its name.
    pub id: &'static str,
    /// What one is. More are better.
    pub unit: &'static str,
    /// Postern's, the median of its rounds.
    pub postern: f64,
    /// The peer's; `None`: it was not measured.
    pub peer: Option<f64>,
}

/// Measures Postern, and then the peer; prints a table, and keeps the figures so far in `peer-linux.json`.
///
/// # Errors
/// No row is wanted, or what keeps either from being measured.
pub fn run(arguments: &Arguments) -> Result<Status> {
    let wanted = |row: &&http::Figure| {
        let only = arguments.only.as_ref();
        only.is_none_or(|only| only.is_match(row.id))
    };
    let figures: Vec<_> = http::FIGURES.iter().filter(wanted).collect();
    ensure!(
        !figures.is_empty(),
        "no id of the peer matches; there are: {}",
        http::ids()
    );
    qemu::ensure()?;
    let file = arguments.folder().join("peer-linux.json");
    let postern = http::Served::postern()?;
    let mut rows = Vec::new();
    for figure in &figures {
        rows.push(Row {
            id: figure.id,
            unit: figure.unit,
            postern: figure.measure(&postern, arguments.quick)?,
            peer: None,
        });
    }
    drop(postern);
    save(&file, &rows)?;
    let peer = http::Served::linux().and_then(|linux| {
        for (figure, row) in figures.iter().zip(&mut rows) {
            row.peer = Some(figure.measure(&linux, arguments.quick)?);
        }
        save(&file, &rows)
    });
    rows.iter().for_each(print);
    note(&format!("results in {}", file.display()));
    peer.context("no Linux peer; Postern's figures are kept")?;
    Ok(Status::Success)
}

fn print(row: &Row) {
    let peer = match row.peer {
        Some(peer) => format!("Linux {peer:>10.1} {:>6.2}x", row.postern / peer),
        None => "Linux          -".into(),
    };
    println!(
        "{:<24} Postern {:>10.1} {peer}   {}",
        row.id, row.postern, row.unit
    );
}

fn save(file: &Path, rows: &[Row]) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    crate::paths::folder(folder.into())?;
    crate::paths::write(file, &serde_json::to_vec_pretty(rows)?)
}

/// Waits until a machine has printed `text`.
///
/// # Errors
/// It ends before, or takes too long; with the end of what it printed.
pub fn expect(machine: &Machine, text: &str) -> Result<()> {
    let deadline = std::time::Instant::now() + LIMIT;
    let mut log = Vec::new();
    loop {
        match machine.next(Some(deadline)) {
            Some(Event::Output(bytes)) => log.extend(bytes),
            Some(Event::Leave) => {}
            Some(Event::Signal(signal)) => bail!("interrupted by signal {signal}"),
            Some(Event::Ended) | None => {
                let log = String::from_utf8_lossy(&log).into_owned();
                let start = log.len().saturating_sub(2000);
                bail!(
                    "it did not say `{text}`:\n{}",
                    &log[log.ceil_char_boundary(start)..]
                );
            }
        }
        if String::from_utf8_lossy(&log).contains(text) {
            return Ok(());
        }
    }
}
