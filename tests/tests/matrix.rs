//! The matrix of devices and operations: `matrix.txt` says what comes of each.

use std::collections::BTreeSet;

use postern::qemu::{self, Options};
use postern::status::Status;
use postern::system::System;
use postern::{image, paths};
use tempfile::NamedTempFile;
use tests::session::{PROMPT, Session};
use tests::{default_system, echo, fat, probing, screen};

/// Whom the program `matrix` calls.
const SERVERS: [&str; 11] = [
    "console", "names", "disk", "fs", "flash", "net", "keyboard", "null", "zero", "example",
    "timer",
];

/// The cells of one of the parts of `matrix.txt`.
fn expected(part: &str) -> BTreeSet<String> {
    let text = include_str!("matrix.txt");
    let lines = text.lines().skip_while(|line| *line != format!("# {part}"));
    let cells = lines.skip(1).take_while(|line| !line.starts_with('#'));
    cells
        .filter(|cell| !cell.is_empty())
        .map(String::from)
        .collect()
}

/// The cells among the lines of a log.
fn cells(log: &str) -> BTreeSet<String> {
    let rows: BTreeSet<String> = expected("forbidden").iter().map(|cell| row(cell)).collect();
    let lines = log.lines().map(|line| line.trim_start_matches(PROMPT));
    lines
        .filter(|line| rows.contains(&row(line)))
        .map(String::from)
        .collect()
}

fn row(cell: &str) -> String {
    cell.split(' ').next().unwrap_or_default().into()
}

#[track_caller]
fn compare(part: &str, log: &str) {
    let (expected, seen) = (expected(part), cells(log));
    let wrong: Vec<_> = seen.difference(&expected).collect();
    let missing: Vec<_> = expected.difference(&seen).collect();
    assert!(
        wrong.is_empty() && missing.is_empty(),
        "{wrong:#?} instead of {missing:#?}"
    );
}

fn system(arguments: &str, servers: &[&str]) -> System {
    let mut system = default_system();
    system
        .manifest
        .programs
        .push(probing("matrix", 45, arguments, servers));
    system
}

/// On the emulator's instruction clock: no moment passes by while the host is busy.
fn boot(system: &System, disk: &NamedTempFile) -> Session {
    let options = Options {
        icount: true,
        disks: vec![disk.path().into()],
        ..Options::default()
    };
    Session::boot(&options, system)
}

fn power_off(mut session: Session) {
    session.send("\r");
    session.expect(PROMPT);
    session.send("poweroff\r");
    assert_eq!(session.finish().0, Status::Success);
}

#[test]
fn every_operation_on_every_device() {
    let system = system(&format!("matrix --echo {}", echo::port()), &SERVERS);
    let disk = fat::disk();
    let mut session = boot(&system, &disk);
    let mut log = session.expect("type now\n");
    // As many as are read, so that none comes late and goes to the shell.
    screen::type_in(session.monitor(), "abcdefghi");
    log += &session.expect("matrix: done\n");
    compare("plugged", &log);
    power_off(session);
}

#[test]
fn a_machine_without_devices() {
    let mut system = system("matrix-open unplugged", &SERVERS);
    let flash = system.program("flash").expect("it has a flash server");
    flash.devices.clear();
    let image = image::build(&system).expect("it builds");
    let archive = NamedTempFile::new_in(paths::state().expect("a folder")).expect("a file");
    std::fs::write(archive.path(), &image.archive).expect("it can be written");
    // QEMU's command line has only what is asked for.
    let mut command =
        qemu::command(&Options::default(), &image.loader, archive.path()).expect("a command line");
    command.args(["-machine", "i8042=off"]);
    let mut session = Session::start(command);
    let log = session.expect("matrix: done\n");
    compare("unplugged", &log);
    power_off(session);
}

#[test]
fn a_program_that_may_not() {
    let system = system("matrix-open forbidden", &SERVERS[..2]);
    let mut session = Session::boot(&Options::default(), &system);
    let log = session.expect("matrix: done\n");
    compare("forbidden", &log);
    power_off(session);
}

#[test]
fn servers_that_are_killed_in_the_middle_of_a_request() {
    // Those that answer at once are rarely met at it: they are killed more often.
    let all = [
        ("disk,file,flash,value,net,keyboard,timer", ""),
        ("null,zero,example", "--only null,zero,example"),
    ];
    let log: String = all.map(|(rows, only)| killed(rows, only)).concat();
    compare("killed", &log);
}

/// What a run prints in which servers are killed until each row has met it.
fn killed(rows: &str, only: &str) -> String {
    let mut system = system(&format!("matrix-killed {rows}"), &SERVERS);
    let arguments = format!("killer --until matrix --seed 3 {only}");
    let killer = probing("killer", 240, &arguments, &["root.control"]);
    system.manifest.programs.push(killer);
    let disk = fat::disk();
    let mut session = boot(&system, &disk);
    let log = session.expect("matrix: done\n");
    power_off(session);
    log
}
