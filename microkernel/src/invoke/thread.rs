//! Threads.

use abi::{
    Error, Kind, Rights,
    fault::Registers,
    object::{endpoint as endpoint_right, space as space_op, thread as thread_op},
};

use super::{Answer, Results, answer};
use crate::{
    Kernel, captable,
    captable::Owner,
    ipc, lifetime,
    object::{check, named, need},
    raw::Ref,
    space::{self, Space},
    thread::{Owed, Thread, ThreadFlags, ThreadRef, ThreadState},
    tree,
};

pub(super) fn thread(
    kernel: &mut Kernel,
    thread: ThreadRef,
    target: Ref<Thread>,
    rights: Rights,
    label: u32,
) -> Answer {
    let right = match label {
        thread_op::READ_REGISTERS | thread_op::WRITE_REGISTERS => thread_op::REGISTERS,
        _ => thread_op::CONTROL,
    };
    need(rights, right)?;
    match label {
        thread_op::CONFIGURE => configure(kernel, thread, target)?,
        thread_op::PRIORITY => {
            let [priority, ceiling, ..] = thread.frame().words();
            let limit = thread.ceiling.get() as u64;
            if priority > limit || ceiling > limit {
                return Err(Error::AboveCeiling);
            }
            target.base.set(priority as i32);
            target.ceiling.set(ceiling as u8);
            let served = match target.owed() {
                Owed::Caller(client) => client.priority.get(),
                _ => 0,
            };
            kernel.set_priority(target, served.max(priority as i32));
            // Whether the fast path may answer depends on the priority.
            if target.is_in_turn() {
                target.set_owed(target.owed());
            }
        }
        thread_op::START => {
            if target.state() != ThreadState::Inactive {
                return Err(Error::BadState);
            }
            target.stopped_by.set(0);
            target.set_state(ThreadState::Ready);
            kernel.make_ready(target);
        }
        thread_op::SUSPEND => ipc::suspend(kernel, target),
        thread_op::CANCEL => ipc::cancel(kernel, target, Error::Cancelled),
        thread_op::READ_REGISTERS => thread.store_words(4, &target.frame().registers().to_words()),
        thread_op::WRITE_REGISTERS => {
            if target.state() != ThreadState::Inactive {
                return Err(Error::BadState);
            }
            target.frame().set_registers(&Registers::from_words(thread.load_words()))?;
        }
        thread_op::FLAGS => {
            let [fpu, traced, ..] = thread.frame().words();
            if fpu > 1 || traced > 1 {
                return Err(Error::InvalidArgument);
            }
            if target.state() != ThreadState::Inactive {
                return Err(Error::BadState);
            }
            let mut flags = ThreadFlags::empty();
            flags.set(ThreadFlags::FPU, fpu == 1);
            flags.set(ThreadFlags::TRACED, traced == 1);
            target.set_flags(flags);
        }
        thread_op::INFO => {
            let state = target.state_number() as u64;
            return answer(thread, [state, target.paid.get(), target.stopped_by.get(), 0]);
        }
        _ => return Err(Error::InvalidOperation),
    }
    Ok(Results::Zero)
}

fn configure(kernel: &mut Kernel, thread: ThreadRef, target: ThreadRef) -> Result<(), Error> {
    let [table, space, fault, buffer] = thread.frame().words();
    if target.state() != ThreadState::Inactive {
        return Err(Error::BadState);
    }
    let table = thread.slot(table)?;
    check(table, Kind::CapTable, 0)?;
    let space_slot = thread.slot(space)?;
    let space: Ref<Space> = named(space_slot, space_op::MAP_RIGHT)?;
    let fault = if fault == 0 { None } else { Some(thread.slot(fault)?) };
    if let Some(fault) = fault {
        check(fault, Kind::Endpoint, endpoint_right::CALL)?;
        tree::check_depth(fault)?;
    }
    tree::check_depth(table)?;
    tree::check_depth(space_slot)?;
    lifetime::unconfigure(kernel, target);
    // The one step that may still fail comes first; the thread is then without configuration, as it was made.
    space::map_buffer(space, target, buffer)?;
    target.buffer.set(buffer);
    captable::embed(table, target.table_slot(), None, Owner::Thread)?;
    captable::embed(space_slot, target.space_slot(), None, Owner::Thread)?;
    if let Some(fault) = fault {
        captable::embed(fault, target.fault_slot(), None, Owner::Thread)?;
    }
    target.set_table(table.object(), 1 << table.extra());
    target.cr3.set(space.cr3.get());
    Ok(())
}
