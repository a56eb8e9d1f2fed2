//! Several disks, and partitions that the host's own tool made.

use std::path::Path;

use gpt::GptConfig;
use gpt::partition_types::BASIC;
use postern::qemu::Options;
use postern::run::Outcome;
use postern::status::Status;
use tempfile::TempDir;
use tests::{default_system, execute, execute_system, fat};

const SECTOR: usize = 512;
/// First sector and sectors of each partition.
const PARTITIONS: [(u64, u64); 2] = [(64, 1000), (2048, 8192)];
/// Sectors of the disk.
const SECTORS: usize = 12_288;

/// A disk of sectors that begin with their number, and partitions.
fn partitioned(folder: &TempDir) -> std::path::PathBuf {
    let mut bytes = vec![b'.'; SECTORS * SECTOR];
    for (number, sector) in bytes.chunks_mut(SECTOR).enumerate() {
        sector[..8].copy_from_slice(format!("{number:08}").as_bytes());
    }
    let path = folder.path().join("partitioned");
    std::fs::write(&path, bytes).expect("it can be written");
    let mut disk = GptConfig::new()
        .writable(true)
        .create(&path)
        .expect("a disk");
    for (id, (first, sectors)) in (1..).zip(PARTITIONS) {
        disk.add_partition_at("", id, first, sectors, BASIC, 0)
            .expect("there is room");
    }
    disk.write().expect("it can be written");
    path
}

fn options(disks: &[&Path], commands: &[&str]) -> Options {
    Options {
        disks: disks.iter().map(|disk| disk.to_path_buf()).collect(),
        exec: commands.iter().map(|command| command.to_string()).collect(),
        ..Options::default()
    }
}

fn output(disks: &[&Path], commands: &[&str]) -> Outcome {
    execute(&options(disks, commands))
}

#[test]
fn every_disk_has_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let disks: Vec<_> = (0..4)
        .map(|number| {
            let path = folder.path().join(number.to_string());
            std::fs::write(&path, vec![b'0' + number; SECTOR]).expect("it can be written");
            path
        })
        .collect();
    let disks: Vec<&Path> = disks.iter().map(|disk| disk.as_path()).collect();
    let commands = [
        "read disk:0 --size 1",
        "read disk:1 --size 1",
        "read disk:2 --size 1",
        "read disk:3 --size 1",
        "write disk:2 --offset 5 x",
        "read disk:2 --offset 5 --size 1",
        "read disk:4",
    ];
    let outcome = output(&disks, &commands);
    let ends: Vec<&str> = outcome
        .output
        .lines()
        .map(|line| line.rsplit("  ").next().unwrap_or_default().trim())
        .collect();
    assert_eq!(
        ends,
        [
            "|0|",
            "|1|",
            "|2|",
            "|3|",
            "1 bytes written",
            "|x|",
            "read: disk:4: no such device"
        ]
    );
    for (number, disk) in disks.iter().enumerate() {
        let mut expected = vec![b'0' + number as u8; SECTOR];
        if number == 2 {
            expected[5] = b'x';
        }
        assert!(std::fs::read(disk).expect("it is there") == expected);
    }
}

#[test]
fn a_partition_is_read_and_written_and_nothing_around_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = partitioned(&folder);
    let before = std::fs::read(&disk).expect("it is there");
    let end = PARTITIONS[0].1 as usize * SECTOR;
    let outcome = output(
        &[&disk],
        &[
            "read disk:0p1 --size 8",
            "read disk:0p2 --offset 512 --size 8",
            &format!("write disk:0p1 --offset {} tail", end - 2),
            &format!("read disk:0p1 --offset {} --size 600", end - 4),
            &format!("write disk:0p1 --offset {end} x"),
            &format!("read disk:0p1 --offset {}", end + 1),
            "read disk:0p1 --offset 0xfffffffffffffe00 --size 1",
            "write disk:0p1 --offset 0xffffffffffff8000 x",
            "read disk:0p3",
            "read disk:0p0",
        ],
    );
    let lines: Vec<&str> = outcome.output.lines().collect();
    assert!(lines[0].ends_with("|00000064|"), "{}", outcome.output);
    assert!(lines[1].ends_with("|00002049|"), "{}", outcome.output);
    assert_eq!(lines[2], "write: disk:0p1: beyond the end");
    assert!(lines[3].ends_with("|..ta|"), "{}", outcome.output);
    assert_eq!(
        lines[4..],
        [
            "end of device at 512000",
            "write: disk:0p1: beyond the end",
            "read: disk:0p1: beyond the end",
            "read: disk:0p1: beyond the end",
            "write: disk:0p1: beyond the end",
            "read: disk:0p3: no such device",
            "read: disk:0p0: no such name",
        ]
    );
    let mut expected = before;
    let last = (PARTITIONS[0].0 + PARTITIONS[0].1) as usize * SECTOR;
    expected[last - 2..last].copy_from_slice(b"ta");
    assert!(std::fs::read(&disk).expect("it is there") == expected);
}

#[test]
fn a_damaged_table_has_a_name_and_the_disk_is_read_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = partitioned(&folder);
    let good = std::fs::read(&disk).expect("it is there");
    let copy = (SECTORS - 1) * SECTOR;
    let read = |damage: &[usize]| {
        let mut bytes = good.clone();
        damage.iter().for_each(|at| bytes[*at] ^= 0x10);
        std::fs::write(&disk, bytes).expect("it can be written");
        let commands = ["read disk:0p1 --size 8", "read disk:0 --size 8"];
        output(&[&disk], &commands).output
    };
    // The header, and the array of entries: the copy at the end stands in.
    assert!(read(&[SECTOR + 40]).contains("|00000064|"));
    assert!(read(&[2 * SECTOR + 32]).contains("|00000064|"));
    for damage in [[SECTOR + 40, copy + 40], [2 * SECTOR + 32, copy + 72]] {
        let text = read(&damage);
        assert!(
            text.starts_with("read: disk:0p1: the partition table is damaged\n"),
            "{text}"
        );
        assert!(
            text.ends_with("|\n") && !text.contains("|00000064|"),
            "{text}"
        );
    }
}

#[test]
fn a_file_system_lies_on_a_partition() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = partitioned(&folder);
    let (image, file) = (folder.path().join("fat"), folder.path().join("file"));
    let (first, sectors) = PARTITIONS[1];
    fat::make(&image, 16, sectors * SECTOR as u64);
    std::fs::write(&file, "from the host").expect("it can be written");
    fat::put(&image, &file, "HOST");
    let start = first as usize * SECTOR;
    let mut bytes = std::fs::read(&disk).expect("it is there");
    let volume = std::fs::read(&image).expect("it is there");
    bytes[start..start + volume.len()].copy_from_slice(&volume);
    std::fs::write(&disk, &bytes).expect("it can be written");
    let mut system = default_system();
    system.program("fs").expect("it has files").args = vec!["disk:0p2".into()];
    let commands = [
        "cat file:/HOST",
        "write file:/GUEST --offset 0 from-the-guest",
    ];
    let outcome = execute_system(&options(&[&disk], &commands), &system);
    assert_eq!(outcome.status, Status::Success, "{}", outcome.output);
    assert!(
        outcome.output.starts_with("from the host"),
        "{}",
        outcome.output
    );
    let after = std::fs::read(&disk).expect("it is there");
    std::fs::write(&image, &after[start..start + volume.len()]).expect("it can be written");
    assert_eq!(fat::check(&image), Ok(()));
    assert_eq!(fat::get(&image, "GUEST"), b"from-the-guest");
    assert!(after[..start] == bytes[..start]);
    assert!(after[start + volume.len()..] == bytes[start + volume.len()..]);
}
