//! Programs that programs start: what root refuses a malicious parent, and that nobody else notices.

use manifest::Children;
use postern::qemu::Options;
use postern::status::Status;
use tests::session::{PROMPT, Session};
use tests::{default_system, probing, screen};

/// What `apps/prober`'s parent prints before a key is pressed.
const REFUSED: &str = "\
nothing: Err(BadBuffer)
no file: Err(BadBuffer)
no name: Err(BadBuffer)
a long name: Err(BadBuffer)
a name of two lines: Err(BadBuffer)
no text: Err(BadBuffer)
no end: Err(BadBuffer)
fewer strings than said: Err(BadBuffer)
2^64 - 1 strings: Err(BadBuffer)
more strings than said: Err(BadBuffer)
a variable without value: Err(BadBuffer)
another file: Err(NoProgram)
root's file: Err(NoProgram)
root.control: Err(NotPermitted)
somebody's server: Err(NotPermitted)
nobody's server: Err(NotPermitted)
a server's facet: Err(NotPermitted)
memory that root may not read: Err(BadBuffer)
memory without any rights: Err(BadBuffer)
memory that is not there: Err(BadBuffer)
the kernel's memory: Err(BadBuffer)
memory beyond the end: Err(BadBuffer)
more than is taken: Err(BadBuffer)
as much as there can be: Err(BadBuffer)
wait without children: Err(NoProgram)
two children: true
a third: Err(TooMany)
ended of others: []
waits, too: Some(Err(Busy))
ends it: Ok(())
hears it: true
ended again: Err(NoProgram)
random: some started: true
none is left: Err(NoProgram)
waits for a key
";

/// What it prints afterwards.
const AFTERWARDS: &str = "\
ended of others: []
speaker says line 0
it ends by itself: true
";

#[test]
fn a_malicious_parent_is_refused_and_nobody_else_notices() {
    let mut parent = probing(
        "parent",
        45,
        "parent --count 1000 --seed 1",
        &["console", "names", "keyboard"],
    );
    parent.untyped = 0x40000;
    parent.children = Some(Children {
        count: 2,
        memory: 0x40000,
        untyped: 0,
        binaries: vec!["misbehave".into()],
    });
    let mut system = default_system();
    system.manifest.programs.push(parent);
    let mut session = Session::boot(&Options::default(), &system);
    let text = session.expect("waits for a key\n");
    let of_parent = |line: &&str| REFUSED.lines().any(|known| known == *line);
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.trim_start_matches(PROMPT))
        .collect();
    let seen: Vec<&str> = lines.iter().copied().filter(of_parent).collect();
    assert_eq!(seen, REFUSED.lines().collect::<Vec<_>>(), "{text}");
    // Somebody else's child, while the parent tries every id once more.
    session.send("sleep 100000 &\r");
    session.expect("started as ");
    session.expect(PROMPT);
    screen::type_in(session.monitor(), "x");
    session.expect(AFTERWARDS);
    let list = session.command("ps");
    let runs = |name: &str| {
        let rows = list.lines().map(|row| row.split_whitespace().nth(1));
        rows.filter(|row| *row == Some(name)).count()
    };
    assert_eq!(
        (runs("sleep"), runs("shell"), runs("disk")),
        (1, 1, 1),
        "{list}"
    );
    assert_eq!((runs("spinner"), runs("speaker")), (0, 0), "{list}");
    // A child starts none itself, and ends with its parent.
    let log = session.command("dmesg");
    assert!(
        !log.contains("panicked") && !log.contains("faulted"),
        "{log}"
    );
    session.send("poweroff\r");
    assert_eq!(session.finish().0, Status::Success);
}

/// Children that run, that have ended, and for whose end their parent waits: all go with it.
#[test]
fn children_end_with_their_parent() {
    let mut system = default_system();
    system.program("shell").expect("it has a shell").restart = true;
    let mut session = Session::boot(&Options::default(), &system);
    session.expect(PROMPT);
    session.command("sleep 100000 &");
    session.command("cat zero: | sha256 &");
    session.send("kill shell\r");
    session.expect(PROMPT);
    let list = session.command("ps");
    for name in ["sleep", "cat", "sha256"] {
        assert!(!list.contains(name), "{list}");
    }
    // All its places are free again.
    for _ in 0..7 {
        assert_eq!(session.command("date | cat | cat | sha256 > null:"), "");
    }
    session.send("poweroff\r");
    assert_eq!(session.finish().0, Status::Success);
}
