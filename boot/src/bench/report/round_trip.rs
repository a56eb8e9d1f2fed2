//! Where each instruction of a message goes, as stacked bars.

use anyhow::Result;

use super::super::results::Results;
use super::Figure;
use super::figures::css;
use super::plot::{self, Bar, COLOURS, thousands};

/// The parts of a round trip: name, and the row that counts it.
const PARTS: [(&str, &[&str]); 7] = [
    ("user loop", &["ipc.loop.client", "ipc.loop.server"]),
    (
        "entry",
        &["ipc.stage.call.entry", "ipc.stage.reply_recv.entry"],
    ),
    (
        "lookup",
        &["ipc.stage.call.lookup", "ipc.stage.reply_recv.lookup"],
    ),
    (
        "rendezvous",
        &[
            "ipc.stage.call.rendezvous",
            "ipc.stage.reply_recv.rendezvous",
        ],
    ),
    (
        "switch",
        &["ipc.stage.call.switch", "ipc.stage.reply_recv.switch"],
    ),
    (
        "exit",
        &["ipc.stage.call.exit", "ipc.stage.reply_recv.exit"],
    ),
    (
        "kernel",
        &[
            "ipc.oneway.call.instructions",
            "ipc.oneway.reply_recv.instructions",
        ],
    ),
];

/// Where each instruction of a round trip goes.
pub fn round_trip(results: &Results) -> Result<Option<Figure>> {
    let median = |id: &str| results.row(id).map(|row| row.summary.median as f64);
    let staged = median("ipc.stage.call.entry").is_some();
    let side = |side: usize, label: &str| {
        let parts: Option<Vec<(usize, f64)>> = PARTS
            .iter()
            .enumerate()
            .filter(|(_, (name, _))| (*name == "kernel") != staged || *name == "user loop")
            .map(|(index, (_, ids))| Some((index, median(ids[side])?)))
            .collect();
        let parts = parts?;
        let sum: f64 = parts.iter().map(|part| part.1).sum();
        Some(Bar {
            label: label.into(),
            text: thousands(sum),
            parts,
            full: sum,
        })
    };
    let there = side(0, "client, and the kernel's way to the server");
    let (Some(mut there), Some(mut back)) = (there, side(1, "server, and the kernel's way back"))
    else {
        return Ok(None);
    };
    let full = there.full.max(back.full);
    (there.full, back.full) = (full, full);
    let sum = |name: &str| -> f64 {
        let part = PARTS.iter().position(|part| part.0 == name);
        let all = there.parts.iter().chain(&back.parts);
        all.filter(|(index, _)| Some(*index) == part)
            .map(|part| part.1)
            .sum()
    };
    let whole: f64 = there
        .parts
        .iter()
        .chain(&back.parts)
        .map(|part| part.1)
        .sum();
    let says = format!(
        "Of the {whole} instructions of a call and its reply between two spaces, {} are the client's and the server's own.",
        sum("user loop")
    );
    let legend = PARTS.iter().enumerate();
    let legend = legend.filter(|(index, _)| there.parts.iter().any(|part| part.0 == *index));
    Ok(Some(Figure {
        title: "Where each instruction of a message goes".into(),
        legend: legend
            .map(|(index, (name, _))| (name.to_string(), css(COLOURS[index])))
            .collect(),
        drawings: vec![plot::bars(&[there, back])?],
        says,
        only: r"^ipc\.(oneway|loop|stage)\.".into(),
        peer: None,
    }))
}
