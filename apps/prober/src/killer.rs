//! Kills servers at random moments: its priority is above theirs, so that it comes in the middle of what they do.

use crate::number;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use libsys::lease::Lease;
use libsys::proto::control::{self, ProgramStatus};
use libsys::rt::{self, ENDPOINT};
use libsys::syscall::{self, Slot};
use libsys::time::{Instant, ticks};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Whom it kills.
pub const VICTIMS: [&str; 11] = [
    "console", "names", "timer", "disk", "fs", "flash", "net", "null", "zero", "example",
    "keyboard",
];
/// Room for the list of programs.
const ANSWER: usize = 16 << 10;
/// Longest time between two kills.
const LONGEST: Duration = Duration::from_millis(6);

/// Kills so many times, or until a program ends, and all servers or some, as its arguments say.
pub fn run(seed: u64) -> Result<(), String> {
    let mut random = SmallRng::seed_from_u64(seed);
    let longest = ticks(LONGEST, rt::info().tsc_hz);
    let until = rt::argument("--until");
    let victims: Vec<&str> = match rt::argument("--only") {
        Some(names) => names.split(',').collect(),
        None => VICTIMS.to_vec(),
    };
    let count = match until {
        Some(_) => u64::MAX,
        None => number("--count")?,
    };
    for _ in 0..count {
        // Nobody calls this program: it only waits.
        let deadline = Instant::now().0 + random.random_range(0..longest);
        let _ = syscall::recv_until(ENDPOINT, deadline);
        let name = victims[random.random_range(0..victims.len())];
        let programs = programs()?;
        let over = |program: &ProgramStatus| {
            Some(program.name.as_str()) == until && program.ended.is_some()
        };
        if programs.iter().any(over) {
            break;
        }
        let victim = programs.iter().find(|program| program.name == name);
        let victim = victim.ok_or_else(|| format!("{name} is no program"))?;
        let killed = syscall::call(control_slot()?, control::KILL, [victim.id.into(), 0, 0, 0]);
        let status = killed.check().map(|answer| answer.tag.label());
        if status != Ok(0) {
            return Err(format!("{name} is not killed: {status:?}"));
        }
    }
    Ok(())
}

fn control_slot() -> Result<Slot, String> {
    rt::endpoint("root.control").ok_or_else(|| "it may not".into())
}

/// The programs of the system.
pub fn programs() -> Result<Vec<ProgramStatus>, String> {
    let mut buffer = vec![0; ANSWER];
    let lease = Lease::write(&mut buffer);
    let answer = syscall::call_lending(control_slot()?, control::PS, [0; 4], lease).check();
    let answer = answer.map_err(|error| format!("ps: {error:?}"))?;
    if answer.tag.label() != 0 {
        return Err(format!("ps: status {}", answer.tag.label()));
    }
    let list = buffer.get(..answer.words[0] as usize).unwrap_or_default();
    postcard::from_bytes(list).map_err(|error| format!("ps: {error}"))
}
