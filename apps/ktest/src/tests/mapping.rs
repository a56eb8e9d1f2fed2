//! Spaces and frames: MAP and UNMAP.

use crate::lab::{HIGH, Lab, Setup};
use crate::outcome::Outcome;
use crate::raw::{self, WINDOW};
use crate::{check, refused, same};
use abi::object::frame::{EXEC, READ, WRITE};
use abi::object::space::{UNCACHED, WRITE_BACK};
use abi::{Kind, PAGE, USER_END};
use libsys::object::{Frame, OWN_TABLE, Space};
use libsys::syscall::{self, Slot, invoke};

const LARGE: u64 = 2 << 20;

/// One mapping a slot; a derived slot maps the same memory again.
pub fn map_and_unmap(lab: &mut Lab) -> Outcome {
    let (a, b) = (lab.frame()?, lab.frame()?);
    let copy = Frame(lab.copy(a.0, READ, 0)?);
    let page = lab.map(a, 0)?;
    raw::write(page, 77);
    refused!(
        lab.space.map(a, WINDOW + PAGE, READ, WRITE_BACK),
        AlreadyMapped
    );
    refused!(lab.space.map(b, WINDOW, READ, WRITE_BACK), AlreadyMapped);
    lab.space.map(copy, WINDOW + PAGE, READ, UNCACHED)?;
    same!(raw::read(WINDOW + PAGE), 77);
    lab.space.unmap(a)?;
    refused!(lab.space.unmap(a), NotMapped);
    same!(raw::read(WINDOW + PAGE), 77);
    let page = lab.map(b, 0)?;
    same!(raw::read(page), 0);
    // Mapped elsewhere, so not in this space.
    let space = Space(lab.make(Kind::Space, 15)?);
    refused!(space.unmap(b), NotMapped);
    Ok(())
}

/// No page is writable and executable at once, nor anything that the frame does not allow.
pub fn write_or_execute(lab: &mut Lab) -> Outcome {
    let frame = lab.frame()?;
    let map = |rights, cache| lab.space.map(frame, WINDOW, rights, cache);
    refused!(map(READ | WRITE | EXEC, WRITE_BACK), WriteAndExecute);
    refused!(map(WRITE, WRITE_BACK), InvalidArgument);
    refused!(map(EXEC, WRITE_BACK), InvalidArgument);
    refused!(map(0, WRITE_BACK), InvalidArgument);
    refused!(map(READ | 8, WRITE_BACK), InvalidArgument);
    refused!(map(READ | 16, WRITE_BACK), MissingRight);
    refused!(map(READ, 2), InvalidArgument);
    let beyond = [frame.0.0 as u64, WINDOW, 1 << 40 | READ as u64, 0];
    refused!(
        invoke(lab.space.0, abi::object::space::MAP, beyond),
        InvalidArgument
    );
    map(READ | EXEC, WRITE_BACK)?;
    // Two slots of one frame may differ: loaders need it.
    let copy = Frame(lab.copy(frame.0, READ | WRITE, 0)?);
    lab.map(copy, 1)?;
    Ok(())
}

/// Addresses: aligned, and below the last page of the lower half.
pub fn addresses(lab: &mut Lab) -> Outcome {
    let (small, large) = (lab.frame()?, Frame(lab.make(Kind::Frame, 21)?));
    let space = Space(lab.make(Kind::Space, 16)?);
    for address in [
        USER_END,
        0x8000_0000_0000,
        0xffff_7fff_ffff_f000,
        0xffff_8000_0000_0000,
        0xffff_ffff_8000_0000,
        !(PAGE - 1),
        !(LARGE - 1),
        1,
        WINDOW + 8,
    ] {
        refused!(space.map(small, address, READ, WRITE_BACK), InvalidAddress);
        refused!(space.map(large, address, READ, WRITE_BACK), InvalidAddress);
    }
    refused!(
        space.map(large, WINDOW + PAGE, READ, WRITE_BACK),
        InvalidAddress
    );
    refused!(
        space.map(large, 0x7fff_ffe0_0000, READ, WRITE_BACK),
        InvalidAddress
    );
    space.map(large, 0x7fff_ffc0_0000, READ, WRITE_BACK)?;
    space.map(small, USER_END - PAGE, READ, WRITE_BACK)?;
    space.unmap(small)?;
    space.map(small, 0, READ, WRITE_BACK)?;
    Ok(())
}

/// Page tables come from the Space's own pool.
pub fn tables_run_out(lab: &mut Lab) -> Outcome {
    let (first, second) = (lab.frame()?, lab.frame()?);
    let third = lab.frame()?;
    let space = Space(lab.make(Kind::Space, 15)?);
    same!(space.tables_free()?, 6);
    space.map(first, 0, READ, WRITE_BACK)?;
    same!(space.tables_free()?, 3);
    space.map(second, WINDOW, READ, WRITE_BACK)?;
    same!(space.tables_free()?, 0);
    refused!(
        space.map(third, WINDOW + (1 << 21), READ, WRITE_BACK),
        OutOfTables
    );
    // Where there are tables there is room.
    space.map(third, WINDOW + PAGE, READ, WRITE_BACK)?;
    space.unmap(third)?;
    space.unmap(second)?;
    same!(space.tables_free()?, 0);
    Ok(())
}

/// Pages of 2 MiB.
pub fn large_pages(lab: &mut Lab) -> Outcome {
    let large = Frame(lab.make(Kind::Frame, 21)?);
    let small = lab.frame()?;
    let base = WINDOW + 2 * LARGE;
    lab.space.map(large, base, READ | WRITE, WRITE_BACK)?;
    for offset in [0, PAGE, LARGE / 2, LARGE - 8] {
        same!(raw::read(base + offset), 0);
        raw::write(base + offset, offset + 1);
    }
    same!(raw::read(base + LARGE - 8), LARGE - 7);
    refused!(
        lab.space.map(small, base + PAGE, READ, WRITE_BACK),
        AlreadyMapped
    );
    lab.space.unmap(large)?;
    // A table for small pages takes its place only if it is not there yet.
    lab.space.map(small, base + PAGE, READ, WRITE_BACK)?;
    refused!(lab.space.map(large, base, READ, WRITE_BACK), AlreadyMapped);
    same!(large.physical()? % LARGE, 0);
    Ok(())
}

/// A frame mapped in a Space that is gone is not mapped.
pub fn outlives_its_space(lab: &mut Lab) -> Outcome {
    let frame = lab.frame()?;
    let space = Space(lab.make(Kind::Space, 15)?);
    space.map(frame, WINDOW, READ, WRITE_BACK)?;
    refused!(
        lab.space.map(frame, WINDOW, READ, WRITE_BACK),
        AlreadyMapped
    );
    OWN_TABLE.delete(space.0)?;
    refused!(lab.space.unmap(frame), NotMapped);
    lab.map(frame, 0)?;
    Ok(())
}

/// A deleted frame is unmapped at once, for a thread that uses it too.
pub fn deleted_frame(lab: &mut Lab) -> Outcome {
    let frame = lab.frame()?;
    let faults = lab.endpoint()?;
    let page = lab.map(frame, 0)?;
    raw::write(page, 1);
    let setup = Setup {
        priority: HIGH,
        fault: faults,
    };
    let go = lab.endpoint()?;
    lab.spawn_with(setup, move || {
        raw::read(page);
        syscall::call(go, 0, [0; 4]);
        raw::read(page);
    })?;
    syscall::recv(go).check()?;
    OWN_TABLE.delete(frame.0)?;
    syscall::reply(syscall::Answer::new(0, [0; 4]));
    let fault = syscall::recv(faults).check()?;
    same!((fault.words[0], fault.words[1]), (14 | 4 << 32, page));
    Ok(())
}

/// Only ADDRESS tells where a frame lies, and frames of one RETYPE lie in a row.
pub fn physical_address(lab: &mut Lab) -> Outcome {
    let first = lab.slots(4);
    lab.memory()
        .retype(Kind::Frame, 12, 4, OWN_TABLE, first, 0)?;
    let start = Frame(first).physical()?;
    for i in 1..4 {
        same!(
            Frame(Slot(first.0 + i)).physical()?,
            start + i as u64 * PAGE
        );
    }
    check!(start % PAGE == 0);
    refused!(invoke(first, 7, [0; 4]), InvalidOperation);
    Ok(())
}
