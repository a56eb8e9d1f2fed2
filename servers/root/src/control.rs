//! `root.control`: what the supervisor tells ([`libsys::proto::control`]).

use crate::budget::Machine;
use crate::kernel;
use crate::program::{Program, State};
use abi::object::system;
use alloc::vec::Vec;
use libsys::proto::control::{MemoryStatus, ProgramStatus};
use libsys::syscall::block;

/// [`ProgramStatus::state`] of a program that does not run.
const ENDED: u8 = 255;

/// The answer to PS, in postcard.
pub fn processes(programs: &[Program]) -> Vec<u8> {
    let list: Vec<ProgramStatus> = programs.iter().map(status).collect();
    encode(&list)
}

fn status(program: &Program) -> ProgramStatus {
    let running = program.state == State::Running;
    let (state, time) = kernel::thread_info(program.slots.thread()).ok().filter(|_| running).unwrap_or((ENDED, 0));
    ProgramStatus {
        id: program.id,
        name: program.name().into(),
        priority: program.manifest.priority,
        state,
        ended: match program.state {
            State::Ended(ended) => Some(ended),
            State::Running | State::Absent => None,
        },
        time,
        memory: usage(program),
    }
}

/// The answer to MEM, in postcard.
pub fn memory(machine: &Machine, programs: &[Program]) -> Vec<u8> {
    let (total, free) = machine.total_and_free();
    let programs = programs.iter().map(|program| {
        let (used, budget) = usage(program);
        (program.name().into(), budget, used)
    });
    encode(&MemoryStatus { total, free, programs: programs.collect() })
}

/// Bytes in use, and the budget. What an ended program used is free again, which the kernel notices only when it is used
/// next.
fn usage(program: &Program) -> (u64, u64) {
    let (used, budget) = program.memory();
    (if program.state == State::Running { used } else { 0 }, budget)
}

/// The answer to LOG: bytes, and the position of the first.
pub fn log(position: u64) -> (Vec<u8>, u64) {
    let Ok([count, start, ..]) = kernel::system_do(system::LOG, [position, 0, 0, 0]) else { return (Vec::new(), 0) };
    let mut bytes = alloc::vec![0; (count as usize).min(system::LOG_BLOCK)];
    block(&mut bytes);
    (bytes, start)
}

fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    // These types encode always: the error is for formats and buffers that postcard's vector is not.
    postcard::to_allocvec(value).unwrap_or_default()
}
