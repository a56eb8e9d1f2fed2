//! What is put into the pages: code from the sources, figures from the last benchmark run, and the sources that are linked.
//!
//! - A line `{{#code FILE | FROM | TO}}` becomes the lines of the workspace's FILE from the first one that contains FROM to the next
//!   that contains TO; without TO, to the end of the item that begins there.
//! - `{{#figure ID}}` becomes the median of that id of `cargo bench`.
//!
//! So neither can differ from what it shows: a text that is no longer in the source is an error.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mdbook::BookItem;
use mdbook::book::{Book, Chapter};
use mdbook::preprocess::{Preprocessor, PreprocessorContext};
use serde_json::Value;

use crate::links::plain;

/// Folder of the book that has the linked sources.
const SOURCE: &str = "source";

/// Where code and figures come from.
pub struct Pages {
    workspace: PathBuf,
    /// Rows of a benchmark run; empty without one.
    figures: Vec<Value>,
}

impl Pages {
    /// `figures` is a file of `cargo bench`, which need not be there.
    pub fn new(workspace: &Path, figures: &Path) -> Result<Pages> {
        let figures = match std::fs::read_to_string(figures) {
            Err(_) => Vec::new(),
            Ok(text) => {
                let file: Value =
                    serde_json::from_str(&text).context("no results of cargo bench")?;
                file["results"].as_array().cloned().unwrap_or_default()
            }
        };
        Ok(Pages {
            workspace: workspace.into(),
            figures,
        })
    }

    /// A chapter's text with everything put in; `linked` gets the sources that it links to.
    fn page(&self, path: &Path, text: &str, linked: &mut BTreeSet<PathBuf>) -> Result<String> {
        let mut out = String::new();
        let mut fenced = false;
        for line in text.lines() {
            fenced ^= line.starts_with("```");
            let code = line
                .strip_prefix("{{#code ")
                .and_then(|rest| rest.strip_suffix("}}"));
            match code {
                Some(code) => out.push_str(&self.code(code)?),
                None if fenced => out.push_str(line),
                None => {
                    let line = self.figures(line)?;
                    out.push_str(&self.links(path, &line, linked)?);
                }
            }
            out.push('\n');
        }
        Ok(out)
    }

    fn code(&self, directive: &str) -> Result<String> {
        let mut parts = directive.split(" | ");
        let (file, from) = (parts.next().unwrap_or_default(), parts.next());
        let from = from.with_context(|| format!("{directive}: where does it begin?"))?;
        let text = std::fs::read_to_string(self.workspace.join(file));
        let text = text.with_context(|| format!("cannot read {file}"))?;
        let lines = excerpt(&text, from, parts.next()).with_context(|| {
            format!("{file} does not contain what {{{{#code {directive}}}}} asks for")
        })?;
        let language = match file.rsplit_once('.') {
            Some((_, "rs")) => "rust,ignore",
            Some((_, "s")) => "x86asm",
            Some((_, other)) => other,
            None => "text",
        };
        Ok(format!("`{file}`:\n\n```{language}\n{lines}\n```"))
    }

    fn figures(&self, line: &str) -> Result<String> {
        let mut pieces = line.split("{{#figure ");
        let mut out = pieces.next().unwrap_or_default().to_string();
        for piece in pieces {
            let (id, rest) = piece.split_once("}}").context("a figure without an end")?;
            out.push_str(&self.figure(id));
            out.push_str(rest);
        }
        Ok(out)
    }

    fn figure(&self, id: &str) -> String {
        let row = self.figures.iter().find(|row| row["id"] == id);
        match row {
            Some(row) => {
                let unit = match row["unit"].as_str() {
                    Some("ticks") => row["clock"].as_str(),
                    unit => unit,
                };
                format!(
                    "**{} {}** (`{id}`)",
                    row["median"],
                    unit.unwrap_or_default()
                )
            }
            None => format!("*(not measured here yet: `cargo bench -- --only '^{id}$'`)*"),
        }
    }

    /// Rewrites links that lead out of `docs/`: the book has the sources that it links to.
    fn links(&self, path: &Path, line: &str, linked: &mut BTreeSet<PathBuf>) -> Result<String> {
        let mut pieces = line.split("](");
        let mut out = pieces.next().unwrap_or_default().to_string();
        for piece in pieces {
            out.push_str("](");
            let (link, rest) = piece.split_once(')').unwrap_or((piece, ""));
            let target = plain(
                &Path::new("docs")
                    .join(path.parent().unwrap_or(Path::new("")))
                    .join(link),
            );
            if link.contains(':') || link.starts_with('#') || target.starts_with("docs") {
                out.push_str(link);
            } else if self.workspace.join(&target).is_file() {
                let up = path.components().skip(1).map(|_| "../").collect::<String>();
                out.push_str(&format!("{up}{SOURCE}/{}.md", target.display()));
                linked.insert(target);
            } else {
                bail!(
                    "{}: a link leads to {link}, which is no file",
                    path.display()
                );
            }
            if piece.contains(')') {
                out.push(')');
            }
            out.push_str(rest);
        }
        Ok(out)
    }

    fn source(&self, file: &Path) -> Result<BookItem> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(self.workspace.join(file));
        let text = text.with_context(|| format!("cannot read {name}"))?;
        let language = if name.ends_with(".rs") {
            "rust,ignore"
        } else {
            "text"
        };
        let page = format!("# {name}\n\n`````{language}\n{text}`````\n");
        Ok(BookItem::Chapter(Chapter::new(
            &name,
            page,
            format!("{SOURCE}/{name}.md"),
            Vec::new(),
        )))
    }
}

impl Preprocessor for Pages {
    fn name(&self) -> &str {
        "pages"
    }

    fn run(&self, _: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let mut linked = BTreeSet::new();
        let mut failed = None;
        book.for_each_mut(|item| {
            let BookItem::Chapter(chapter) = item else {
                return;
            };
            let Some(path) = chapter.path.clone() else {
                return;
            };
            match self.page(&path, &chapter.content, &mut linked) {
                Ok(page) => chapter.content = page,
                Err(error) => {
                    failed = failed
                        .take()
                        .or(Some(error.context(path.display().to_string())))
                }
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        book.push_item(BookItem::PartTitle("Sources that are linked".into()));
        for file in linked {
            book.push_item(self.source(&file)?);
        }
        Ok(book)
    }
}

/// The lines of `text` from the first that contains `from` to the next that contains `to`; without it, to the end of the item.
/// Indentation that all have goes.
fn excerpt(text: &str, from: &str, to: Option<&str>) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| line.contains(from))?;
    let indent = |line: &str| line.len() - line.trim_start().len();
    let outer = indent(lines[first]);
    let ends = |line: &&str| match to {
        Some(to) => line.contains(to),
        // As rustfmt sets it: the closing bracket stands where the item begins. Arguments in lines of their own end there, too.
        None => {
            indent(line) == outer
                && line.trim_start().starts_with(['}', ')', ']'])
                && !line.ends_with('{')
        }
    };
    let begins = match to {
        Some(_) => first + 1,
        None if lines[first].ends_with(';') || lines[first].ends_with('}') => {
            return Some(lines[first].trim().into());
        }
        None => first + 1,
    };
    let last = begins + lines[begins..].iter().position(ends)?;
    let part = &lines[first..=last];
    let common = part
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| indent(line))
        .min()?;
    let cut: Vec<&str> = part
        .iter()
        .map(|line| line.get(common..).unwrap_or_default())
        .collect();
    Some(cut.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_ends_with_its_bracket() {
        let text = "struct A;\n\nimpl A {\n    fn b() {\n        c();\n    }\n\n    fn d() {}\n}\n";
        assert_eq!(
            excerpt(text, "struct A", None).as_deref(),
            Some("struct A;")
        );
        assert_eq!(
            excerpt(text, "fn b", None).as_deref(),
            Some("fn b() {\n    c();\n}")
        );
        assert_eq!(excerpt(text, "fn d", None).as_deref(), Some("fn d() {}"));
        assert_eq!(
            excerpt(text, "fn b", Some("c();")).as_deref(),
            Some("fn b() {\n    c();")
        );
        let long = "fn f(\n    a: A,\n) {\n    g();\n}\nfn h() {}\n";
        assert_eq!(
            excerpt(long, "fn f", None).as_deref(),
            long.strip_suffix("\nfn h() {}\n")
        );
        assert_eq!(excerpt(text, "fn e", None), None);
        assert_eq!(excerpt(text, "fn b", Some("nothing")), None);
    }

    #[test]
    fn figures_are_those_of_the_run() {
        let row = serde_json::json!({"id": "a.b", "unit": "ticks", "clock": "instructions", "median": 102});
        let pages = Pages {
            workspace: "nowhere".into(),
            figures: vec![row],
        };
        let line = pages
            .figures("It takes {{#figure a.b}}, or {{#figure c}}.")
            .expect("it is well formed");
        assert_eq!(
            line,
            "It takes **102 instructions** (`a.b`), or *(not measured here yet: `cargo bench -- --only '^c$'`)*."
        );
        assert!(pages.figures("{{#figure x").is_err());
    }

    #[test]
    fn links_out_of_the_pages_lead_to_sources() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let pages = Pages {
            workspace,
            figures: Vec::new(),
        };
        let mut linked = BTreeSet::new();
        let mut line = |text: &str| pages.links(Path::new("kernel/a.md"), text, &mut linked);
        assert_eq!(
            line("see [a](../../libsys/src/lib.rs) and [b](../boot.md), [c](#d).")
                .expect("all are there"),
            "see [a](../source/libsys/src/lib.rs.md) and [b](../boot.md), [c](#d)."
        );
        assert!(line("[a](../../libsys/src/nonsense.rs)").is_err());
        assert_eq!(linked.len(), 1);
    }
}
