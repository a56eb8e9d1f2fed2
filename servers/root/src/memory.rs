//! `root.memory`: memory for the calling program, charged to its budget ([`libsys::proto::memory`]).

use crate::budget::whole_pages;
use crate::log;
use crate::program::Program;
use crate::shared;
use crate::slots::{BATCH, PIECES, SCRATCH, TABLE, clear_scratch, scratch};
use crate::system::System;
use abi::object::{frame, untyped};
use abi::{Error, Kind, PAGE};
use libsys::object::Frame;
use libsys::proto::memory::{HEAP as HEAP_SIZE, INFO, IS_ALIVE, MAP_DMA, OK, Status};
use libsys::proto::program::HEAP;
use libsys::syscall::{Slot, Words};

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
        HEAP_SIZE => resize(program, words[0]).map(|(size, piece)| [size, piece, 0, 0]),
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

/// Lets the heap have `bytes`, in whole pieces. Returns what it has then, and the size of a piece. If it cannot grow, it
/// stays as it was.
fn resize(program: &mut Program, bytes: u64) -> Result<(u64, u64), Status> {
    let bits = program.piece_bits();
    let pieces = u32::try_from(bytes.div_ceil(1 << bits)).ok();
    let pieces = pieces.filter(|pieces| *pieces <= PIECES);
    let pieces = pieces.ok_or(Status::OutOfMemory)?;
    let before = program.heap.mapped;
    while program.heap.mapped < pieces {
        if grow(program).is_err() {
            shrink(program, before);
            return Err(Status::OutOfMemory);
        }
    }
    shrink(program, pieces);
    Ok((u64::from(pieces) << bits, 1 << bits))
}

/// Maps the next piece of the heap.
fn grow(program: &mut Program) -> Result<(), Error> {
    let (bits, index) = (program.piece_bits(), program.heap.mapped);
    let piece = program.slots.piece(index);
    if index == program.heap.made {
        program.make(Kind::Untyped, bits, 1, piece.0)?;
        program.heap.made += 1;
    }
    // From here on it is the heap's, so that `shrink` takes back what a failure leaves.
    program.heap.mapped += 1;
    let pages = 1u32 << (bits - 12);
    let address = HEAP + (u64::from(index) << bits);
    // Its frames have fixed places at the end of the vault; the others are kept from the beginning on.
    let first = program.vault_size.checked_sub(pages * (index + 1));
    let first = first.ok_or(Error::OutOfMemory)?;
    for done in (0..pages).step_by(BATCH as usize) {
        let count = (pages - done).min(BATCH);
        piece.retype(Kind::Frame, 12, count as u16, TABLE, SCRATCH, untyped::ALL)?;
        for i in 0..count {
            let page = done + i;
            let rights = frame::READ | frame::WRITE;
            program.map(scratch(i), address + u64::from(page) * PAGE, rights)?;
            let vault = program.slots.vault();
            vault.move_from(Slot(first + page), scratch(i))?;
        }
    }
    Ok(())
}

/// Takes all pieces behind the first `pieces` away.
fn shrink(program: &mut Program, pieces: u32) {
    while program.heap.mapped > pieces {
        program.heap.mapped -= 1;
        let piece = program.slots.piece(program.heap.mapped);
        // Deletes its frames, wherever they are, and with them their mappings.
        if let Err(error) = TABLE.revoke(piece.0) {
            log!(
                "program {} keeps a piece of its heap: {error:?}",
                program.name()
            );
        }
    }
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
