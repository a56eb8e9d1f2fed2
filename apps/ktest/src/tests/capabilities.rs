//! Capabilities: derive, mint, move, delete, revoke, identify, count messages.

use crate::lab::{ENDPOINT, HIGH, Lab};
use crate::outcome::{Failure, Outcome};
use crate::{check, refused, same};
use abi::object::*;
use abi::{Error, Kind};
use alloc::vec::Vec;
use libsys::lease::Lease;
use libsys::object::{CapTable, Frame, Irq, OWN_TABLE, Space, Thread, Untyped};
use libsys::syscall::{self, Answer, Slot, invoke};

/// One object of each kind that can be derived, and all its rights.
fn one_of_each(lab: &mut Lab) -> Result<[(Slot, u8); 6], Failure> {
    Ok([
        (lab.make(Kind::CapTable, 4)?, captable::ALL),
        (lab.make(Kind::Thread, 0)?, thread::ALL),
        (lab.make(Kind::Space, 15)?, space::ALL),
        (lab.make(Kind::Frame, 12)?, frame::ALL),
        (lab.make(Kind::Endpoint, 0)?, endpoint::ALL),
        (lab.make(Kind::Irq, 0)?, irq::ALL),
    ])
}

/// A derived capability has the rights asked for, of those the source has, and no other.
pub fn fewer_rights(lab: &mut Lab) -> Outcome {
    let (child, grandchild) = (lab.slot(), lab.slot());
    for (slot, all) in one_of_each(lab)? {
        for rights in 0..=all {
            OWN_TABLE.derive(child, slot, rights, 0)?;
            same!(OWN_TABLE.identify(child, Slot(0))?.rights, rights);
            for wider in 0..=all {
                let derived = OWN_TABLE.derive(grandchild, child, wider, 0);
                let allowed = wider & !rights == 0;
                same!(derived.err(), (!allowed).then_some(Error::MissingRight));
                OWN_TABLE.delete(grandchild)?;
            }
            OWN_TABLE.delete(child)?;
        }
        refused!(OWN_TABLE.derive(child, slot, all + 1, 0), MissingRight);
        refused!(OWN_TABLE.derive(child, slot, u8::MAX, 0), MissingRight);
    }
    Ok(())
}

/// Each operation is refused to a capability that has all rights but the one it needs.
pub fn rights_are_needed(lab: &mut Lab) -> Outcome {
    let [table, thread, space, frame, endpoint, irq] = one_of_each(lab)?.map(|(slot, _)| slot);
    let mut without = |slot, all: u8, right: u8| lab.copy(slot, all & !right, 0);
    let t = CapTable(without(table, captable::ALL, captable::WRITE)?);
    refused!(t.derive(Slot(1), endpoint, 0, 0), MissingRight);
    refused!(t.move_from(Slot(1), endpoint), MissingRight);
    refused!(t.delete(Slot(1)), MissingRight);
    refused!(t.revoke(Slot(1)), MissingRight);
    let t = CapTable(without(table, captable::ALL, captable::INSPECT)?);
    t.derive(Slot(1), endpoint, 0, 0)?;
    refused!(t.identify(Slot(1), Slot(0)), MissingRight);
    refused!(t.messages(Slot(1)), MissingRight);
    let t = Thread(without(thread, thread::ALL, thread::CONTROL)?);
    refused!(t.start(), MissingRight);
    refused!(t.suspend(), MissingRight);
    refused!(t.cancel(), MissingRight);
    refused!(t.priority(0, 0), MissingRight);
    refused!(t.info(), MissingRight);
    refused!(
        t.configure(OWN_TABLE, Space(space), Slot(0), 0x1000),
        MissingRight
    );
    let t = Thread(without(thread, thread::ALL, thread::REGISTERS)?);
    refused!(t.read_registers(), MissingRight);
    refused!(t.write_registers(&Default::default()), MissingRight);
    let s = Space(without(space, space::ALL, space::MAP_RIGHT)?);
    refused!(s.map(Frame(frame), 0x1000, frame::READ, 0), MissingRight);
    refused!(s.unmap(Frame(frame)), MissingRight);
    refused!(s.tables_free(), MissingRight);
    refused!(
        Thread(thread).configure(OWN_TABLE, s, Slot(0), 0x1000),
        MissingRight
    );
    for right in [frame::READ, frame::WRITE, frame::EXEC] {
        let f = Frame(without(frame, frame::ALL, right)?);
        refused!(
            Space(space).map(f, 0x1000, right | frame::READ, 0),
            MissingRight
        );
    }
    let f = Frame(without(frame, frame::ALL, frame::ADDRESS)?);
    refused!(f.physical(), MissingRight);
    let e = without(endpoint, endpoint::ALL, endpoint::CALL)?;
    refused!(syscall::call(e, 0, [0; 4]).check(), MissingRight);
    refused!(
        Thread(thread).configure(OWN_TABLE, Space(space), e, 0x1000),
        MissingRight
    );
    let e = without(endpoint, endpoint::ALL, endpoint::RECV)?;
    refused!(syscall::recv(e).check(), MissingRight);
    refused!(Irq(irq).bind(e, 1), MissingRight);
    refused!(OWN_TABLE.identify(endpoint, e), MissingRight);
    refused!(OWN_TABLE.messages(e), MissingRight);
    let i = Irq(without(irq, irq::ALL, irq::BIND_RIGHT)?);
    refused!(i.bind(endpoint, 1), MissingRight);
    let i = Irq(without(irq, irq::ALL, irq::ACK_RIGHT)?);
    refused!(i.acknowledge(), MissingRight);
    let i = Irq(without(irq, irq::ALL, irq::RAISE_RIGHT)?);
    refused!(i.raise(), MissingRight);
    let u = lab.memory();
    let read_only = CapTable(lab.copy(table, captable::INSPECT, 0)?);
    refused!(
        u.retype(Kind::Endpoint, 0, 1, read_only, Slot(2), 0),
        MissingRight
    );
    Ok(())
}

/// Untyped and Reply are moved, never copied.
pub fn not_derivable(lab: &mut Lab) -> Outcome {
    let slot = lab.slot();
    for kind in [Kind::Untyped, Kind::Reply] {
        let original = lab.make(kind, 12)?;
        refused!(OWN_TABLE.derive(slot, original, 0, 0), NotDerivable);
        OWN_TABLE.move_from(slot, original)?;
        same!(OWN_TABLE.identify(slot, Slot(0))?.kind, kind);
        refused!(OWN_TABLE.identify(original, Slot(0)), NoCapability);
        OWN_TABLE.delete(slot)?;
    }
    Ok(())
}

/// A badge is set once, by who has MINT; callers cannot choose it; IDENTIFY tells it to the receiver alone.
pub fn badges(lab: &mut Lab) -> Outcome {
    let (endpoint, other) = (lab.endpoint()?, lab.endpoint()?);
    let badged = lab.copy(endpoint, ENDPOINT, 0xdead_beef_0000_0007)?;
    let slot = lab.slot();
    refused!(
        OWN_TABLE.derive(slot, badged, endpoint::CALL, 8),
        MissingRight
    );
    let unminted = lab.copy(endpoint, endpoint::CALL, 0)?;
    refused!(
        OWN_TABLE.derive(slot, unminted, endpoint::CALL, 8),
        MissingRight
    );
    // A copy without a new badge keeps the old one.
    let copy = lab.copy(badged, endpoint::CALL, 0)?;
    same!(
        OWN_TABLE.identify(copy, endpoint)?.badge,
        Some(0xdead_beef_0000_0007)
    );
    same!(OWN_TABLE.identify(endpoint, endpoint)?.badge, Some(0));
    same!(OWN_TABLE.identify(copy, other)?.badge, None);
    same!(OWN_TABLE.identify(copy, Slot(0))?.badge, None);
    refused!(OWN_TABLE.identify(copy, lab.memory().0), WrongKind);
    lab.spawn(HIGH, move || {
        let mut message = syscall::recv(endpoint);
        loop {
            message = syscall::reply_recv(endpoint, 0, [message.badge, 0, 0, 0]);
        }
    })?;
    same!(
        syscall::call(copy, 0, [0; 4]).check()?.words[0],
        0xdead_beef_0000_0007
    );
    same!(syscall::call(unminted, 0, [0; 4]).check()?.words[0], 0);
    Ok(())
}

/// An endpoint counts what it delivered, on the fast path and on the slow one, for whoever may receive there.
pub fn messages(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let called = lab.copy(endpoint, endpoint::CALL, 0)?;
    let count = || OWN_TABLE.messages(endpoint);
    same!(count()?, 0);
    // Nobody waits there yet: it is not delivered.
    refused!(
        syscall::call_until(called, 0, [0; 4], Lease::NONE, 1).check(),
        TimedOut
    );
    same!(count()?, 0);
    lab.spawn(HIGH, move || {
        let mut message = syscall::recv(endpoint);
        loop {
            message = syscall::reply_recv(endpoint, 0, message.words);
        }
    })?;
    for number in 1..=10 {
        syscall::call(called, 0, [0; 4]).check()?;
        same!(count()?, number);
    }
    refused!(OWN_TABLE.messages(called), MissingRight);
    refused!(OWN_TABLE.messages(lab.memory().0), WrongKind);
    refused!(OWN_TABLE.messages(lab.slot()), NoCapability);
    Ok(())
}

/// A moved capability keeps its place in the tree.
pub fn moving(lab: &mut Lab) -> Outcome {
    let a = lab.endpoint()?;
    let b = lab.copy(a, ENDPOINT, 0)?;
    let c = lab.copy(b, ENDPOINT, 0)?;
    let far = lab.table(4)?;
    far.move_from(Slot(5), b)?;
    refused!(OWN_TABLE.identify(b, Slot(0)), NoCapability);
    refused!(far.move_from(Slot(6), b), NoCapability);
    refused!(far.move_from(Slot(5), c), SlotOccupied);
    refused!(OWN_TABLE.move_from(c, c), SlotOccupied);
    far.revoke(Slot(5))?;
    refused!(OWN_TABLE.identify(c, Slot(0)), NoCapability);
    far.identify(Slot(5), Slot(0))?;
    OWN_TABLE.revoke(a)?;
    refused!(far.identify(Slot(5), Slot(0)), NoCapability);
    // An original may be moved too: the object lives on.
    far.move_from(Slot(7), a)?;
    same!(far.identify(Slot(7), Slot(0))?.rights, ENDPOINT);
    Ok(())
}

/// The tree has 32 levels.
pub fn too_deep(lab: &mut Lab) -> Outcome {
    let first = lab.slots(40);
    lab.memory()
        .retype(Kind::Endpoint, 0, 1, OWN_TABLE, first, 0)?;
    let derive = |i| OWN_TABLE.derive(Slot(first.0 + i + 1), Slot(first.0 + i), ENDPOINT, 0);
    let depth = (0..39).take_while(|i| derive(*i).is_ok()).count() as u32;
    check!((20..32).contains(&depth));
    refused!(derive(depth), TooDeep);
    // An object whose embedded capability would be too deep is refused as well.
    let deepest = Slot(first.0 + depth);
    refused!(lab.irq()?.bind(deepest, 1), TooDeep);
    let (thread, area) = lab.thread()?;
    refused!(
        thread.configure(OWN_TABLE, lab.space, deepest, area),
        TooDeep
    );
    OWN_TABLE.delete(Slot(first.0 + 1))?;
    refused!(OWN_TABLE.identify(deepest, Slot(0)), NoCapability);
    Ok(())
}

/// Deleting takes all that was derived along; revoking leaves the capability itself.
pub fn descendants(lab: &mut Lab) -> Outcome {
    let a = lab.endpoint()?;
    let children: Vec<Slot> = (0..4)
        .map(|_| lab.copy(a, ENDPOINT, 0))
        .collect::<Result<_, _>>()?;
    let grandchild = lab.copy(children[1], ENDPOINT, 0)?;
    let gone = |slot| OWN_TABLE.identify(slot, Slot(0)).is_err();
    OWN_TABLE.delete(children[1])?;
    check!(gone(children[1]) && gone(grandchild));
    check!(!gone(children[0]) && !gone(children[2]) && !gone(children[3]) && !gone(a));
    OWN_TABLE.revoke(a)?;
    check!(children.iter().all(|slot| gone(*slot)) && !gone(a));
    OWN_TABLE.revoke(a)?;
    OWN_TABLE.delete(a)?;
    OWN_TABLE.delete(a)?;
    OWN_TABLE.revoke(a)?;
    Ok(())
}

/// One REVOKE ends thousands, in steps that let interrupts through.
pub fn many(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let table = lab.table(12)?;
    for slot in 1..4096 {
        table.derive(Slot(slot), endpoint, ENDPOINT, slot as u64)?;
    }
    let once = syscall::call(OWN_TABLE.0, captable::REVOKE, [endpoint.0 as u64, 0, 0, 0]);
    refused!(once.check(), Again);
    OWN_TABLE.revoke(endpoint)?;
    refused!(table.identify(Slot(4095), Slot(0)), NoCapability);
    Ok(())
}

/// A table goes with all it contains, tables included.
pub fn nested_tables(lab: &mut Lab) -> Outcome {
    let free = lab.memory().info()?;
    let outer = lab.table(8)?;
    let mut inner = lab.slots(4);
    for i in 1..40 {
        lab.memory()
            .retype(Kind::CapTable, 7, 1, OWN_TABLE, inner, 0)?;
        for slot in 1..20 {
            lab.memory()
                .retype(Kind::Endpoint, 0, 1, CapTable(inner), Slot(slot), 0)?;
        }
        outer.move_from(Slot(i), inner)?;
    }
    inner = lab.slot();
    OWN_TABLE.derive(inner, outer.0, captable::ALL, 0)?;
    OWN_TABLE.delete(outer.0)?;
    refused!(CapTable(inner).identify(Slot(1), Slot(0)), NoCapability);
    // Memory made before them is still in use, so it is not given back, but the tables are gone.
    check!(lab.memory().info()?.0 < free.0);
    Ok(())
}

/// Tables whose originals lie in each other, and in themselves: one revoke ends them.
pub fn tables_that_contain_each_other(lab: &mut Lab) -> Outcome {
    let memory = Untyped(lab.make(Kind::Untyped, 16)?);
    let [a, b, c] = [lab.slot(), lab.slot(), lab.slot()];
    for slot in [a, b, c] {
        memory.retype(Kind::CapTable, 5, 1, OWN_TABLE, slot, 0)?;
        // A way in that stays when the original moves.
    }
    let [to_a, to_b, to_c] = [lab.slot(), lab.slot(), lab.slot()];
    for (copy, table) in [(to_a, a), (to_b, b), (to_c, c)] {
        OWN_TABLE.derive(copy, table, captable::ALL, 0)?;
    }
    CapTable(to_a).move_from(Slot(3), b)?;
    CapTable(to_b).move_from(Slot(3), a)?;
    CapTable(to_c).move_from(Slot(3), c)?;
    check!(memory.info()?.0 < 1 << 16);
    OWN_TABLE.revoke(memory.0)?;
    same!(memory.info()?.0, 1 << 16);
    refused!(OWN_TABLE.identify(to_a, Slot(0)), NoCapability);
    refused!(OWN_TABLE.identify(to_c, Slot(0)), NoCapability);
    Ok(())
}

/// Indices outside tables.
pub fn bounds(lab: &mut Lab) -> Outcome {
    let table = lab.table(4)?;
    let endpoint = lab.endpoint()?;
    for index in [0, 16, 17, 255, 1 << 16, u32::MAX] {
        refused!(table.derive(Slot(index), endpoint, 0, 0), NoCapability);
        refused!(table.move_from(Slot(index), endpoint), NoCapability);
        refused!(table.delete(Slot(index)), NoCapability);
        refused!(table.revoke(Slot(index)), NoCapability);
        refused!(table.identify(Slot(index), Slot(0)), NoCapability);
    }
    for index in [256, 1 << 16, u32::MAX] {
        refused!(table.derive(Slot(1), Slot(index), 0, 0), NoCapability);
        refused!(table.move_from(Slot(1), Slot(index)), NoCapability);
        refused!(syscall::call(Slot(index), 0, [0; 4]).check(), NoCapability);
        refused!(syscall::recv(Slot(index)).check(), NoCapability);
    }
    for index in [1 << 32, 1 << 63, u64::MAX, 1 << 32 | endpoint.0 as u64] {
        let words = [1, index, 0, 0];
        refused!(invoke(table.0, captable::DERIVE, words), NoCapability);
        let words = [index, endpoint.0 as u64, 0, 0];
        refused!(invoke(table.0, captable::DERIVE, words), NoCapability);
    }
    refused!(syscall::recv(Slot(0)).check(), NoCapability);
    table.derive(Slot(15), endpoint, 0, 0)?;
    Ok(())
}

/// Every operation on every object of another kind.
pub fn wrong_kinds(lab: &mut Lab) -> Outcome {
    let objects = one_of_each(lab)?;
    let reply = lab.reply()?.0;
    let endpoint = objects[4].0;
    for (slot, _) in objects {
        let kind = OWN_TABLE.identify(slot, Slot(0))?.kind;
        // An Endpoint's operations are its server's business.
        if kind != Kind::Endpoint {
            refused!(invoke(slot, 99, [1, 0, 0, 0]), InvalidOperation);
            refused!(syscall::recv(slot).check(), WrongKind);
            refused!(OWN_TABLE.identify(endpoint, slot), WrongKind);
            refused!(Irq(objects[5].0).bind(slot, 0), WrongKind);
        }
        if kind != Kind::CapTable {
            let retype = lab
                .memory()
                .retype(Kind::Endpoint, 0, 1, CapTable(slot), Slot(1), 0);
            refused!(retype, WrongKind);
            let configure = Thread(objects[1].0).configure(CapTable(slot), lab.space, Slot(0), 0);
            refused!(configure, WrongKind);
        }
        if kind != Kind::Frame {
            refused!(
                lab.space.map(Frame(slot), 0x1000, frame::READ, 0),
                WrongKind
            );
            refused!(lab.space.unmap(Frame(slot)), WrongKind);
        }
        if kind != Kind::Space {
            let configure = Thread(objects[1].0).configure(OWN_TABLE, Space(slot), Slot(0), 0);
            refused!(configure, WrongKind);
        }
        let via = syscall::reply_via(slot, Answer::new(0, [0; 4]));
        refused!(via.check(), WrongKind);
    }
    refused!(invoke(reply, 99, [0; 4]), NoCaller);
    refused!(invoke(Slot(0), reply::DEFER, [0; 4]), NoCaller);
    Ok(())
}
