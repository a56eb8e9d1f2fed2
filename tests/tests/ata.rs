//! ATA disks, as the guest sees them and as the host does.

use std::io::Write;

use postern::qemu::{Emulator, Machine, Options};
use postern::status::Status;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tests::session::{PROMPT, Session};
use tests::{default_system, execute, hex};

const SIZE: usize = 300 << 10;

/// A disk whose bytes depend on their place.
fn disk(seed: u64) -> (NamedTempFile, Vec<u8>) {
    let words = (0..SIZE as u64 / 8).map(|n| (n ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(&bytes).expect("it can be written");
    (file, bytes)
}

fn in_qemu() -> Options {
    Options {
        ata: true,
        machine: Machine::Pc,
        ..Options::default()
    }
}

#[test]
fn bytes_are_the_hosts_and_stay() {
    let in_bochs = Options {
        emulator: Emulator::Bochs,
        ..Options::default()
    };
    for options in [in_qemu(), in_bochs] {
        let (first, mut expected) = disk(1);
        let (second, other) = disk(2);
        let long = "x".repeat(700);
        let commands = [
            "read disk:0 --sha256".to_string(),
            "read disk:1 --sha256".to_string(),
            // From the middle of a sector to the middle of another one.
            "read disk:0 --offset 1000 --size 70000 --sha256".to_string(),
            format!("write disk:0 --offset 1000 {long}"),
            "read disk:0 --offset 307199 --size 2 --sha256".to_string(),
            "read disk:2".to_string(),
        ];
        let outcome = execute(&Options {
            disks: vec![first.path().into(), second.path().into()],
            exec: commands.into(),
            ..options
        });
        let digest = |bytes: &[u8]| hex(&Sha256::digest(bytes));
        let [whole, whole_other] = [&expected, &other].map(|bytes| digest(bytes));
        let (part, last) = (
            digest(&expected[1000..71_000]),
            digest(&expected[SIZE - 1..]),
        );
        assert_eq!(
            outcome.output,
            format!(
                "{whole}  disk:0\n{whole_other}  disk:1\n{part}  disk:0\n700 bytes written\n\
                 {last}  disk:0\nend of device at 307200\nread: disk:2: no such device\n"
            )
        );
        assert_eq!(outcome.status, Status::CommandFailed, "there is no disk:2");
        expected[1000..1700].fill(b'x');
        assert!(std::fs::read(first.path()).expect("it is there") == expected);
        assert!(std::fs::read(second.path()).expect("it is there") == other);
    }
}

/// `write` syncs before it answers.
#[test]
fn what_was_answered_survives_the_power() {
    let (file, mut expected) = disk(3);
    let options = Options {
        disks: vec![file.path().into()],
        ..in_qemu()
    };
    let mut session = Session::boot(&options, &default_system());
    session.expect(PROMPT);
    let answer = session.command("write disk:0 --offset 100000 'to stay'");
    assert!(answer.contains("7 bytes written"), "{answer}");
    session.machine.kill();
    expected[100_000..100_007].copy_from_slice(b"to stay");
    assert!(std::fs::read(file.path()).expect("it is there") == expected);
}

/// A disk with a bad sector, and one that never answers in time: both are named, and the other disk is not harmed.
#[test]
fn disks_that_fail() {
    let (good, _) = disk(4);
    let (bad, _) = disk(5);
    let options = Options {
        disks: vec![good.path().into()],
        ..in_qemu()
    };
    let path = bad.path().display();
    let errors = "inject-error.0.event=none,inject-error.0.sector=100,inject-error.0.errno=5";
    let broken =
        format!("driver=blkdebug,node-name=x,image.driver=file,image.filename={path},{errors}");
    // Twice as long as the driver waits.
    let slow = "driver=null-co,node-name=x,size=1048576,latency-ns=20000000000".to_string();
    for (drive, sector, told) in [
        (
            broken,
            100,
            "disk: 1: reading 1 sectors from 100 on: aborted",
        ),
        (
            slow,
            7,
            "disk: 1: reading 1 sectors from 7 on: no answer, so the disk is reset",
        ),
    ] {
        let device = "ide-hd,drive=x,bus=ide.1,unit=0,rerror=report";
        let more = ["-blockdev", &drive, "-device", device];
        let mut session = Session::boot_with(&options, &default_system(), &more);
        session.expect(PROMPT);
        let offset = sector * 512;
        let answer = session.command(&format!("read disk:1 --offset {offset} --size 16"));
        assert!(answer.contains("read: disk:1: device error"), "{answer}");
        assert!(session.log().contains(told), "{}", session.log());
        let answer = session.command("read disk:0 --size 16");
        assert!(answer.starts_with("00000000  "), "{answer}");
    }
}
