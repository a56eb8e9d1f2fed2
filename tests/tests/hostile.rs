//! A hostile kernel (`apps/hostile`) in instance 1: each of its attacks comes to what is written here, and instance 0 goes on.

use std::collections::BTreeMap;
use std::path::Path;

use postern::bench::guest::{Lines, Said};
use postern::bench::limits::Limits;
use postern::qemu::{Emulator, Options};
use postern::system::System;
use tests::instances::{Instances, SHIM};
use tests::session::PROMPT;

/// What becomes of an attack.
enum End {
    /// The shim stops the instance and says why.
    Stopped(&'static str),
    /// The shim says this, and the instance gets an exception.
    Refused(&'static str, &'static str),
    /// It gets this on its own line.
    Harmless(&'static str),
    /// An instruction of this vendor's: the shim refuses it; on the other's processors it does not exist.
    Hypervisors(Emulator),
    /// It goes on until it is killed.
    Endless,
    /// By AMD-V the shim stops the instance and says why; by VT-x it goes on until it is killed.
    StoppedByAmd(&'static str),
}
use End::*;

const NOT_ITS_MEMORY: &str = "which is not its memory";
const PROTECTION: &str = "it turned protection or paging off";
const NO_INSTANCE_HAS: &str = "an instruction that no instance has: #UD";
const RESET: &str = "it reset the machine";
const GENERAL: &str = "exception 13\n";
const UNDEFINED: &str = "exception 6\n";

/// In the order of `apps/hostile`.
const ATTACKS: &[(&str, End)] = &[
    ("paging off", Stopped(PROTECTION)),
    ("protection off", Stopped(PROTECTION)),
    ("write protection off", Stopped(PROTECTION)),
    ("cache off", Stopped(PROTECTION)),
    ("foreign page tables", Stopped(NOT_ITS_MEMORY)),
    ("read page 0", Stopped("read of 0x8, which is not")),
    ("read the shim", Stopped("read of 0x100000, which is not")),
    (
        "read a neighbour",
        Stopped("read of 0x1000000, which is not"),
    ),
    (
        "write a neighbour",
        Stopped("write of 0x1000000, which is not"),
    ),
    (
        "execute a neighbour",
        Stopped("read of 0x1000000, which is not"),
    ),
    (
        "write the local APIC",
        Stopped("write of 0xfee000b0, which is not"),
    ),
    (
        "read the IO-APIC",
        Stopped("read of 0xfec00000, which is not"),
    ),
    (
        "write the screen",
        Stopped("write of 0xb8000, which is not"),
    ),
    (
        "read where nothing is",
        Stopped("read of 0xe0000000, which is not"),
    ),
    ("large page across the border", Stopped(NOT_ITS_MEMORY)),
    (
        "SVM's save area",
        Refused("write of 0x1000 to MSR 0xc0010117: #GP", GENERAL),
    ),
    (
        "IA32_FEATURE_CONTROL",
        Refused("write of 0x5 to MSR 0x3a: #GP", GENERAL),
    ),
    ("IA32_VMX_BASIC", Refused("read of MSR 0x480: #GP", GENERAL)),
    ("EFER.SVME", Refused("to MSR 0xc0000080: #GP", GENERAL)),
    ("long mode off", Refused("to MSR 0xc0000080: #GP", GENERAL)),
    ("VMRUN", Hypervisors(Emulator::Qemu)),
    ("VMLOAD", Hypervisors(Emulator::Qemu)),
    ("STGI", Hypervisors(Emulator::Qemu)),
    ("VMXON", Hypervisors(Emulator::Bochs)),
    ("VMPTRST", Hypervisors(Emulator::Bochs)),
    (
        "CR8 with an interrupt waiting",
        Refused(NO_INSTANCE_HAS, UNDEFINED),
    ),
    ("INVD", Harmless("survived\n")),
    ("VMXE", Refused("to CR4: #GP", GENERAL)),
    ("reserved bits of CR4", Refused("to CR4: #GP", GENERAL)),
    ("XCR0", Harmless(GENERAL)),
    ("reset by 0xcf9", Stopped(RESET)),
    ("reset by the keyboard controller", Stopped(RESET)),
    ("reset by port 0x92", Stopped(RESET)),
    ("foreign ports", Harmless("0 foreign ports answer\n")),
    ("foreign PCI functions", Harmless("0 functions\n")),
    (
        "string from nowhere",
        Stopped("OUTS from 0x700000000000, which is not"),
    ),
    ("halt for ever", Stopped("it halted with interrupts off")),
    ("malformed calls", Harmless("survived\n")),
    ("a storm of exits", Harmless("survived\n")),
    (
        "memory of no channel",
        Stopped("read of 0xfef60000, which is not"),
    ),
    ("nonsense through a channel", Harmless("survived\n")),
    ("a storm of bells", Harmless("survived\n")),
    ("triple fault", Stopped("a triple fault")),
    ("stack of its own tables", Stopped(NOT_ITS_MEMORY)),
    ("debug exceptions without end", Endless),
    // AMD-V stops a guest for CR0.AM as for all of CR0 but TS and MP.
    ("alignment exceptions without end", StoppedByAmd(PROTECTION)),
    ("spin with interrupts off", Endless),
    ("pause with interrupts off", Endless),
    ("flood of output", Endless),
];

/// Checks what a hostile kernel has measured at its last start, as the benchmark suite does in QEMU.
fn check_figures(log: &str) {
    let limits = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench-limits.toml");
    let limits = Limits::load(&limits).expect("it is sound");
    let said = Lines::new("last").feed(log.as_bytes()).into_iter();
    let medians: BTreeMap<String, u64> = said
        .filter_map(|said| match said {
            Ok(Said::Result(measured)) => Some((measured.id, measured.counts.summary()?.median)),
            _ => None,
        })
        .collect();
    for id in ["vm.exit.vmcall", "vm.exit.cpuid", "vm.exit.ept_violation"] {
        let most = limits.of(id).expect("it has a bound");
        let median = medians.get(id).expect("it is measured");
        println!("by VT-x, {id}: {median}");
        assert!((1..=most).contains(median), "{id}: {median}");
    }
}

/// A system of instances, of which the last is a hostile kernel.
fn boot(system: &str, options: &Options) -> Instances {
    let mut system = System::load(system).expect("it is there");
    let last = system.instances.last_mut().expect("it has instances");
    *last = System::load("hostile").expect("it is there");
    Instances::boot(options, &system)
}

/// All attacks, one start of the hostile instance after the other; `work` in instance 0, and reading in those between, always give the
/// same.
fn attack(emulator: Emulator, system: &str, hostile: u8, work: &str) {
    const READING: &str = "read zero: --size 64K --sha256";
    let options = Options {
        emulator,
        ..Options::default()
    };
    let mut machine = boot(system, &options);
    (0..hostile).for_each(|victim| drop(machine.expect(victim, PROMPT)));
    let digests = |machine: &mut Instances| -> Vec<String> {
        let work_of = |victim| if victim == 0 { work } else { READING };
        (0..hostile)
            .map(|victim| machine.command(victim, work_of(victim)))
            .collect()
    };
    let expected = digests(&mut machine);
    let mut exceptions = 0;
    assert!(
        expected.iter().all(|digest| digest.len() > 64),
        "{expected:?}"
    );
    for (index, (name, end)) in ATTACKS.iter().enumerate() {
        machine.expect(hostile, &format!("attack: {name}\n"));
        let end = match end {
            Hypervisors(own) if *own == emulator => &Refused(NO_INSTANCE_HAS, UNDEFINED),
            Hypervisors(_) => &Harmless(UNDEFINED),
            StoppedByAmd(why) if emulator == Emulator::Qemu => &Stopped(why),
            StoppedByAmd(_) => &Endless,
            other => other,
        };
        match end {
            Stopped(why) => {
                let line = machine.expect(SHIM, "; rip ");
                let stopped = format!("instance {hostile} stopped: ");
                assert!(
                    line.contains(&stopped) && line.contains(why),
                    "{name}: {line}"
                );
            }
            Refused(line, exception) => {
                machine.expect(SHIM, line);
                machine.expect(hostile, exception);
            }
            Harmless(line) => {
                machine.expect(hostile, line);
            }
            Hypervisors(_) | StoppedByAmd(_) | Endless => {}
        }
        if matches!(end, Refused(..) | Harmless(_)) {
            machine.expect(SHIM, &format!("instance {hostile}: it ended with 0x10; "));
        }
        assert_eq!(digests(&mut machine), expected, "{name}");
        if matches!(end, Endless) {
            let killed = machine.command(0, &format!("vm kill {hostile}"));
            assert_eq!(killed, "", "{name}");
            if name.contains("exceptions without end") {
                let exits = machine.command(0, &format!("vm exits {hostile}"));
                let many = exits
                    .lines()
                    .find_map(|line| line.strip_prefix("exception"));
                let many = many.and_then(|count| count.trim().parse::<u64>().ok());
                println!("{emulator:?}, {name}: {many:?} exits by then");
                assert!(
                    many.is_some_and(|many| many > exceptions + 1000),
                    "{name}: {exits}"
                );
                exceptions = many.unwrap_or_default();
            }
        }
        let listed = machine.command(0, "vm list");
        let row = listed
            .lines()
            .find(|line| line.starts_with(&format!(" {hostile} stopped ")));
        let restarts = row.and_then(|row| row.split_whitespace().nth(3));
        assert_eq!(
            restarts,
            Some(index.to_string().as_str()),
            "{name}: {listed}"
        );
        let restarted = machine.command(0, &format!("vm restart {hostile}"));
        assert_eq!(restarted, "", "{name}");
    }
    machine.expect(hostile, "no more attacks\n");
    machine.expect(hostile, "survived\n");
    // Bochs's TSC counts instructions.
    if emulator == Emulator::Bochs {
        check_figures(machine.log(hostile));
    }
}

/// Four instances, of which three go on (only with `POSTERN_LONG=1`).
#[test]
fn three_neighbours_go_on_as_well() {
    if std::env::var_os("POSTERN_LONG").is_some() {
        attack(Emulator::Qemu, "vms4", 3, "read disk:0 --sha256");
        attack(Emulator::Bochs, "vms4", 3, "read zero: --size 64K --sha256");
    }
}

#[test]
fn every_attack_is_stopped_and_the_neighbour_goes_on() {
    attack(Emulator::Qemu, "vms2", 1, "read disk:0 --sha256");
}

/// The same by VT-x.
#[test]
fn every_attack_is_stopped_by_vt_x_too() {
    attack(Emulator::Bochs, "vms2", 1, "read zero: --size 64K --sha256");
}

/// Random instructions at ring 0: surely so many (see `apps/hostile`). When the instance that executes them has come to an end, or says
/// nothing any more, it is started anew with the next seed.
fn random_instructions(emulator: Emulator, work: &str) {
    // Time for some reports, by the guest's clock: in Bochs a second is 50 million instructions.
    let pause = match emulator {
        Emulator::Qemu => "sleep 0.01",
        Emulator::Bochs => "sleep 1",
    };
    let wanted = match (
        std::env::var("POSTERN_INSTRUCTIONS"),
        std::env::var_os("POSTERN_LONG"),
    ) {
        (Ok(number), _) => number.parse().expect("POSTERN_INSTRUCTIONS is a number"),
        (_, Some(_)) => 2_000_000_000,
        _ => 20_000_000,
    };
    let seed = std::env::var("POSTERN_SEED").unwrap_or("0x9e3779b97f4a7c15".into());
    let options = Options {
        emulator,
        icount: emulator == Emulator::Qemu,
        append: format!("fuzz={seed}"),
        ..Options::default()
    };
    let mut machine = boot("vms2", &options);
    machine.expect(0, PROMPT);
    let digest = machine.command(0, work);
    let mut counted = Counted::default();
    let mut lives = 0;
    while counted.instructions < wanted {
        counted.add(&machine.expect(1, "fuzz: seed "));
        let seed = machine.expect(1, "\n");
        lives += 1;
        while counted.instructions < wanted {
            machine.command(0, pause);
            if !counted.add(&machine.rest(1, "fuzz: seed ")) {
                break;
            }
        }
        assert_eq!(machine.command(0, work), digest, "{seed}");
        assert_eq!(machine.command(0, "vm restart 1"), "", "{seed}");
        println!("{emulator:?}, {lives} lives, {counted:?}; {}", seed.trim());
    }
}

/// What was reported of random instructions.
#[derive(Debug, Default)]
struct Counted {
    instructions: u64,
    /// Between exceptions, as was said: they are only printed.
    stretches: u64,
    /// TSC ticks of the last report.
    ticks: u64,
}

impl Counted {
    /// Adds reports, and returns whether there was one. What the instructions did to their own kernel may be a flood of them: none counts for
    /// more than the clock allows.
    fn add(&mut self, log: &str) -> bool {
        /// As `apps/hostile` reports.
        const REPORT: u64 = 100_000;
        let before = self.instructions;
        for (ticks, stretches) in log.lines().filter_map(report) {
            if ticks >= self.ticks + REPORT {
                self.ticks = ticks;
                self.instructions += REPORT;
                self.stretches = self.stretches.saturating_add(stretches);
            }
        }
        self.instructions > before
    }
}

/// TSC ticks and stretches of a report.
fn report(line: &str) -> Option<(u64, u64)> {
    let rest = line.strip_prefix("fuzz: 100000 instructions by ")?;
    let (ticks, stretches) = rest.strip_suffix(" stretches")?.split_once(", ")?;
    Some((ticks.parse().ok()?, stretches.parse().ok()?))
}

#[test]
fn random_instructions_hurt_nobody() {
    random_instructions(Emulator::Qemu, "read disk:0 --size 64K --sha256");
}

/// By VT-x.
#[test]
fn random_instructions_hurt_nobody_by_vt_x_either() {
    random_instructions(Emulator::Bochs, "read zero: --size 64K --sha256");
}
