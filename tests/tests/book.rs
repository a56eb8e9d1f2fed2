//! The book builds, its links lead somewhere, and every row of the lecture has its paragraph, code and figure.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use postern::bench::ids;
use postern::paths;
use tests::tool;

/// What the lecture asks, by the headings of `docs/three-ways.md`; whether a figure of `cargo bench` belongs to it.
const LECTURE: [(&str, bool); 10] = [
    ("## Function call", true),
    ("## Message passing", true),
    ("## Trap", true),
    ("## How a trap travels", true),
    ("## Which function", true),
    ("## Which arguments", true),
    ("## Big blocks", true),
    ("## How the system reaches a user structure", true),
    ("## The sequence", true),
    ("# The question", false),
];

/// What must be told of each way to answer the questions, by its section.
const ANSWERS: [(&str, &[&str]); 7] = [
    (
        "## Function call",
        &[
            "library",
            "**Said for it.**",
            "**Said against it.**",
            "embedded",
            "read.call.disk.4096",
        ],
    ),
    (
        "## Message passing",
        &["**Said for it.**", "**Said against it.**", "distributed"],
    ),
    (
        "## Trap",
        &[
            "**Said for it.**",
            "**Said against it.**",
            "read.trap.disk.4096",
        ],
    ),
    (
        "## Which function",
        &[
            "**An integer in the message.**",
            "**One trap instruction per function.**",
            "**A convention of registers.**",
        ],
    ),
    (
        "## Which arguments",
        &[
            "**In registers, by convention.**",
            "**In the message.**",
            "**A structure at a known address.**",
            "**Pointers",
        ],
    ),
    ("## Big blocks", &["share frames", "disk.65536.shared"]),
    (
        "## How the system reaches a user structure",
        &[
            "**By looking it up in the page table.**",
            "**By the user's address-space identifier.**",
        ],
    ),
];

fn page(name: &str) -> String {
    fs::read_to_string(paths::root().join("docs").join(name)).expect("the page is there")
}

/// The pages of a folder and those below it.
fn pages(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("it can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let docs = paths::root().join("docs");
            let name = path.strip_prefix(docs).expect("it lies there");
            found.push(name.display().to_string());
        }
    }
}

/// The part of a page under a heading.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let begin = format!("\n{heading}\n");
    let (_, rest) = page
        .split_once(&begin)
        .unwrap_or_else(|| panic!("{heading} is missing"));
    let next = rest.find("\n#").unwrap_or(rest.len());
    &rest[..next]
}

#[test]
fn every_row_of_the_lecture_is_in_it() {
    let page = page("three-ways.md");
    for (heading, has_figure) in LECTURE {
        let section = section(&page, heading);
        assert!(section.contains("{{#code "), "{heading} shows no code");
        assert_eq!(section.contains("{{#figure "), has_figure, "{heading}");
    }
    for (heading, answers) in ANSWERS {
        let section = section(&page, heading);
        for answer in answers {
            assert!(section.contains(answer), "{heading}: {answer}");
        }
    }
    let hypervisor = section(&page, "# Hypervisor");
    assert!(hypervisor.contains("three privileges") && hypervisor.contains("(shim.md)"));
}

#[test]
fn figures_are_those_of_the_suite_and_all_pages_are_chapters() {
    let mut names = Vec::new();
    pages(&paths::root().join("docs"), &mut names);
    let summary = page("SUMMARY.md");
    let mut figures = BTreeSet::new();
    for name in names {
        // The index that a visitor of the repository finds.
        if !["SUMMARY.md", "README.md"].contains(&name.as_str()) {
            assert!(
                summary.contains(&format!("]({name})")),
                "{name} is no chapter"
            );
        }
        let text = page(&name);
        let asked = text.split("{{#figure ").skip(1);
        figures.extend(asked.filter_map(|rest| Some(rest.split_once("}}")?.0.to_string())));
    }
    assert!(figures.len() > 10, "{figures:?}");
    for figure in figures {
        assert!(ids::find(&figure).is_some(), "{figure} is not measured");
    }
}

#[test]
fn the_book_builds_with_code_and_figures() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let results = folder.path().join("results.json");
    let row = serde_json::json!({"id": "trap.null", "clock": "instructions", "unit": "ticks", "median": 4321});
    let file = serde_json::json!({ "results": [row] });
    fs::write(&results, file.to_string()).expect("it can be written");
    let out = folder.path().join("html");
    let mut command = tool::command(&["book"]);
    command
        .arg("--out")
        .arg(&out)
        .arg("--figures")
        .arg(&results);
    assert_eq!(tool::run(&mut command).status, 0);
    let built = |name: &str| fs::read_to_string(out.join(name)).expect("the chapter is there");
    let ways = built("three-ways.html");
    assert!(
        ways.contains("<strong>4321 instructions</strong>"),
        "a figure of the run"
    );
    assert!(
        ways.contains("not measured here yet"),
        "a figure that the run does not have"
    );
    assert!(ways.contains("trait Platform"), "code");
    assert!(!ways.contains("{{#"), "all is put in");
    assert!(built("one-read.html").contains("src=\"pictures/read.svg\""));
    assert!(out.join("pictures/read.svg").is_file());
    assert!(built("map.html").contains("source/microkernel/src/ipc.rs.html"));
    // Anew, with a file that is none.
    fs::write(&results, "none").expect("it can be written");
    let run = tool::run(&mut command);
    assert_eq!(run.status, 2);
    assert!(
        run.messages.contains("no results of cargo bench"),
        "{}",
        run.messages
    );
}

/// The package that builds it lies outside the workspace, so its own tests are started here.
#[test]
fn what_builds_it_is_tested() {
    let tested = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--locked", "--manifest-path"])
        .arg(paths::root().join("boot/book/Cargo.toml"))
        .arg("--target-dir")
        .arg(paths::root().join("target/book"))
        .status();
    assert!(tested.expect("cargo starts").success());
}
