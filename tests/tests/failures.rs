//! What goes wrong has a name, and everybody else goes on.

use std::io::Read;
use std::time::Duration;

use postern::image;
use postern::qemu::{self, Options};
use postern::status::Status;
use tests::session::{PROMPT, Session};
use tests::{all_started, default_system, execute, execute_system, misbehaving};

fn with_commands(commands: &[&str]) -> Options {
    Options {
        exec: commands.iter().map(|command| command.to_string()).collect(),
        ..Options::default()
    }
}

#[test]
fn errors_have_names_and_the_shell_goes_on() {
    let outcome = execute(&with_commands(&[
        "read disk:0 --offset 2M --size 1",
        "read nonsense:",
        "read disk:1",
        "read disk:x",
        "write disk:0 --offset 1M text",
        "read console: --sha256",
        "read disk:0 --size much",
        "nonsense",
        "echo 'open",
        "echo still here",
    ]));
    assert_eq!(outcome.status, Status::CommandFailed);
    assert_eq!(
        outcome.output,
        "read: disk:0: beyond the end\n\
         read: nonsense:: no such name\n\
         read: disk:1: no such device\n\
         read: disk:x: no such name\n\
         write: disk:0: beyond the end\n\
         read: console:: it has no end: give a --size\n\
         read: --size: much is not a number (4096, 0x1000, 4K)\n\
         nonsense: no such command (try `help`)\n\
         shell: a quote is left open\n\
         still here\n"
    );
}

#[test]
fn a_disk_server_that_dies_in_the_middle_of_a_read() {
    let mut system = default_system();
    let disk = system.program("disk").expect("it has a disk");
    disk.binary = "disk-faulty".into();
    disk.args = vec!["--fault-on-read".into(), "2".into()];
    let commands = [
        "read disk:0 --size 16",
        "read disk:0 --size 16",
        "read disk:0 --size 16",
        "dmesg",
    ];
    let outcome = execute_system(&with_commands(&commands), &system);
    assert_eq!(outcome.status, Status::CommandFailed);
    let (output, log) = outcome
        .output
        .split_at(outcome.output.find("Postern ").unwrap_or(0));
    const BYTES: &str =
        "00000000  48 65 6c 6c 6f 20 66 72  6f 6d 20 73 65 63 74 6f  |Hello from secto|\n";
    assert!(
        output.starts_with(&format!(
            "{BYTES}read: disk:0: the server died during the request, which may have had an effect\n{BYTES}"
        )),
        "{output}"
    );
    assert!(
        log.contains("program disk faulted: invalid instruction"),
        "{log}"
    );
    assert!(log.contains("program disk is started anew"), "{log}");
}

#[test]
fn panics_and_crashes_of_programs_are_reported() {
    let mut system = default_system();
    system
        .manifest
        .programs
        .push(misbehaving("panicker", 60, &["--panic"]));
    system
        .manifest
        .programs
        .push(misbehaving("crasher", 60, &["--fault"]));
    system
        .manifest
        .programs
        .push(misbehaving("confused", 60, &["--dance"]));
    let mut session = Session::boot(&Options::default(), &system);
    session.expect(PROMPT);
    let programs = session.command("ps");
    let row = |name: &str| {
        let named = |row: &&str| row.contains(name);
        programs.lines().find(named).expect("it is listed")
    };
    assert!(row("panicker").ends_with("panic"), "{programs}");
    assert!(row("crasher").contains("fault 14 at 0x0"), "{programs}");
    assert!(row("shell").contains("sending"), "{programs}");
    session.command("dmesg");
    session.send("poweroff\r");
    let (status, log) = session.finish();
    assert_eq!(status, Status::Success);
    let panicked = log.lines().any(|line| {
        line.contains("program panicker panicked: panicked at apps/misbehave/src/main.rs:")
    });
    assert!(panicked && log.contains("on request"));
    assert!(log.contains("program confused panicked") && log.contains("--dance: not understood"));
    assert!(log.contains("program crasher faulted: page fault at 0x0"));
    // The host tool knows the addresses of its backtrace.
    let place =
        |line: &str| line.contains("misbehave::read_nothing at apps/misbehave/src/main.rs:");
    assert!(log.lines().any(place));
}

fn archive(bytes: &[u8]) -> tempfile::NamedTempFile {
    let archive = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(archive.path(), bytes).expect("it can be written");
    archive
}

/// The files of an archive.
type Files = Vec<(String, Vec<u8>)>;

fn unpack(bytes: &[u8]) -> Files {
    let mut archive = tar::Archive::new(bytes);
    let read = |entry: std::io::Result<tar::Entry<&[u8]>>| {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        Ok((name, bytes))
    };
    let entries = archive.entries().expect("it is an archive");
    let files: std::io::Result<Files> = entries.map(read).collect();
    files.expect("it can be unpacked")
}

fn pack(files: &Files) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        let packed = builder.append_data(&mut header, name, bytes.as_slice());
        packed.expect("it can be packed");
    }
    builder.into_inner().expect("it can be packed")
}

/// What the loader says to an archive, on a machine.
fn refusal(options: &Options, bytes: &[u8]) -> String {
    let archive = archive(bytes);
    let image = image::build(&default_system()).expect("it builds");
    let command = qemu::command(options, &image.loader, archive.path()).expect("a command line");
    let (status, log) = Session::start(command).finish();
    assert_eq!(status, Status::Refused);
    let lines: Vec<&str> = log.lines().filter(|line| !line.is_empty()).collect();
    let [line] = lines[..] else {
        panic!("not one line: {log}")
    };
    line.strip_prefix("postern loader: ")
        .expect("the loader speaks")
        .to_string()
}

#[test]
fn the_loader_refuses_in_one_line() {
    let good = image::build(&default_system()).expect("it builds").archive;
    let plain = Options::default();
    let mut damaged = good.clone();
    damaged[0] ^= 1;
    assert!(refusal(&plain, &damaged).contains("archive is damaged"));
    assert!(refusal(&plain, &[]).contains("no system archive"));

    let files = unpack(&good);
    for missing in ["kernel", "root"] {
        let without: Files = files
            .iter()
            .filter(|(name, _)| name != missing)
            .cloned()
            .collect();
        assert!(refusal(&plain, &pack(&without)).contains(&format!("no file '{missing}'")));
        let mut broken = files.clone();
        for (name, bytes) in &mut broken {
            if name == missing {
                bytes[0] ^= 1;
            }
        }
        let why = refusal(&plain, &pack(&broken));
        assert!(why.contains(&format!(
            "'{missing}' in the system archive cannot be loaded"
        )));
    }

    let old = Options {
        cpu: Some("qemu64,-nx".into()),
        ..Options::default()
    };
    assert!(refusal(&old, &good).contains("the CPU lacks NX"));

    // The archive and the padding fill what memory there is, as far as QEMU finds room for them.
    let small = Options {
        memory: 16 << 20,
        ..plain
    };
    let mut large = files;
    large.push(("padding".into(), vec![0; 15_000_000 - good.len()]));
    assert!(refusal(&small, &pack(&large)).contains("not enough memory"));
}

/// The report of a kernel that is interrupted by an NMI, which stands for what a bug in it would do: the report is the
/// same. A program keeps the kernel busy meanwhile.
fn kernel_report() -> String {
    let mut system = default_system();
    let busy = misbehaving("busy", 60, &["--lines", "1", "--yield"]);
    system.manifest.programs.push(busy);
    let mut session = Session::boot(&Options::default(), &system);
    session.expect("busy says line 0\n");
    session.machine.interrupt().expect("QEMU takes it");
    let (status, log) = session.finish();
    assert_eq!(status, Status::KernelPanic);
    let report = log.split_once("KERNEL PANIC: non-maskable interrupt");
    report.expect("the kernel says why").1.to_string()
}

#[test]
fn a_kernel_panic_tells_all_it_knows() {
    // The interrupt may as well come while the program itself runs; not every time.
    let report = std::iter::repeat_with(kernel_report)
        .take(20)
        .find(|report| report.contains("microkernel/src/"))
        .expect("a backtrace of the kernel, with its source");
    for part in [
        "registers:\n  rip 0xffff",
        "backtrace:\n  0xffff",
        "its registers at its last entry:\n  rip 0x",
        "last events, oldest first:",
        "KERNEL PANIC END",
    ] {
        assert!(report.contains(part), "{part}");
    }
    let named = |line: &str| line.contains("microkernel::") && line.contains(".rs:");
    assert!(report.lines().any(named), "{report}");
}

#[test]
fn a_hang_is_explained() {
    let mut system = default_system();
    let spinner = misbehaving("spinner", 60, &["--lines", "1", "--spin"]);
    system.manifest.programs.push(spinner);
    // The time must suffice to boot, however busy the host is.
    let hang = |seconds| {
        let options = Options {
            timeout: Some(Duration::from_secs(seconds)),
            ..with_commands(&["echo never"])
        };
        execute_system(&options, &system)
    };
    let mut outcomes = [5, 20, 80].into_iter().map(hang);
    let outcome = outcomes
        .find(|outcome| outcome.log.contains("spinner says line 0"))
        .expect("it boots");
    assert_eq!(outcome.status, Status::Timeout);
    assert_eq!(outcome.output, "");
    for part in [
        all_started(&system).as_str(),
        "KERNEL PANIC: non-maskable interrupt",
        "registers:\n  rip 0x",
        "last events, oldest first:",
        "KERNEL PANIC END",
    ] {
        assert!(outcome.log.contains(part), "{part}");
    }
    // The interrupt came in the program that spins, and the host tool knows where.
    let image = image::build(&system).expect("it builds");
    let annotated = image.symbols.annotate(&outcome.log);
    assert!(annotated.contains("misbehave::spin at apps/misbehave/src/main.rs:"));
}
