//! The channel between instances: a disk of one is a disk of the other, whatever becomes of either.

use std::io::Write;

use libsys::proto::io::IoError;
use manifest::{Channel, Instance, Program};
use postern::qemu::{Emulator, Options};
use postern::system::System;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tests::hex;
use tests::instances::Instances;
use tests::session::PROMPT;

const DIGEST: &str = "read disk:0 --sha256";
const MIB: usize = 1 << 20;

/// A disk whose bytes depend on their place.
fn disk(size: usize) -> (NamedTempFile, Vec<u8>) {
    let words = (0..size as u64 / 8).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(&bytes).expect("it can be written");
    (file, bytes)
}

fn vms2() -> System {
    System::load("vms2").expect("its manifests pass their checks")
}

/// Both instances at their prompts.
fn boot(disk: &NamedTempFile, options: Options, system: &System) -> Instances {
    let options = Options {
        disks: vec![disk.path().into()],
        ..options
    };
    let mut machine = Instances::boot(&options, system);
    for number in [0, 1] {
        machine.expect(number, PROMPT);
    }
    machine
}

fn printed(digest: &[u8]) -> String {
    format!("{}  disk:0\n", hex(digest))
}

/// What a client says whose partner is no more.
fn partner_died() -> String {
    IoError::PartnerDied.to_string()
}

/// A disk's digest is the host's, and what instance 1 writes is in the host's file.
fn lend(emulator: Emulator, size: usize) {
    let (file, mut bytes) = disk(size);
    let options = Options {
        emulator,
        ..Options::default()
    };
    let mut machine = boot(&file, options, &vms2());
    let digest = printed(&Sha256::digest(&bytes));
    assert_eq!(machine.command(1, DIGEST), digest);
    // The second across the border of two sectors.
    for (offset, text) in [(512, "a message".into()), (8150, "x".repeat(100))] {
        let count = text.len();
        let written = machine.command(1, &format!("write disk:0 --offset {offset} {text:?}"));
        assert_eq!(written, format!("{count} bytes written\n"));
        bytes[offset..offset + count].copy_from_slice(text.as_bytes());
    }
    let digest = printed(&Sha256::digest(&bytes));
    for number in [1, 0] {
        assert_eq!(machine.command(number, DIGEST), digest);
    }
    // What is not there, and what is not lent.
    let beyond = format!("read disk:0 --offset {} --size 1", size + 1);
    for (command, error) in [
        (beyond.as_str(), IoError::BeyondEnd),
        ("read disk:1 --size 1", IoError::NotFound),
        ("read disk:0p1 --size 1", IoError::NotFound),
    ] {
        let refused = machine.command(1, command);
        assert!(refused.contains(&error.to_string()), "{command}: {refused}");
    }
    drop(machine);
    assert!(std::fs::read(file.path()).expect("it is there") == bytes);
}

#[test]
fn a_disk_is_lent_to_the_neighbour() {
    lend(Emulator::Qemu, 4 * MIB);
}

/// The same by VT-x, an ATA disk.
#[test]
fn a_disk_is_lent_by_vt_x_too() {
    lend(Emulator::Bochs, 64 << 10);
}

/// The bridge that lends the disk is killed in the middle of a read, the reader is told, and the next one works.
#[test]
fn a_killed_bridge_is_noticed() {
    let (file, bytes) = disk(64 * MIB);
    let mut machine = boot(&file, Options::default(), &vms2());
    for _ in 0..2 {
        machine.enter(1, DIGEST);
        // It is open there as soon as the bridge holds a session of the disk server's.
        while !machine.command(0, "caps bridge").contains("disk, session") {}
        assert_eq!(machine.command(0, "kill bridge"), "");
        let told = machine.expect(1, PROMPT);
        assert!(told.contains(&partner_died()), "{told}");
        let found = machine.command(1, "read disk:0 --offset 8 --size 4 --sha256");
        assert_eq!(found, printed(&Sha256::digest(&bytes[8..12])));
    }
    // The importing bridge: its clients see a server that died, as everywhere.
    assert_eq!(machine.command(1, "kill bridge"), "");
    let found = machine.command(1, "read disk:0 --offset 8 --size 4 --sha256");
    assert_eq!(found, printed(&Sha256::digest(&bytes[8..12])));
    // What its predecessor had open is closed.
    assert!(!machine.command(0, "caps bridge").contains("disk, session"));
}

/// The instance with the disk starts anew in the middle of a read.
#[test]
fn a_restarted_instance_is_noticed() {
    let (file, bytes) = disk(64 * MIB);
    let mut system = vms2();
    // What the machine ends with is not stopped by a command.
    system.choose(Some(1)).expect("there are two");
    let mut machine = boot(&file, Options::default(), &system);
    machine.enter(1, DIGEST);
    while !machine.command(0, "caps bridge").contains("disk, session") {}
    machine.enter(0, "vm restart 0");
    let told = machine.expect(1, PROMPT);
    assert!(told.contains(&partner_died()), "{told}");
    machine.expect(0, PROMPT);
    let found = machine.command(1, "read disk:0 --offset 8 --size 4 --sha256");
    assert_eq!(found, printed(&Sha256::digest(&bytes[8..12])));
    machine.enter(1, DIGEST);
    while !machine.command(0, "caps bridge").contains("disk, session") {}
    machine.enter(0, "vm kill 0");
    let told = machine.expect(1, PROMPT);
    assert!(told.contains(&partner_died()), "{told}");
    let told = machine.command(1, "read disk:0 --size 1");
    assert!(told.contains(&partner_died()), "{told}");
}

/// A bridge's entry, with other arguments and another channel.
fn bridge(of: &mut System, name: &str, channel: u8, args: &[&str]) -> Program {
    let mut bridge = of.program("bridge").expect("it has one").clone();
    (bridge.name, bridge.binary) = (name.into(), "bridge".into());
    bridge.args = args.iter().map(|word| word.to_string()).collect();
    bridge.devices = vec![manifest::Device::Channel(channel)];
    bridge.exports.clear();
    bridge
}

/// A third instance attacks a bridge of each of the two others, which lend and read a disk meanwhile.
#[test]
fn a_hostile_neighbour_hurts_nobody() {
    let mut system = vms2();
    let [first, second] = &mut system.instances[..] else {
        panic!("there are two")
    };
    let mut lender = bridge(first, "lender", 1, &["export", "zero:"]);
    lender.needs.push("zero".into());
    first.manifest.programs.push(lender);
    let mut borrower = bridge(second, "borrower", 2, &["import", "evil:"]);
    borrower.exports.push("evil:".into());
    let shell = second.program("shell").expect("it has one");
    shell.needs.push("borrower".into());
    let index = second.manifest.programs.len() - 1;
    second.manifest.programs.insert(index, borrower);
    let channels = [[0, 2], [1, 2]].map(|between| Channel { between });
    system.manifest.channels.extend(channels);
    system.manifest.instances.push(Instance {
        system: "hostile".into(),
        memory: 0x200_0000,
        share: 1,
        hardware: false,
        programs: Vec::new(),
    });
    let hostile = System::load("hostile").expect("it is there");
    system.instances.push(hostile);
    for system in [&system].into_iter().chain(&system.instances) {
        system.check().expect("it is a good one");
    }

    let (file, bytes) = disk(MIB);
    let options = Options {
        append: "channels".into(),
        memory: 512 << 20,
        ..Options::default()
    };
    let mut machine = boot(&file, options, &system);
    let digest = printed(&Sha256::digest(&bytes));
    let rounds = match std::env::var_os("POSTERN_LONG") {
        Some(_) => 300,
        None => 3,
    };
    for _ in 0..rounds {
        machine.expect(2, "channels: 20 rounds\n");
        // Whatever comes of it, it comes to an end.
        machine.command(1, "read evil:0 --size 16");
        for number in [1, 0] {
            assert_eq!(machine.command(number, DIGEST), digest);
        }
    }
    for (number, name) in [(0, "lender"), (1, "borrower")] {
        let said = machine.command(number, "dmesg");
        let complaint = format!("{name}: the other end breaks the rules");
        assert!(said.contains(&complaint), "{said}");
        let list = machine.command(number, "ps");
        let row = list.lines().find(|row| row.contains(&format!(" {name} ")));
        // Its last column: how often it was started anew.
        assert!(row.is_some_and(|row| row.ends_with(" 0")), "{list}");
    }
}

/// What a message without bytes to the neighbour's bridge and back takes, in instructions.
#[test]
fn a_round_trip_is_measured() {
    /// Bound on the usual figure.
    const MOST: u64 = 6_000;
    let mut system = vms2();
    let importer = system.instances[1].program("bridge").expect("it has one");
    importer.args.splice(0..0, ["measure".into(), "200".into()]);
    let options = Options {
        icount: true,
        ..Options::default()
    };
    let (file, _) = disk(MIB);
    let mut machine = boot(&file, options, &system);
    let line = loop {
        let log = machine.command(1, "dmesg");
        let line = log.split("vm.channel.roundtrip 1 ").nth(1);
        if let Some(line) = line.and_then(|rest| rest.lines().next()) {
            break line.to_string();
        }
    };
    let samples = line.split_whitespace().map(|sample| {
        let (ticks, count) = sample.split_once('*').expect("TICKS*COUNT");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        (number(count), number(ticks))
    });
    let (_, usual) = samples.max().expect("there are samples");
    println!("vm.channel.roundtrip {usual}: {line}");
    assert!((1..=MOST).contains(&usual), "{line}");
}
