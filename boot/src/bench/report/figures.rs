//! What the page shows, and what each plot says, from the rows there are.

use anyhow::Result;

use super::super::curves::{self, Curve, Read, Verb, Way};
use super::super::peers::Peer;
use super::super::results::{Results, Row};
use super::Figure;
use super::plot::{self, Bar, COLOURS, Vertical, bytes, thousands};
use super::round_trip::round_trip;

/// Every figure that has rows.
pub fn all(results: &Results, peers: &[Peer]) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for verb in Verb::ALL {
        for device in curves::devices(results, verb) {
            figures.extend(reads(results, verb, &device)?);
        }
    }
    figures.extend(ways_to_ask(results)?);
    figures.extend(round_trip(results)?);
    for (title, family, says) in FAMILIES {
        figures.extend(family_of(results, title, family, says)?);
    }
    figures.extend(limits(results)?);
    for peer in peers {
        figures.extend(beside(results, peer)?);
    }
    Ok(figures)
}

/// The ways to ask somebody who does nothing: what it is, and the row that counts it.
const WAYS: [(&str, &str); 5] = [
    ("function call", "read.call.null.0"),
    ("trap", "trap.null"),
    ("message", "ipc.roundtrip.cross.0"),
    ("hypercall", "vm.exit.vmcall"),
    ("message to another instance", "vm.channel.roundtrip"),
];

/// Call, trap, message and hypercall beside each other.
fn ways_to_ask(results: &Results) -> Result<Option<Figure>> {
    let measured = WAYS.iter().filter_map(|(name, id)| {
        let row = results.row(id)?;
        Some((*name, *id, row.summary.median))
    });
    let measured: Vec<_> = measured.collect();
    let Some(most) = measured
        .iter()
        .map(|way| way.2)
        .max()
        .filter(|_| measured.len() > 1)
    else {
        return Ok(None);
    };
    let bars: Vec<Bar> = measured
        .iter()
        .map(|(name, id, median)| Bar {
            label: format!("{name} ({id})"),
            text: thousands(*median as f64),
            parts: vec![(2, *median as f64)],
            full: most.max(1) as f64,
        })
        .collect();
    let costs = measured
        .iter()
        .map(|(name, _, median)| format!("{name} {median}"));
    let costs: Vec<String> = costs.collect();
    let ids = measured.iter().map(|(_, id, _)| id.replace('.', r"\."));
    let ids: Vec<String> = ids.collect();
    Ok(Some(Figure {
        title: "Call, trap, message, hypercall".into(),
        drawings: vec![plot::bars(&bars)?],
        legend: Vec::new(),
        says: format!(
            "To ask the library, the monolith or the kernel, another program, and whoever is below the kernel: {}.",
            costs.join(", ")
        ),
        only: format!("^({})$", ids.join("|")),
        peer: None,
    }))
}

/// Ids that are compared with each other: title, what their names begin with, and what they are.
const FAMILIES: [(&str, &str, &str); 7] = [
    (
        "Into the kernel and back",
        "trap.",
        "What enters, and how the arguments come",
    ),
    (
        "Another address space",
        "switch.",
        "The switch by itself, and what it costs afterwards",
    ),
    (
        "After a switch",
        "tlb.",
        "What the first access to a page costs, before and after a CR3 write",
    ),
    (
        "Above the hypervisor shim",
        "vm.",
        "What stops a guest and what does not, and what lies between instances",
    ),
    (
        "A chain of servers",
        "ipc.chain.",
        "Each further server costs one more round trip",
    ),
    (
        "Many clients, one server",
        "ipc.fanin.",
        "For one request, with so many clients queued",
    ),
    (
        "The limits by themselves",
        "limit.",
        "The least that any system could do",
    ),
];

/// The curves of a device.
fn reads(results: &Results, verb: Verb, device: &str) -> Result<Option<Figure>> {
    let curves = curves::curves(results, verb, device);
    // A single size is no curve; it is in the table.
    if curves.iter().all(|curve| curve.points.len() < 2) {
        return Ok(None);
    }
    let crossovers = curves::crossovers(&curves);
    let Ok(cost) = plot::curves(&curves, &crossovers, Vertical::Cost) else {
        return Ok(None);
    };
    let mut drawings = vec![cost];
    // Nothing is copied on any path of some devices.
    drawings.extend(plot::curves(&curves, &[], Vertical::Copied));
    let legend = |curve: &Curve| (curve.name(), css(plot::colour(curve)));
    let mut says = largest(&curves);
    for (index, crossover) in crossovers.iter().enumerate() {
        let (number, size) = (index + 1, bytes(crossover.size));
        let (above, below) = (&crossover.above, &crossover.below);
        says += &format!(" ({number}) From {size} on, “{above}” costs less than “{below}”.");
    }
    if drawings.len() > 1 {
        says += " The second plot: the bytes that the processor copied for it; what copies none is not in it.";
    }
    Ok(Some(Figure {
        title: format!("{} {device}: cost over size", verb.name()),
        drawings,
        legend: curves.iter().map(legend).collect(),
        says,
        only: format!(r"^{}\.[a-z]+\.{device}\.", verb.word()),
        peer: None,
    }))
}

/// What the largest size that all ways have costs in each.
fn largest(curves: &[Curve]) -> String {
    let best = |way: Way, size: u64| {
        let of = curves.iter().filter(|curve| curve.way == way);
        let points = of.flat_map(|curve| &curve.points);
        points
            .filter(|point| point.0 == size)
            .map(|point| point.1)
            .min()
    };
    let ways: Vec<Way> = Way::ALL
        .into_iter()
        .filter(|way| curves.iter().any(|curve| curve.way == *way))
        .collect();
    let sizes = curves.iter().flat_map(|curve| &curve.points);
    let common = sizes
        .map(|point| point.0)
        .filter(|size| ways.iter().all(|way| best(*way, *size).is_some()));
    let Some(size) = common.max() else {
        return "No size was measured in every way.".into();
    };
    let costs = ways.iter().filter_map(|way| {
        let cost = thousands(best(*way, size)? as f64);
        Some(format!("{cost} by {}", way.name()))
    });
    let costs: Vec<String> = costs.collect();
    format!("{} cost {}.", bytes(size as f64), costs.join(", "))
}

pub(super) fn css(colour: plotters::style::RGBColor) -> String {
    let plotters::style::RGBColor(red, green, blue) = colour;
    format!("rgb({red},{green},{blue})")
}

/// Rows whose names begin alike, as bars of one scale.
fn family_of(results: &Results, title: &str, family: &str, says: &str) -> Result<Option<Figure>> {
    let rows = results.results.iter();
    let rows: Vec<&Row> = rows.filter(|row| row.id.starts_with(family)).collect();
    if rows.len() < 2 {
        return Ok(None);
    }
    let full = rows.iter().map(|row| row.summary.median).max();
    let bars: Vec<Bar> = rows
        .iter()
        .map(|row| Bar {
            label: row.id.clone(),
            text: thousands(row.summary.median as f64),
            parts: vec![(2, row.summary.median as f64)],
            full: full.unwrap_or(1).max(1) as f64,
        })
        .collect();
    let (least, most) = (
        rows.iter().min_by_key(|row| row.summary.median),
        rows.iter().max_by_key(|row| row.summary.median),
    );
    let (Some(least), Some(most)) = (least, most) else {
        return Ok(None);
    };
    Ok(Some(Figure {
        title: title.into(),
        drawings: vec![plot::bars(&bars)?],
        legend: Vec::new(),
        says: format!(
            "{says}: from {} ({}) to {} ({}) {}.",
            least.summary.median,
            least.id,
            most.summary.median,
            most.id,
            most.what()
        ),
        only: format!("^{}", family.replace('.', r"\.")),
        peer: None,
    }))
}

/// How many times its limit each row is that is no read or write: those have curves.
fn limits(results: &Results) -> Result<Option<Figure>> {
    let with = results.results.iter();
    let with = with.filter(|row| Read::parse(&row.id).is_none());
    let with: Vec<(&Row, f64, &str)> = with
        .filter_map(|row| {
            Some((
                row,
                row.limit.as_ref()?.ratio,
                row.limit.as_ref()?.id.as_str(),
            ))
        })
        .collect();
    let Some((worst, most, limit)) = with.iter().max_by(|one, other| one.1.total_cmp(&other.1))
    else {
        return Ok(None);
    };
    let bars: Vec<Bar> = with
        .iter()
        .map(|(row, ratio, limit)| Bar {
            label: format!("{} / {limit}", row.id),
            text: format!("{ratio:.2}"),
            parts: vec![(0, 1.0), (1, (ratio - 1.0).max(0.0))],
            full: *most,
        })
        .collect();
    let says = format!(
        "What no system could do for less, and what Postern needs beyond; the furthest from it is {}: {most:.1} times {limit}.",
        worst.id
    );
    Ok(Some(Figure {
        title: "Times the limit".into(),
        drawings: vec![plot::bars(&bars)?],
        legend: vec![
            ("limit".into(), css(COLOURS[0])),
            ("beyond it".into(), css(COLOURS[1])),
        ],
        says,
        only: "^(limit|trap|ipc|fault|irq|cap|space|thread)".into(),
        peer: None,
    }))
}

/// Ours and a peer's figures, for the same operation.
fn beside(results: &Results, peer: &Peer) -> Result<Option<Figure>> {
    let mut bars = Vec::new();
    let (mut less, mut pairs) = (0, 0);
    for figure in &peer.figures {
        let ours = figure.beside.iter().filter_map(|id| results.row(id));
        let ours: Vec<&Row> = ours
            .filter(|row| peer.measured || row.is_instructions())
            .collect();
        let Some(most) = ours.iter().map(|row| row.summary.median).max() else {
            continue;
        };
        let bar = |label, value: u64, colour| Bar {
            label,
            text: thousands(value as f64),
            parts: vec![(colour, value as f64)],
            full: most.max(figure.median).max(1) as f64,
        };
        bars.extend(
            ours.iter()
                .map(|row| bar(row.id.clone(), row.summary.median, 2)),
        );
        let times = ours.iter().map(|row| {
            let times = figure.median as f64 / row.summary.median.max(1) as f64;
            format!(", {times:.1} times")
        });
        let own = match figure.beside.contains(&figure.id) {
            true => peer.name.clone(),
            false => format!("{} {}", peer.name, figure.id),
        };
        bars.push(bar(own + &times.collect::<String>(), figure.median, 6));
        let cheaper = ours.iter().filter(|row| row.summary.median < figure.median);
        (less, pairs) = (less + cheaper.count(), pairs + ours.len());
    }
    if bars.is_empty() {
        return Ok(None);
    }
    Ok(Some(Figure {
        title: format!("Beside {}", peer.name),
        drawings: vec![plot::bars(&bars)?],
        legend: vec![
            ("Postern".into(), css(COLOURS[2])),
            (peer.name.clone(), css(COLOURS[6])),
        ],
        says: format!(
            "Postern needs less in {less} of {pairs} comparisons; the longest bar of those that belong together fills the width.",
        ),
        only: "^(trap|ipc|fault|irq|cap|space|thread|kernel|read|write)".into(),
        peer: peer.measured.then(|| peer.name.to_lowercase()),
    }))
}
