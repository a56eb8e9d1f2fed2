//! `--publish`: the README's table and the book's chapter of results, from a run; and the run itself, which tests compare with.
//!
//! Everything is made from `results.json` alone, so that a test can make it again.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use super::curves::{self, Curve, Verb, Way};
use super::least;
use super::peers::{self, Peer};
use super::report::plot::{bytes, thousands};
use super::results::{Other, Results, Row};
use crate::paths;

/// What the README has around its table.
const MARKS: [&str; 2] = ["<!-- cargo bench -- --publish -->\n", "<!-- end -->\n"];

/// The README's rows: id, and what it is.
const SHOWN: [(&str, &str); 10] = [
    ("trap.null", "into the kernel and back"),
    (
        "ipc.roundtrip.cross.0",
        "a message to another space and its answer",
    ),
    ("ipc.roundtrip.cross.4", "the same with four words each way"),
    (
        "ipc.roundtrip.cross.120",
        "the same with 120 words each way",
    ),
    ("fault.roundtrip", "a fault, handled in another space"),
    ("irq.to_server", "an interrupt to its server"),
    ("cap.mint_delete", "a capability made and deleted"),
    ("space.map_unmap", "a page mapped and unmapped"),
    ("vm.exit.vmcall", "a call of the hypervisor shim"),
    ("vm.switch", "a switch from one kernel above it to another"),
];

/// Writes the file of the run, the chapter, and the table in the README.
///
/// # Errors
/// One cannot be written, or the README has no place for the table.
pub fn publish(results: &Results) -> Result<()> {
    let root = paths::root();
    let peers = peers::of(results)?;
    paths::write(&root.join(BASELINE), results.text()?.as_bytes())?;
    paths::write(&root.join(CHAPTER), chapter(results, &peers).as_bytes())?;
    let file = root.join("README.md");
    let readme = std::fs::read_to_string(&file)?;
    let readme = with_table(&readme, &table(results, &peers))?;
    paths::write(&file, readme.as_bytes())
}

/// The file of the run.
pub const BASELINE: &str = "tests/bench-baseline.json";
/// The chapter.
pub const CHAPTER: &str = "docs/results.md";

/// `readme` with another table.
///
/// # Errors
/// There is no place for it.
pub fn with_table(readme: &str, table: &str) -> Result<String> {
    let parts = readme.split_once(MARKS[0]).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(MARKS[1])?;
        Some((before, after))
    });
    let (before, after) = parts.context("the README has no place for the figures")?;
    let [begin, end] = MARKS;
    Ok(format!("{before}{begin}{table}{end}{after}"))
}

/// The README's table.
pub fn table(results: &Results, peers: &[Peer]) -> String {
    let mut text = heading("instructions of the guest", peers);
    for (id, what) in SHOWN {
        if let Some(row) = results.row(id) {
            line(&mut text, what, row, results, peers);
        }
    }
    text + &ways(results)
}

/// The book's chapter.
pub fn chapter(results: &Results, peers: &[Peer]) -> String {
    let machine = &results.machine;
    let mut text = format!(
        "# Results\n\n\
        <!-- Made by `cargo bench -- --publish`; not to be edited. -->\n\n\
        What `cargo bench` measured. A tick is {}. {}, CPU model {}; guest compiled by {}. \
        [Benchmarks](benchmarks.md) says how, and what it does not tell.\n\n\
        ## Which way to ask\n\n",
        machine.tick, machine.version, machine.cpu, machine.compiler
    );
    text += &answer(results);
    let ways = ways(results);
    if !ways.is_empty() {
        text += &format!("## The same read, asked in each way\n{ways}\n");
    }
    text += &format!("## All figures\n\nMedians.\n\n{}", heading("id", peers));
    for row in &results.results {
        line(&mut text, &format!("`{}`", row.id), row, results, peers);
    }
    for absent in &results.absent {
        let columns = " |".repeat(3 + peers.len());
        let _ = writeln!(text, "| `{}`: {} |{columns}", absent.id, absent.why);
    }
    for other in &results.others {
        text += &others(other);
    }
    for peer in peers {
        let _ = write!(text, "\n{}\n", peer.origin());
    }
    text
}

/// All figures of another system, measured in this run.
fn others(other: &Other) -> String {
    let mut text = format!(
        "\n## {}, in the same run\n\nMedians, and how many times those of Postern's rows that do the same job.\n\n\
        | id | median | Postern |\n| --- | ---: | --- |\n",
        other.name
    );
    for row in &other.results {
        let beside = row.beside.iter();
        let beside = beside.map(|beside| format!("{:.1} times `{}`", beside.ratio, beside.id));
        let beside: Vec<_> = beside.collect();
        let median = thousands(row.summary.median as f64);
        let _ = writeln!(text, "| `{}` | {median} | {} |", row.id, beside.join(", "));
    }
    text
}

fn heading(first: &str, peers: &[Peer]) -> String {
    let names: String = peers
        .iter()
        .map(|peer| format!(" {} |", peer.name))
        .collect();
    let rules = " ---: |".repeat(peers.len());
    format!(
        "| {first} | Postern | times the least possible |{names} unit |\n| --- | ---: | ---: |{rules} --- |\n"
    )
}

fn line(text: &mut String, what: &str, row: &Row, results: &Results, peers: &[Peer]) {
    let limit = match (&row.limit, least::of(&row.id)) {
        (Some(limit), _) => results.row(&limit.id).map(|least| {
            let least = least.summary.median * limit.times;
            format!("{:.1} of {least}", limit.ratio)
        }),
        (None, Err(why)) => Some(format!("({why})")),
        // It was not measured.
        (None, Ok(_)) => None,
    };
    let peers: String = peers
        .iter()
        .map(|peer| {
            let figure = peer.beside(&row.id, |figure| thousands(figure as f64));
            figure.map_or(" |".into(), |figure| format!(" {figure} |"))
        })
        .collect();
    let median = thousands(row.summary.median as f64);
    let limit = limit.unwrap_or_default();
    let _ = writeln!(
        text,
        "| {what} | {median} | {limit} |{peers} {} |",
        row.what()
    );
}

/// Sizes at which the three ways stand beside each other.
const SIZES: [u64; 4] = [0, 512, 4096, 65536];

/// Reads of each device in each way, as far as more than one was measured; nothing, if none was.
fn ways(results: &Results) -> String {
    let mut lines = String::new();
    for device in curves::devices(results, Verb::Read) {
        let curves = curves::curves(results, Verb::Read, &device);
        for size in SIZES {
            let costs = Way::ALL.map(|way| cheapest(&curves, way, size));
            if costs.iter().flatten().count() < 2 {
                continue;
            }
            let costs =
                costs.map(|cost| cost.map_or("not measured".into(), |cost| thousands(cost as f64)));
            let _ = writeln!(
                lines,
                "| `read` of {} from {device} | {} |",
                bytes(size as f64),
                costs.join(" | ")
            );
        }
    }
    if lines.is_empty() {
        return lines;
    }
    let names = Way::ALL.map(Way::name).join(" | ");
    format!("\n| instructions | {names} |\n| --- | ---: | ---: | ---: |\n{lines}")
}

/// What a read costs on the best path.
fn cheapest(curves: &[Curve], way: Way, size: u64) -> Option<u64> {
    let of = curves.iter().filter(|curve| curve.way == way);
    let points = of.flat_map(|curve| &curve.points);
    points
        .filter(|point| point.0 == size)
        .map(|point| point.1)
        .min()
}

/// When which way is right, with the figures that say so.
fn answer(results: &Results) -> String {
    let median = |id: &str| match results.row(id) {
        Some(row) => format!("{} {}", thousands(row.summary.median as f64), row.what()),
        None => "(not measured)".into(),
    };
    let mut text = format!(
        "- **A function call** costs {} to a driver that has nothing to do and back, for which a trap costs {} and a message {}. It is \
        right where all code is trusted: the system is a library, and whoever can call it can also break it.\n\
        - **A trap** costs {} when it does nothing. It is right where the kernel may hold the driver: data needs no copy \
        that the device does not make, and a bug in the driver is a bug in everything.\n\
        - **A message** costs {} to another program and back, {} of them for what no system could do for less. It is right where a \
        driver's bug must stay the driver's. With n servers in a row it costs that n times ({} for two, {} for five).\n",
        median("read.call.null.0"),
        median("read.trap.null.0"),
        median("read.ipc.null.0"),
        median("trap.null"),
        median("ipc.roundtrip.cross.0"),
        median("limit.roundtrip.cross"),
        median("ipc.chain.2"),
        median("ipc.chain.5"),
    );
    if results.row("vm.exit.vmcall").is_some() {
        let _ = writeln!(
            text,
            "- **A hypercall** costs {}, and a switch to another instance {}. It is right where whole kernels must be kept from each other; \
            inside an instance a message costs what it costs on the bare machine ({}).",
            median("vm.exit.vmcall"),
            median("vm.switch"),
            median("vm.ipc.roundtrip.cross.0"),
        );
    }
    let copy = results.row("limit.copy.4096").map(|row| row.summary.median);
    let trip = results
        .row("ipc.roundtrip.cross.0")
        .map(|row| row.summary.median);
    if let (Some(copy), Some(trip)) = (copy, trip)
        && copy > 0
    {
        let size = trip * 4096 / copy;
        let _ = writeln!(
            text,
            "- **Where the data is larger than the crossing**: copying a page costs {copy} instructions, so that from {} on one copy less saves \
            more than a message costs. Large data belongs in memory that both sides share.",
            bytes(size as f64)
        );
    }
    let mut crossovers = String::new();
    let both = Verb::ALL.into_iter();
    let both = both.flat_map(|verb| {
        curves::devices(results, verb)
            .into_iter()
            .map(move |d| (verb, d))
    });
    for (verb, device) in both {
        for found in curves::crossovers(&curves::curves(results, verb, &device)) {
            let (doing, size) = (verb.name(), bytes(found.size));
            let _ = writeln!(
                crossovers,
                "- {doing} {device}: from {size} on, “{}” costs less than “{}”.",
                found.above, found.below
            );
        }
    }
    if !crossovers.is_empty() {
        text += "\nMeasured crossovers:\n\n";
        text += &crossovers;
    }
    text + "\n"
}

/// Whether what is committed below `root` is what its file of a run makes.
///
/// # Errors
/// What differs, or cannot be read.
pub fn check(root: &Path) -> Result<()> {
    let results = Results::load(&root.join(BASELINE))?;
    let peers = peers::of(&results)?;
    let read = |name: &str| {
        std::fs::read_to_string(root.join(name)).with_context(|| format!("cannot read {name}"))
    };
    let readme = read("README.md")?;
    let same = [
        (CHAPTER, read(CHAPTER)? == chapter(&results, &peers)),
        (
            "README.md",
            readme == with_table(&readme, &table(&results, &peers))?,
        ),
    ];
    for (name, same) in same {
        anyhow::ensure!(
            same,
            "{name} is not what {BASELINE} makes: cargo bench -- --publish"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::results;
    use super::*;

    #[test]
    fn what_is_committed_is_what_the_run_makes() {
        check(&paths::root()).expect("nothing was edited");
    }

    #[test]
    fn the_three_ways_and_their_crossover_are_told() {
        let rows = results([
            ("limit.copy.4096", 512),
            ("limit.roundtrip.cross", 25),
            ("ipc.roundtrip.cross.0", 100),
            ("switch.cr3", 1),
            ("write.trap.zero.512.copy", 150),
            ("write.trap.zero.4096.copy", 650),
            ("write.ipc.zero.512.shared", 400),
            ("write.ipc.zero.4096.shared", 400),
            ("read.call.null.0", 20),
            ("read.call.zero.512.copy", 100),
            ("read.call.zero.4096.copy", 600),
            ("read.trap.zero.512.copy", 150),
            ("read.trap.zero.4096.copy", 650),
            ("read.ipc.zero.512.shared", 400),
            ("read.ipc.zero.4096.shared", 400),
        ]);
        let text = chapter(&rows, &[]);
        for part in [
            "100 instructions to another program and back, 25 instructions of them",
            "from 800 B on one copy less",
            "costs 20 instructions to a driver that has nothing to do and back, for which a trap costs (not measured)",
            "- Writing zero: from 2.2 KiB on, “message, shared memory” costs less than “trap, copied”.",
            "| `switch.cr3` | 1 | (one instruction) | instructions |",
            "| `read` of 4 KiB from zero | 600 | 650 | 400 |",
            "- Reading zero: from 2.2 KiB on, “message, shared memory” costs less than “trap, copied”.",
            "| `ipc.roundtrip.cross.0` | 100 | 4.0 of 25 | instructions |",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let readme = format!("a\n{}old\n{}b\n", MARKS[0], MARKS[1]);
        let readme = with_table(&readme, &table(&rows, &[])).expect("there is a place");
        assert!(readme.starts_with("a\n") && readme.ends_with("b\n") && !readme.contains("old"));
        assert!(with_table("nothing", "").is_err());
    }
}
