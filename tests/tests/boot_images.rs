//! Boot images: every firmware and machine starts them, from a CD and from a disk, with little memory and with much.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use postern::qemu::{self, Machine, Options};
use postern::status::Status;
use postern::system::System;
use postern::{iso, paths};
use tests::screen::{expected, type_in, wait_for_drawn};
use tests::session::{PROMPT, Session};
use tests::tool::{self, run};
use tests::workspace::copy;
use tests::{default_system, execute, follow};

const MIB: u64 = 1 << 20;

/// The default system's image, made by the tool, in a folder of its own.
fn published() -> PathBuf {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("published");
        // What was there must not be mistaken for what is written now.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let image = folder.join("postern.iso");
        let path = image.to_str().expect("its name is text");
        let made = run(&mut tool::command(&["image", "--out", path]));
        assert_eq!(made.status, 0);
        assert!(made.output.contains(iso::publish::QEMU_LINE));
        image
    };
    IMAGE.get_or_init(make).clone()
}

/// The shell is there and reads the default disk; then the machine is switched off.
fn greets(mut session: Session) {
    session.expect(PROMPT);
    let shown = session.command("read disk:0 --size 10");
    assert!(shown.contains("|Hello from|"), "{shown}");
    session.send("poweroff\r");
    assert_eq!(session.finish().0, Status::Success);
}

/// An image made from nothing but the sources, in another folder, has the same bytes.
#[test]
fn a_clean_build_elsewhere_gives_the_same_image() {
    let expected = std::fs::read(published()).expect("it can be read");
    // Each takes as long as a first build.
    let folders = match std::env::var_os("POSTERN_LONG") {
        None => &["a"][..],
        Some(_) => &["a", "another/and deeper"],
    };
    for folder in folders {
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let root = place.path().join(folder);
        copy(&paths::root(), &root);
        let image = root.join("x.iso");
        let path = image.to_str().expect("its name is text");
        let mut make = tool::command(&["image", "--out", path]);
        assert_eq!(run(make.env(paths::ROOT, &root)).status, 0);
        let image = std::fs::read(image).expect("it can be read");
        assert!(image == expected, "{folder}");
    }
}

#[test]
fn every_firmware_and_machine_starts_an_image() {
    for uefi in [false, true] {
        for machine in [Machine::Pc, Machine::Q35] {
            let options = Options {
                iso: Some(published()),
                machine,
                uefi,
                ..Options::default()
            };
            greets(Session::boot_image(&options));
        }
    }
}

/// A machine that boots by UEFI has no text screen: the console draws, and a keyboard is enough.
#[test]
fn a_uefi_machine_has_a_terminal() {
    let options = Options {
        uefi: true,
        ..Options::default()
    };
    let mut session = Session::boot(&options, &default_system());
    session.expect(PROMPT);
    type_in(session.monitor(), "echo a line, typed\n");
    session.expect("\na line, typed\n");
    session.expect(PROMPT);
    let expected = expected(session.log());
    wait_for_drawn(session.monitor(), |lines| {
        // The first lines are of the time before the console: only the serial line has them.
        let shown = lines.iter().rposition(|line| !line.is_empty());
        shown.is_some_and(|last| last >= 2 && expected.ends_with(&lines[..=last]))
    });
    // It scrolls.
    session.command("help");
    session.command("help");
    let expected = tests::screen::expected(session.log());
    wait_for_drawn(session.monitor(), |lines| lines == expected);
}

/// What a person without Rust types, as it says and with the image copied to a disk.
#[test]
fn the_line_for_people_without_rust() {
    let readme = published().with_file_name("postern.README.txt");
    let readme = std::fs::read_to_string(readme).expect("it lies beside the image");
    let line = readme.lines().find(|line| line.contains("qemu-system"));
    let line = line.expect("it says how").trim();
    let as_disk = line.replace("-cdrom ", "-drive format=raw,file=");
    let uefi = qemu::uefi().expect("it is there or can be installed");
    let by_uefi = format!("{as_disk} -bios {uefi}");
    for line in [line, &as_disk, &by_uefi] {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words);
        command.current_dir(published().parent().expect("it is in a folder"));
        let mut session = Session::start(command);
        session.expect(PROMPT);
        let shown = session.command("echo it works");
        assert!(shown.contains("it works"), "{line}: {shown}");
        session.send("poweroff\r");
        // There is no device to leave QEMU with a status by: the machine goes off, and QEMU ends without one.
        session.ends();
    }
}

#[test]
fn little_memory_and_much() {
    for uefi in [None, Some(false), Some(true)] {
        for memory in [64 * MIB, 4096 * MIB] {
            let options = Options {
                memory,
                uefi: uefi == Some(true),
                exec: vec!["mem".into()],
                ..Options::default()
            };
            let printed = match uefi {
                Some(false) => {
                    let mut session = Session::boot_image(&Options {
                        iso: Some(published()),
                        exec: Vec::new(),
                        ..options
                    });
                    session.expect(PROMPT);
                    session.command("mem")
                }
                _ => execute(&options).output,
            };
            let (_, all) = printed.split_once(" KiB free of ").expect("it says so");
            let all = all.split(' ').next().and_then(|all| all.parse().ok());
            let all: u64 = all.expect("a number");
            // The firmware keeps some of it.
            let plausible = memory / 1024 * 4 / 5..memory / 1024;
            assert!(
                plausible.contains(&all),
                "{all} of {memory}, UEFI: {uefi:?}"
            );
        }
    }
}

/// 2 GiB in one piece are nowhere but above 4 GiB on this machine: the kernel's objects, page tables and pages of a program
/// that has so much are all there.
#[test]
fn memory_above_4_gib_is_used() {
    let mut system = System::load("ktest").expect("the manifest passes its checks");
    let program = system.program("ktest").expect("it is in the manifest");
    program.memory = 2 << 30;
    program.untyped = 1 << 30;
    program.args = ["tests", "mapping::", "ipc::", "fpu::"]
        .map(String::from)
        .into();
    let options = Options {
        memory: 4 << 30,
        machine: Machine::Q35,
        icount: true,
        ..Options::default()
    };
    let outcome = follow(&options, &system, &[]);
    assert!(outcome.log.contains("ktest ends, 0 failed"));
    assert_eq!(outcome.status, Status::Success);
    let less = Options {
        memory: 2 << 30,
        ..options
    };
    let mut session = Session::boot(&less, &system);
    session.expect("program ktest does not start: the machine has too little memory");
}

#[test]
fn an_image_shows_what_is_in_it() {
    let image = published();
    let path = image.to_str().expect("its name is text");
    let shown = run(&mut tool::command(&["image", "--list", path]));
    assert_eq!(shown.status, 0);
    for part in [
        "boots by: BIOS (CD), UEFI (CD), BIOS (disk), UEFI (disk)\n",
        "system: default\n",
        "tool: grub-mkimage (GRUB) ",
        "tool: xorriso ",
        "tool: mformat (GNU mtools) ",
        "tool: rustc ",
        "  boot/postern\n",
        "  licenses/GPL-3.txt\n",
        "  licenses/crates.txt\n",
        "  kernel\n",
        "  shell\n",
    ] {
        assert!(shown.output.contains(part), "{part}");
    }
    // Its neighbours are what the checksums say.
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict", "SHA256SUMS"]);
    check.current_dir(image.parent().expect("it is in a folder"));
    assert_eq!(run(&mut check).status, 0);
    // A single bit is noticed.
    let mut bytes = std::fs::read(&image).expect("it can be read");
    let loader = b"it is no complete 64-bit ELF file";
    let at = bytes.windows(loader.len()).position(|part| part == loader);
    bytes[at.expect("the loader is in it")] ^= 1;
    let damaged = image.with_file_name("damaged.iso");
    std::fs::write(&damaged, bytes).expect("it can be written");
    let path = damaged.to_str().expect("its name is text");
    let refused = run(&mut tool::command(&["image", "--list", path]));
    assert_eq!(refused.status, 2);
    assert!(refused.messages.contains("boot/postern is damaged"));
}

#[test]
fn wrong_usage_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = folder.path().join("text");
    std::fs::write(&text, "no image").expect("it can be written");
    let text = text.to_str().expect("its name is text");
    let (missing, folder) = (format!("{text}.iso"), folder.path().to_str().expect("text"));
    let beyond = format!("{text}/x.iso");
    for (arguments, words) in [
        (
            &["image", "--list", text][..],
            "is not an image: it has no ISO 9660",
        ),
        (&["image", "--list", &missing], "cannot use the image"),
        (&["image", "--list", folder], "is not a regular file"),
        (
            &["image", "--list", text, "--out", "x"],
            "cannot be used with",
        ),
        (
            &["image", "--system", "nonsense"],
            "there is no system `nonsense`",
        ),
        (&["image", "--out", folder], "it is a directory"),
        (&["image", "--out", &beyond], "cannot write"),
        (&["run", "--iso", text], "is not an image"),
        (&["run", "--iso", &missing], "cannot use the image"),
        (
            &["run", "--iso", text, "--exec", "help"],
            "cannot be used with",
        ),
        (
            &["run", "--iso", text, "--system", "web"],
            "cannot be used with",
        ),
        (&["run", "--uefi", "--flash", text], "cannot be used with"),
        (
            &["run", "--uefi", "--emulator", "bochs"],
            "--uefi needs --emulator qemu",
        ),
        (&["run", "--ata"], "--ata needs --machine pc"),
    ] {
        let refused = run(&mut tool::command(arguments));
        assert_eq!(refused.status, 2, "{arguments:?}");
        assert!(refused.messages.contains(words), "{arguments:?}: {words}");
        assert_eq!(refused.output, "", "{arguments:?}");
    }
}
