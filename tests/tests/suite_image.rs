//! The benchmarks' image: without a host tool it measures what kernels that boot one after the other have to say.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use postern::accelerator::Accelerator;
use postern::bench::ids::{self, Source};
use postern::bench::results::Results;
use postern::qemu::{self, Options};
use tests::screen::wait_for;
use tests::session::Session;
use tests::tool::{self, run};

/// Rows of a page of the table (`apps/crossings/src/person.rs`).
const ROWS: usize = 22;

/// The image of the benchmarks.
fn suite() -> PathBuf {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let image = Path::new(env!("CARGO_TARGET_TMPDIR")).join("suite.iso");
        let path = image.to_str().expect("its name is text");
        let made = run(&mut tool::command(&[
            "image", "--system", "suite", "--out", path,
        ]));
        assert_eq!(made.status, 0, "{}", made.messages);
        image
    };
    IMAGE.get_or_init(make).clone()
}

/// All ids that the image measures, in the order of its table.
fn suite_ids() -> Vec<&'static str> {
    let limits = ids::ALL.iter().filter(|id| id.source == Source::Limits);
    let limits = limits.map(|id| id.name);
    let call = ids::for_a_person_in("library-os");
    let trap = ids::for_a_person_in("monolith");
    limits
        .chain(call)
        .chain(trap)
        .chain(ids::for_a_person())
        .collect()
}

/// The words of the line of an id in a table.
fn row<'a>(table: &'a str, id: &str) -> Vec<&'a str> {
    let line = table
        .lines()
        .find(|line| line.starts_with(&format!("{id} ")));
    line.unwrap_or_default().split_whitespace().collect()
}

/// The benchmarks need no host tool: limits, function calls, traps and messages, whose kernels boot one after the other, are lines
/// of a table, on the serial line and on the screen.
#[test]
fn the_suite_measures_from_an_image() {
    let mut session = Session::boot_image(&Options {
        iso: Some(suite()),
        accel: Accelerator::Tcg,
        null_disk: true,
        ..Options::default()
    });
    let said = session.expect("That is all.\n");
    let heading = said.lines().find(|line| line.starts_with("id "));
    let heading = heading.expect("the table has a heading");
    assert_eq!(
        row(&said, "id"),
        ["id", "min", "median", "p99", "max", "stddev", "n"]
    );
    let mut measured = 0;
    for id in suite_ids() {
        let row = row(&said, id);
        let figures: Vec<u64> = row.iter().filter_map(|word| word.parse().ok()).collect();
        match figures[..] {
            [min, median, p99, max, n] => {
                let rises = min <= median && median <= p99 && p99 <= max;
                assert!(rises && n > 0, "{id}");
                measured += 1;
            }
            _ if id == "switch.cr3_pcid" => {
                assert!(row.ends_with(&["has", "no", "PCID"]), "{id}: {said}");
            }
            // The host was busy with something else.
            _ => assert_eq!(row.get(1), Some(&"refused:"), "{id}: {said}"),
        }
    }
    assert!(measured > 0, "{said}");
    // The pages turn, and have all of it: the first comes again.
    let pages = suite_ids().len().div_ceil(ROWS);
    wait_for(session.monitor(), |lines| {
        let told = |what: &str| lines.iter().any(|line| line.starts_with(what.as_bytes()));
        lines.first().is_some_and(|line| line == heading.as_bytes())
            && told("limit.crossing ")
            && told(&format!("page 1 of {pages};"))
    });
}

/// Without a disk, which is said, and the rest is measured; by UEFI, too. Counted instructions are those of `cargo bench`.
#[test]
fn the_suite_measures_by_uefi_and_without_a_disk() {
    let uefi = qemu::uefi().expect("it is there or can be installed");
    let baseline = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench-baseline.json");
    let baseline = Results::load(&baseline).expect("it is committed");
    for (more, counted) in [
        (["-bios", uefi], false),
        (["-icount", "shift=0,sleep=off"], true),
    ] {
        let mut command = Command::new(qemu::PROGRAM);
        command.args(["-cpu", "max", "-m", "256M", "-nographic"]);
        command.args(more).arg("-cdrom").arg(suite());
        let mut session = Session::start(command);
        let said = session.expect("That is all.\n");
        for id in suite_ids() {
            let row = row(&said, id);
            let median: Option<u64> = row.get(2).and_then(|word| word.parse().ok());
            if id.contains(".disk.") {
                assert_eq!(row[1..], ["no", "such", "device"], "{id}: {said}");
            } else if id == "switch.cr3_pcid" {
                assert_eq!(median, None, "{id}: {said}");
            } else if counted && id.starts_with("limit.roundtrip") {
                let expected = baseline.row(id).map(|row| row.summary.median);
                assert_eq!(median, expected, "{id}");
            } else {
                let refused = !counted && row.get(1) == Some(&"refused:");
                assert!(median.is_some() || refused, "{id}: {said}");
            }
        }
    }
}
