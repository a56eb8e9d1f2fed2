//! The hypervisor shim: two kernels on one machine, each with its own system.

use std::time::Instant;

use postern::qemu::{Emulator, Options};
use postern::status::Status;
use postern::system::System;
use tests::instances::{Instances, SHIM};
use tests::session::PROMPT;
use tests::{all_started, execute};

fn vms2() -> System {
    System::load("vms2").expect("its manifests pass their checks")
}

/// Both boot to their shells, and answer in turn.
fn both_run(emulator: Emulator) -> Instances {
    let system = vms2();
    let options = Options {
        emulator,
        ..Options::default()
    };
    let mut machine = Instances::boot(&options, &system);
    for (number, inner) in (0..).zip(&system.instances) {
        machine.expect(number, &all_started(inner));
        machine.expect(number, PROMPT);
    }
    for number in [0, 1, 0] {
        let programs = &system.instances[usize::from(number)].manifest.programs;
        let listed = machine.command(number, "ps");
        for program in programs {
            assert!(listed.contains(&format!(" {} ", program.name)), "{listed}");
        }
    }
    for number in [0, 1] {
        let date = machine.command(number, "date");
        assert!(date.contains(" UTC"), "{date}");
    }
    machine
}

#[test]
fn two_instances_run_different_systems_at_once() {
    let mut machine = both_run(Emulator::Qemu);
    // The disk is instance 0's, with its interrupts.
    let bytes = machine.command(0, "read disk:0 --offset 512 --size 16");
    assert!(bytes.contains("This is sector 1"), "{bytes}");
    // The channel lends instance 1 the disk (tests/tests/channel.rs), and nothing else of instance 0's.
    let refused = machine.command(1, "read flash:0");
    assert!(refused.contains("flash:0: no such name"), "{refused}");
}

/// By VT-x.
#[test]
fn two_instances_run_on_intels_processors_too() {
    both_run(Emulator::Bochs);
}

/// `--vm 1 --exec` types into instance 1, and the machine ends with it.
#[test]
fn commands_reach_the_chosen_instance() {
    let mut system = vms2();
    system.choose(Some(1)).expect("there are two");
    let options = Options {
        exec: vec!["ps".into(), "read keyboard:".into()],
        ..Options::default()
    };
    let outcome = tests::execute_system(&options, &system);
    assert!(!outcome.output.contains(" flash "), "{}", outcome.output);
    assert!(outcome.output.contains(" shell "), "{}", outcome.output);
    // It has no keyboard.
    assert_eq!(outcome.status, Status::CommandFailed);
    assert!(system.choose(Some(2)).is_err());
}

/// A machine without AMD-V and VT-x.
fn without_virtualization(append: &str) -> Options {
    Options {
        system: "vms2".into(),
        cpu: Some("max,svm=off".into()),
        exec: vec!["ps".into(), "read disk:0 --offset 512 --size 16".into()],
        append: append.into(),
        ..Options::default()
    }
}

/// The shim says so, and what can be done, and nothing starts.
#[test]
fn a_processor_without_virtualization_is_refused() {
    let outcome = execute(&without_virtualization(""));
    assert_eq!(outcome.status, Status::Refused);
    for words in [
        "no AMD-V, and the CPU has no VT-x; use one that has",
        "add shim=optional",
    ] {
        assert!(outcome.log.contains(words), "{}", outcome.log);
    }
}

/// The system of the first instance, or of the chosen one, has the machine, with its devices.
#[test]
fn without_virtualization_one_system_boots_if_it_may() {
    let outcome = execute(&without_virtualization("shim=optional"));
    assert_eq!(outcome.status, Status::Success, "{}", outcome.log);
    assert!(
        outcome.log.contains("instance 0 has the bare machine"),
        "{}",
        outcome.log
    );
    assert!(
        outcome.output.contains("This is sector 1"),
        "{}",
        outcome.output
    );
    let mut system = vms2();
    system.choose(Some(1)).expect("there are two");
    let outcome = tests::execute_system(&without_virtualization("shim=optional"), &system);
    assert_eq!(
        outcome.status,
        Status::CommandFailed,
        "it has no disk: {}",
        outcome.log
    );
    assert!(!outcome.output.contains("keyboard"), "{}", outcome.output);
}

/// With virtualization the word changes nothing.
#[test]
fn with_virtualization_the_shim_stays() {
    let outcome = execute(&Options {
        system: "vms2".into(),
        append: "shim=optional".into(),
        exec: vec!["vm list".into()],
        ..Options::default()
    });
    assert_eq!(outcome.status, Status::Success);
    assert_eq!(outcome.output.lines().count(), 3, "{}", outcome.output);
}

/// What an instance costs beyond its memory: the shim says it, by instance.
fn costs(emulator: Emulator) {
    /// Bytes, without nested page tables.
    const MOST: u64 = 64 << 10;
    let mut machine = Instances::boot(
        &Options {
            emulator,
            ..Options::default()
        },
        &vms2(),
    );
    for number in 0..2 {
        machine.expect(SHIM, &format!("instance {number}: "));
        let line = machine.expect(SHIM, " of tables");
        let (_, beside) = line.split_once("beside it ").expect("it says so");
        let bytes = beside
            .split_whitespace()
            .next()
            .and_then(|word| word.parse::<u64>().ok());
        println!("{emulator:?}, instance {number}: {beside}");
        assert!(
            bytes.is_some_and(|bytes| (1..=MOST).contains(&bytes)),
            "{line}"
        );
    }
}

#[test]
fn an_instance_costs_little_memory() {
    costs(Emulator::Qemu);
    costs(Emulator::Bochs);
}

/// An instance is killed and started anew, 50 times (`POSTERN_LONG=1`: 10,000). Its neighbour computes what it always did, and neither
/// has less memory than before.
#[test]
fn an_instance_is_restarted_without_end() {
    const WORK: &str = "read disk:0 --size 64K --sha256";
    let cycles = match std::env::var_os("POSTERN_LONG") {
        Some(_) => 10_000,
        None => 50,
    };
    let mut machine = Instances::boot(&Options::default(), &vms2());
    machine.expect(0, PROMPT);
    machine.expect(1, PROMPT);
    let digest = machine.command(0, WORK);
    assert!(digest.len() > 64, "{digest}");
    let memory = [0, 1].map(|number| machine.command(number, "mem"));
    let begun = Instant::now();
    for cycle in 1..=cycles {
        assert_eq!(machine.command(0, "vm kill 1"), "");
        assert_eq!(machine.command(0, "vm restart 1"), "");
        machine.expect(1, PROMPT);
        if cycle % 50 == 0 {
            assert_eq!(machine.command(0, WORK), digest, "{cycle}");
            println!("{cycle} restarts in {:.0?}", begun.elapsed());
        }
    }
    let now = [0, 1].map(|number| machine.command(number, "mem"));
    assert_eq!(now, memory);
    let listed = machine.command(0, "vm list");
    let row = listed.lines().find(|line| line.starts_with(" 1 running "));
    let restarts = row.and_then(|row| row.split_whitespace().nth(3));
    assert_eq!(restarts, Some(cycles.to_string().as_str()), "{listed}");
    assert!(machine.command(1, "uptime").contains("since reset"));
    // Instance 0 cannot stop itself, and instance 1 nobody.
    for (instance, command) in [
        (0, "vm kill 0"),
        (0, "vm kill 2"),
        (1, "vm kill 0"),
        (1, "vm list"),
    ] {
        let refused = machine.command(instance, command);
        assert!(refused.starts_with("vm: "), "{command}: {refused}");
    }
}
