//! The file and its rows.

use super::super::{ids, stats::Counts};
use super::*;

/// Rows of these medians, as of a run on the instruction clock.
pub fn results<'a>(medians: impl IntoIterator<Item = (&'a str, u64)>) -> Results {
    let mut results = Results::new(Machine::default());
    for (id, median) in medians {
        let summary = Counts::one(median).summary();
        results.add(Row {
            id: id.into(),
            clock: Clock::Instructions,
            unit: "ticks".into(),
            summary: summary.expect("there is a sample"),
            overhead: 0,
            batch: 1,
            outliers: 0,
            limit: None,
            beside: Vec::new(),
            note: None,
        });
    }
    results
}

#[test]
fn a_row_has_its_limit_whichever_comes_first() {
    for order in [
        ["trap.null", "limit.crossing"],
        ["limit.crossing", "trap.null"],
    ] {
        let results = results(order.map(|id| (id, if id == "trap.null" { 21 } else { 4 })));
        let limit = results.row("trap.null").and_then(|row| row.limit.as_ref());
        let limit = limit.map(|limit| (limit.id.as_str(), limit.ratio));
        assert_eq!(limit, Some(("limit.crossing", 5.25)));
    }
    let chain = results([("limit.roundtrip.cross", 25), ("ipc.chain.3", 300)]);
    let limit = chain.results[1].limit.as_ref();
    assert_eq!(
        limit.map(|limit| (limit.times, limit.ratio)),
        Some((3, 4.0))
    );
}

#[test]
fn core_cycles_are_not_compared_with_ticks() {
    let mut results = results([("limit.crossing", 4)]);
    let row = |id, counted| {
        let measured = measured(&[(20, 10)]);
        let row = Row::new(ids::find(id).expect("it is there"), Clock::Time, &measured);
        row.expect("it is plausible").in_cycles(counted)
    };
    results.add(row("trap.null", true));
    let trap = results.row("trap.null").expect("it was added");
    assert_eq!((trap.what(), trap.limit.is_none()), (CYCLES, true));
    results.add(row("trap.syscall", false));
    let trap = results.row("trap.syscall").expect("it was added");
    assert_eq!((trap.what(), trap.limit.is_some()), ("time", true));
    // What is no tick of a clock is none of a counter.
    assert_eq!(row("kernel.text", true).unit, "bytes");
}

/// A traced row counts instructions, as ticks do; core cycles are something else.
#[test]
fn only_core_cycles_are_not_compared_with_ticks() {
    let ratio = |unit: &str| {
        let mut results = results([("irq.to_server", 210), ("limit.vector", 7)]);
        let rows = std::mem::take(&mut results.results);
        for mut row in rows {
            if row.id == "irq.to_server" {
                row.unit = unit.into();
            }
            row.limit = None;
            results.add(row);
        }
        let row = results.row("irq.to_server").expect("it was added");
        row.limit.as_ref().map(|limit| limit.ratio)
    };
    assert_eq!(ratio("instructions"), Some(30.0));
    assert_eq!(ratio(CYCLES), None);
}

fn measured(values: &[(u64, u64)]) -> Measured {
    let mut counts = Counts::default();
    values
        .iter()
        .for_each(|(value, count)| counts.add(*value, *count));
    Measured {
        id: "trap.null".into(),
        batch: 16,
        overhead: 7,
        counts,
    }
}

#[test]
fn the_file_comes_back_and_has_the_schemas_fields() {
    let id = ids::find("trap.null").expect("it is there");
    let machine = Machine {
        emulator: "QEMU".into(),
        version: "7.2".into(),
        cpu: "max".into(),
        accelerator: "tcg".into(),
        tick: "instruction".into(),
        cycles: None,
        compiler: "rustc".into(),
        host: "some".into(),
    };
    let mut results = Results::new(machine);
    let row = Row::new(id, Clock::Instructions, &measured(&[(23, 10)]));
    results.results.push(row.expect("it is plausible"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = results
        .save(&folder.path().join("new"))
        .expect("it can be written");
    assert_eq!(Results::load(&file).expect("it can be read"), results);
    let text = std::fs::read_to_string(&file).expect("it can be read");
    let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    let row = &value["results"][0];
    for field in ["n", "min", "median", "p99", "max", "overhead"] {
        assert!(row[field].is_u64(), "{field} in {text}");
    }
    assert_eq!(
        (&value["schema"], &row["clock"]),
        (&1.into(), &"instructions".into())
    );
    std::fs::write(&file, text.replace("\"schema\": 1", "\"schema\": 2"))
        .expect("it can be written");
    assert!(Results::load(&file).is_err());
}

#[test]
fn an_implausible_spread_is_refused() {
    let id = ids::find("trap.null").expect("it is there");
    let row = |clock, values: &[(u64, u64)]| Row::new(id, clock, &measured(values));
    let wild = [(20, 10), (40, 10)];
    for clock in [Clock::Instructions, Clock::Time] {
        let error = row(clock, &wild).unwrap_err().to_string();
        assert!(error.contains("refused"), "{error}");
    }
    // One in twenty, struck by an interrupt, is counted; on the time clock one in four.
    let struck = row(Clock::Instructions, &[(110, 95), (900, 5)]).expect("it is plausible");
    assert_eq!((struck.outliers, struck.summary.median), (5, 110));
    assert!(row(Clock::Instructions, &[(110, 95), (900, 6)]).is_err());
    assert!(row(Clock::Time, &[(110, 75), (140, 5), (900, 25)]).is_ok());
    assert!(row(Clock::Time, &[]).is_err());
}
