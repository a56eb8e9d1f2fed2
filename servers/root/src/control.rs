//! `root.control`: what the supervisor tells ([`libsys::proto::control`]).

use crate::budget::Machine;
use crate::program::{Program, State};
use crate::slots::{ENDPOINT, OWN_MEMORY, SYSTEM, TABLE, THREAD};
use abi::object::system::LOG_BLOCK;
use abi::root::TABLE_BITS;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::proto::control::{MemoryStatus, ProgramStatus};
use libsys::syscall::Slot;
use libsys::trace::to_bytes;

/// [`ProgramStatus::state`] of a program that does not run.
const ENDED: u8 = 255;

/// The answer to PS, in postcard.
pub fn processes(programs: &[Program]) -> Vec<u8> {
    let list: Vec<ProgramStatus> = shown(programs).map(status).collect();
    encode(&list)
}

/// All but the places where no child runs.
fn shown(programs: &[Program]) -> impl Iterator<Item = &Program> {
    let mut all = programs.iter();
    core::iter::from_fn(move || all.find(|p| p.parent.is_none() || p.state == State::Running))
}

fn status(program: &Program) -> ProgramStatus {
    let running = program.state == State::Running;
    let info = program.slots.thread().info().ok().filter(|_| running);
    let (state, time) = info.map_or((ENDED, 0), |info| (info.state, info.time));
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
        messages: messages(program),
        started: program.restarts.started,
        restarts: program.restarts.count,
        memory: program.memory(),
    }
}

/// Calls and faults that the kernel has delivered to a program.
fn messages(program: &Program) -> u64 {
    TABLE.messages(program.slots.endpoint()).unwrap_or(0)
}

/// The answer to MEM, in postcard.
pub fn memory(machine: &Machine, programs: &[Program]) -> Vec<u8> {
    let (total, free) = machine.total_and_free();
    let running = programs.iter().filter(|p| p.state == State::Running);
    let pieces: u32 = running.map(|program| program.heap.made).sum();
    let programs = shown(programs).map(|program| {
        let (used, budget) = program.memory();
        (program.name().into(), budget, used)
    });
    encode(&MemoryStatus {
        total,
        free,
        programs: programs.collect(),
        root: (
            held() - pieces,
            OWN_MEMORY.info().map_or(0, |(free, _)| free),
        ),
    })
}

/// Capabilities in root's own table.
fn held() -> u32 {
    let slots = 1..1 << TABLE_BITS;
    let is_used = |slot: &u32| TABLE.identify(Slot(*slot), Slot(0)).is_ok();
    slots.filter(is_used).count() as u32
}

/// The answer to LOG: bytes, and the position of the first.
pub fn log(position: u64) -> (Vec<u8>, u64) {
    let mut bytes = [0; LOG_BLOCK];
    let (count, start) = SYSTEM.log(position, &mut bytes).unwrap_or((0, position));
    (bytes[..count].to_vec(), start)
}

/// The answer to SECTION.
pub fn longest_section() -> u64 {
    SYSTEM.longest_section().unwrap_or(0)
}

/// The answer to TRACE_SWITCH: where the events of a trace that is switched on begin, and how many messages came so far.
pub fn trace_switch(on: bool, programs: &[Program]) -> [u64; 2] {
    let own = TABLE.messages(ENDPOINT).unwrap_or(0);
    let messages = own + programs.iter().map(messages).sum::<u64>();
    let mut next = 0;
    // Without tracing the ring hardly moves while it is read.
    while on
        && let Ok((records, first)) = SYSTEM.trace(next)
        && !records.is_empty()
    {
        next = first + records.len() as u64;
    }
    let _ = SYSTEM.trace_switch(on);
    [next, messages]
}

/// The answer to TRACE: events, and the position of the first.
pub fn trace(position: u64) -> (Vec<u8>, u64) {
    let (records, first) = SYSTEM.trace(position).unwrap_or((Vec::new(), position));
    (to_bytes(&records), first)
}

/// The answer to THREADS, in postcard.
pub fn threads(programs: &[Program]) -> Vec<u8> {
    let running = programs
        .iter()
        .filter(|program| program.state == State::Running);
    let programs = running.map(|program| (program.slots.thread(), program.name()));
    let numbered = programs
        .chain([(THREAD, "root")])
        .filter_map(|(thread, name)| Some((SYSTEM.number(thread).ok()?, String::from(name))));
    encode(&numbered.collect::<Vec<_>>())
}

fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    // These types encode always: the error is for formats and buffers that postcard's vector is not.
    postcard::to_allocvec(value).unwrap_or_default()
}
