//! `results.csv`: the rows again, for a spreadsheet.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use super::results::{Limit, Results, Row};
use crate::paths;

/// The system that other systems stand beside.
const OWN: &str = "Postern";

/// A line. Its fields are the columns.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    clock: &'a str,
    unit: &'a str,
    n: u64,
    min: u64,
    median: u64,
    p99: u64,
    max: u64,
    stddev: f64,
    overhead: u64,
    batch: u64,
    outliers: u64,
    limit: Option<&'a str>,
    ratio: Option<f64>,
    note: Option<&'a str>,
    /// Whose it is.
    system: &'a str,
    /// Postern's rows that do the same job, and how many times each the median is, with spaces between.
    beside: String,
    times: String,
}

impl<'a> Line<'a> {
    fn new(system: &'a str, row: &'a Row) -> Line<'a> {
        let summary = &row.summary;
        let each =
            |of: fn(&Limit) -> String| row.beside.iter().map(of).collect::<Vec<_>>().join(" ");
        Line {
            id: &row.id,
            clock: row.clock.name(),
            unit: &row.unit,
            n: summary.n,
            min: summary.min,
            median: summary.median,
            p99: summary.p99,
            max: summary.max,
            stddev: summary.stddev,
            overhead: row.overhead,
            batch: row.batch,
            outliers: row.outliers,
            limit: row.limit.as_ref().map(|limit| limit.id.as_str()),
            ratio: row.limit.as_ref().map(|limit| limit.ratio),
            note: row.note.as_deref(),
            system,
            beside: each(|beside| beside.id.clone()),
            times: each(|beside| beside.ratio.to_string()),
        }
    }
}

/// Writes it in `folder`, which exists.
///
/// # Errors
/// It cannot be written.
pub fn save(results: &Results, folder: &Path) -> Result<()> {
    let mut lines = csv::Writer::from_writer(Vec::new());
    for row in &results.results {
        lines.serialize(Line::new(OWN, row))?;
    }
    for other in &results.others {
        for row in &other.results {
            lines.serialize(Line::new(&other.name, row))?;
        }
    }
    paths::write(&folder.join("results.csv"), &lines.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::results;
    use super::*;

    #[test]
    fn a_spreadsheet_reads_it() {
        let mut rows = results([("limit.crossing", 4), ("trap.null", 20)]);
        rows.results[0].note = Some("a, \"b\"".into());
        let mut row = rows.results[0].clone();
        (row.id, row.summary.median) = ("trap.null".into(), 310);
        rows.set_beside(&mut row, &["trap.null", "limit.crossing", "trap.syscall"]);
        rows.other("X", "there").results.push(row);
        let folder = tempfile::tempdir().expect("a folder");
        save(&rows, folder.path()).expect("it can be written");
        let mut file =
            csv::Reader::from_path(folder.path().join("results.csv")).expect("it is there");
        let columns = file.headers().expect("it has a header").clone();
        let lines: Vec<_> = file.records().map(|line| line.expect("a line")).collect();
        let at = |line: usize, column: &str| {
            let place = columns.iter().position(|name| name == column);
            &lines[line][place.expect("the column is there")]
        };
        assert_eq!((at(1, "id"), at(1, "median")), ("trap.null", "20"));
        assert_eq!((at(1, "limit"), at(1, "ratio")), ("limit.crossing", "5.0"));
        assert_eq!((at(0, "note"), at(0, "ratio")), ("a, \"b\"", ""));
        assert_eq!((at(0, "system"), at(0, "beside")), ("Postern", ""));
        assert_eq!((at(2, "system"), at(2, "id")), ("X", "trap.null"));
        let beside = (at(2, "beside"), at(2, "times"));
        assert_eq!(beside, ("trap.null limit.crossing", "15.5 77.5"));
    }
}
