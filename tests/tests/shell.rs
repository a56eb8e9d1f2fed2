//! The shell as a person uses it: programs, pipes, files, scripts, keys, and the examples of libsys.

use std::fmt::Write;

use postern::qemu::Options;
use postern::status::Status;
use tests::session::{PROMPT, Session};
use tests::{default_system, execute, fat};

/// What commands print, and how it ended.
fn run(options: &Options, commands: &[&str]) -> (Status, String) {
    let options = Options {
        exec: commands.iter().map(|command| command.to_string()).collect(),
        ..options.clone()
    };
    let outcome = execute(&options);
    (outcome.status, outcome.output)
}

#[test]
fn every_example_prints_what_it_should() {
    let examples = [
        (
            "example-malloc",
            "a heap starts small\n524288 bytes, the last is 7\nit took memory: true\nit gave back what it took: true\n",
        ),
        (
            "example-thread",
            "a thread returned 42\nthe threads sent numbers that add up to 6\nthey counted to 3000\n",
        ),
        (
            "example-open",
            "disk:0 is open: Ok(Block)\ndisk:7: no such device\nblah: is open: Ok(Block)\nnothing:: no such name\n",
        ),
        (
            "example-read",
            "disk:0 gave 16 bytes: Hello from secto\nblah: gave 15 bytes: blah blah blah\\n\nzero: gave 16 bytes: \
            \\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\nnull: gave 0 bytes: \n",
        ),
        (
            "example-write",
            "wrote 21 bytes\nthe last ten: an example\n",
        ),
        (
            "example-close",
            "16 are open, then: too many sessions\none was closed; opening again works: true\nopened and closed 100 times: true\n",
        ),
        (
            "example-capability",
            "badge 7 calls, and gives a capability: true\nthe answer is 42\nafter revoke: Some(NoCapability)\n\
            and what was given away: Some(NoCapability)\n",
        ),
    ];
    let (commands, mut wanted) = (examples.map(|(command, _)| command), String::new());
    examples.iter().for_each(|(_, text)| wanted += text);
    let (status, output) = run(&Options::default(), &commands);
    assert_eq!(output, wanted);
    assert_eq!(status, Status::Success);
}

#[test]
fn programs_are_joined() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = folder.path().join("disk.img");
    fat::make(&image, 16, 8 << 20);
    let options = Options {
        disks: vec![image.clone()],
        ..Options::default()
    };
    let dump = |text: &str| {
        let mut line = "00000000 ".to_string();
        for (i, byte) in text.bytes().enumerate() {
            let _ = write!(line, "{}{byte:02x}", if i == 8 { "  " } else { " " });
        }
        format!("{line:<60}|{}|\n", text.replace('\n', "."))
    };
    let steps: &[(&str, String)] = &[
        (
            "mkdir file:/d; echo 'one | two' > file:/d/a; echo three >> file:/d/a",
            String::new(),
        ),
        ("cat file:/d/a", "one | two\nthree\n".into()),
        ("cat < file:/d/a | cat | cat", "one | two\nthree\n".into()),
        ("echo hi | hexdump", dump("hi\n")),
        ("hexdump < file:/d/a", dump("one | two\nthree\n")),
        (
            "sha256 blah:",
            "f1fd4a4bbd0ffa4e2f3c6b7c2b1f9a5ad7f3f3f2d2f5f5c5\n".into(),
        ),
        // The reader has enough, and so has the writer then.
        ("cat zero: | echo enough", "enough\n".into()),
        // As much as no pipe holds.
        (
            "cat disk:0 | sha256 > file:/d/one; sha256 disk:0 > file:/d/two",
            String::new(),
        ),
        (
            "echo 'echo first # a comment' > file:/s; echo 'nonsense' >> file:/s; echo 'echo never' >> file:/s",
            String::new(),
        ),
    ];
    let commands: Vec<_> = steps.iter().map(|(command, _)| *command).collect();
    let (_, output) = run(&options, &commands);
    let digest = output.lines().find(|line| line.ends_with("  blah:"));
    let digest = digest.expect("a digest").to_string() + "\n";
    let wanted: String = steps
        .iter()
        .map(|(command, text)| {
            if *command == "sha256 blah:" {
                digest.as_str()
            } else {
                text.as_str()
            }
        })
        .collect();
    assert_eq!(output, wanted);
    let text = |name: &str| String::from_utf8(fat::get(&image, name)).expect("it is text");
    assert_eq!(text("d/a"), "one | two\nthree\n");
    let (status, output) = run(&options, &["run file:/s"]);
    assert_eq!(
        output,
        "first\nnonsense: no such command (try `help`)\nrun: file:/s: stopped at `nonsense`\n"
    );
    assert_eq!(status, Status::CommandFailed);
}

#[test]
fn mistakes_have_names_and_the_last_command_counts() {
    let wrong = [
        ("cat |", "shell: a command is missing\n"),
        ("cat file:/none | cat", ""),
        ("echo x > nothing:", "shell: nothing:: no such name\n"),
        (
            "history | cat",
            "history: it runs alone, without pipes and redirections\n",
        ),
        ("nonsense | cat", "nonsense: no such command (try `help`)\n"),
        ("shell &", "shell: one is enough\n"),
        ("run disk:0", "run: disk:0: longer than 65536 bytes\n"),
        ("run pipe:x", "run: pipe:x: not a file\n"),
        ("caps nobody", "caps: nobody: no such program\n"),
    ];
    for (command, text) in wrong.iter().filter(|(_, text)| !text.is_empty()) {
        let (status, output) = run(&Options::default(), &[command]);
        assert_eq!(
            (status, output.as_str()),
            (Status::CommandFailed, *text),
            "{command}"
        );
    }
    // The exit status is that of the last program.
    assert_eq!(
        run(&Options::default(), &["cat nothing: | echo fine"]).0,
        Status::Success
    );
    assert_eq!(
        run(&Options::default(), &["echo fine | cat nothing:"]).0,
        Status::CommandFailed
    );
}

#[test]
fn keys() {
    let mut session = Session::boot(&Options::default(), &default_system());
    session.expect(PROMPT);
    // Ctrl-C ends what runs, wherever it is, and what was typed behind it.
    for endless in [
        "sleep 1000",
        "cat zero: | hexdump",
        "cat pipe:nobody",
        "top",
        "spawn sleep 1000; wait",
    ] {
        session.send(&format!("{endless}\recho never\r\x03"));
        session.expect("^C\n");
        session.expect(PROMPT);
    }
    assert!(!session.log().contains("\nnever\n"), "{}", session.log());
    assert_eq!(session.command("echo alive"), "alive\n");
    // What ends in the background says so.
    session.send("kill sleep\r");
    session.expect("sleep: killed\n");
    // Tab: a command, a command's file, a name.
    session.send("hexd\tbla\t\r");
    session.expect("hexdump blah:");
    session.expect("|blah blah blah.|\n");
    session.send("example-m\t\r");
    session.expect("example-malloc ");
    session.expect("it gave back what it took: true\n");
    session.expect(PROMPT);
    // Up, and the keys that edit.
    session.send("echo ne\r");
    session.expect("\nne\n");
    session.send("\x1b[A\x1b[D\x1b[Do\x05!\r");
    session.expect("\none!\n");
    session.send("history\r");
    session.expect("\necho ne\necho one!\nhistory\n");
    session.send("poweroff\r");
    assert_eq!(session.finish().0, Status::Success);
}

#[test]
fn what_a_program_holds_is_shown() {
    let (status, output) = run(&Options::default(), &["caps disk", "caps caps"]);
    assert_eq!(status, Status::Success);
    let words: Vec<Vec<&str>> = output
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let shown = |wanted: &[&str]| {
        words
            .iter()
            .filter(|row| row.get(1..) == Some(wanted))
            .count()
    };
    assert_eq!(
        shown(&[
            "Endpoint", "CALL", "RECV", "MINT", "GRANT", "root", "its", "own"
        ]),
        2,
        "{output}"
    );
    assert_eq!(
        shown(&["Endpoint", "CALL", "root", "root.memory"]),
        2,
        "{output}"
    );
    // The disk server may not supervise; the command `caps` may.
    assert_eq!(
        shown(&["Endpoint", "CALL", "root", "root.control"]),
        1,
        "{output}"
    );
    assert!(
        words.iter().any(|row| row.get(1) == Some(&"Irq")),
        "{output}"
    );
}
