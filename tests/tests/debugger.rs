//! `run --gdb`: gdb finds kernel, servers and apps by name, and a crash says where it was.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use postern::qemu::Options;
use postern::status::Status;
use tests::session::{PROMPT, Session};
use tests::{default_system, misbehaving, seat, tool};

/// A machine that waits for a debugger, ended with the test.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a machine that runs `command`, and the debugger that it asks for, with `script`. Returns what gdb printed.
fn debug(command: &str, script: &str) -> String {
    let _seat = seat();
    let mut tool = tool::command(&["run", "--gdb", "--timeout", "300", "--exec", command]);
    let tool = tool.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut waiting = Waiting(tool.spawn().expect("it starts"));
    let messages = BufReader::new(waiting.0.stderr.take().expect("it is piped"));
    let printed = messages.lines().map(|line| line.expect("it is text"));
    let asked = printed
        .inspect(|line| println!("{line}"))
        .find_map(|line| line.split_once("gdb -x ").map(|(_, file)| file.to_string()));
    let postern = asked.expect("it says what to type");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("script");
    std::fs::write(&file, script).expect("it can be written");
    let gdb = Command::new(postern::debugger::PROGRAM)
        .args(["-nx", "-batch", "-x", &postern, "-x"])
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .expect("gdb starts");
    let printed = String::from_utf8_lossy(&gdb.stdout).into_owned();
    println!("{printed}{}", String::from_utf8_lossy(&gdb.stderr));
    printed + &String::from_utf8_lossy(&gdb.stderr)
}

/// The frames of the backtraces in what gdb printed: number and function.
fn frames(printed: &str) -> Vec<(usize, &str)> {
    let frame = |line| {
        let (number, rest) = str::strip_prefix(line, '#')?.split_once(' ')?;
        let rest = rest.split_once(" in ").map_or(rest, |(_, rest)| rest);
        Some((number.parse().ok()?, rest.trim_start()))
    };
    printed.lines().filter_map(frame).collect()
}

#[test]
fn a_read_is_stopped_in_the_disk_server_and_in_the_kernel() {
    let printed = debug(
        "read disk:0 --size 64",
        "break-in disk disk::server::DiskServer::work<disk::driver::Disk<virtio::program::Program, virtio::transport::MsiX>, false>\n\
         continue\n\
         echo --- in the disk server\\n\n\
         bt\n\
         print $current()\n\
         delete\n\
         break microkernel::ipc::call\n\
         continue\n\
         echo --- in the kernel\\n\n\
         bt\n\
         echo --- its program\\n\n\
         user-backtrace\n\
         print $current()\n\
         print $current().fault_slot\n\
         print $current().table_slot\n\
         print *endpoint.__0.pointer\n\
         kill\n",
    );
    let part = |from: &str, to: &str| {
        let rest = printed.split_once(from).expect("it got there").1;
        rest.split_once(to).map_or(rest, |(part, _)| part)
    };
    // The server's own frames, from where the request ended up to its start.
    let server = part("--- in the disk server", "--- in the kernel");
    let found = frames(server);
    let has =
        |found: &[(usize, &str)], name: &str| found.iter().any(|(_, frame)| frame.contains(name));
    for name in [
        "disk::server::DiskServer::work<",
        "libsys::serve::serve<disk::server::DiskServer",
        "disk::start",
        "libsys::rt::run",
    ] {
        assert!(has(&found, name), "{name}: {server}");
    }
    assert!(printed.contains("servers/disk/src/server.rs:"));
    assert!(
        printed.contains("self.drive(place.drive)"),
        "the line itself"
    );
    let thread = server.lines().find(|line| line.starts_with("$1 = "));
    let thread = thread.expect("the thread is printed");
    assert!(
        thread.contains("thread of disk: running, priority 100 (base 100)"),
        "{thread}"
    );
    assert!(
        thread.contains("owes a reply to 0x") && thread.contains("(program "),
        "{thread}"
    );
    // The kernel, and the program that called it.
    let kernel = part("--- in the kernel", "--- its program");
    let found = frames(kernel);
    assert!(found[0].1.starts_with("microkernel::ipc::call"), "{kernel}");
    assert!(
        has(&found, "microkernel::arch::x86_64::entry::on_"),
        "{kernel}"
    );
    let program = part("--- its program", "\u{0}");
    let found = frames(program);
    assert!(program.contains("program shell, stack 0x7"), "{program}");
    assert!(
        has(&found, "shell::start") && has(&found, "libsys::rt::run"),
        "{program}"
    );
    assert!(program.contains("thread of program "), "{program}");
    assert!(
        program.contains("capability: Endpoint 0xffff8"),
        "{program}"
    );
    assert!(
        program.contains("capability: CapTable 0xffff8"),
        "{program}"
    );
    assert!(program.contains("endpoint: alone receives"), "{program}");
}

#[test]
fn wrong_breakpoints_are_explained() {
    let refused = |command: &str| debug("echo x", &format!("{command}\n"));
    assert!(refused("break-in nobody start").contains("no program 'nobody'; there are: console, "));
    assert!(refused("break-in disk nonsense").contains("disk: Function \"nonsense\" not defined"));
    assert!(refused("break-in disk microkernel::ipc::call").contains("a place in the kernel"));
}

#[test]
fn a_crash_is_shown_with_its_functions() {
    let mut system = default_system();
    let crasher = misbehaving("crasher", 60, &["--fault"]);
    system.manifest.programs.push(crasher);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("default.toml");
    let manifest = toml::to_string(&system.manifest).expect("it is a manifest");
    std::fs::write(&file, manifest).expect("it can be written");
    let _seat = seat();
    let file = file.display().to_string();
    let run = tool::run(&mut tool::command(&[
        "run", "--system", &file, "--exec", "dmesg",
    ]));
    assert_eq!(run.status, i32::from(Status::Success.code()));
    let mut lines = run.output.lines();
    let crash = lines.find(|line| line.contains("program crasher faulted: page fault at 0x0"));
    assert!(crash.is_some(), "{}", run.output);
    assert_eq!(lines.next(), Some("program misbehave backtrace:"));
    let first = lines.next().expect("an address");
    assert!(
        first.contains("misbehave::read_nothing at apps/misbehave/src/main.rs:"),
        "{first}"
    );
}

#[test]
fn a_crash_is_told_at_the_next_prompt() {
    let mut system = default_system();
    let disk = system.program("disk").expect("it has a disk");
    disk.binary = "disk-faulty".into();
    disk.args = vec!["--fault-on-read".into(), "1".into()];
    let mut session = Session::boot(&Options::default(), &system);
    session.expect(PROMPT);
    let told = session.command("read disk:0 --size 16");
    let (error, crash) = told.split_once('\n').expect("more than an error");
    assert!(error.contains("the server died"), "{told}");
    assert!(crash.starts_with("root: program disk faulted: invalid instruction"));
    assert!(
        crash.contains("\nprogram disk-faulty backtrace:\n  0x"),
        "{told}"
    );
    assert_eq!(session.command("echo x"), "x\n", "it is told once");
    session.send("poweroff\r");
    let (status, log) = session.finish();
    assert_eq!(status, Status::Success);
    assert!(log.contains("disk_faulty::fault at servers/disk-faulty/src/main.rs:"));
}

#[test]
fn a_command_that_crashes_is_shown_with_its_functions() {
    let mut system = default_system();
    let shell = system.program("shell").expect("it has a shell");
    let children = shell.children.as_mut().expect("it starts programs");
    children.binaries.push("misbehave".into());
    let mut session = Session::boot(&Options::default(), &system);
    session.expect(PROMPT);
    let told = session.command("misbehave --fault");
    let (how, crash) = told.split_once('\n').expect("more than an error");
    assert!(
        how.starts_with("misbehave: fault 14 at 0x0, RIP 0x"),
        "{told}"
    );
    assert!(crash.starts_with("root: program misbehave faulted: page fault at 0x0"));
    let told = session.command("misbehave --panic");
    assert!(
        told.contains("misbehave: panicked (`dmesg` says why)\n"),
        "{told}"
    );
    assert!(
        told.contains("root: program misbehave panicked: "),
        "{told}"
    );
    session.send("poweroff\r");
    let (status, log) = session.finish();
    assert_eq!(status, Status::Success);
    assert!(log.contains("misbehave::read_nothing at apps/misbehave/src/main.rs:"));
}
