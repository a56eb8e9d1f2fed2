//! Memory that a program shares with a device: what dies, dies alone, and nothing is lost.

use postern::qemu::Options;
use postern::status::Status;
use tests::session::Session;
use tests::{default_system, probing};

/// What the sharer says when it has looked at everything, at first and after each death.
const WELL: &str = "shared: nothing wrong\n";

#[test]
fn client_and_server_die_in_the_middle_of_reads_without_copies() {
    let mut system = default_system();
    let mut sharer = probing("sharer", 40, "shared", &["console", "names", "disk"]);
    (sharer.shared, sharer.restart) = (0x40000, true);
    system.manifest.programs.push(sharer);
    let mut session = Session::boot(&Options::default(), &system);
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
