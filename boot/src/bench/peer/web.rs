//! The web servers of both systems, asked from the host.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use super::super::cli::Arguments;
use super::http;
use crate::progress::note;
use crate::qemu;
use crate::status::Status;

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

/// The figures that are wanted: all of them with a peer, but not to be published, for they are wall times of this host.
pub fn wanted(arguments: &Arguments) -> Vec<&'static http::Figure> {
    let asked = arguments.peer.is_some() && !arguments.publish;
    let figures = http::FIGURES.iter();
    let wanted = figures.filter(|figure| asked && arguments.wants(figure.id));
    wanted.collect()
}

/// Measures Postern, and then the peer; prints a table, and keeps the figures so far in `peer-linux.json`. Nothing, if none is wanted.
///
/// # Errors
/// What keeps either from being measured.
pub fn run(arguments: &Arguments, status: Status) -> Result<Status> {
    let figures = wanted(arguments);
    if figures.is_empty() {
        return Ok(status);
    }
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
    Ok(status)
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
