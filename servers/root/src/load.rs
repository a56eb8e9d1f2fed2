//! Filling a program's address space: code, data, stack, information page.

use crate::elf::{Elf, Segment};
use crate::problem::{Problem, Step};
use crate::program::Program;
use crate::slots::{BATCH, SCRATCH, SPACE, clear_scratch, scratch};
use crate::window::{self, WINDOW};
use abi::fault::Registers;
use abi::object::{frame, space};
use abi::{Error, Kind, PAGE, Rights, buffer};
use alloc::vec::Vec;
use libsys::object::Frame;
use libsys::proto::program::{INFO, ProgramInfo, STACK_PAGES, THREAD_AREA};

/// Stack pointer of a program's first instruction.
const STACK_TOP: u64 = THREAD_AREA + buffer::AREA;

/// Maps all of `elf`.
pub fn segments(program: &mut Program, elf: &Elf) -> Result<(), Problem> {
    elf.segments
        .iter()
        .try_for_each(|segment| load(program, segment).step("load its code and data"))
}

/// Maps the stack; its frames stay in root's table, for backtraces.
pub fn stack(program: &Program) -> Result<(), Problem> {
    let slots = program.slots;
    program
        .make(Kind::Frame, 12, STACK_PAGES as u32, slots.stack(0).0)
        .step("make its stack")?;
    for i in 0..STACK_PAGES {
        let address = STACK_TOP - (STACK_PAGES - i) * PAGE;
        program
            .map(slots.stack(i).0, address, frame::READ | frame::WRITE)
            .step("map its stack")?;
    }
    Ok(())
}

/// Maps the information page.
pub fn info(program: &mut Program, info: &ProgramInfo) -> Result<(), Problem> {
    let bytes: Vec<u8> =
        postcard::to_allocvec(info).map_err(|_| Problem::BadManifest("it cannot be encoded"))?;
    if bytes.len() > PAGE as usize {
        return Err(Problem::BadManifest(
            "its arguments and devices do not fit a page",
        ));
    }
    let page = Segment {
        address: INFO,
        pages: 1,
        skip: 0,
        bytes: &bytes,
        write: false,
        execute: false,
    };
    load(program, &page).step("map its information page")
}

/// Sets the thread up so that START lets it run at `entry`.
pub fn thread(program: &Program, entry: u64) -> Result<(), Problem> {
    let slots = program.slots;
    let thread = slots.thread();
    thread
        .configure(slots.table(), slots.space(), slots.fault(), THREAD_AREA)
        .step("configure its thread")?;
    let registers = Registers {
        rip: entry,
        rsp: STACK_TOP,
        rflags: 0x202,
        ..Registers::default()
    };
    thread
        .write_registers(&registers)
        .step("set its registers")?;
    let priority = program.manifest.priority;
    thread.priority(priority, priority).step("set its priority")
}

/// Makes the pages of a segment, fills them and maps them, a batch at a time.
fn load(program: &mut Program, segment: &Segment) -> Result<(), Error> {
    let mut rights = frame::READ;
    rights |= if segment.write { frame::WRITE } else { 0 };
    rights |= if segment.execute { frame::EXEC } else { 0 };
    let mut done = 0;
    while done < segment.pages {
        let count = (segment.pages - done).min(BATCH as u64) as u32;
        program.make(Kind::Frame, 12, count, SCRATCH)?;
        let batch = batch(program, segment, done, count, rights);
        if batch.is_err() {
            clear_scratch(count);
            return batch;
        }
        done += count as u64;
    }
    Ok(())
}

fn batch(
    program: &mut Program,
    segment: &Segment,
    done: u64,
    count: u32,
    rights: Rights,
) -> Result<(), Error> {
    if let Some((offset, bytes)) = piece(segment, done, count) {
        for i in 0..count {
            let address = WINDOW + i as u64 * PAGE;
            SPACE.map(
                Frame(scratch(i)),
                address,
                frame::READ | frame::WRITE,
                space::WRITE_BACK,
            )?;
        }
        window::write(count, offset, bytes);
        (0..count).try_for_each(|i| SPACE.unmap(Frame(scratch(i))))?;
    }
    for i in 0..count {
        program.map(
            scratch(i),
            segment.address + (done + i as u64) * PAGE,
            rights,
        )?;
        program.keep(scratch(i))?;
    }
    Ok(())
}

/// The bytes that belong into pages `done..done + count` of a segment, and where in these pages they begin.
fn piece<'a>(segment: &Segment<'a>, done: u64, count: u32) -> Option<(usize, &'a [u8])> {
    let (start, end) = (
        done as usize * PAGE as usize,
        (done as usize + count as usize) * PAGE as usize,
    );
    let from = start.saturating_sub(segment.skip);
    let to = end.saturating_sub(segment.skip).min(segment.bytes.len());
    (from < to).then(|| (from + segment.skip - start, &segment.bytes[from..to]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_lands_once_where_it_belongs() {
        let bytes: Vec<u8> = (0..20_000u32).map(|i| i as u8).collect();
        for skip in [0, 1, 4095] {
            let segment = Segment {
                address: 0,
                pages: 7,
                skip,
                bytes: &bytes,
                write: false,
                execute: false,
            };
            for batch in [1, 2, 7] {
                let mut memory = [0u8; 8 * 4096];
                for done in (0..7).step_by(batch) {
                    let count = batch.min(7 - done);
                    if let Some((offset, piece)) = piece(&segment, done as u64, count as u32) {
                        assert!(offset + piece.len() <= count * 4096);
                        memory[done * 4096 + offset..][..piece.len()].copy_from_slice(piece);
                    }
                }
                assert_eq!(&memory[skip..skip + bytes.len()], &bytes[..]);
                assert!(
                    memory[..skip]
                        .iter()
                        .chain(&memory[skip + bytes.len()..])
                        .all(|b| *b == 0)
                );
            }
        }
    }

    #[test]
    fn pages_of_zeros_have_no_piece() {
        let segment = Segment {
            address: 0,
            pages: 4,
            skip: 0,
            bytes: &[1; 10],
            write: true,
            execute: false,
        };
        assert_eq!(piece(&segment, 0, 4), Some((0, &[1; 10][..])));
        assert_eq!(piece(&segment, 1, 3), None);
    }
}
