//! Memory: Untyped, CapTable, Space, Frame.

use abi::{
    Error, Kind, Rights,
    object::{
        captable as table_op, endpoint as endpoint_right, frame as frame_op, space as space_op,
        untyped as untyped_op,
    },
};

use super::{Answer, Results, answer, value};
use crate::{
    Kernel, captable,
    endpoint::Endpoint,
    lifetime::{self, Budget},
    object::{check, named, need},
    raw::Ref,
    slot::{Flags, SlotRef},
    space::{self, Space},
    thread::ThreadRef,
    tree,
    untyped::{self, Request},
};

pub(super) fn untyped(kernel: &mut Kernel, thread: ThreadRef, slot: SlotRef, label: u32) -> Answer {
    let [what, table, first, rights] = thread.frame().words();
    match label {
        untyped_op::RETYPE => {
            let table = thread.slot(table)?;
            check(table, Kind::CapTable, table_op::WRITE)?;
            untyped::retype(kernel, slot, table, first, Request::decode(what, rights)?)?;
            Ok(Results::Zero)
        }
        untyped_op::INFO => {
            let (free, size) = untyped::info(slot);
            answer(thread, [free, size, 0, 0])
        }
        _ => Err(Error::InvalidOperation),
    }
}

pub(super) fn captable(
    kernel: &mut Kernel,
    thread: ThreadRef,
    table: SlotRef,
    label: u32,
) -> Answer {
    let looks = matches!(label, table_op::IDENTIFY | table_op::MESSAGES);
    let right = if looks { table_op::INSPECT } else { table_op::WRITE };
    need(table.rights(), right)?;
    let [index, source, rights, word] = thread.frame().words();
    let slot = captable::slot_at(table, index)?;
    match label {
        table_op::DERIVE => captable::derive(thread.slot(source)?, slot, rights as Rights, word)?,
        table_op::MOVE => {
            let from = thread.slot(source)?;
            if from.is_empty() || from.flags().contains(Flags::DYING) {
                return Err(Error::NoCapability);
            }
            if !slot.is_empty() {
                return Err(Error::SlotOccupied);
            }
            tree::relink(from, slot);
        }
        table_op::DELETE => lifetime::delete(kernel, slot, &mut Budget::new())?,
        table_op::REVOKE => lifetime::revoke(kernel, slot, &mut Budget::new())?,
        table_op::IDENTIFY => {
            let own = if source == 0 { None } else { Some(thread.slot(source)?) };
            if let Some(own) = own {
                check(own, Kind::Endpoint, endpoint_right::RECV)?;
            }
            return answer(thread, captable::identify(slot, own)?);
        }
        table_op::MESSAGES => {
            let endpoint: Ref<Endpoint> = named(slot, endpoint_right::RECV)?;
            return value(thread, endpoint.messages());
        }
        _ => return Err(Error::InvalidOperation),
    }
    Ok(Results::Zero)
}

pub(super) fn space(
    kernel: &mut Kernel,
    thread: ThreadRef,
    target: Ref<Space>,
    rights: Rights,
    label: u32,
) -> Answer {
    need(rights, space_op::MAP_RIGHT)?;
    let [frame, address, rights, _] = thread.frame().words();
    match label {
        space_op::MAP => {
            space::map(kernel, target, thread.slot(frame)?, address, rights as Rights, rights >> 8)?
        }
        space_op::UNMAP => {
            let frame = thread.slot(frame)?;
            check(frame, Kind::Frame, 0)?;
            space::unmap(kernel, target, frame)?;
        }
        space_op::INFO => return value(thread, target.tables_free() as u64),
        _ => return Err(Error::InvalidOperation),
    }
    Ok(Results::Zero)
}

pub(super) fn frame(thread: ThreadRef, slot: SlotRef, label: u32) -> Answer {
    need(slot.rights(), frame_op::ADDRESS)?;
    if label == frame_op::PHYSICAL {
        value(thread, slot.object())
    } else {
        Err(Error::InvalidOperation)
    }
}
