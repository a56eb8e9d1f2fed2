//! A person at the terminal, and programs that all print at once.

use std::collections::HashMap;
use std::process::Command;

use postern::qemu::Options;
use postern::status::Status;
use rexpect::session::{PtySession, spawn_command};
use tests::session::{PROMPT, Session};
use tests::{LIMIT, all_started, default_system, misbehaving, seat, tool};

/// The tool on a terminal; a shell says afterwards how it ended, and in which mode it left the terminal.
fn at_a_terminal(arguments: &[&str]) -> PtySession {
    let mut command = Command::new("sh");
    command.args(["-c", "\"$@\"; echo \"status $?\"; stty -a", "sh"]);
    command.arg(tool::binary()).args(arguments);
    let limit = u64::try_from(LIMIT.as_millis()).expect("a short time");
    spawn_command(command, Some(limit)).expect("a terminal")
}

/// What a terminal is typed, and what it must show next.
fn dialogue(terminal: &mut PtySession, lines: &[(&str, &str)]) {
    for (typed, shown) in lines {
        terminal.send(typed).expect("it takes keys");
        terminal.flush().expect("it takes keys");
        if let Err(error) = terminal.exp_string(shown) {
            panic!("after {typed:?} instead of {shown:?}: {error}");
        }
    }
}

#[test]
fn a_session() {
    let _seat = seat();
    let mut terminal = at_a_terminal(&["run"]);
    dialogue(
        &mut terminal,
        &[
            ("", PROMPT),
            ("echo one\r", "\r\none\r\npostern> "),
            // Backspace, Ctrl-U, Ctrl-C, a cursor key.
            ("echo hxx\x7f\x7fello\r", "\r\nhello\r\npostern> "),
            ("nonsense\x15echo two\r", "\r\ntwo\r\npostern> "),
            ("nonsense\x03", "^C\r\npostern> "),
            ("echo tee\x1b[D\x1b[Dhr\r", "\r\nthree\r\npostern> "),
            ("\x1b[A\r", "\r\nthree\r\npostern> "),
            ("read disk:0 --size 16\r", "|Hello from secto|\r\npostern> "),
            // The tool's own keys.
            ("\x01h", "Ctrl-A x       leave"),
            ("for\x01\x01echo be\r", "\r\nbefor\r\npostern> "),
            ("\x01qecho four\r", "\r\nfour\r\npostern> "),
            ("\x01x", "status 0"),
            ("", " icanon"),
        ],
    );
}

#[test]
fn poweroff_gives_the_terminal_back() {
    let _seat = seat();
    let mut terminal = at_a_terminal(&[]);
    dialogue(
        &mut terminal,
        &[("", PROMPT), ("poweroff\r", "status 0"), ("", " icanon")],
    );
}

/// Ctrl-A n goes from one instance to the next; with `--vm`, what is seen goes along.
#[test]
fn the_next_instance() {
    let _seat = seat();
    let mut terminal = at_a_terminal(&["run", "--system", "vms2", "--vm", "0"]);
    dialogue(
        &mut terminal,
        &[
            ("", PROMPT),
            ("\x01h", "Ctrl-A n       type into the next instance"),
            ("read disk:0 --size 16\r", "|Hello from secto|\r\npostern> "),
            ("\x01n", "--- instance 1\r\n"),
            ("echo one\r", "\r\none\r\npostern> "),
            ("\x01n", "--- instance 0\r\n"),
            ("read disk:0 --size 16\r", "|Hello from secto|\r\npostern> "),
            ("\x01x", "status 0"),
        ],
    );
}

/// A machine whose shell never gets a turn can be left as well.
#[test]
fn leaving_a_machine_that_hangs() {
    let mut system = default_system();
    let spinner = misbehaving("spinner", 60, &["--spin"]);
    system.manifest.programs.push(spinner);
    let file = tempfile::Builder::new().suffix(".toml").tempfile();
    let file = file.expect("a temporary file");
    let text = toml::to_string(&system.manifest).expect("it was TOML");
    std::fs::write(file.path(), text).expect("it can be written");
    let _seat = seat();
    let path = file.path().display().to_string();
    let mut terminal = at_a_terminal(&["run", "--system", &path]);
    dialogue(
        &mut terminal,
        &[
            ("", all_started(&system).as_str()),
            ("typed in vain\x01x", "status 0"),
            ("", " icanon"),
        ],
    );
}

/// Two programs and the shell print at once: every line arrives, whole and in order.
#[test]
fn lines_never_mix() {
    const LINES: usize = 10_000;
    let names = ["alice", "bob"];
    let mut system = default_system();
    let count = LINES.to_string();
    let printers = names.map(|name| misbehaving(name, 50, &["--lines", &count]));
    system.manifest.programs.extend(printers);
    let mut session = Session::boot(&Options::default(), &system);
    // The shell's input is lost no more than the others' output. (The kernel sets the chip up before it greets.)
    session.expect("Postern ");
    session.send("echo typed meanwhile\r");
    let mut text = session.expect("\ntyped meanwhile\n");
    for name in names {
        let last = format!("{name} says line {}\n", LINES - 1);
        if !text.contains(&last) {
            text += &session.expect(&last);
        }
    }
    session.send("poweroff\r");
    assert_eq!(session.finish().0, Status::Success);
    let mut next: HashMap<&str, usize> = HashMap::new();
    for line in text.lines().filter(|line| line.contains(" says line ")) {
        // A prompt, and what is typed at it, may stand before another program's line.
        let name = names.iter().find(|name| line.contains(*name));
        let name = name.unwrap_or_else(|| panic!("whose line is {line:?}?"));
        let number = next.entry(name).or_default();
        let expected = format!("{name} says line {number}");
        assert!(line.ends_with(&expected), "{line:?} is not {expected:?}");
        let before = &line[..line.len() - expected.len()];
        assert!(
            PROMPT.starts_with(before)
                || before.starts_with(PROMPT)
                || "echo typed meanwhile".ends_with(before),
            "{line:?} is mixed"
        );
        *number += 1;
    }
    assert!(names.iter().all(|name| next[name] == LINES), "{next:?}");
}
