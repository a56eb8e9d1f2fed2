//! The small devices: `null:`, `zero:`, `blah:`, `timer:`, `keyboard:`, and the screen.

use postern::qemu::Options;
use postern::status::Status;
use postern::system::System;
use tests::session::{PROMPT, Session};
use tests::{default_system, fat, probing, screen};

/// All servers.
const SERVERS: [&str; 11] = [
    "console", "names", "timer", "null", "zero", "example", "keyboard", "disk", "flash", "fs",
    "net",
];

fn with(programs: impl IntoIterator<Item = manifest::Program>) -> System {
    let mut system = default_system();
    system.manifest.programs.extend(programs);
    system
}

fn power_off(mut session: Session) -> String {
    session.send("poweroff\r");
    let (status, log) = session.finish();
    assert_eq!(status, Status::Success);
    log
}

#[test]
fn a_malicious_client_is_refused_and_nobody_else_notices() {
    const MESSAGES: u64 = 2000;
    let hostile = format!("hostile --count {MESSAGES} --seed 1");
    let load: Vec<&str> = SERVERS.into_iter().chain(["root.control"]).collect();
    // The load goes on until the program of the name `killer` has ended.
    let system = with([
        probing("killer", 45, &hostile, &SERVERS),
        probing("load", 40, "load", &load),
    ]);
    let disk = fat::disk();
    let options = Options {
        disks: vec![disk.path().into()],
        ..Options::default()
    };
    let mut session = Session::boot(&options, &system);
    let text = session.expect("hostile: done\n");
    for server in SERVERS.into_iter().chain(["root.memory"]) {
        let line =
            format!("hostile: {server} got {MESSAGES} messages and answered 0 stale sessions\n");
        assert!(text.contains(&line), "{server}");
    }
    let text = session.expect("nothing wrong\n");
    assert!(
        text.contains("load: 0 restarts, died 0 times before and 0 times during a request"),
        "{text}"
    );
    // Nothing was typed at the shell by somebody who may not.
    assert_eq!(session.command("echo on"), "on\n");
    power_off(session);
    fat::check(disk.path()).expect("the volume is in order");
}

#[test]
fn a_server_that_dies_while_its_client_waits() {
    let blocked = |name, what: &str, server| {
        let arguments = format!("blocked {what}");
        probing(name, 60, &arguments, &["console", "names", server])
    };
    let system = with([
        blocked("dreamer", "timer:3600000", "timer"),
        blocked("reader", "keyboard:", "keyboard"),
    ]);
    let mut session = Session::boot(&Options::default(), &system);
    // In either order.
    let begun = [(); 2].map(|()| session.expect("blocked: reads ") + &session.expect("\n"));
    for name in ["timer:3600000", "keyboard:"] {
        let begins = format!("blocked: reads {name}\n");
        assert!(begun.concat().contains(&begins), "{begun:?}");
    }
    session.expect(PROMPT);
    for (server, name) in [("timer", "timer:3600000"), ("keyboard", "keyboard:")] {
        session.send(&format!("kill {server}\r"));
        session.expect(&format!(
            "blocked: {name}: the server died during the request, which may have had an effect\n"
        ));
        session.expect(&format!("blocked: reads {name}\n"));
    }
    // The keyboard is the reader's, until it has had a line.
    screen::type_in(session.monitor(), "abc\n");
    session.expect("blocked: keyboard: gives [97, 98, 99, 13]\n");
    session.send("\r");
    session.expect(PROMPT);
    screen::type_in(session.monitor(), "echo mine again\n");
    session.expect("\nmine again\n");
    assert_eq!(
        session.command("kill nobody"),
        "kill: nobody: no such program\n"
    );
    power_off(session);
}

#[test]
fn keys_reach_the_shell_and_its_answers_the_screen() {
    let mut session = Session::boot(&Options::default(), &default_system());
    session.expect(PROMPT);
    screen::type_in(session.monitor(), "echo Hxx");
    screen::press(session.monitor(), &["backspace", "backspace"]);
    screen::type_in(session.monitor(), "ello, World!\n");
    session.expect("\nHello, World!\n");
    session.expect(PROMPT);
    let monitor = session.monitor();
    screen::wait_for(monitor, |lines| {
        let end = lines.iter().rposition(|line| !line.is_empty());
        let last = end.and_then(|end| lines.get(end.checked_sub(2)?..=end));
        let shown = ["postern> echo Hello, World!", "Hello, World!", "postern>"];
        last.is_some_and(|last| last == shown.map(|line| line.as_bytes().to_vec()))
    });
    // More lines than the screen has, some longer than it is wide.
    session.command("help");
    let long = "0123456789".repeat(20);
    session.command(&format!("echo {long}"));
    let expected = screen::expected(session.log());
    screen::wait_for(session.monitor(), |lines| lines == expected);
    power_off(session);
}

#[test]
fn a_german_keyboard() {
    let mut system = default_system();
    system.program("keyboard").expect("it is there").args = vec!["de".into()];
    let mut session = Session::boot(&Options::default(), &system);
    session.expect(PROMPT);
    let keys = [
        "e",
        "c",
        "h",
        "o",
        "spc",
        "y",
        "semicolon",
        "alt_r-q",
        "shift-minus",
        "ret",
    ];
    screen::press(session.monitor(), &keys);
    session.expect("\nzö@?\n");
    session.expect(PROMPT);
    // ö in code page 437.
    let shown = b"z\x94@?".to_vec();
    screen::wait_for(session.monitor(), |lines| lines.contains(&shown));
    power_off(session);
}

#[test]
fn a_machine_without_keyboard_and_screen() {
    let system = default_system();
    let mut session = Session::boot_with(
        &Options::default(),
        &system,
        &["-machine", "i8042=off", "-vga", "none"],
    );
    session.expect(PROMPT);
    assert_eq!(
        session.command("read keyboard: --size 1"),
        "read: keyboard:: no such device\n"
    );
    let log = session.command("dmesg");
    assert!(log.contains("keyboard: there is no keyboard\n"), "{log}");
    assert!(log.contains("console: there is no screen\n"), "{log}");
    assert!(session.command("date").contains(" UTC\n"));
    power_off(session);
}

/// On the machine's own clock: the emulator's instructions, so every run is the same.
#[test]
fn date_and_sleep() {
    let options = Options {
        icount: true,
        ..Options::default()
    };
    // The clock runs ahead while nothing is to be done, so nobody types.
    let mut system = default_system();
    let commands = ["date", "sleep 20.5", "date", "read timer: --size 10"];
    let wrong = ["sleep -1", "sleep long"];
    let commands: Vec<String> = commands
        .iter()
        .chain(&wrong)
        .map(|c| c.to_string())
        .collect();
    system.execute("0", &commands).expect("it has a shell");
    let clock = ["-rtc", "base=2028-02-28T23:59:55,clock=vm"];
    let (status, log) = Session::boot_with(&options, &system, &clock).finish();
    assert_eq!(status, Status::CommandFailed);
    let dates: Vec<&str> = log.lines().filter(|line| line.ends_with(" UTC")).collect();
    let [before, after] = dates[..] else {
        panic!("not two dates")
    };
    assert!(before.starts_with("Monday 2028-02-28 23:59:5"));
    assert!(after.starts_with("Tuesday 2028-02-29 00:00:1"));
    let second = |text: &str| -> i32 {
        let time = text.split(' ').nth(2).expect("it tells the time");
        time[6..].parse().expect("it is a number")
    };
    let slept = second(after) + 60 - second(before);
    assert!((20..=21).contains(&slept), "{slept}");
    for line in [
        "|2028-02-29|\n",
        "sleep: -1: not understood here\n",
        "sleep: long: not a number of seconds\n",
    ] {
        assert!(log.contains(line), "{line}");
    }
}

/// The page that shows the server is right, and the server is as small as it says.
#[test]
fn the_page_quotes_the_example() {
    let root = postern::paths::root();
    let read = |file| std::fs::read_to_string(root.join(file)).expect("it can be read");
    let source = read("servers/example/src/main.rs");
    let page = read("docs/writing-a-server.md");
    let quoted = page
        .split("```rust\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    assert_eq!(quoted, Some(source.as_str()));
    let code = source.lines().map(str::trim);
    let code = code.filter(|line| !line.is_empty() && !line.starts_with("//"));
    assert!(code.count() <= 40);
}
