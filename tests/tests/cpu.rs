//! Processor models: what the kernel finds and uses on each, and that it works there.

use std::path::Path;

use bootinfo::cycles;
use postern::bench::guest::{Lines, Said};
use postern::qemu::{Emulator, Options};
use postern::run;
use postern::status::Status;
use postern::system::System;

/// A processor model, and what the kernel must say about it.
struct Model {
    emulator: Emulator,
    name: &'static str,
    features: &'static str,
}

const fn qemu(name: &'static str, features: &'static str) -> Model {
    Model {
        emulator: Emulator::Qemu,
        name,
        features,
    }
}

const fn bochs(name: &'static str, features: &'static str) -> Model {
    Model {
        emulator: Emulator::Bochs,
        name,
        features,
    }
}

/// Together they have every feature, and lack every one.
const MODELS: [Model; 8] = [
    qemu("max", "GLOBAL | SMEP | SMAP | UMIP | XSAVE | AVX"),
    qemu("qemu64", "GLOBAL"),
    qemu("Haswell", "GLOBAL | SMEP | XSAVE | AVX"),
    qemu("EPYC", "GLOBAL | SMEP | SMAP | XSAVE | AVX"),
    bochs(
        "tigerlake",
        "GLOBAL | PCID | INVPCID | SMEP | SMAP | UMIP | X2APIC | TSC_DEADLINE | XSAVE | AVX",
    ),
    bochs(
        "corei7_skylake_x",
        "GLOBAL | PCID | INVPCID | SMEP | SMAP | X2APIC | TSC_DEADLINE | XSAVE | AVX",
    ),
    bochs(
        "corei7_haswell_4770",
        "GLOBAL | PCID | INVPCID | SMEP | X2APIC | TSC_DEADLINE | XSAVE | AVX",
    ),
    bochs(
        "corei7_sandy_bridge_2600k",
        "GLOBAL | PCID | TSC_DEADLINE | XSAVE | AVX",
    ),
];

/// First bytes of the disk.
const SECTOR: &[u8] = b"A sector of mine";

impl Model {
    fn options(&self, system: &str, exec: &[&str]) -> Options {
        // Each machine needs its own, because QEMU locks the file.
        let name = format!("cpu-{system}.img");
        let disk = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut bytes = SECTOR.to_vec();
        bytes.resize(4096, 0);
        std::fs::write(&disk, bytes).expect("the disk can be written");
        Options {
            emulator: self.emulator,
            cpu: Some(self.name.into()),
            disks: vec![disk],
            system: system.into(),
            exec: exec.iter().map(|command| command.to_string()).collect(),
            ..Options::default()
        }
    }
}

#[test]
fn the_default_system_runs_on_every_model() {
    for model in MODELS {
        let commands = ["dmesg", "read disk:0 --size 16", "uptime", "ps"];
        let outcome = tests::execute(&model.options("default", &commands));
        let (name, output) = (model.name, &outcome.output);
        let features = format!("CPU: {}", model.features);
        assert!(
            output.lines().any(|line| line == features),
            "{name}: {output}"
        );
        assert!(output.contains("since reset"), "{name}: {output}");
        assert!(output.contains("|A sector of mine|"), "{name}: {output}");
        let why = &outcome.explanation;
        assert_eq!(outcome.status, Status::Success, "{name}: {why:?}");
    }
}

/// The kernel's tests from inside that depend on the processor: floating-point registers, what the TLB remembers, and
/// those of messages, mapping, registers, deadlines and traps.
#[test]
fn kernel_tests_succeed_on_every_model() {
    const TESTS: [&str; 7] = [
        "fpu::",
        "tlb::",
        "ipc::",
        "mapping::",
        "registers::",
        "timeouts::",
        "traps::",
    ];
    let mut system = System::load("ktest").expect("the manifest passes its checks");
    let program = system.program("ktest").expect("it is in the manifest");
    program.args = std::iter::once("tests")
        .chain(TESTS)
        .map(String::from)
        .collect();
    for model in MODELS {
        // Some tests measure time, so it must not depend on the host's load; Bochs counts instructions anyway.
        let options = Options {
            icount: model.emulator == Emulator::Qemu,
            ..model.options("ktest", &[])
        };
        let outcome = tests::follow(&options, &system, &[]);
        let (name, log) = (model.name, &outcome.log);
        for test in TESTS {
            let succeeded =
                |line: &str| line.starts_with(&format!("test {test}")) && line.ends_with(" ... ok");
            assert!(
                log.lines().any(succeeded),
                "{name}: no {test} in {log} ({:?})",
                outcome.explanation
            );
        }
        assert!(
            log.contains("ktest ends, 0 failed"),
            "{name}: {:?}",
            outcome.explanation
        );
        assert_eq!(outcome.status, Status::Success, "{name}");
    }
}

/// Core cycles are asked for, and neither emulator counts them: QEMU's processor says nothing of such a counter, and that of Bochs
/// does, with nothing behind. Ticks are counted then, and nobody says otherwise.
#[test]
fn a_counter_of_cycles_that_does_not_run_is_not_the_clock() {
    let limits = System::load("limits").expect("it comes with Postern");
    for model in [&MODELS[0], &MODELS[4]] {
        let _seat = tests::seat();
        let options = Options {
            append: format!("nonce 1 {}", cycles::WORD),
            timeout: Some(tests::LIMIT),
            ..model.options("limits", &[])
        };
        let mut booted = run::boot(&options, &limits).expect("it boots");
        let (mut lines, mut said) = (Lines::new("nonce"), Vec::new());
        let outcome = run::attend(&mut booted.machine, &options, &mut |bytes| {
            said.extend(
                lines
                    .feed(bytes)
                    .into_iter()
                    .map(|line| line.expect("it is whole")),
            );
            Ok(())
        });
        let outcome = outcome.expect("it ends");
        assert_eq!(outcome.status, Status::Success, "{}", outcome.log);
        let measured =
            |line: &Said| matches!(line, Said::Result(measured) if measured.id == "limit.crossing");
        assert!(
            said.iter().any(measured) && said.contains(&Said::End),
            "{said:?}"
        );
        assert!(!said.contains(&Said::Cycles), "{}", model.name);
    }
}
