//! `report.html`: one page with every figure of a run, which needs nothing else to be shown.

mod figures;
pub mod plot;
mod round_trip;

use std::path::Path;

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::peers::{self, Peer};
use super::results::Results;
use crate::paths;

const STYLE: &str = include_str!("style.css");

/// A plot with what it says.
pub struct Figure {
    /// Heading.
    pub title: String,
    /// The drawings, one below the other.
    pub drawings: Vec<String>,
    /// Names and CSS colours.
    pub legend: Vec<(String, String)>,
    /// One sentence.
    pub says: String,
    /// The expression for `--only` that measures this again.
    pub only: String,
    /// The system that is measured beside Postern for it.
    pub peer: Option<String>,
}

/// Writes `report.html` in `folder`, which exists.
///
/// # Errors
/// It cannot be drawn or written.
pub fn save(results: &Results, folder: &Path) -> Result<()> {
    let page = page(results, &peers::of(results)?)?;
    paths::write(&folder.join("report.html"), page.as_bytes())
}

/// The page.
///
/// # Errors
/// It cannot be drawn.
pub fn page(results: &Results, peers: &[Peer]) -> Result<String> {
    let machine = &results.machine;
    let figures = figures::all(results, peers)?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Postern: benchmark results" }
                // No icon, or a browser asks for one.
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Postern: what asking a system costs" }
                p { "A tick is " (machine.tick) "." }
                @if let Some(cycles) = &machine.cycles { p { "Rows in core cycles: " (cycles) "." } }
                dl {
                    dt { "Machine" } dd { (machine.version) ", CPU model " (machine.cpu) ", " (machine.accelerator) }
                    dt { "Guest's compiler" } dd { (machine.compiler) }
                    dt { "Host" } dd { (machine.host) }
                    dt { "Again" } dd { code { "cargo bench" } }
                }
                @for figure in &figures { (figure.markup()) }
                h2 { "All rows" }
                p {
                    "For one operation. Struck: samples that an interrupt made longer (on the time clock, the host). Clock: what
                    reading it costs, subtracted already."
                }
                (table(results))
                @for peer in peers { p { (peer.origin()) } }
            }
        }
    };
    Ok(page.into_string())
}

impl Figure {
    fn markup(&self) -> Markup {
        html! {
            figure {
                h2 { (self.title) }
                @if !self.legend.is_empty() {
                    ul.legend {
                        @for (name, colour) in &self.legend {
                            li { span style={ "background:" (colour) } {} (name) }
                        }
                    }
                }
                @for drawing in &self.drawings {
                    div role="img" aria-label=(self.says) { (PreEscaped(drawing)) }
                }
                figcaption {
                    p { (self.says) }
                    code { "cargo bench -- --only '" (self.only) "'" @if let Some(peer) = &self.peer { " --peer " (peer) } }
                }
            }
        }
    }
}

fn table(results: &Results) -> Markup {
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        @for name in ["id", "median", "min", "p99", "max", "stddev", "n", "struck", "clock", "times its limit", "unit"] {
                            th { (name) }
                        }
                    }
                }
                @let others = results.others.iter().flat_map(|other| other.results.iter().map(|row| (Some(&other.name), row)));
                @for (system, row) in results.results.iter().map(|row| (None, row)).chain(others) {
                    @let figures = &row.summary;
                    tr title=[row.note.as_ref()] {
                        td { @if let Some(name) = system { (name) ": " } code { (row.id) } }
                        @for value in [figures.median, figures.min, figures.p99, figures.max] { td { (value) } }
                        td { (figures.stddev) }
                        td { (figures.n) }
                        td { (row.outliers) }
                        td { (row.overhead) }
                        td { @if let Some(limit) = &row.limit { (format!("{:.2}", limit.ratio)) } }
                        td { (row.what()) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::results::tests::results;
    use super::*;

    #[test]
    fn the_page_needs_nothing_else() {
        let mut rows = results([
            ("limit.crossing", 4),
            ("trap.null", 20),
            ("read.ipc.disk.4096", 2000),
        ]);
        rows.machine.host = "<script>".into();
        let page = page(&rows, &peers::known().expect("there are some")).expect("it can be drawn");
        for outside in ["http:", "https:", "<script", "src=", "@import"] {
            let found = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!found.contains(outside), "{outside}");
        }
        for inside in ["<svg", "trap.null", "5.00", "--only", "&lt;script&gt;"] {
            assert!(page.contains(inside), "{inside}");
        }
    }

    #[test]
    fn a_run_without_rows_has_a_page() {
        let page = page(&results([]), &[]).expect("it can be drawn");
        assert!(!page.contains("<figure"), "{page}");
    }
}
