//! The three structures are made of the same drivers and return the same bytes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use postern::bench::guest::{Lines, Said};
use postern::bench::ring0;
use postern::qemu::Options;
use postern::run::{self, Booted, Outcome};
use postern::status::Status;
use postern::system::System;
use postern::{exec, paths};
use tests::{LIMIT, seat};

/// How a program asks, and the system in which it does.
const STRUCTURES: [(&str, &str); 3] = [
    ("call", "library-os"),
    ("trap", "monolith"),
    ("ipc", "reads"),
];

/// Boots a system with words for the program that measures, and a flash. Returns how it ended and what it said.
fn boot(
    name: &str,
    options: &Options,
    flash: Option<&Path>,
    words: &[String],
) -> (Outcome, Vec<Said>) {
    let _seat = seat();
    let mut options = options.clone();
    let machine = ring0::machine(flash).expect("there is such a machine");
    let mut system = System::load(name).expect("it comes with Postern");
    let nonce = exec::nonce();
    let mut more: Vec<OsString> = Vec::new();
    match system.program("crossings") {
        Some(program) => {
            program.args = ["measure", &nonce, "1"].map(String::from).to_vec();
            program.args.extend_from_slice(words);
            options.flash = flash.map(Path::to_path_buf);
        }
        None => {
            let line = format!("{nonce} 1 {} {}", machine.words, words.join(" "));
            more.extend(["-append".into(), line.into()]);
            more.extend_from_slice(&machine.arguments);
        }
    }
    let Booted { machine, .. } = &mut run::boot_with(&options, &system, &more).expect("it boots");
    let (mut lines, mut said) = (Lines::new(&nonce), Vec::new());
    let outcome = run::attend(machine, &options, &mut |bytes| {
        said.extend(lines.feed(bytes).into_iter().flatten());
        Ok(())
    });
    (outcome.expect("it ends"), said)
}

/// The FNV-1a hash (64 bits).
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[test]
fn all_three_return_the_same_bytes() {
    let bytes: Vec<u8> = (0..2u32 << 20)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let [disk, flash] = [bytes.len(), 1 << 20].map(|size| {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), &bytes[..size]).expect("it can be written");
        file
    });
    let options = Options {
        disks: vec![disk.path().into()],
        read_only: true,
        timeout: Some(LIMIT),
        ..Options::default()
    };
    let parts = [
        "disk.1",
        "disk.511",
        "disk.4096.copy",
        "disk.4096.shared",
        "disk.70000.copy",
        "disk.1048576.copy",
        "disk.1048576.shared",
        "flash.1",
        "flash.511",
        "flash.262144",
        "keyboard.1",
        "null.70000",
        "null.16.regs",
    ];
    for (structure, system) in STRUCTURES {
        let ids = parts.map(|part| format!("digest.{structure}.{part}"));
        let (outcome, said) = boot(system, &options, Some(flash.path()), &ids);
        assert_eq!(outcome.status, Status::Success, "{}", outcome.log);
        let size = |id: &str| -> usize {
            let size = id.split('.').nth(3).and_then(|size| size.parse().ok());
            size.expect("the fourth word is the size")
        };
        let digests = said.iter().filter_map(|said| match said {
            Said::Result(measured) => {
                let digest = measured.counts.summary().map(|digest| digest.median);
                Some((measured.id.clone(), digest))
            }
            _ => None,
        });
        let expected: Vec<_> = ids
            .iter()
            .map(|id| {
                let size = size(id);
                let digest = match id.split('.').nth(2) {
                    Some("keyboard") => digest(b"a"),
                    Some("null") => digest(&vec![0; size]),
                    _ => digest(&bytes[..size]),
                };
                (id.clone(), Some(digest))
            })
            .collect();
        assert_eq!(digests.collect::<Vec<_>>(), expected, "{}", outcome.log);
    }
}

#[test]
fn the_monolith_refuses_mistakes_and_goes_on() {
    let options = Options {
        null_disk: true,
        timeout: Some(LIMIT),
        ..Options::default()
    };
    let (outcome, _) = boot("monolith", &options, None, &["mistakes=1".into()]);
    assert_eq!(outcome.status, Status::Success, "{}", outcome.log);
}

/// The driver crates, and a server that is made of each.
const DRIVERS: [(&str, &str); 6] = [
    ("disk", "disk"),
    ("flash", "flash"),
    ("keyboard", "keyboard"),
    ("net", "net"),
    ("null", "null"),
    ("virtio", "disk"),
];

/// The files of a driver crate that a binary is made of, and where they lie.
fn files(target: &Path, binary: &str, driver: &str) -> BTreeSet<String> {
    let file = target.join(format!("x86_64-unknown-none/guest/{binary}.d"));
    let text = std::fs::read_to_string(&file).expect("cargo wrote it when the binary was built");
    let folder = paths::root().join("servers").join(driver).join("src");
    let folder = folder.display().to_string();
    let own = text
        .split_whitespace()
        .filter(|file| file.starts_with(&folder))
        .map(String::from);
    // What is only of the server: its binary.
    own.filter(|file| !file.ends_with("/main.rs") && !file.ends_with("/server.rs"))
        .collect()
}

#[test]
fn the_drivers_are_the_same_in_all_three() {
    for (_, system) in STRUCTURES {
        let system = System::load(system).expect("it comes with Postern");
        postern::image::build(&system).expect("it builds");
    }
    let (kernels, programs) = (paths::kernel_target(&[]), paths::bare_target());
    for (driver, server) in DRIVERS {
        let own = files(&programs, server, driver);
        assert!(own.iter().any(|file| file.ends_with("/lib.rs")), "{own:?}");
        for binary in ["library-os", "monolith"] {
            assert_eq!(files(&kernels, binary, driver), own, "{driver} in {binary}");
        }
    }
}
