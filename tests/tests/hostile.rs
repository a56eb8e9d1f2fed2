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
}
use End::*;

const NOT_ITS_MEMORY: &str = "which is not its memory";
const PROTECTION: &str = "it turned protection or paging off";
const HYPERVISORS: &str = "an instruction of hypervisors: #UD";
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
    for id in ["vm.exit.vmcall", "vm.exit.cpuid"] {
        let most = limits.of(id).expect("it has a bound");
        let median = medians.get(id).expect("it is measured");
        assert!((1..=most).contains(median), "{id}: {median}");
    }
}

/// Instance 0 as in `vms2`, and a hostile one.
fn boot(options: &Options) -> Instances {
    let mut system = System::load("vms2").expect("it is there");
    system.instances[1] = System::load("hostile").expect("it is there");
    Instances::boot(options, &system)
}

/// All attacks, one start of instance 1 after the other; `work` in instance 0 always gives the same.
fn attack(emulator: Emulator, work: &str) {
    let options = Options {
        emulator,
        ..Options::default()
    };
    let mut machine = boot(&options);
    machine.expect(0, PROMPT);
    let digest = machine.command(0, work);
    for (index, (name, end)) in ATTACKS.iter().enumerate() {
        machine.expect(1, &format!("attack: {name}\n"));
        let end = match end {
            Hypervisors(own) if *own == emulator => &Refused(HYPERVISORS, UNDEFINED),
            Hypervisors(_) => &Harmless(UNDEFINED),
            other => other,
        };
        match end {
            Stopped(why) => {
                let line = machine.expect(SHIM, "; rip ");
                assert!(
                    line.contains("instance 1 stopped: ") && line.contains(why),
                    "{name}: {line}"
                );
            }
            Refused(line, exception) => {
                machine.expect(SHIM, line);
                machine.expect(1, exception);
            }
            Harmless(line) => {
                machine.expect(1, line);
            }
            Hypervisors(_) | Endless => {}
        }
        if matches!(end, Refused(..) | Harmless(_)) {
            machine.expect(SHIM, "instance 1: it ended with 0x10; ");
        }
        assert_eq!(machine.command(0, work), digest, "{name}");
        if matches!(end, Endless) {
            assert_eq!(machine.command(0, "vm kill 1"), "", "{name}");
        }
        let listed = machine.command(0, "vm list");
        let row = format!(" 1 stopped      64 {index:>9}");
        assert!(listed.contains(&row), "{name}: {listed}");
        assert_eq!(machine.command(0, "vm restart 1"), "", "{name}");
    }
    machine.expect(1, "no more attacks\n");
    machine.expect(1, "survived\n");
    // Bochs's TSC counts instructions.
    if emulator == Emulator::Bochs {
        check_figures(machine.log(1));
    }
}

#[test]
fn every_attack_is_stopped_and_the_neighbour_goes_on() {
    attack(Emulator::Qemu, "read disk:0 --sha256");
}

/// The same by VT-x.
#[test]
fn every_attack_is_stopped_by_vt_x_too() {
    attack(Emulator::Bochs, "read zero: --size 64K --sha256");
}

/// Random instructions at ring 0, in 20,000 blocks of 64 bytes (`POSTERN_LONG=1`: 10 million). Whatever the instance that executes them
/// has come to after a while, it is started anew with the next seed.
#[test]
fn random_instructions_hurt_nobody() {
    let wanted = match std::env::var_os("POSTERN_LONG") {
        Some(_) => 10_000_000,
        None => 20_000,
    };
    let options = Options {
        append: "fuzz".into(),
        ..Options::default()
    };
    let mut machine = boot(&options);
    machine.expect(0, PROMPT);
    let digest = machine.command(0, "read disk:0 --sha256");
    let mut blocks = 0;
    while blocks < wanted {
        let seed = machine.expect(1, "fuzz: seed ") + &machine.expect(1, "\n");
        machine.command(0, "sleep 0.3");
        assert_eq!(machine.command(0, "read disk:0 --sha256"), digest, "{seed}");
        assert_eq!(machine.command(0, "vm restart 1"), "", "{seed}");
        let life = machine.rest(1, "fuzz: seed ");
        blocks += 1000 * life.matches("fuzz: 1000 blocks").count();
        println!("{}: {blocks}", seed.trim_end());
    }
}
