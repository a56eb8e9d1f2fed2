//! The report of `cargo bench`, as a browser shows it.

use std::path::Path;

use postern::bench::cli::Clock;
use postern::bench::results::{Machine, Results, Row};
use postern::bench::stats::Counts;
use postern::bench::{peers, report};
use tests::browser::{Screen, show};

/// A row that says only how much.
fn row(id: &str, median: u64) -> Row {
    Row {
        id: id.into(),
        clock: Clock::Instructions,
        unit: "ticks".into(),
        summary: Counts::one(median).summary().expect("there is a sample"),
        overhead: 0,
        batch: 1,
        outliers: 0,
        limit: None,
        beside: Vec::new(),
        note: None,
    }
}

/// A run in which a copy costs an instruction for eight bytes, and each structure its own.
fn made_up() -> Results {
    let mut results = Results::new(Machine {
        emulator: "QEMU".into(),
        version: "QEMU emulator version 0".into(),
        cpu: "max".into(),
        accelerator: "tcg".into(),
        tick: "one guest instruction".into(),
        cycles: None,
        compiler: "rustc".into(),
        host: "a processor".into(),
    });
    for size in [64, 256, 1024, 4096, 16384, 65536, 1 << 20] {
        for (way, fixed) in [("call", 40), ("trap", 80), ("ipc", 400)] {
            let copy = format!("read.{way}.zero.{size}.copy");
            results.add(row(&copy, fixed + size / 8));
        }
        results.add(row(&format!("read.ipc.zero.{size}.shared"), 460));
        results.add(row(&format!("write.trap.zero.{size}.copy"), 90 + size / 8));
        results.add(row(&format!("write.ipc.zero.{size}.shared"), 602));
    }
    for (id, median) in [
        ("limit.crossing", 4),
        ("trap.null", 20),
        ("ipc.roundtrip.cross.0", 102),
        ("vm.exit.vmcall", 111),
    ] {
        results.add(row(id, median));
    }
    results
}

/// Writes the report of [`made_up`] and shows it.
fn shown(folder: &Path, dark: bool, width: usize) -> Screen {
    report::save(&made_up(), folder).expect("it can be written");
    show(&folder.join("report.html"), width, 1200, dark)
}

#[test]
fn a_browser_shows_it_bright_and_dark_on_a_desk_and_on_a_phone() {
    let folder = tempfile::tempdir().expect("a folder");
    for width in [1000, 400] {
        let [bright, dark] = [false, true].map(|dark| shown(folder.path(), dark, width));
        for (screen, ground, name) in [(&bright, 200..=255, "bright"), (&dark, 0..=60, "dark")] {
            assert_eq!(screen.console, "", "{name}, {width} wide");
            let corner = screen.picture.brightness(2, 2);
            assert!(ground.contains(&corner), "{name}, {width} wide: {corner}");
            // Text and plots: there is more than the ground, of other brightness.
            let other = (0..width).flat_map(|x| (0..1200).map(move |y| (x, y)));
            let other =
                other.filter(|(x, y)| screen.picture.brightness(*x, *y).abs_diff(corner) > 80);
            assert!(other.count() > 2000, "{name}, {width} wide");
            // Nothing is cut off at the right: the margin is empty.
            let margin = (0..1200).map(|y| screen.picture.brightness(width - 3, y));
            assert!(
                margin.into_iter().all(|light| light.abs_diff(corner) < 8),
                "{name}, {width} wide"
            );
        }
    }
}

#[test]
fn it_says_where_the_crossovers_are_and_how_to_measure_again() {
    let peers = peers::known().expect("they are sound");
    let page = report::page(&made_up(), &peers).expect("it can be drawn");
    // 80 + size / 8 and 460 meet at 3040 bytes.
    assert!(
        page.contains("From 3 KiB on, “message, shared memory” costs less than “trap, copied”."),
        "{page}"
    );
    // 90 + size / 8 and 602 meet at a page.
    assert!(
        page.contains("From 4 KiB on, “message, shared memory” costs less than “trap, copied”.")
    );
    for verb in ["read", "write"] {
        let again = format!(r"cargo bench -- --only '^{verb}\.[a-z]+\.zero\.'");
        assert!(page.contains(&again), "{again}");
    }
    assert!(page.contains("5.00"), "trap.null is five times its limit");
    assert!(page.contains(
        "another program, and whoever is below the kernel: trap 20, message 102, hypercall 111."
    ));
    for peer in peers {
        assert!(page.contains(&format!("Beside {}", peer.name)));
    }
}
