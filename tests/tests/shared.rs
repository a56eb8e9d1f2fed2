//! Memory that a program shares with a device: what dies, dies alone, and nothing is lost.

use postern::qemu::Options;
use postern::status::Status;
use tests::{default_system, execute_system, probing};

#[test]
fn client_and_server_die_in_the_middle_of_reads_without_copies() {
    let mut system = default_system();
    let mut sharer = probing("sharer", 40, "shared", &["console", "names", "disk"]);
    (sharer.shared, sharer.restart) = (0x40000, true);
    system.manifest.programs.push(sharer);
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
    let outcome = execute_system(&options, &system);
    assert_eq!(outcome.status, Status::Success);
    let log = outcome.log.replace('\r', "");
    let count = |text: &str| log.matches(text).count();
    // At first, perhaps before the first command, and after each death.
    assert_eq!(count("shared: nothing wrong\n"), 5, "{log}");
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
