//! Memory that a program shares with a device: what dies, dies alone, and nothing is lost.

use postern::qemu::Options;
use postern::status::Status;
use postern::system::System;
use tests::session::Session;
use tests::{default_system, execute_system, probing};

/// What the sharer says when it has looked at everything and reads on: at first, and after each death.
const WELL: &str = "shared: nothing wrong\n";

fn with_sharer() -> System {
    let mut system = default_system();
    let mut sharer = probing("sharer", 40, "shared", &["console", "names", "disk"]);
    (sharer.shared, sharer.restart) = (0x40000, true);
    system.manifest.programs.push(sharer);
    system
}

#[test]
fn client_and_server_die_in_the_middle_of_reads_without_copies() {
    // The sharer runs while the shell sleeps: on the instruction clock, so that a run that fails can be repeated.
    let mut exec = vec!["sleep 1", "mem"];
    for victim in ["kill sharer", "kill disk", "kill sharer", "kill disk"] {
        exec.extend([victim, "sleep 1", "read disk:0 --size 16"]);
    }
    exec.push("mem");
    let options = Options {
        exec: exec.into_iter().map(String::from).collect(),
        icount: true,
        ..Options::default()
    };
    let outcome = execute_system(&options, &with_sharer());
    assert_eq!(outcome.status, Status::Success);
    let log = outcome.log.replace('\r', "");
    let count = |text: &str| log.matches(text).count();
    // At first, perhaps before the first command, and after each death.
    assert_eq!(count(WELL), 5, "{log}");
    assert_eq!(count("|Hello from secto|\n"), 4, "{log}");
    assert!(!outcome.log.contains("faulted") && !outcome.log.contains("panicked"));
    let rows = outcome.output.lines();
    let used: Vec<&str> = rows
        .filter(|row| row.contains("free") || row.split_whitespace().any(|word| word == "sharer"))
        .collect();
    let (before, after) = used.split_at(used.len() / 2);
    assert!(!before.is_empty());
    assert_eq!(before, after, "{}", outcome.output);
}

/// The same on the machine's own clock, while the sharer reads on.
#[test]
fn client_and_server_die_at_any_moment() {
    let mut session = Session::boot(&Options::default(), &with_sharer());
    session.expect(WELL);
    let before = used(&mut session);
    for victim in ["sharer", "disk", "sharer", "disk"] {
        session.send(&format!("kill {victim}\r"));
        let said = session.expect(WELL);
        assert!(!said.contains("faulted") && !said.contains("panicked"));
        let read = session.command("read disk:0 --size 16");
        assert!(read.contains("|Hello from secto|\n"), "{read}");
    }
    assert_eq!(used(&mut session), before);
    session.send("poweroff\r");
    assert_eq!(session.finish().0, Status::Success);
}

/// Memory that is free, and what the sharer has.
fn used(session: &mut Session) -> Vec<String> {
    let printed = session.command("mem");
    let rows = printed.lines();
    let rows = rows.filter(|row| row.contains("free") || row.starts_with("sharer "));
    let rows: Vec<String> = rows.map(String::from).collect();
    assert_eq!(rows.len(), 2, "{printed}");
    rows
}
