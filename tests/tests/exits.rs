//! What stops a guest, and how often: not for messages, and at most three times for a tick or a device's interrupt.

use std::collections::BTreeMap;

use postern::qemu::{Emulator, Options};
use postern::status::Status;
use postern::system::System;

/// Most exits for a tick of the timer or a device's interrupt.
const MOST: i64 = 3;

type Exits = BTreeMap<String, u64>;

/// Instance 0 of `vms2` alone, with another system: another instance would have turns, and interrupts of its own.
fn alone(inner: System) -> System {
    let mut system = System::load("vms2").expect("it is there");
    system.manifest.instances.truncate(1);
    system.manifest.channels.clear();
    system.instances = vec![inner];
    system
}

/// The counters, from what the shim says when an instance ends.
fn exits(log: &str) -> Exits {
    let list = log.split("exits: ").nth(1).unwrap_or_default();
    let words: Vec<&str> = list.split_whitespace().collect();
    let counters = words.chunks(2).map_while(|pair| match pair {
        [name, count] => Some((name.to_string(), count.parse().ok()?)),
        _ => None,
    });
    counters.collect()
}

/// What `crossings` says about `ipc.roundtrip.cross.0`, above the shim or not: the figures, and the counters.
fn round_trips(emulator: Emulator, samples: u64, with_shim: bool) -> (String, Exits) {
    let mut bench = System::load("bench").expect("it is there");
    let program = bench.program("crossings").expect("it measures");
    let words = [
        "measure",
        "n",
        &samples.to_string(),
        "ipc.roundtrip.cross.0",
    ];
    program.args = words.map(String::from).into();
    let system = if with_shim { alone(bench) } else { bench };
    let options = Options {
        emulator,
        icount: emulator == Emulator::Qemu,
        ..Options::default()
    };
    let outcome = tests::follow(&options, &system, &[]);
    assert_eq!(outcome.status, Status::Success);
    let figures = outcome.log.split("result ipc.roundtrip.cross.0 16 ").nth(1);
    let figures = figures.and_then(|text| text.lines().next());
    (figures.unwrap_or_default().to_string(), exits(&outcome.log))
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
fn messages_do_not_know_of_the_shim(emulator: Emulator) {
    /// Long enough for the turn of the programs' start to end, the last interrupt there is.
    const FEW: u64 = 10_000;
    /// 16 round trips a sample: 100,000 more.
    const MANY: u64 = FEW + 6_250;
    let (bare, none) = round_trips(emulator, MANY, false);
    assert!(none.is_empty(), "{none:?}");
    let (few, mut before) = round_trips(emulator, FEW, true);
    let (many, mut after) = round_trips(emulator, MANY, true);
    println!("{emulator:?}: {before:?}, {after:?}; {}", usual(&many));
    assert_eq!(usual(&many), usual(&bare), "{many} and {bare}");
    assert_eq!(usual(&few), usual(&bare), "{few} and {bare}");
    // The result's bytes leave by a port, a few at an exit.
    let mut take = |name| [&mut before, &mut after].map(|all| all.remove(name).unwrap_or(0));
    let ports = take("port");
    assert!(ports[1] - ports[0] < 200, "{ports:?}");
    // VT-x's preemption timer stops whatever runs, a thousand times a second.
    let slices = take("slice");
    let trips = 16 * (MANY - FEW);
    let most = trips * usual(&many) / TICKS_IN_A_SLICE + 1;
    assert!(
        slices[1] - slices[0] <= most,
        "{slices:?}, at most {most} more"
    );
    assert_eq!(before, after);
}

/// Of Bochs's clock, which says 50 million in a second.
const TICKS_IN_A_SLICE: u64 = 40_000;

#[test]
fn messages_do_not_stop_a_guest() {
    messages_do_not_know_of_the_shim(Emulator::Qemu);
}

/// By VT-x.
#[test]
fn messages_do_not_stop_a_guest_by_vt_x_either() {
    messages_do_not_know_of_the_shim(Emulator::Bochs);
}

/// The counters after commands at the shell of the default system, in which two programs of the same priority, below the others', never
/// wait: `busy`.
fn after(emulator: Emulator, busy: bool, commands: &[&str]) -> Exits {
    let mut inner = System::load("default").expect("it is there");
    if busy {
        let spinners = ["one", "two"].map(|name| tests::misbehaving(name, 1, &["--spin"]));
        inner.manifest.programs.extend(spinners);
    }
    let mut system = alone(inner);
    system.choose(Some(0)).expect("there is one");
    let options = Options {
        emulator,
        exec: commands.iter().map(|command| command.to_string()).collect(),
        ..Options::default()
    };
    let outcome = tests::execute_system(&options, &system);
    assert_eq!(outcome.status, Status::Success, "{commands:?}");
    exits(&outcome.log)
}

/// By how much each counter is higher. The serial line's port stops a guest for every few bytes, and the preemption timer all the
/// time: they do not count.
fn more(with: &Exits, without: &Exits) -> BTreeMap<String, i64> {
    let kinds = with.keys().chain(without.keys());
    let kinds = kinds.filter(|kind| !["port", "slice"].contains(&kind.as_str()));
    let count = |all: &Exits, kind: &str| all.get(kind).copied().unwrap_or(0) as i64;
    kinds
        .map(|kind| (kind.clone(), count(with, kind) - count(without, kind)))
        .collect()
}

/// While programs spin, every interrupt is a tick by which the kernel gives another one a turn.
fn ticks_are_few_exits(emulator: Emulator) {
    let long = after(emulator, true, &["sleep 2"]);
    let more = more(&long, &after(emulator, true, &["sleep 0.5"]));
    let all: i64 = more.values().sum();
    let ticks = more["interrupt"];
    println!("{emulator:?}: {more:?}: {all} exits for {ticks} ticks");
    assert!(ticks >= 10 && all <= MOST * ticks, "{more:?}");
}

/// Reads of a disk, at least one interrupt each: no other exits than those that interrupts cause become more, and of these there are no
/// more than three for each. Deadlines that the guest sets meanwhile are its clock's, for which ticks are counted above.
fn device_interrupts_are_few_exits(emulator: Emulator) {
    const READS: u64 = 40;
    /// The interrupt, the end of an idle wait, and what waits until the guest lets interrupts in.
    const CAUSED: [&str; 3] = ["interrupt", "halt", "window"];
    let (read, echo) = ("read disk:0 --size 4", "echo 00000000  48 65 6c 6c");
    let reads = after(emulator, false, &[read; READS as usize]);
    let mut others = more(&reads, &after(emulator, false, &[echo; READS as usize]));
    others.retain(|kind, _| !CAUSED.contains(&kind.as_str()) && kind != "write-msr");
    // Reading may need a large page more than `echo`, once and for all.
    assert!(others.remove("memory").is_none_or(|more| more <= 1));
    assert!(others.values().all(|more| *more == 0), "{others:?}");
    let count = |kind: &str| reads.get(kind).copied().unwrap_or(0);
    let (all, interrupts) = (CAUSED.map(count).iter().sum::<u64>(), count("interrupt"));
    println!(
        "{emulator:?}: {reads:?}: {all} exits for {interrupts} interrupts, {READS} reads among them"
    );
    assert!(
        interrupts >= READS && all <= MOST as u64 * interrupts,
        "{reads:?}"
    );
}

#[test]
fn a_tick_is_at_most_three_exits() {
    ticks_are_few_exits(Emulator::Qemu);
}

/// By VT-x.
#[test]
fn a_tick_is_at_most_three_exits_by_vt_x_too() {
    ticks_are_few_exits(Emulator::Bochs);
}

#[test]
fn a_devices_interrupt_is_at_most_three_exits() {
    device_interrupts_are_few_exits(Emulator::Qemu);
}

/// By VT-x, with ATA disks.
#[test]
fn a_devices_interrupt_is_at_most_three_exits_by_vt_x_too() {
    device_interrupts_are_few_exits(Emulator::Bochs);
}
