//! What the processor remembers of a mapping goes with the mapping, also in a space that is not in use.

use crate::lab::{ENDPOINT, Lab, NORMAL, after};
use crate::outcome::{Failure, Outcome};
use crate::process::Process;
use crate::raw::{self, WINDOW};
use crate::same;
use abi::object::frame::{READ, WRITE};
use abi::object::space::WRITE_BACK;
use abi::{Kind, PAGE, fault};
use libsys::object::{Frame, OWN_TABLE, Untyped};
use libsys::syscall::{self, Answer, Slot};

/// Page fault of a program that reads, or writes, where nothing is mapped; and where it may only read.
const READS: u64 = 14 | 4 << 32;
const WRITES_PROTECTED: u64 = 14 | 7 << 32;
/// What the reader is asked: to read, or to write.
const READ_IT: u32 = 0;
const WRITE_IT: u32 = 1;

/// Seconds that no answer takes.
const PATIENCE: u64 = 5;

/// Tells the word at an address, again and again, or writes there.
extern "C" fn reader(address: u64) -> ! {
    loop {
        let value = raw::read(address);
        let asked = syscall::call(Slot(1), 0, [value, 0, 0, 0]);
        if asked.tag.label() == WRITE_IT {
            raw::write(address, value);
        }
    }
}

/// A program in a space of its own that tells the word at `address`; its faults come to the same endpoint.
fn start(lab: &mut Lab, endpoint: Slot, address: u64) -> Result<Process, Failure> {
    let give = [(endpoint, ENDPOINT, 0)];
    lab.process(reader, address, NORMAL, &give, endpoint)
}

/// A frame that holds a word.
fn frame_with(lab: &mut Lab, value: u64) -> Result<Frame, Failure> {
    let frame = lab.frame()?;
    raw::write(lab.map(frame, 100)?, value);
    lab.space.unmap(frame)?;
    Ok(frame)
}

/// What the reader says next, after it was asked for `what`. One that writes where it may not, and does not fault, comes
/// round to reading; one that hangs ends the test in time.
fn ask(endpoint: Slot, what: u32) -> Result<u64, Failure> {
    let output =
        syscall::reply_recv_with(endpoint, Answer::new(what, [0; 4]), Some(after(PATIENCE)));
    Ok(output.check()?.words[0])
}

/// Other frames at the same address, while another space is in use.
pub fn another_space(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let frames = [frame_with(lab, 111)?, frame_with(lab, 222)?];
    let reader = start(lab, endpoint, WINDOW)?;
    let fault = syscall::recv(endpoint).check()?;
    same!((fault.words[0], fault.words[1]), (READS, WINDOW));
    for round in 0..10 {
        let frame = frames[round % 2];
        reader.space.map(frame, WINDOW, READ, WRITE_BACK)?;
        // The first time the answer is RESUME, which is the same.
        same!(ask(endpoint, READ_IT)?, 111 * (1 + round as u64 % 2));
        same!(ask(endpoint, READ_IT)?, 111 * (1 + round as u64 % 2));
        reader.space.unmap(frame)?;
    }
    same!(ask(endpoint, READ_IT)?, READS);
    Ok(())
}

/// Fewer rights at the same address.
pub fn fewer_rights(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let frame = frame_with(lab, 333)?;
    let reader = start(lab, endpoint, WINDOW)?;
    syscall::recv(endpoint).check()?;
    reader.space.map(frame, WINDOW, READ | WRITE, WRITE_BACK)?;
    same!(ask(endpoint, READ_IT)?, 333);
    same!(ask(endpoint, WRITE_IT)?, 333);
    reader.space.unmap(frame)?;
    reader.space.map(frame, WINDOW, READ, WRITE_BACK)?;
    same!(ask(endpoint, READ_IT)?, 333);
    same!(ask(endpoint, WRITE_IT)?, WRITES_PROTECTED);
    Ok(())
}

/// A large page gives way to a small one and comes back.
pub fn large_pages(lab: &mut Lab) -> Outcome {
    const LARGE: u64 = 2 << 20;
    let endpoint = lab.endpoint()?;
    let (large, small) = (Frame(lab.make(Kind::Frame, 21)?), frame_with(lab, 444)?);
    let address = WINDOW + LARGE + 5 * PAGE;
    let reader = start(lab, endpoint, address)?;
    syscall::recv(endpoint).check()?;
    let base = WINDOW + LARGE;
    reader.space.map(large, base, READ, WRITE_BACK)?;
    same!(ask(endpoint, READ_IT)?, 0);
    reader.space.unmap(large)?;
    same!(ask(endpoint, READ_IT)?, READS);
    reader.space.map(small, address, READ, WRITE_BACK)?;
    same!(ask(endpoint, fault::RESUME)?, 444);
    Ok(())
}

/// A deleted frame is gone from a space that is not in use.
pub fn deleted_frame(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let frame = frame_with(lab, 555)?;
    let reader = start(lab, endpoint, WINDOW)?;
    syscall::recv(endpoint).check()?;
    reader.space.map(frame, WINDOW, READ, WRITE_BACK)?;
    same!(ask(endpoint, READ_IT)?, 555);
    OWN_TABLE.delete(frame.0)?;
    same!(ask(endpoint, READ_IT)?, READS);
    Ok(())
}

/// The next Space with the id of one that is gone finds nothing of it.
pub fn ids_are_clean(lab: &mut Lab) -> Outcome {
    /// There are 4,095 ids, used oldest first. A few belong to programs of the system, so the turn of one that was given
    /// back comes a little earlier than after 4,095 others.
    const OTHERS: u32 = 4095 - 10;
    let endpoint = lab.endpoint()?;
    let frame = frame_with(lab, 666)?;
    let first = start(lab, endpoint, WINDOW)?;
    syscall::recv(endpoint).check()?;
    first.space.map(frame, WINDOW, READ, WRITE_BACK)?;
    same!(ask(endpoint, READ_IT)?, 666);
    delete(&first)?;
    let small = Untyped(lab.make(Kind::Untyped, 15)?);
    let slot = lab.slot();
    for _ in 0..OTHERS {
        small.retype(Kind::Space, 15, 1, OWN_TABLE, slot, 0)?;
        OWN_TABLE.delete(slot)?;
    }
    for _ in 0..10 {
        let next = start(lab, endpoint, WINDOW)?;
        same!(syscall::recv(endpoint).check()?.words[0], READS);
        delete(&next)?;
    }
    Ok(())
}

/// Takes away a reader, whose last message is dropped.
fn delete(reader: &Process) -> Outcome {
    for slot in [reader.thread.0, reader.space.0, reader.table.0] {
        OWN_TABLE.delete(slot)?;
    }
    syscall::reply(Answer::new(0, [0; 4]));
    Ok(())
}
