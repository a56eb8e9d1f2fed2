//! Root as supervisor: servers die, and the system goes on.

use std::collections::BTreeMap;

use postern::qemu::Options;
use postern::status::Status;
use postern::system::System;
use tests::session::{PROMPT, Session};
use tests::{default_system, echo, execute_system, fat, misbehaving, probing, screen};

/// Whom `apps/prober`'s killer kills.
const VICTIMS: [&str; 11] = [
    "console", "names", "timer", "disk", "fs", "flash", "net", "null", "zero", "example",
    "keyboard",
];

/// On the emulator's instruction clock, so that a run that fails can be repeated.
fn counted() -> Options {
    Options {
        icount: true,
        ..Options::default()
    }
}

/// The row of a program in what `ps` or `mem` printed, as words.
fn row<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let rows = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut rows = rows.filter(|row| row.contains(&name));
    rows.next().unwrap_or_else(|| panic!("{name} in {table}"))
}

/// Kibibytes that a program uses, or that are `free`; the `capabilities,` that root holds, and the `bytes` for more objects of
/// its own.
fn used(table: &str, name: &str) -> u64 {
    let column = match name {
        "free" => 0,
        "capabilities," => 2,
        "bytes" => 5,
        _ => 1,
    };
    row(table, name)[column].parse().expect("it is a number")
}

/// Asks until the programs that worked and killed have ended: they are less urgent than the shell.
fn until_all_is_quiet(session: &mut Session) {
    let runs = |programs: &str| {
        ["load", "killer"]
            .iter()
            .any(|name| row(programs, name)[3] != "ended")
    };
    while runs(&session.command("ps")) {}
}

/// How many capabilities each program holds, of each kind.
fn capabilities(session: &mut Session) -> BTreeMap<(String, String), usize> {
    let mut count = BTreeMap::new();
    for name in VICTIMS.into_iter().chain(["pipe", "shell"]) {
        for row in session.command(&format!("caps {name}")).lines().skip(1) {
            let kind = row.split_whitespace().nth(1).unwrap_or_default();
            *count.entry((name.into(), kind.into())).or_default() += 1;
        }
    }
    count
}

/// A system with a load on all devices, and a program that kills so many servers meanwhile. The port `echo` of the host sends
/// back what it gets.
fn loaded(kills: u32, echo: u16) -> System {
    let mut system = default_system();
    let keyboard = system.program("keyboard").expect("it is there");
    keyboard.args = ["us", "strikes"].map(String::from).into();
    let servers = VICTIMS.into_iter().chain(["root.control"]);
    let arguments = format!("load --keys --echo {echo}");
    let load = probing("load", 40, &arguments, &servers.collect::<Vec<_>>());
    let arguments = format!("killer --count {kills} --seed 7");
    let killer = probing("killer", 240, &arguments, &["root.control"]);
    system.manifest.programs.extend([load, killer]);
    system
}

/// 500 kills here; 5000 with the environment variable `POSTERN_LONG` set.
#[test]
fn servers_die_under_load_and_nothing_is_lost() {
    let long = std::env::var_os("POSTERN_LONG").is_some();
    let count = if long { 5000 } else { 500 };
    let image = fat::disk();
    let options = Options {
        disks: vec![image.path().into()],
        ..counted()
    };
    let port = echo::port();
    let mut session = Session::boot(&options, &loaded(count, port));
    let text = session.expect("nothing wrong\n");
    let start = text.find("load: ").expect("it is the load that says so");
    let numbers: Vec<u32> = text[start..]
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    let [restarts, before, during] = numbers[..] else {
        panic!("{text}")
    };
    assert_eq!(restarts, count);
    // The load met some of the deaths.
    assert!(before + during > 0, "{text}");
    // The shell lives: its console may just have been killed, so it says the prompt once more.
    session.send("\r");
    session.expect(PROMPT);
    assert_eq!(session.command("echo alive"), "alive\n");
    let programs = session.command("ps");
    for victim in VICTIMS {
        assert_eq!(row(&programs, victim)[3], "receiving", "{programs}");
    }
    until_all_is_quiet(&mut session);
    let after = session.command("mem");
    let held = capabilities(&mut session);
    assert_eq!(session.command("read blah:").lines().count(), 2);
    screen::type_in(session.monitor(), "echo by hand\n");
    session.expect("\nby hand\n");
    session.expect(PROMPT);
    let echo = session.command("ping 10.0.2.2");
    assert!(echo.contains("10.0.2.2: echo 1 in "), "{echo}");
    session.send("poweroff\r");
    let (status, log) = session.finish();
    assert_eq!(status, Status::Success);
    assert!(!log.contains("faulted") && !log.contains("panicked"));
    fat::check(image.path()).expect("the volume is in order");
    assert_eq!(fat::get(image.path(), "load").len(), 8 * 512);

    // A system that nobody kills anything in has as much in use.
    let mut session = Session::boot(&options, &loaded(0, port));
    let text = session.expect("nothing wrong\n");
    assert!(
        text.contains("load: 0 restarts, died 0 times before and 0 times"),
        "{text}"
    );
    session.send("\r");
    session.expect(PROMPT);
    // The same was typed before it was looked.
    assert_eq!(session.command("echo alive"), "alive\n");
    until_all_is_quiet(&mut session);
    let peaceful = session.command("mem");
    assert_eq!(held, capabilities(&mut session), "{after}{peaceful}");
    for what in ["free", "capabilities,", "bytes"] {
        let [after, peaceful] = [&after, &peaceful].map(|table| used(table, what));
        assert_eq!(after, peaceful, "{what}");
    }
    // Connections that are over stay for a while, in `net`: how many there are depends on the host.
    for victim in VICTIMS.into_iter().filter(|victim| *victim != "net") {
        assert!(
            used(&after, victim) <= used(&peaceful, victim),
            "{after}{peaceful}"
        );
    }
    session.send("poweroff\r");
    assert_eq!(session.finish().0, Status::Success);
}

#[test]
fn a_crash_loop_is_backed_off() {
    let mut system = default_system();
    let mut crasher = misbehaving("crasher", 60, &["--fault"]);
    crasher.restart = true;
    system.manifest.programs.push(crasher);
    // The machine's clock runs ahead while nothing is to be done, so nobody types.
    let options = Options {
        exec: ["sleep 9", "ps", "dmesg"].map(String::from).to_vec(),
        ..counted()
    };
    let outcome = execute_system(&options, &system);
    assert_eq!(outcome.status, Status::Success);
    // Five times at once, after 100, 200, 400, 800, 1600, 3200 ms: 11 restarts in 6.3 seconds, the next one after 12.7.
    let crasher = row(&outcome.output, "crasher");
    assert_eq!((crasher[3], crasher[8]), ("ended", "11"));
    let said = |what: &str| {
        let line = format!("root: program crasher {what}\n");
        outcome.output.matches(&line).count()
    };
    assert_eq!(said("is started anew"), 5);
    for wait in [100, 200, 400, 800, 1600, 3200, 6400] {
        let what = format!("dies again and again; it is started anew in {wait} ms");
        assert_eq!(said(&what), 1, "{what}");
    }
}

#[test]
fn what_a_dead_client_had_is_free_again() {
    let mut system = default_system();
    let servers = ["console", "names", "null", "example", "timer", "keyboard"];
    let greedy = probing("greedy", 60, "greedy", &servers);
    system.manifest.programs.push(greedy);
    let mut session = Session::boot(&Options::default(), &system);
    for name in ["null:", "blah:", "timer:", "keyboard:"] {
        session.expect(&format!(
            "greedy: {name} 16 times, then: too many sessions\n"
        ));
    }
    session.expect(PROMPT);
    let programs = session.command("ps");
    assert!(row(&programs, "greedy").ends_with(&["panic"]), "{programs}");
    // It had the keyboard, and the others' share was never its own.
    screen::type_in(session.monitor(), "read null: --size 1\n");
    session.expect("end of device at 0\n");
    session.send("poweroff\r");
    assert_eq!(session.finish().0, Status::Success);
}
