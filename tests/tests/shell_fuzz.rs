//! Anything typed at the shell: random lines, keys and bytes. Nothing crashes, and the shell still obeys.

use std::time::{SystemTime, UNIX_EPOCH};

use postern::qemu::Options;
use postern::status::Status;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tests::default_system;
use tests::session::{PROMPT, Session};

/// Lines typed without waiting: they fit what the console keeps.
const BATCH: usize = 20;

/// What lines are made of. Not `kill` and `poweroff`, which may do harm.
const WORDS: &[&str] = &[
    "help",
    "read",
    "write",
    "ls",
    "cat",
    "hexdump",
    "sha256",
    "cp",
    "mv",
    "rm",
    "mkdir",
    "net",
    "ps",
    "top",
    "caps",
    "date",
    "sleep",
    "mem",
    "uptime",
    "echo",
    "dmesg",
    "time",
    "spawn",
    "wait",
    "run",
    "history",
    "bench",
    "example-open",
    "httpd",
    "ping",
    "disk:0",
    "blah:",
    "zero:",
    "null:",
    "pipe:x",
    "file:/x",
    "nothing:",
    "keyboard:",
    "timer:",
    "names:",
    "--size",
    "--offset",
    "--count",
    "0",
    "1",
    "64",
    "99999999999999999999",
    "-1",
    "shell",
    "disk",
    "'a b'",
    "\"",
    "'",
    "\\",
    "#",
    "é",
    "\u{fffd}",
];
const OPERATORS: &[&str] = &[" ", " ", " ", " ", "|", "<", ">", ">>", "&", ";", ""];
const KEYS: &[&[u8]] = &[
    b"\x01", b"\x02", b"\x03", b"\x04", b"\x05", b"\x06", b"\x08", b"\t", b"\x0b", b"\x0c",
    b"\x0e", b"\x10", b"\x15", b"\x17", b"\x1b", b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D",
    b"\x1b[H", b"\x1b[F", b"\x1b[3~", b"\x1b[", b"\x1bO", b"\x7f", b"\0", b"\xff", b"\xc3",
];

/// A line, without its end.
fn line(random: &mut SmallRng) -> Vec<u8> {
    let mut line = Vec::new();
    let length = random.random_range(0..8);
    match random.random_range(0..10) {
        // Nonsense that looks like a command.
        0..3 => {
            for _ in 0..length {
                line.extend(
                    WORDS
                        .choose(random)
                        .into_iter()
                        .flat_map(|word| word.bytes()),
                );
                line.extend(
                    OPERATORS
                        .choose(random)
                        .into_iter()
                        .flat_map(|operator| operator.bytes()),
                );
            }
        }
        // An edited line.
        3..7 => {
            for _ in 0..length {
                match random.random() {
                    true => line.extend(*KEYS.choose(random).expect("there are keys")),
                    false => line.extend(
                        WORDS
                            .choose(random)
                            .into_iter()
                            .flat_map(|word| word.bytes()),
                    ),
                }
            }
        }
        // Bytes.
        7..9 => line.extend((0..length * 4).map(|_| random.random::<u8>())),
        // A long line.
        _ => line.extend(std::iter::repeat_n(
            random.random_range(b' '..b'~'),
            length * 20,
        )),
    }
    line
}

/// 20,000 lines; 100,000 with the environment variable `POSTERN_LONG` set. `POSTERN_SEED` repeats a run.
#[test]
fn anything_can_be_typed() {
    let lines = if std::env::var_os("POSTERN_LONG").is_some() {
        100_000
    } else {
        20_000
    };
    let seed = std::env::var("POSTERN_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let clock = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_nanos() as u64)
    };
    let seed = seed.unwrap_or_else(clock);
    eprintln!("POSTERN_SEED={seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let mut session = Session::boot(&Options::default(), &default_system());
    session.expect(PROMPT);
    for batch in 0..lines / BATCH {
        let mut typed = Vec::new();
        for _ in 0..BATCH {
            typed.extend(line(&mut random));
            typed.push(b'\r');
        }
        // Ctrl-C ends what still runs, or the line that was not ended; then nothing is left that could get in between.
        typed.push(3);
        session.machine.send(&typed).expect("it listens");
        session.send(&format!(
            "\x03kill --background; wait; echo batch-{batch}-done\r"
        ));
        let text = session.expect(&format!("\nbatch-{batch}-done\n"));
        let crashed = text.contains("panicked (`dmesg`") || text.contains(", RIP 0x");
        assert!(!crashed, "{text}");
        session.forget();
    }
    session.send("\rdmesg\r");
    session.send("echo at-the-end\r");
    let log = session.expect("\nat-the-end\n");
    assert!(
        !log.contains("faulted") && !log.contains("panicked"),
        "{log}"
    );
    session.send("ps\rpoweroff\r");
    let (status, _) = session.finish();
    assert_eq!(status, Status::Success);
}
