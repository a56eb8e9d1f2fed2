//! Another system beside Postern in the same run: Linux, as `cargo bench -- --peer linux` measures it.

use std::path::Path;

use postern::bench::cli::{Arguments, Clock};
use postern::bench::peer::linux::Linux;
use postern::bench::peers;
use postern::bench::results::{Results, Row};
use postern::bench::{report, suite};
use postern::qemu::Options;
use postern::run;
use postern::status::Status;
use tests::{LIMIT, seat};

/// Measures the peer's ids that match `only`, and what stands beside them.
fn measure(only: &str, out: &Path) -> (Results, Status) {
    let out = out.to_str().expect("a plain name");
    let words = ["--peer", "linux", "--quick", "--only", only, "--out", out];
    let arguments = Arguments::typed(&words).expect("they are well formed");
    let ids = arguments.ids().expect("there are some");
    suite::collect(&arguments, &ids).expect("the suite runs")
}

/// One id of each kind, and of devices a read that the processor makes by itself and one that it waits for.
const ONE_OF_EACH: &str = r"^(trap\.null|ipc\.roundtrip\.eventfd|fault\.(roundtrip|page\.write)|read\.trap\.(null|disk|file)\.4096)$";

#[test]
fn linux_stands_beside_postern_in_every_file() {
    let _seat = seat();
    let folder = tempfile::tempdir().expect("a folder");
    let (results, status) = measure(ONE_OF_EACH, folder.path());
    assert_eq!(status, Status::Success);
    let [linux] = results.others.as_slice() else {
        panic!("{:?}", results.others)
    };
    assert_eq!(linux.name, "Linux");
    assert!(linux.source.contains("cloud-amd64"), "{}", linux.source);
    let row = |id: &str| -> &Row {
        let row = linux.results.iter().find(|row| row.id == id);
        row.unwrap_or_else(|| panic!("{id} is missing"))
    };
    // What it costs at least and at most, whatever the kernel's version.
    for (id, sane) in [
        ("trap.null", 50..1_000),
        ("ipc.roundtrip.eventfd", 2_000..40_000),
        ("fault.roundtrip", 1_000..20_000),
        ("fault.page.write", 4_096 / 8..40_000),
        ("read.trap.null.4096", 4_096 / 8..20_000),
        ("read.trap.file.4096", 4_096 / 8..20_000),
        ("read.trap.disk.4096", 5_000..100_000),
    ] {
        let row = row(id);
        assert_eq!(row.clock, Clock::Instructions);
        assert!(sane.contains(&row.summary.median), "{row:?}");
    }
    let beside = |id: &str| -> Vec<(&str, f64)> {
        let beside = row(id).beside.iter();
        beside
            .map(|limit| (limit.id.as_str(), limit.ratio))
            .collect()
    };
    let times = |id: &str, ours: &str| {
        let (theirs, ours) = (row(id), results.row(ours).expect("it is measured"));
        let times = theirs.summary.median as f64 / ours.summary.median as f64;
        (times * 100.0).round() / 100.0
    };
    for (id, ours) in [
        ("ipc.roundtrip.eventfd", "ipc.roundtrip.cross.0"),
        ("trap.null", "trap.null"),
        ("fault.roundtrip", "fault.roundtrip"),
        ("read.trap.file.4096", "read.ipc.file.4096"),
    ] {
        assert_eq!(beside(id), [(ours, times(id, ours))]);
    }
    let read = ["read.trap.disk.4096", "read.ipc.disk.4096"];
    assert_eq!(
        beside(read[0]),
        read.map(|ours| (ours, times(read[0], ours)))
    );
    assert_eq!(beside("fault.page.write"), []);

    let written = Results::load(&folder.path().join("results.json"));
    assert_eq!(written.expect("it is written"), results);
    let text = |name| std::fs::read_to_string(folder.path().join(name)).expect("it is written");
    let line = text("results.csv");
    let line = line
        .lines()
        .find(|line| line.contains("eventfd"))
        .unwrap_or_default();
    assert!(line.contains(",Linux,ipc.roundtrip.cross.0,"), "{line}");
    let page = text("report.html");
    for part in [
        "Beside Linux",
        "Linux ipc.roundtrip.eventfd, ",
        " --peer linux</code>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let peers = peers::of(&results).expect("the constants are sound");
    assert_eq!(
        report::page(&results, &peers).expect("it can be drawn"),
        page
    );
}

#[test]
fn a_linux_that_does_not_come_up_ends_with_its_own_words() {
    let _seat = seat();
    let linux = Linux::new().expect("its kernel can be fetched");
    let options = Options {
        icount: true,
        timeout: Some(LIMIT),
        ..Options::default()
    };
    let booted = linux.start(b"no program".into(), &options, &[]);
    let mut booted = booted.expect("the emulator starts");
    let outcome = run::attend(&mut booted.machine, &options, &mut |_| Ok(()));
    let outcome = outcome.expect("it can be followed");
    assert_eq!(outcome.status, Status::KernelPanic, "{}", outcome.log);
    assert!(outcome.log.contains("Kernel panic"), "{}", outcome.log);
}
