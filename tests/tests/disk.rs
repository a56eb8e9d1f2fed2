//! The disk, as the guest sees it and as the host does.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use postern::qemu::Options;
use postern::run::Outcome;
use postern::status::Status;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tests::{execute, hex};

const MIB: usize = 1 << 20;

fn run(disk: &Path, options: Options, commands: &[&str]) -> Outcome {
    execute(&Options {
        disks: vec![disk.into()],
        exec: commands.iter().map(|command| command.to_string()).collect(),
        ..options
    })
}

/// A disk of `size` bytes that do not repeat (xorshift64, Marsaglia 2003).
fn random_disk(size: usize) -> (NamedTempFile, Vec<u8>) {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let bytes: Vec<u8> = words.take(size / 8).flatten().collect();
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(&bytes).expect("it can be written");
    (file, bytes)
}

#[test]
fn the_digest_is_the_hosts() {
    let (disk, bytes) = random_disk(64 * MIB);
    let digest = hex(&Sha256::digest(&bytes));
    for memory in [256 * MIB, 64 * MIB] {
        let options = Options {
            memory: memory as u64,
            ..Options::default()
        };
        let outcome = run(disk.path(), options, &["read disk:0 --sha256"]);
        assert_eq!(outcome.output, format!("{digest}  disk:0\n"));
        assert_eq!(outcome.status, Status::Success);
    }
}

#[test]
fn what_the_guest_writes_is_in_the_file() {
    let (disk, mut expected) = random_disk(MIB);
    // The second text begins and ends in the middle of sectors, and crosses their border.
    let long = "x".repeat(700);
    let commands = [
        "write disk:0 --offset 512 'a message'".to_string(),
        format!("write disk:0 --offset 1000 {long}"),
    ];
    let outcome = run(
        disk.path(),
        Options::default(),
        &commands.each_ref().map(String::as_str),
    );
    assert_eq!(outcome.status, Status::Success);
    assert_eq!(outcome.output, "9 bytes written\n700 bytes written\n");
    expected[512..521].copy_from_slice(b"a message");
    expected[1000..1700].fill(b'x');
    assert!(std::fs::read(disk.path()).expect("it is there") == expected);
}

#[test]
fn a_disk_may_be_read_only() {
    let (disk, expected) = random_disk(MIB);
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let outcome = run(disk.path(), options, &["write disk:0 --offset 0 no"]);
    assert_eq!(outcome.status, Status::CommandFailed);
    assert_eq!(outcome.output, "write: disk:0: read-only\n");
    assert!(std::fs::read(disk.path()).expect("it is there") == expected);
}

/// `Ok(0)` has two meanings (embedded_io), and the shell says which.
#[test]
fn nothing_is_read_for_two_reasons() {
    let (disk, _) = random_disk(MIB);
    let commands = [
        "read disk:0 --size 0",
        "read disk:0 --offset 1M --size 16",
        "read disk:0 --offset 0xffffe --size 16 --sha256",
        "read disk:0 --offset 1M --size 0",
    ];
    let outcome = run(disk.path(), Options::default(), &commands);
    assert_eq!(outcome.status, Status::Success);
    let lines: Vec<&str> = outcome.output.lines().collect();
    let [empty, end, _digest, partial, both] = lines[..] else {
        panic!("{lines:?}")
    };
    assert_eq!(empty, "nothing read: the buffer is empty");
    assert_eq!(end, "end of device at 1048576");
    assert_eq!(partial, "end of device at 1048576");
    assert_eq!(both, "nothing read: the buffer is empty");
}

/// Reads of every alignment equal the host's bytes.
#[test]
fn odd_ranges() {
    let (disk, bytes) = random_disk(MIB);
    let ranges = [
        (0, 1),
        (511, 2),
        (513, 511),
        (1000, 70_000),
        (MIB - 3, 3),
        (4095, 200_001),
    ];
    let commands: Vec<String> = ranges
        .iter()
        .map(|(offset, size)| format!("read disk:0 --offset {offset} --size {size} --sha256"))
        .collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let outcome = run(disk.path(), Options::default(), &commands);
    let expected: String = ranges
        .iter()
        .map(|&(offset, size)| {
            let digest = hex(&Sha256::digest(&bytes[offset..offset + size]));
            format!("{digest}  disk:0\n")
        })
        .collect();
    assert_eq!(outcome.output, expected);
}

/// A sparse disk beyond 4 GiB: offsets are 64-bit all the way.
#[test]
fn a_large_disk() {
    const AT: u64 = 5 << 30;
    let mut disk = NamedTempFile::new().expect("a temporary file");
    let file = disk.as_file_mut();
    file.set_len(AT + 512).expect("the file system knows holes");
    file.seek(SeekFrom::Start(AT)).expect("it can seek");
    file.write_all(b"far away").expect("it can be written");
    let commands = [
        "read disk:0 --offset 5G --size 8",
        "read disk:0 --offset 0x140000200 --size 1",
        "read disk:0 --offset 0x140000201 --size 1",
    ];
    let outcome = run(disk.path(), Options::default(), &commands);
    assert_eq!(
        outcome.output,
        "140000000  66 61 72 20 61 77 61 79                           |far away|\n\
         end of device at 5368709632\n\
         read: disk:0: beyond the end\n"
    );
}
