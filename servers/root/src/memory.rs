//! `root.memory`: memory for the calling program, charged to its budget ([`libsys::proto::memory`]).

use crate::budget::whole_pages;
use crate::layout::in_heap;
use crate::program::Program;
use crate::shared;
use crate::slots::{BATCH, SCRATCH, clear_scratch, scratch};
use crate::system::System;
use abi::object::frame;
use abi::{Error, Kind, PAGE};
use libsys::object::Frame;
use libsys::proto::memory::{INFO, IS_ALIVE, MAP, MAP_DMA, OK, Status};
use libsys::syscall::Words;

/// Most bytes of one [`MAP_DMA`].
const DMA_LIMIT: u64 = 1 << 20;

/// Answers a request of the program at `index`: label and words.
pub fn answer(system: &mut System, index: usize, label: u32, words: Words) -> (u32, Words) {
    if label == IS_ALIVE {
        let alive = u32::try_from(words[0]).is_ok_and(|id| system.find(id).is_some());
        return (OK, [alive.into(), 0, 0, 0]);
    }
    if let Some(result) = shared::answer(&mut system.programs, index, label, words) {
        return match result {
            Ok(words) => (OK, words),
            Err(status) => (status as u32, [0; 4]),
        };
    }
    let program = &mut system.programs[index];
    let result = match label {
        MAP => map(program, words[0], words[1]).map(|()| [0; 4]),
        MAP_DMA => map_dma(program, words[0]).map(|(address, physical)| [address, physical, 0, 0]),
        INFO => {
            let (used, budget) = program.memory();
            Ok([used, budget, 0, 0])
        }
        _ => Err(Status::BadOperation),
    };
    match result {
        Ok(words) => (OK, words),
        Err(status) => (status as u32, [0; 4]),
    }
}

fn map(program: &mut Program, address: u64, bytes: u64) -> Result<(), Status> {
    if !in_heap(address, bytes) {
        return Err(Status::BadRange);
    }
    frames(program, address, bytes, frame::READ | frame::WRITE).map(drop)
}

fn map_dma(program: &mut Program, bytes: u64) -> Result<(u64, u64), Status> {
    if bytes == 0 || bytes > DMA_LIMIT {
        return Err(Status::BadRange);
    }
    let bytes = bytes.next_multiple_of(PAGE);
    let address = program.device_area(bytes).map_err(|_| Status::BadRange)?;
    // One Untyped gives out its memory in order, so frames made one after the other are contiguous.
    let physical = frames(program, address, bytes, frame::READ | frame::WRITE)?;
    Ok((address, physical))
}

/// Makes zeroed frames and maps them from `address` on. Returns the physical address of the first. If it fails, nothing is
/// mapped (but the memory is used up: an Untyped gives each byte out once).
fn frames(program: &mut Program, address: u64, bytes: u64, rights: u8) -> Result<u64, Status> {
    let (used, budget) = program.memory();
    if bytes > whole_pages(budget - used) {
        return Err(Status::OutOfMemory);
    }
    let mark = program.vault_next;
    let mut first = None;
    let mut done = 0;
    while done < bytes {
        let count = ((bytes - done) / PAGE).min(BATCH as u64) as u32;
        if let Err(error) = batch(program, address + done, count, rights, &mut first) {
            clear_scratch(count);
            program.forget_since(mark);
            return Err(match error {
                Error::AlreadyMapped => Status::BadRange,
                _ => Status::OutOfMemory,
            });
        }
        done += count as u64 * PAGE;
    }
    first.ok_or(Status::BadRange)
}

fn batch(
    program: &mut Program,
    address: u64,
    count: u32,
    rights: u8,
    first: &mut Option<u64>,
) -> Result<(), Error> {
    program.make(Kind::Frame, 12, count, SCRATCH)?;
    if first.is_none() {
        *first = Some(Frame(SCRATCH).physical()?);
    }
    for i in 0..count {
        program.map(scratch(i), address + i as u64 * PAGE, rights)?;
        program.keep(scratch(i))?;
    }
    Ok(())
}
