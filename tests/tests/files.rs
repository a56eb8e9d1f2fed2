//! `file:/path` in the guest, on volumes that the host made: what one writes the other reads, what goes wrong has a name, and
//! neither a killed server nor a killed machine loses what was synced.

use std::path::{Path, PathBuf};
use std::time::Instant;

use postern::machine::Event;
use postern::qemu::Options;
use postern::run::{self, Outcome};
use postern::status::Status;
use sha2::{Digest, Sha256};
use tests::{LIMIT, default_system, execute_system, fat, hex, seat};

fn commands(disk: &Path, commands: &[&str]) -> Options {
    Options {
        disks: vec![disk.into()],
        exec: commands.iter().map(|command| command.to_string()).collect(),
        ..Options::default()
    }
}

/// A volume with a file of `size` bytes, and these.
fn volume(folder: &Path, bits: u8, size: usize) -> (PathBuf, Vec<u8>) {
    let bytes: Vec<u8> = (0..size).map(|i| ((i / 3) ^ (i >> 9)) as u8).collect();
    let (image, file) = (folder.join("disk.img"), folder.join("file"));
    std::fs::write(&file, &bytes).expect("it can be written");
    let sizes = [(12, 2 << 20), (16, 8 << 20), (32, 34 << 20)];
    let (_, length) = sizes[sizes
        .iter()
        .position(|(b, _)| *b == bits)
        .expect("a kind of FAT")];
    fat::make(&image, bits, length);
    fat::put(&image, &file, "A file of the host.bin");
    (image, bytes)
}

#[track_caller]
fn succeeded(outcome: &Outcome) -> &str {
    assert_eq!(outcome.status, Status::Success, "{}", outcome.output);
    &outcome.output
}

#[test]
fn host_and_guest_read_what_the_other_wrote() {
    for bits in [12, 16, 32] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (image, bytes) = volume(folder.path(), bits, 300_000);
        let options = commands(
            &image,
            &[
                "ls file:/",
                "read 'file:/A file of the host.bin' --sha256",
                "mkdir file:/directory file:/directory/inner",
                "cp 'file:/A file of the host.bin' file:/directory/inner/copy.bin",
                "mv file:/directory/inner file:/moved",
                "write file:/new --offset 0 'written by the guest'",
                "write file:/new --offset 11 'at a place'",
                "mv file:/new file:/moved/copy.txt",
                "ls file:/moved",
                "rm file:/directory 'file:/A file of the host.bin'",
                "ls file:/",
                "cat file:/moved/COPY.TXT",
                "write file:/last --offset 0 x",
            ],
        );
        let outcome = execute_system(&options, &default_system());
        assert_eq!(
            succeeded(&outcome),
            format!(
                "    300000  A file of the host.bin\n{}  file:/A file of the host.bin\n\
                 20 bytes written\n10 bytes written\n    300000  copy.bin\n        21  copy.txt\n\
                 {:>10}  moved/\nwritten by at a place1 bytes written\n",
                hex(&Sha256::digest(&bytes)),
                ""
            ),
            "FAT{bits}"
        );
        fat::check(&image).expect("the volume is in order");
        assert!(fat::get(&image, "moved/copy.bin") == bytes);
        assert_eq!(fat::get(&image, "moved/copy.txt"), b"written by at a place");
    }
}

#[test]
fn what_goes_wrong_has_a_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (image, _) = volume(folder.path(), 16, 1000);
    let name = "'file:/A file of the host.bin'";
    let all = [
        "read file:/ --size 1".to_string(),
        "read file:/none".into(),
        "read file:/none/none".into(),
        format!("read {name} --offset 1000 --size 1"),
        format!("read {name} --offset 1001"),
        format!("read {name} --size 0"),
        format!("write {name} --offset 1001 text"),
        format!("ls {name}"),
        "mkdir file:/d file:/d".into(),
        "write file:/d --offset 0 text".into(),
        "write file:/d/f --offset 0 text".into(),
        "rm file:/d".into(),
        "rm file:/".into(),
        "mv file:/d file:/d/inside".into(),
        format!("mv file:/d {name}"),
        "mv file:/d disk:0".into(),
        "write 'file:/a:b' --offset 0 text".into(),
        "cp disk:0 file:/large".into(),
        "echo still here".into(),
    ];
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let outcome = execute_system(&commands(&image, &all), &default_system());
    assert_eq!(outcome.status, Status::CommandFailed);
    let file = "file:/A file of the host.bin";
    assert_eq!(
        outcome.output,
        format!(
            "read: file:/: a directory\n\
             read: file:/none: no such name\n\
             read: file:/none/none: no such name\n\
             end of device at 1000\n\
             read: {file}: beyond the end\n\
             nothing read: the buffer is empty\n\
             write: {file}: beyond the end\n\
             ls: {file}: not a directory\n\
             mkdir: file:/d: it exists already\n\
             write: file:/d: a directory\n\
             4 bytes written\n\
             rm: file:/d: the directory is not empty\n\
             rm: file:/: not permitted\n\
             mv: file:/d to file:/d/inside: no name for such a thing\n\
             mv: file:/d to {file}: not a directory\n\
             mv: file:/d to disk:0: bad request\n\
             write: file:/a:b: no name for such a thing\n\
             cp: disk:0 to file:/large: no space left\n\
             still here\n"
        )
    );
}

#[test]
fn disks_without_a_volume_and_disks_that_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let disk = folder.path().join("empty.img");
    std::fs::write(&disk, vec![0; 1 << 20]).expect("it can be written");
    let outcome = execute_system(
        &commands(&disk, &["ls file:/", "read disk:0 --size 1"]),
        &default_system(),
    );
    let error = "ls: file:/: no file system there\n";
    assert!(outcome.output.starts_with(error), "{}", outcome.output);

    let (image, _) = volume(folder.path(), 16, 3);
    let before = std::fs::read(&image).expect("it can be read");
    let name = "'file:/A file of the host.bin'";
    let all = [
        format!("read {name} --size 3"),
        format!("write {name} --offset 0 x"),
        "ls file:/".into(),
    ];
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let read_only = Options {
        read_only: true,
        ..commands(&image, &all)
    };
    let outcome = execute_system(&read_only, &default_system());
    assert_eq!(
        outcome.output,
        "00000000  00 00 00                                          |...|\n\
         write: file:/A file of the host.bin: read-only\n         3  A file of the host.bin\n"
    );
    assert!(before == std::fs::read(&image).expect("it can be read"));
}

#[test]
fn a_file_server_that_dies_in_the_middle_of_a_write() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (image, _) = volume(folder.path(), 16, 10);
    let mut system = default_system();
    let files = system.program("fs").expect("it has a file server");
    files.binary = "fs-faulty".into();
    files.args.extend(["--fault-on-write".into(), "3".into()]);
    let options = commands(
        &image,
        &[
            "write file:/a --offset 0 one",
            "write file:/a --offset 3 two",
            "write file:/a --offset 6 three",
            "cat file:/a",
            "echo",
            "write file:/b --offset 0 more",
            "dmesg",
        ],
    );
    let outcome = execute_system(&options, &system);
    assert_eq!(outcome.status, Status::CommandFailed);
    // What it had written when it died is there; that it was answered nobody knows.
    let wanted = "3 bytes written\n3 bytes written\n\
                  write: file:/a: the server died during the request, which may have had an effect\n\
                  onetwothree\n4 bytes written\n";
    assert!(outcome.output.starts_with(wanted), "{}", outcome.output);
    let repaired = "fs: disk:0: it was not unmounted; repaired:";
    assert!(outcome.output.contains(repaired), "{}", outcome.output);
    fat::check(&image).expect("the volume is in order");
}

#[test]
fn a_disk_server_that_dies_under_the_file_server_is_not_noticed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (image, bytes) = volume(folder.path(), 16, 200_000);
    let mut system = default_system();
    let disk = system.program("disk").expect("it has a disk server");
    disk.binary = "disk-faulty".into();
    disk.args = vec!["--fault-on-read".into(), "6".into()];
    let options = commands(
        &image,
        &[
            "cp 'file:/A file of the host.bin' file:/copy",
            "read file:/copy --sha256",
            "dmesg",
        ],
    );
    let outcome = execute_system(&options, &system);
    let digest = format!("{}  file:/copy\n", hex(&Sha256::digest(&bytes)));
    assert!(
        succeeded(&outcome).starts_with(&digest),
        "{}",
        outcome.output
    );
    let again = "program disk is started anew";
    assert!(outcome.output.contains(again), "{}", outcome.output);
    fat::check(&image).expect("the volume is in order");
    assert!(fat::get(&image, "copy") == bytes);
}

#[test]
fn sessions_are_given_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (image, _) = volume(folder.path(), 16, 10);
    let cat = format!("cat{}", " file:/a".repeat(100));
    let mut all = vec!["write file:/a --offset 0 x"];
    all.extend([cat.as_str(); 3]);
    all.push("rm file:/a");
    let outcome = execute_system(&commands(&image, &all), &default_system());
    let expected = format!("1 bytes written\n{}", "x".repeat(300));
    assert_eq!(succeeded(&outcome), expected);
}

/// Boots, and switches the machine off while it is busy after the guest has said `word`.
fn boot_until(options: &Options, word: &str) {
    let _seat = seat();
    let mut system = default_system();
    system.execute("0", &options.exec).expect("it has a shell");
    let mut booted = run::boot(options, &system).expect("the machine starts");
    let deadline = Instant::now() + LIMIT;
    let mut log = Vec::new();
    while !String::from_utf8_lossy(&log).contains(word) {
        match booted.machine.next(Some(deadline)) {
            Some(Event::Output(bytes)) => log.extend(bytes),
            other => panic!(
                "{other:?} before `{word}`:\n{}",
                String::from_utf8_lossy(&log)
            ),
        }
    }
    booted.machine.kill();
}

#[test]
fn a_machine_that_is_killed_loses_nothing_that_was_synced() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (image, bytes) = volume(folder.path(), 16, 150_000);
    let mut repairs = 0;
    for round in 0..4 {
        let mut all = Vec::new();
        for copy in 0..6 {
            all.push(format!(
                "cp 'file:/A file of the host.bin' file:/{round}-{copy}"
            ));
            all.push(format!("mv file:/{round}-{copy} file:/done-{copy}"));
            all.push(format!("echo done {copy}"));
        }
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        boot_until(&commands(&image, &all), &format!("done {round}"));
        // What was finished is there, whatever was going on.
        let mut check: Vec<String> = (0..=round)
            .map(|copy| format!("read file:/done-{copy} --sha256"))
            .collect();
        check.push("dmesg".into());
        check.push("write file:/mark --offset 0 x".into());
        let check: Vec<&str> = check.iter().map(String::as_str).collect();
        let outcome = execute_system(&commands(&image, &check), &default_system());
        let digest = hex(&Sha256::digest(&bytes));
        let expected: String = (0..=round)
            .map(|copy| format!("{digest}  file:/done-{copy}\n"))
            .collect();
        assert!(
            succeeded(&outcome).starts_with(&expected),
            "{}",
            outcome.output
        );
        repairs += usize::from(outcome.output.contains("repaired:"));
        fat::check(&image).expect("the volume is in order");
        for copy in 0..=round {
            assert!(fat::get(&image, &format!("done-{copy}")) == bytes);
        }
    }
    assert!(repairs > 0, "no machine was killed while it wrote");
}
