//! `flash:0` and `flash:kv/NAME` in the guest: what is read and written is what the image holds, and what goes wrong has a
//! name.

use std::path::Path;

use postern::qemu::{Machine, Options};
use postern::run::Outcome;
use postern::status::Status;
use sha2::{Digest, Sha256};
use tests::{default_system, execute_system, hex};

/// Bytes of the test's flash, and of its part that is `flash:0`.
const SIZE: usize = 640 << 10;
const RAW: usize = SIZE - 33 * 4096;

fn commands(flash: &Path, commands: &[&str]) -> Options {
    Options {
        flash: Some(flash.into()),
        exec: commands.iter().map(|command| command.to_string()).collect(),
        ..Options::default()
    }
}

/// A flash whose raw part is full of bytes that depend on their place, and whose values are blank.
fn image(folder: &Path) -> (std::path::PathBuf, Vec<u8>) {
    let byte = |i: usize| (i ^ i >> 8 ^ i >> 16) as u8 & 0x7f;
    let bytes: Vec<u8> = (0..SIZE)
        .map(|i| if i < RAW { byte(i) } else { 0xff })
        .collect();
    let file = folder.join("flash.img");
    std::fs::write(&file, &bytes).expect("it can be written");
    (file, bytes)
}

#[track_caller]
fn succeeded(outcome: &Outcome) -> &str {
    assert_eq!(outcome.status, Status::Success, "{}", outcome.output);
    &outcome.output
}

#[test]
fn bytes_and_values_reach_the_image_and_come_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, mut bytes) = image(folder.path());
    let text = "across the border of two blocks";
    let at = 8192 - 10;
    let write = format!("write flash:0 --offset {at} '{text}'");
    let first = commands(
        &file,
        &[
            "read flash:0 --sha256",
            &write,
            "write flash:kv/greeting --offset 0 hello",
            "write flash:kv/greeting --offset 5 ', world'",
            "cp flash:kv/greeting flash:kv/copy",
            "write flash:kv/greeting --offset 0 J",
        ],
    );
    let outcome = execute_system(&first, &default_system());
    let written = format!("{} bytes written\n", text.len());
    assert_eq!(
        succeeded(&outcome),
        format!(
            "{}  flash:0\n{written}5 bytes written\n7 bytes written\n1 bytes written\n",
            hex(&Sha256::digest(&bytes[..RAW]))
        )
    );
    bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
    let image = std::fs::read(&file).expect("it can be read");
    assert!(
        image[..RAW] == bytes[..RAW],
        "flash:0 is not what it should be"
    );

    // Another machine, and a new server, find the same.
    let second = Options {
        machine: Machine::Pc,
        ..commands(
            &file,
            &[
                "ls flash:kv/",
                "cat flash:kv/greeting flash:kv/copy",
                "echo",
                "rm flash:kv/copy",
                "ls flash:kv/",
                "read flash:0 --sha256",
            ],
        )
    };
    let outcome = execute_system(&second, &default_system());
    assert_eq!(
        succeeded(&outcome),
        format!(
            "        12  copy\n        12  greeting\nJello, worldhello, world\n        12  greeting\n\
             {}  flash:0\n",
            hex(&Sha256::digest(&bytes[..RAW]))
        )
    );
}

#[test]
fn what_goes_wrong_has_a_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, bytes) = image(folder.path());
    let long = format!("write flash:kv/a --offset 0 {}", "x".repeat(600));
    let longer = format!("write flash:kv/a --offset 600 {}", "x".repeat(500));
    let end = format!("read flash:0 --offset {} --size 1", RAW);
    let beyond = format!("read flash:0 --offset {} --size 1", RAW + 1);
    let write_end = format!("write flash:0 --offset {RAW} text");
    let name = format!("write flash:kv/{} --offset 0 text", "n".repeat(33));
    let options = commands(
        &file,
        &[
            "read flash:0 --size 0",
            &end,
            &beyond,
            &write_end,
            "read flash:1",
            "read flash:kv/none",
            "rm flash:kv/none",
            "rm flash:0",
            "ls flash:0",
            "cat flash:kv/",
            &name,
            &long,
            &longer,
            "read flash:kv/a --offset 601",
            "mkdir flash:kv/directory",
            "echo still here",
        ],
    );
    let outcome = execute_system(&options, &default_system());
    assert_eq!(outcome.status, Status::CommandFailed);
    let long_name = "n".repeat(33);
    assert_eq!(
        outcome.output,
        format!(
            "nothing read: the buffer is empty\n\
             end of device at {RAW}\n\
             read: flash:0: beyond the end\n\
             write: flash:0: beyond the end\n\
             read: flash:1: no such name\n\
             read: flash:kv/none: no such name\n\
             rm: flash:kv/none: no such name\n\
             rm: flash:0: not permitted\n\
             ls: flash:0: not a directory\n\
             cat: flash:kv/: a directory\n\
             write: flash:kv/{long_name}: no name for such a thing\n\
             600 bytes written\n\
             write: flash:kv/a: no space left\n\
             read: flash:kv/a: beyond the end\n\
             mkdir: flash:kv/directory: bad request\n\
             still here\n"
        )
    );
    let image = std::fs::read(&file).expect("it can be read");
    assert!(image[..RAW] == bytes[..RAW], "no error may write");
}

#[test]
fn a_machine_without_flash() {
    let mut system = default_system();
    let flash = system.program("flash").expect("it has a flash server");
    flash.devices.clear();
    let options = Options {
        exec: ["read flash:0", "ls flash:kv/", "dmesg"]
            .map(String::from)
            .into(),
        ..Options::default()
    };
    let outcome = execute_system(&options, &system);
    assert_eq!(outcome.status, Status::CommandFailed);
    let errors = "read: flash:0: no such device\nls: flash:kv/: no such device\n";
    assert!(outcome.output.starts_with(errors), "{}", outcome.output);
    assert!(
        outcome.output.contains("flash: absent\n"),
        "{}",
        outcome.output
    );
}

#[test]
fn a_flash_server_that_dies_in_the_middle_of_a_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, _) = image(folder.path());
    let mut system = default_system();
    let flash = system.program("flash").expect("it has a flash server");
    flash.binary = "flash-faulty".into();
    flash.args = vec!["--fault-on-read".into(), "2".into()];
    let options = commands(
        &file,
        &[
            "write flash:kv/a --offset 0 kept",
            "read flash:0 --size 4",
            "read flash:0 --size 4",
            "read flash:0 --size 4",
            "cat flash:kv/a",
        ],
    );
    let outcome = execute_system(&options, &system);
    assert_eq!(outcome.status, Status::CommandFailed);
    let line = "00000000  00 01 02 03                                       |....|\n";
    let died = "read: flash:0: the server died during the request, which may have had an effect\n";
    assert_eq!(
        outcome.output,
        format!("4 bytes written\n{line}{died}{line}kept")
    );
}

#[test]
fn sessions_are_given_back() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (file, _) = image(folder.path());
    let names = " flash:kv/a".repeat(100);
    let cat = format!("cat{names}");
    let mut all = vec!["write flash:kv/a --offset 0 x"];
    all.extend([cat.as_str(); 3]);
    let outcome = execute_system(&commands(&file, &all), &default_system());
    let output = succeeded(&outcome);
    assert_eq!(output, format!("1 bytes written\n{}", "x".repeat(300)));
}
