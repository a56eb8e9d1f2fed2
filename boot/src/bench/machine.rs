//! The machine of a run: how it is started, and what the file says of it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::cli::{Arguments, Clock};
use super::results::Machine;
use crate::accelerator::Accelerator;
use crate::qemu::{self, Emulator, Options};
use crate::{bochs, toolchain};

/// No healthy boot of a bench system takes longer; it only ends those that hang.
const LIMIT: Duration = Duration::from_secs(300);

/// The emulator's options.
///
/// # Errors
/// The emulator is missing and cannot be installed, or does not have that clock.
pub fn options(arguments: &Arguments) -> Result<Options> {
    let mut options = Options {
        emulator: arguments.emulator,
        cpu: arguments.cpu.clone(),
        timeout: Some(LIMIT),
        ..Options::default()
    };
    match arguments.emulator {
        Emulator::Bochs => {
            ensure!(
                arguments.clock == Clock::Instructions,
                "--clock time needs --emulator qemu: in Bochs an instruction is the unit of time"
            );
            bochs::ensure()?;
        }
        Emulator::Qemu => {
            qemu::ensure()?;
            options.read_only = true;
            options.icount = arguments.clock == Clock::Instructions;
            options.accel = match options.icount {
                true => Accelerator::Tcg,
                false => options.accel.choose()?,
            };
        }
    }
    Ok(options)
}

/// What results.json says of the machine.
///
/// # Errors
/// The emulator or the compiler does not start.
pub fn describe(options: &Options, clock: Clock) -> Result<Machine> {
    let host = host_processor();
    let compiler = first_line(Command::new(toolchain::ensure()?.rustc).arg("--version"))?;
    if options.emulator == Emulator::Bochs {
        return Ok(Machine {
            emulator: "Bochs".into(),
            version: first_line(Command::new(bochs::PROGRAM).arg("--help"))?,
            cpu: bochs::processor(options).into(),
            accelerator: "interpreter".into(),
            tick: "one guest instruction (RDTSC of Bochs, which counts them)".into(),
            cycles: None,
            compiler,
            host,
        });
    }
    let kvm = options.accel == Accelerator::Kvm;
    let accelerator = if kvm { "kvm" } else { "tcg" };
    let model = options.cpu.clone();
    Ok(Machine {
        emulator: "QEMU".into(),
        version: first_line(Command::new(qemu::PROGRAM).arg("--version"))?,
        cpu: model.unwrap_or_else(|| if kvm { "host" } else { "max" }.into()),
        accelerator: accelerator.into(),
        tick: match clock {
            Clock::Instructions => "one guest instruction (-icount shift=0,sleep=off)".into(),
            Clock::Time => format!("TSC ticks of CPU {host} under accelerator {accelerator}"),
        },
        cycles: None,
        compiler,
        host,
    })
}

/// What a core cycle is, where a guest counted them.
pub fn core_cycles(machine: &Machine) -> String {
    let Machine {
        host, accelerator, ..
    } = machine;
    format!("core cycles of CPU {host} under accelerator {accelerator}, counted by fixed counter 1")
}

/// The first line with words that a program prints, wherever.
fn first_line(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    Ok(line.unwrap_or("unknown").to_string())
}

/// The processor's name, as Linux tells it.
fn host_processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("unknown".into(), |(_, name)| name.into())
}
