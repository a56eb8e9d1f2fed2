//! `cargo bench`: its figures are the same in every run and none has become worse, and it keeps what it has when something goes
//! wrong.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use postern::bench::cli::Arguments;
use postern::bench::compare::{Change, Comparison, TOLERANCE};
use postern::bench::limits::Limits;
use postern::bench::results::Results;
use postern::bench::{ids, stages, suite};
use postern::status::Status;
use tests::{LIMIT, seat};

/// One emulator at a time in this process, so that a test knows which is its own.
static ALONE: Mutex<()> = Mutex::new(());

fn arguments(words: &[&str], out: &Path) -> Arguments {
    let out = out.to_str().expect("a plain name");
    let words: Vec<&str> = words.iter().copied().chain(["--out", out]).collect();
    Arguments::typed(&words).expect("they are well formed")
}

/// Measures what `--quick` promises, or what `more` says.
fn measure(more: &[&str], out: &Path) -> Results {
    let words: Vec<&str> = ["--quick"].iter().chain(more).copied().collect();
    let arguments = arguments(&words, out);
    let ids = arguments.ids().expect("there are some");
    let (results, status) = suite::collect(&arguments, &ids).expect("the suite runs");
    assert_eq!(status, Status::Success);
    assert_eq!(results.results.len() + results.absent.len(), ids.len());
    results
}

/// A file beside this crate's manifest.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Rows without a device are the same, and the medians of others near each other.
fn same(first: &Results, second: &Results) {
    for row in &second.results {
        let earlier = first.row(&row.id).expect("the first run has all");
        if ids::find(&row.id).is_some_and(|id| id.device) {
            let (one, other) = (earlier.summary.median, row.summary.median);
            let most = one.max(other) as f64 * TOLERANCE / 100.0;
            assert!(
                one.abs_diff(other) as f64 <= most,
                "{earlier:?} and {row:?}"
            );
        } else {
            assert_eq!(earlier, row);
        }
    }
}

#[test]
fn a_run_keeps_its_bounds_and_two_runs_give_the_same_figures() {
    let _alone = ALONE.lock();
    let _seat = seat();
    let folder = tempfile::tempdir().expect("a folder");
    let first = measure(&[], folder.path());
    let written = Results::load(&folder.path().join("results.json"));
    assert_eq!(written.expect("it is written"), first);
    let limits = Limits::load(&file("bench-limits.toml")).expect("it is sound");
    assert_eq!(limits.complaints(&first), [""; 0]);
    let baseline = Results::load(&file("bench-baseline.json")).expect("it is sound");
    let comparison = Comparison::new(&baseline, &first);
    println!("{comparison}");
    assert_eq!(comparison.regressions(), Vec::<&Change>::new());
    same(&first, &measure(&[], folder.path()));

    let median = |id: &str| {
        let row = first.row(id);
        row.unwrap_or_else(|| panic!("{id} is missing"))
            .summary
            .median
    };
    // The trace, which counts steps, and the clock agree to the instruction.
    let kernel =
        median("ipc.oneway.call.instructions") + median("ipc.oneway.reply_recv.instructions");
    let user = median("ipc.loop.client") + median("ipc.loop.server");
    assert_eq!(kernel + user, median("ipc.roundtrip.cross.0"));
    for way in ["call", "reply_recv"] {
        let stages = stages::NAMES.map(|name| median(&format!("ipc.stage.{way}.{name}")));
        let whole = median(&format!("ipc.oneway.{way}.instructions"));
        assert_eq!(stages.iter().sum::<u64>(), whole);
    }
    assert!(median("fault.to_handler") < median("fault.roundtrip"));
    // A trace that is switched off costs nothing.
    assert_eq!(
        median("ipc.roundtrip.untraced"),
        median("ipc.roundtrip.cross.0")
    );
    // Nor does the hypervisor shim, inside an instance.
    assert_eq!(
        median("vm.ipc.roundtrip.cross.0"),
        median("ipc.roundtrip.cross.0")
    );
    // Nor does a thread that only is ready; and a chain grows by the same with each server.
    assert_eq!(
        median("ipc.roundtrip.ready.100"),
        median("ipc.roundtrip.cross.0")
    );
    let chain = [1, 2, 3, 4, 5].map(|servers| median(&format!("ipc.chain.{servers}")));
    let steps: Vec<u64> = chain.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().all(|step| *step == steps[0]), "{chain:?}");
    assert!(median("ipc.roundtrip.traced") > median("ipc.roundtrip.cross.0"));
    assert!(median("limit.crossing") < median("trap.null"));
    assert!(median("limit.roundtrip.cross") < median("ipc.roundtrip.cross.0"));
}

/// Another processor, and another emulator, measure all that they promise; and an instruction is an instruction in each.
#[test]
fn other_processors_and_bochs_complete() {
    let _alone = ALONE.lock();
    let _seat = seat();
    let folder = tempfile::tempdir().expect("a folder");
    let only = match std::env::var_os("POSTERN_LONG") {
        Some(_) => "",
        None => {
            r"^(limit\.(c|r.*cross$)|switch|trap|ipc\.roundtrip\.cross|cap|fault\.r|read\.[ti].*\.null\.0$)"
        }
    };
    let [haswell, bochs] = [["--cpu", "Haswell"], ["--emulator", "bochs"]].map(|which| {
        let words = [&which[..], &["--only", only][..]].concat();
        measure(&words, folder.path())
    });
    let cpus = [&haswell, &bochs].map(|run| run.machine.cpu.as_str());
    assert_eq!(cpus, ["Haswell", "tigerlake"]);
    // QEMU emulates no PCIDs.
    let absent = haswell.absent.iter().map(|absent| absent.id.as_str());
    assert!(absent.collect::<Vec<_>>().contains(&"switch.cr3_pcid"));
    assert_eq!(bochs.absent, []);
    let median = |run: &Results, id: &str| run.row(id).map(|row| row.summary.median);
    assert_eq!(median(&bochs, "switch.cr3_pcid"), Some(1));
    for id in [
        "limit.crossing",
        "limit.roundtrip.cross",
        "trap.null",
        "ipc.roundtrip.cross.0",
        "cap.mint_delete",
        "read.trap.null.0",
        "read.ipc.null.0",
    ] {
        let both = [&haswell, &bochs].map(|run| median(run, id));
        assert!(both[0].is_some() && both[0] == both[1], "{id}: {both:?}");
    }
}

/// Kills the QEMU that this process has started.
fn kill_emulator() {
    // The second field of `stat` is the program's name in parentheses, the fourth its parent (proc(5)).
    let is_own = |entry: &std::fs::DirEntry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1));
        stat.contains("(qemu-system") && parent == Some(&std::process::id().to_string())
    };
    let mut processes = std::fs::read_dir("/proc")
        .expect("Linux has /proc")
        .flatten();
    let own = processes
        .find(is_own)
        .expect("an emulator runs")
        .file_name();
    let kill = format!("kill -KILL {}", own.to_string_lossy());
    let killed = Command::new("sh").args(["-c", &kill]).status();
    assert!(killed.expect("sh starts").success());
}

#[test]
fn what_was_measured_is_kept_when_the_emulator_is_killed() {
    let _alone = ALONE.lock();
    let _seat = seat();
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = arguments(&["--only", "^(ipc.[rsdcf]|cap|thread)"], folder.path());
    let ids = arguments.ids().expect("there are some");
    let wanted = ids.len();
    let suite = std::thread::spawn(move || suite::collect(&arguments, &ids));
    let file = folder.path().join("results.json");
    let rows = || Results::load(&file).map_or(0, |results| results.results.len());
    let deadline = Instant::now() + LIMIT;
    while rows() == 0 {
        assert!(Instant::now() < deadline, "no results in {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
    kill_emulator();
    let error = suite.join().expect("the suite does not panic").unwrap_err();
    assert!(
        error.to_string().contains("results so far are kept"),
        "{error:#}"
    );
    assert!((1..wanted).contains(&rows()), "{} of {wanted}", rows());
    // The table and the page are of these rows.
    let written = |name| std::fs::read_to_string(folder.path().join(name)).expect("it is written");
    assert_eq!(written("results.csv").lines().count(), 1 + rows());
    assert!(written("report.html").contains("ipc.roundtrip.same.0"));
}

#[test]
fn what_cannot_work_is_said_before_anything_boots() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("it can be written");
    let arguments = arguments(&["--only", "trap.null"], &file.join("below"));
    let ids = arguments.ids().expect("it is there");
    let error = suite::collect(&arguments, &ids).unwrap_err().to_string();
    assert!(error.contains("cannot create"), "{error}");
    let missing = self::arguments(&["--compare", "/nowhere/old.json"], folder.path());
    let error = suite::run(&missing).unwrap_err().to_string();
    assert!(error.contains("cannot read /nowhere/old.json"), "{error}");
    let bochs = self::arguments(&["--emulator=bochs", "--clock=time"], folder.path());
    let error = suite::run(&bochs).unwrap_err().to_string();
    assert!(
        error.contains("--clock time needs --emulator qemu"),
        "{error}"
    );
    for words in [["--clock", "cycles"], ["--only", "("], ["--fast", "x"]] {
        assert!(Arguments::typed(&words).is_err(), "{words:?}");
    }
}
