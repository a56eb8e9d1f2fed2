//! A long time of the guest's, most of it asleep: the clock stays right, and nothing grows.

use postern::qemu::Options;
use postern::status::Status;
use tests::session::Session;
use tests::{default_system, fat};

/// What happens again and again: work that leaves nothing behind, and then what has changed.
const WORK: &str = "\
sha256 disk:0
cp file:/work file:/copy; cat file:/copy | cat | hexdump > file:/dump; rm file:/copy file:/dump
read blah:; example-thread; example-malloc; example-capability
spawn sleep 1; wait
cat nothing: | cat
date; uptime; mem; caps shell; caps pipe | sha256; caps disk | sha256
";

/// Ten minutes, with work in each; with the environment variable `POSTERN_LONG` set a day, with work in each hour.
#[test]
fn a_day_passes() {
    let (rounds, seconds) = match std::env::var_os("POSTERN_LONG") {
        Some(_) => (24, 3600),
        None => (10, 60),
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (image, script) = (folder.path().join("disk.img"), folder.path().join("work"));
    std::fs::write(&script, WORK).expect("it can be written");
    fat::make(&image, 12, 1 << 20);
    fat::put(&image, &script, "work");
    let mut system = default_system();
    let (sleep, work) = (
        format!("time sleep {seconds}"),
        "run file:/work".to_string(),
    );
    let passed = (0..rounds).flat_map(|_| [sleep.clone(), work.clone()]);
    let commands: Vec<String> = [work.clone()].into_iter().chain(passed).collect();
    system.execute("0", &commands).expect("it has a shell");
    let options = Options {
        icount: true,
        disks: vec![image],
        ..Options::default()
    };
    // The machine's clock counts the guest's time, not the host's.
    let clock = ["-rtc", "base=2026-11-24T00:00:00,clock=vm"];
    let mut session = Session::boot_with(&options, &system, &clock);
    // The limit is for each round.
    for _ in 0..=rounds {
        session.expect(" KiB free of ");
    }
    let (status, log) = session.finish();
    assert_eq!(status, Status::Success);
    let lines = || log.lines();

    let clock: Vec<f64> = lines().filter_map(time_of_day).collect();
    let up: Vec<f64> = lines()
        .filter_map(|line| line.split_once(" s since reset")?.0.parse().ok())
        .collect();
    assert_eq!((clock.len(), up.len()), (rounds + 1, rounds + 1));
    for round in 0..=rounds {
        // Both say the same time.
        let (clock, up) = (clock[round] - clock[0], up[round] - up[0]);
        assert!((clock - up).abs() <= 1.0, "{round}: {clock} and {up}");
    }
    let slept: Vec<f64> = lines()
        .filter_map(|line| line.strip_suffix(" s")?.parse().ok())
        .collect();
    assert_eq!(slept.len(), rounds);
    assert!(
        slept
            .iter()
            .all(|time| (0.0..1.0).contains(&(time - f64::from(seconds)))),
        "{slept:?}"
    );
    // After the first round everything has been used once; from then on memory and capabilities are the same.
    let count = |what: &str| -> Vec<String> {
        let found = lines().filter(|line| line.contains(what));
        found.map(str::to_string).collect()
    };
    let free = count(" KiB free of ");
    assert_eq!(free.len(), rounds + 1);
    assert!(free[1..].iter().all(|line| *line == free[1]), "{free:?}");
    // What two servers hold, and how much the shell does.
    let digests: Vec<&str> = lines()
        .filter_map(|line| line.split_once("  pipe:"))
        .map(|(digest, _)| digest)
        .collect();
    assert_eq!(digests.len(), 2 * (rounds + 1));
    assert!(
        digests[2..].chunks(2).all(|pair| *pair == digests[2..4]),
        "{digests:?}"
    );
    let held: Vec<usize> = log
        .split("SLOT KIND")
        .skip(1)
        .map(|table| {
            table
                .lines()
                .skip(1)
                .take_while(|line| line.starts_with(' '))
                .count()
        })
        .collect();
    assert_eq!(held.len(), rounds + 1);
    assert!(
        held[0] > 20 && held[1..].iter().all(|count| *count == held[1]),
        "{held:?}"
    );
    for name in ["console", "names", "timer", "pipe", "disk", "fs", "shell"] {
        let used: Vec<_> = lines()
            .filter_map(|line| {
                let words: Vec<_> = line.split_whitespace().collect();
                (words.len() == 3 && words[0] == name).then(|| words[1].to_string())
            })
            .collect();
        assert_eq!(used.len(), rounds + 1);
        assert!(
            used[1..].iter().all(|size| *size == used[1]),
            "{name}: {used:?}"
        );
    }
}

/// Seconds since the month began, of a line that `date` printed.
fn time_of_day(line: &str) -> Option<f64> {
    let (_, rest) = line.strip_suffix(" UTC")?.split_once(" 2026-11-")?;
    let (day, time) = rest.split_once(' ')?;
    let mut parts = time.split(':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Some(((day.parse::<f64>().ok()? * 24.0 + hours) * 60.0 + minutes) * 60.0 + seconds)
}
