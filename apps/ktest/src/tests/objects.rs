//! Memory becomes objects: RETYPE.

use crate::lab::Lab;
use crate::outcome::Outcome;
use crate::{check, raw, refused, same};
use abi::object::{captable, endpoint, frame, irq, space, thread, untyped};
use abi::{Error, Kind, PAGE};
use libsys::object::{Frame, OWN_TABLE, Untyped};
use libsys::syscall::{Slot, invoke};

/// Each kind with size bits, bytes and the rights it starts with.
const KINDS: [(Kind, u8, u64, u8); 10] = [
    (Kind::Untyped, 12, 4096, untyped::ALL),
    (Kind::CapTable, 4, 512, captable::ALL),
    (Kind::CapTable, 16, 2 << 20, captable::ALL),
    (Kind::Thread, 0, 8192, thread::ALL),
    (Kind::Space, 15, 32 << 10, space::ALL),
    (Kind::Frame, 12, PAGE, frame::ALL),
    (Kind::Frame, 21, 2 << 20, frame::ALL),
    (Kind::Endpoint, 0, 64, endpoint::ALL),
    (Kind::Reply, 0, 64, 0),
    (Kind::Irq, 0, 128, irq::ALL),
];

/// One of each kind is what it says, has all rights, and takes its size from the Untyped.
pub fn every_kind(lab: &mut Lab) -> Outcome {
    let (memory, slot) = (Untyped(lab.make(Kind::Untyped, 21)?), lab.slot());
    for (kind, bits, bytes, rights) in KINDS {
        memory.retype(kind, bits, 1, OWN_TABLE, slot, untyped::ALL)?;
        let identity = OWN_TABLE.identify(slot, Slot(0))?;
        same!((identity.kind, identity.rights), (kind, rights));
        same!(memory.info()?, ((2 << 20) - bytes, 2 << 20));
        OWN_TABLE.delete(slot)?;
        refused!(OWN_TABLE.identify(slot, Slot(0)), NoCapability);
        same!(memory.info()?.0, 2 << 20);
    }
    Ok(())
}

/// 1 to 64 objects at once.
pub fn counts(lab: &mut Lab) -> Outcome {
    let first = lab.slots(64);
    let make = |kind, count| lab.memory().retype(kind, 12, count, OWN_TABLE, first, 0);
    for kind in [Kind::Endpoint, Kind::Frame, Kind::Thread] {
        make(kind, 64)?;
        for i in 0..64 {
            same!(OWN_TABLE.identify(Slot(first.0 + i), Slot(0))?.kind, kind);
            OWN_TABLE.delete(Slot(first.0 + i))?;
        }
    }
    refused!(make(Kind::Endpoint, 0), InvalidArgument);
    refused!(make(Kind::Endpoint, 65), InvalidArgument);
    refused!(make(Kind::Endpoint, u16::MAX), InvalidArgument);
    // Spaces are made one by one.
    let spaces = lab.memory().retype(Kind::Space, 15, 2, OWN_TABLE, first, 0);
    refused!(spaces, InvalidArgument);
    Ok(())
}

/// Sizes and kinds that cannot be, and bits that mean nothing.
pub fn sizes(lab: &mut Lab) -> Outcome {
    let slot = lab.slot();
    let make = |kind, bits| lab.memory().retype(kind, bits, 1, OWN_TABLE, slot, 0);
    for (kind, wrong) in [
        (Kind::Untyped, [0u8, 5, 37, 255]),
        (Kind::CapTable, [0, 3, 17, 255]),
        (Kind::Space, [0, 14, 25, 255]),
        (Kind::Frame, [0, 13, 20, 30]),
    ] {
        for bits in wrong {
            refused!(make(kind, bits), InvalidArgument);
        }
    }
    for kind in [Kind::Empty, Kind::IoPorts, Kind::System] {
        refused!(make(kind, 12), InvalidArgument);
    }
    let raw = |word| invoke(lab.memory().0, untyped::RETYPE, [word, 1, slot.0 as u64, 0]);
    refused!(raw(1 << 16 | 11), InvalidArgument);
    refused!(raw(1 << 16 | 255), InvalidArgument);
    refused!(raw(1 << 32 | Kind::Endpoint as u64), InvalidArgument);
    refused!(raw(u64::MAX), InvalidArgument);
    refused!(invoke(lab.memory().0, 2, [0; 4]), InvalidOperation);
    refused!(invoke(lab.memory().0, u32::MAX, [0; 4]), InvalidOperation);
    Ok(())
}

/// An Untyped is used up, and starts anew once nothing made from it is left.
pub fn exhaustion(lab: &mut Lab) -> Outcome {
    let small = Untyped(lab.make(Kind::Untyped, 13)?);
    let (a, b, c) = (lab.slot(), lab.slot(), lab.slot());
    let make = |slot| small.retype(Kind::Frame, 12, 1, OWN_TABLE, slot, 0);
    make(a)?;
    make(b)?;
    refused!(make(c), OutOfMemory);
    // Deleting one does not give it back: the watermark only grows.
    OWN_TABLE.delete(a)?;
    refused!(make(c), OutOfMemory);
    OWN_TABLE.delete(b)?;
    make(c)?;
    let large = small.retype(Kind::CapTable, 16, 1, OWN_TABLE, a, 0);
    refused!(large, OutOfMemory);
    let many = small.retype(Kind::Frame, 12, 3, OWN_TABLE, a, 0);
    refused!(many, SlotOccupied);
    Ok(())
}

/// Nothing is made if one slot is in use, or outside the table.
pub fn occupied(lab: &mut Lab) -> Outcome {
    let first = lab.slots(4);
    lab.memory()
        .retype(Kind::Endpoint, 0, 1, OWN_TABLE, Slot(first.0 + 3), 0)?;
    let free = lab.memory().info()?;
    let four = lab
        .memory()
        .retype(Kind::Endpoint, 0, 4, OWN_TABLE, first, 0);
    refused!(four, SlotOccupied);
    for slot in [0, 256, 255 - 1, u32::MAX] {
        let two = lab
            .memory()
            .retype(Kind::Endpoint, 0, 3, OWN_TABLE, Slot(slot), 0);
        refused!(two, NoCapability);
    }
    let far = [1 << 16 | Kind::Endpoint as u64, 1, u64::MAX, 0];
    refused!(invoke(lab.memory().0, untyped::RETYPE, far), NoCapability);
    refused!(OWN_TABLE.identify(first, Slot(0)), NoCapability);
    same!(lab.memory().info()?, free);
    Ok(())
}

/// An Untyped makes only what its rights allow, and gives no child more.
pub fn untyped_rights(lab: &mut Lab) -> Outcome {
    let (child, slot) = (Untyped(lab.slot()), lab.slot());
    for (rights, allowed) in [
        (untyped::MEMORY, Kind::Frame),
        (untyped::OBJECTS, Kind::Endpoint),
        (untyped::SPACES, Kind::Space),
    ] {
        let table = OWN_TABLE;
        lab.memory()
            .retype(Kind::Untyped, 16, 1, table, child.0, rights)?;
        for kind in [Kind::Frame, Kind::Endpoint, Kind::Space, Kind::Thread] {
            let bits = if kind == Kind::Space { 15 } else { 12 };
            let made = child.retype(kind, bits, 1, OWN_TABLE, slot, 0);
            let is_object = kind == Kind::Thread && allowed == Kind::Endpoint;
            let expected = (kind != allowed && !is_object).then_some(Error::MissingRight);
            same!(made.err(), expected);
            OWN_TABLE.delete(slot)?;
        }
        let wider = child.retype(Kind::Untyped, 12, 1, OWN_TABLE, slot, untyped::ALL);
        refused!(wider, MissingRight);
        OWN_TABLE.delete(child.0)?;
    }
    Ok(())
}

/// There are 4,095 Space ids; they come back when Spaces go.
pub fn space_ids(lab: &mut Lab) -> Outcome {
    let small = Untyped(lab.make(Kind::Untyped, 15)?);
    let (slot, frame) = (lab.slot(), lab.frame()?);
    for _ in 0..4200 {
        small.retype(Kind::Space, 15, 1, OWN_TABLE, slot, 0)?;
        let space = libsys::object::Space(slot);
        // It stays "mapped" in a Space that is gone, whose id is used again: the generation tells.
        space.map(frame, raw::WINDOW, frame::READ, space::WRITE_BACK)?;
        OWN_TABLE.delete(slot)?;
        refused!(lab.space.unmap(frame), NotMapped);
    }
    Ok(())
}

/// Memory that was used is zero when it is used again.
pub fn zeroed(lab: &mut Lab) -> Outcome {
    let small = Untyped(lab.make(Kind::Untyped, 16)?);
    let slot = lab.slot();
    for _ in 0..3 {
        for i in 0..4 {
            small.retype(Kind::Frame, 12, 1, OWN_TABLE, Slot(slot.0 + i), 0)?;
            let page = lab.map(Frame(Slot(slot.0 + i)), i as u64)?;
            for offset in (0..PAGE).step_by(8) {
                same!(raw::read(page + offset), 0);
                raw::write(page + offset, u64::MAX);
            }
        }
        for i in 0..4 {
            OWN_TABLE.delete(Slot(slot.0 + i))?;
        }
    }
    check!(small.info()?.0 == 1 << 16);
    Ok(())
}
