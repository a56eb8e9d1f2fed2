//! The command line that scripts rely on: exit statuses, errors before QEMU starts, pipes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use postern::{paths, qemu};
use tests::tool::{self, Run, run};
use tests::{LIMIT, seat};

/// Runs the tool with an emulator's seat.
fn boot(arguments: &[&str]) -> Run {
    let limit = LIMIT.as_secs().to_string();
    let _seat = seat();
    run(&mut tool::command(
        &[&["run", "--timeout", &limit], arguments].concat(),
    ))
}

#[test]
fn success_and_failure_of_commands() {
    let good = boot(&["--exec", "echo one", "--exec", "echo two"]);
    assert_eq!((good.status, good.output.as_str()), (0, "one\ntwo\n"));
    let bad = boot(&["--exec", "nonsense", "--exec", "echo two"]);
    assert_eq!(bad.status, 1);
    assert_eq!(
        bad.output, "nonsense: no such command (try `help`)\ntwo\n",
        "every command runs, even if one fails"
    );
}

#[test]
fn refusals_and_hangs() {
    let refused = boot(&["--cpu", "qemu64,-nx", "--exec", "echo never"]);
    assert_eq!((refused.status, refused.output.as_str()), (2, ""));
    assert!(
        refused
            .messages
            .contains("postern loader: the CPU lacks NX")
    );
    assert!(refused.messages.contains("the loader refused to start"));
    let unknown = boot(&["--cpu", "nonsense", "--exec", "echo never"]);
    assert_eq!(unknown.status, 2);
    assert!(unknown.messages.contains("nonsense"));
    // Nothing can be done in no time.
    let _seat = seat();
    let late = run(&mut tool::command(&[
        "run",
        "--timeout",
        "0.01",
        "--exec",
        "echo never",
    ]));
    assert_eq!((late.status, late.output.as_str()), (124, ""));
    assert!(late.messages.contains("not done after 0.01 s"));
}

/// The status of a kernel panic: a non-maskable interrupt, sent through the monitor that the tool gives QEMU.
#[test]
fn a_kernel_panic() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let _seat = seat();
    let mut tool = tool::command(&[]);
    tool.env("TMPDIR", folder.path());
    tool.stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut tool = tool.spawn().expect("it starts");
    let output = tool.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("programs started")));
    let found = std::fs::read_dir(folder.path()).expect("it is there");
    let sockets: Vec<_> = found
        .map(|entry| entry.expect("an entry").path().join("monitor"))
        .filter(|path| path.exists())
        .collect();
    let [socket] = &sockets[..] else {
        panic!("{sockets:?}")
    };
    let mut monitor = std::os::unix::net::UnixStream::connect(socket).expect("QEMU listens");
    monitor
        .write_all(b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"inject-nmi\"}\n")
        .expect("QEMU reads");
    assert!(lines.any(|line| line.contains("KERNEL PANIC END")));
    let end = tool.wait_with_output().expect("it ends");
    let messages = String::from_utf8_lossy(&end.stderr);
    println!("{messages}");
    assert_eq!(end.status.code(), Some(3));
    assert!(messages.contains("the kernel panicked"));
}

/// A folder for `PATH` with an emulator that leaves a trace if it is started.
fn fake_emulator() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = "#!/bin/sh\n: > \"$(dirname \"$0\")/started\"\n";
    executable(&folder.path().join(qemu::PROGRAM), script);
    folder
}

fn executable(file: &Path, script: &str) {
    std::fs::write(file, script).expect("it can be written");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(file, executable).expect("it is ours");
}

#[test]
fn wrong_usage_is_told_before_qemu_starts() {
    let folder = fake_emulator();
    let before = std::env::var_os("PATH").expect("there is a PATH");
    let rest: Vec<_> = std::env::split_paths(&before).collect();
    let path = std::env::join_paths([folder.path().to_path_buf()].iter().chain(&rest));
    let path = path.expect("no colon in it");
    let odd = folder.path().join("odd.img");
    std::fs::write(&odd, [0; 513]).expect("it can be written");
    let odd = odd.display().to_string();
    let cases: [(&[&str], &str); 16] = [
        (&["run", "--speed", "9"], "unexpected argument '--speed'"),
        (&["--speed"], "unexpected argument '--speed'"),
        (&["dance"], "dance"),
        (
            &["run", "--disk", "/no/such.img"],
            "cannot use the disk /no/such.img",
        ),
        (&["run", "--disk", "/"], "the disk / is a directory"),
        (
            &["run", "--disk", &odd],
            "which is not a multiple of 512: 1 too many",
        ),
        (&["run", "--memory", "1G", "--memory", "2G"], "--memory"),
        (&["run", "--memory", "lots"], "`lots` is not a size"),
        (&["run", "--memory", "1M"], "is not whole mebibytes between"),
        (
            &["run", "--timeout", "0"],
            "not a number of seconds above 0",
        ),
        (&["run", "--accel", "warp"], "invalid value 'warp'"),
        (
            &["run", "--icount", "--accel", "kvm"],
            "cannot be used with --accel kvm",
        ),
        (
            &["run", "--system", "nonsense"],
            "there is no system `nonsense`; there are: ",
        ),
        (
            &["run", "--system", "/no/such.toml"],
            "cannot read /no/such.toml",
        ),
        (&["run", "--flash", "x"], "cannot use the flash x"),
        (&["run", "--forward", "80"], "is not HOST:GUEST"),
    ];
    for (arguments, complaint) in cases {
        let run = run(tool::command(arguments).env("PATH", &path));
        assert_eq!(run.status, 2, "{arguments:?}");
        assert!(
            run.messages.contains(complaint),
            "{arguments:?}: {}",
            run.messages
        );
        assert_eq!(run.output, "", "{arguments:?}");
    }
    assert!(!folder.path().join("started").exists());
    // The trap works.
    let started = run(tool::command(&["run", "--accel", "tcg"])
        .env("PATH", &path)
        .stdin(Stdio::null()));
    assert_eq!(
        started.status, 3,
        "it ended like a machine that reset itself"
    );
    assert!(folder.path().join("started").exists());
}

#[test]
fn help_and_version() {
    let help = run(&mut tool::command(&["run", "--help"]));
    assert_eq!(help.status, 0);
    for option in [
        "--system",
        "--disk",
        "--memory",
        "--cpu",
        "--machine",
        "--accel",
        "--icount",
        "--timeout",
        "--gdb",
        "--read-only",
        "--flash",
        "--forward",
        "--display",
        "--exec",
        "--version",
    ] {
        assert!(help.output.contains(option), "{option}");
    }
    for arguments in [&["--version"][..], &["run", "--version"]] {
        let version = run(&mut tool::command(arguments));
        assert_eq!(version.status, 0);
        assert!(version.output.contains(env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn the_doctor_tells_what_is_missing() {
    let healthy = run(&mut tool::command(&["doctor"]));
    assert_eq!(
        healthy.status, 0,
        "the other tests have installed everything"
    );
    assert!(!healthy.output.contains("MISSING"));
    let empty = tempfile::tempdir().expect("a temporary folder");
    let ill = run(tool::command(&["doctor"]).env("PATH", empty.path()));
    assert_eq!(ill.status, 2);
    let row = ill.output.lines().find(|line| line.starts_with("QEMU"));
    assert!(row.is_some_and(|row| row.contains("MISSING")));
    assert!(ill.output.contains("apt-get install"));
    assert!(ill.output.contains(qemu::PACKAGE));
}

/// Without QEMU the tool installs it as root, and otherwise says what to type. Here the installation fails, and it says so.
#[test]
fn what_is_missing_is_installed_or_named() {
    const BY_HAND: &str = "sudo apt-get update && sudo apt-get install -y \
        --no-install-recommends qemu-system-x86";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let asked = folder.path().join("asked");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {}\necho no network >&2\ncase \"$*\" in *install*) exit 100;; esac\n",
        asked.display()
    );
    executable(&folder.path().join("apt-get"), &script);
    let run = run(tool::command(&["run", "--exec", "echo never"])
        .env("PATH", folder.path())
        .stdin(Stdio::null()));
    assert_eq!((run.status, run.output.as_str()), (2, ""));
    assert!(run.messages.contains(BY_HAND));
    if rustix::process::geteuid().is_root() {
        let asked = std::fs::read_to_string(asked).expect("it was called");
        let [update, install] = asked.lines().collect::<Vec<_>>()[..] else {
            panic!("{asked}")
        };
        assert!(update.ends_with(" update"), "{update}");
        assert!(
            install.ends_with(" install -y --no-install-recommends qemu-system-x86"),
            "{install}"
        );
        assert!(
            run.messages.contains("cannot install QEMU") && run.messages.contains("no network")
        );
    } else {
        assert!(!asked.exists(), "nobody was asked");
    }
}

/// Input from a pipe is typed at the prompt, not a byte of it lost, however early it comes.
#[test]
fn commands_from_a_pipe() {
    let _seat = seat();
    let mut command = tool::command(&[]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut tool = command.spawn().expect("it starts");
    let mut input = tool.stdin.take().expect("it is piped");
    let script = "echo the first line is as long as it takes to fill a chip\necho two\npoweroff\n";
    input.write_all(script.as_bytes()).expect("it reads");
    drop(input);
    let end = tool.wait_with_output().expect("it ends");
    let output = String::from_utf8_lossy(&end.stdout).replace('\r', "");
    println!("{output}");
    assert_eq!(end.status.code(), Some(0));
    let (_, session) = output.split_once("postern> ").expect("a prompt");
    assert_eq!(
        session,
        "echo the first line is as long as it takes to fill a chip\n\
         the first line is as long as it takes to fill a chip\n\
         postern> echo two\ntwo\n\
         postern> poweroff\n"
    );
}

/// In the folder of a program of the guest, `cargo run` says what to type.
#[test]
fn guest_programs_say_what_to_type() {
    for folder in ["microkernel", "boot/loader", "servers/disk", "apps/shell"] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["run", "--quiet"]);
        let run = run(cargo.current_dir(paths::root().join(folder)));
        assert_eq!(run.status, 2, "{folder}");
        assert!(
            run.messages.contains("cargo run"),
            "{folder}: {}",
            run.messages
        );
    }
}
