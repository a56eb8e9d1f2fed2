//! The hypervisor shim: two kernels on one machine, each with its own system.

use std::collections::BTreeMap;

use postern::qemu::{Emulator, Options};
use postern::status::Status;
use postern::system::System;
use tests::instances::Instances;
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

/// Without AMD-V and VT-x the shim says so, and nothing starts.
#[test]
fn a_processor_without_virtualization_is_refused() {
    let outcome = execute(&Options {
        system: "vms2".into(),
        cpu: Some("max,svm=off".into()),
        exec: vec!["ps".into()],
        ..Options::default()
    });
    assert_eq!(outcome.status, Status::Refused);
    assert!(
        outcome.log.contains("no AMD-V, and the CPU has no VT-x"),
        "{}",
        outcome.log
    );
}

/// What `crossings` in instance 0, or without a shim, says about `ipc.roundtrip.cross.0`: the figures, and with a shim the counters of
/// exits.
fn round_trips(samples: u64, with_shim: bool) -> (String, BTreeMap<String, u64>) {
    let mut bench = System::load("bench").expect("it is there");
    let program = bench.program("crossings").expect("it measures");
    let words = [
        "measure",
        "n",
        &samples.to_string(),
        "ipc.roundtrip.cross.0",
    ];
    program.args = words.map(String::from).into();
    let system = match with_shim {
        false => bench,
        true => {
            // Alone: another instance would have turns, and interrupts of its own.
            let mut system = vms2();
            system.manifest.instances.truncate(1);
            system.manifest.channels.clear();
            system.instances = vec![bench];
            system
        }
    };
    let options = Options {
        icount: true,
        ..Options::default()
    };
    let outcome = tests::follow(&options, &system, &[]);
    assert_eq!(outcome.status, Status::Success);
    let after = |text: &str| {
        outcome
            .log
            .split(text)
            .nth(1)
            .unwrap_or_default()
            .to_string()
    };
    let figures = after("result ipc.roundtrip.cross.0 16 ");
    let exits = after("exits: ");
    let words: Vec<&str> = exits.split_whitespace().collect();
    let counters = words.chunks(2).map_while(|pair| match pair {
        [name, count] => Some((name.to_string(), count.parse().ok()?)),
        _ => None,
    });
    let figures = figures.lines().next().unwrap_or_default();
    (figures.to_string(), counters.collect())
}

/// The figure of most samples.
fn usual(figures: &str) -> u64 {
    let samples = figures
        .split_whitespace()
        .filter_map(|word| word.split_once('*'));
    let samples = samples.map(|(ticks, count)| {
        let number = |text: &str| text.parse::<u64>().expect("a number");
        (number(count), number(ticks))
    });
    samples.max().expect("there are samples").1
}

/// Messages between two spaces of an instance cost what they cost without a shim, to the instruction, and never stop the guest.
#[test]
fn messages_do_not_know_of_the_shim() {
    /// Long enough for the turn of the programs' start to end, the last interrupt there is.
    const FEW: u64 = 10_000;
    /// 16 round trips a sample: 100,000 more.
    const MANY: u64 = FEW + 6_250;
    let (bare, none) = round_trips(MANY, false);
    assert!(none.is_empty(), "{none:?}");
    let (few, mut before) = round_trips(FEW, true);
    let (many, mut after) = round_trips(MANY, true);
    assert_eq!(usual(&many), usual(&bare), "{many} and {bare}");
    assert_eq!(usual(&few), usual(&bare), "{few} and {bare}");
    // The result's bytes leave by a port, a few at an exit.
    let ports = [&mut before, &mut after].map(|counters| counters.remove("port").unwrap_or(0));
    assert!(ports[1] - ports[0] < 200, "{ports:?}");
    assert_eq!(before, after);
}

/// An instance is stopped and started anew, 50 times (`POSTERN_LONG=1`: 10,000), and its neighbour does not notice.
#[test]
fn an_instance_is_restarted_without_end() {
    let long = std::env::var_os("POSTERN_LONG").is_some();
    let mut machine = Instances::boot(&Options::default(), &vms2());
    machine.expect(0, PROMPT);
    let memory = machine.command(0, "mem");
    for _ in 0..if long { 10_000 } else { 50 } {
        machine.expect(1, PROMPT);
        assert_eq!(machine.command(0, "vm restart 1"), "");
    }
    assert_eq!(machine.command(0, "mem"), memory);
    machine.expect(1, PROMPT);
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
