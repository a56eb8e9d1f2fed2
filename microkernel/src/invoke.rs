//! Kernel objects answer at once: one function a kind, one arm an operation.

use abi::{
    Error, Kind, Rights,
    fault::Registers,
    object::{
        captable as table_op, endpoint as endpoint_right, frame, ioports, irq as irq_op,
        reply as reply_op,
    },
    object::{space as space_op, system, thread as thread_op, untyped as untyped_op},
};

use crate::{
    Kernel, arch, captable,
    captable::Owner,
    endpoint::{Endpoint, Reply},
    ipc::{self, Outcome},
    irq::{self, Irq},
    lifetime::{self, Budget},
    log,
    object::{check, named},
    raw::Ref,
    slot::{Capability, Flags, SlotRef},
    space::{self, Space},
    thread::{Owed, Thread, ThreadRef, ThreadState},
    trace::Record,
    tree,
    untyped::{self, Request},
    usermem::{self, Direction, Lease, Side},
};

type Answer = Result<Outcome, Error>;
const DONE: Answer = Ok(Outcome::Done([0; 4]));

fn value(w0: u64) -> Answer {
    Ok(Outcome::Done([w0, 0, 0, 0]))
}

/// Invokes the object a slot names.
pub fn object(kernel: &mut Kernel, thread: ThreadRef, slot: SlotRef, label: u32) -> Answer {
    if slot.flags().contains(Flags::DYING) {
        return Err(Error::NoCapability);
    }
    match slot.kind() {
        Kind::Empty => Err(Error::NoCapability),
        Kind::Untyped => on_untyped(kernel, thread, slot, label),
        Kind::CapTable => on_captable(kernel, thread, slot, label),
        Kind::Thread => on_thread(kernel, thread, slot, label),
        Kind::Space => on_space(kernel, thread, slot, label),
        Kind::Frame => on_frame(slot, label),
        Kind::Endpoint => Err(Error::InvalidOperation),
        Kind::Reply => on_reply(kernel, thread, named(slot, 0)?, label),
        Kind::Irq => on_irq(kernel, thread, slot, label),
        Kind::IoPorts => on_ioports(thread, slot, label),
        Kind::System => on_system(kernel, thread, slot, label),
    }
}

/// Invokes the current caller (index 0), as if it were a Reply object.
pub fn caller(_kernel: &mut Kernel, thread: ThreadRef, label: u32) -> Answer {
    let Owed::Caller(client) = thread.debt() else {
        return Err(Error::NoCaller);
    };
    lease(thread, client, label)
}

fn on_reply(kernel: &mut Kernel, thread: ThreadRef, reply: Ref<Reply>, label: u32) -> Answer {
    if label == reply_op::DEFER {
        ipc::defer(kernel, thread, reply)?;
        return DONE;
    }
    lease(thread, reply.caller.get().ok_or(Error::NoCaller)?, label)
}

fn lease(thread: ThreadRef, client: ThreadRef, label: u32) -> Answer {
    let [index, offset, own, length] = thread.frame().words();
    match label {
        reply_op::LEASE_READ | reply_op::LEASE_WRITE => {
            let length = length.min(abi::COPY_LIMIT);
            let direction = Direction::from_label(label);
            let lent = Lease::of(client, index, direction, offset, length)?;
            let (own_root, lender_root) = (thread.cr3.get(), client.cr3.get());
            let (copied, lender) = match direction {
                Direction::FromLender => (
                    usermem::copy(lender_root, lent, own_root, own, length),
                    Side::From,
                ),
                Direction::ToLender => (
                    usermem::copy(own_root, own, lender_root, lent, length),
                    Side::To,
                ),
            };
            // The count of bytes moved comes back even with an error.
            let status = copied
                .result
                .map_or_else(|side| side.error(lender) as u64, |()| 0);
            thread
                .frame()
                .set_message(status, 0, 0, [copied.moved, 0, 0, 0]);
            Ok(Outcome::Written)
        }
        reply_op::LEASE_INFO => {
            if index >= client.lease_count.get() as u64 {
                return Err(Error::LeaseBounds);
            }
            value(client.leases[index as usize].get().bits)
        }
        _ => Err(Error::InvalidOperation),
    }
}

fn on_untyped(kernel: &mut Kernel, thread: ThreadRef, slot: SlotRef, label: u32) -> Answer {
    let [what, table, first, rights] = thread.frame().words();
    match label {
        untyped_op::RETYPE => {
            let table = thread.slot(table)?;
            check(table, Kind::CapTable, table_op::WRITE)?;
            untyped::retype(kernel, slot, table, first, Request::decode(what, rights)?)?;
            DONE
        }
        untyped_op::INFO => {
            let (free, size) = untyped::info(slot);
            Ok(Outcome::Done([free, size, 0, 0]))
        }
        _ => Err(Error::InvalidOperation),
    }
}

fn on_captable(kernel: &mut Kernel, thread: ThreadRef, table: SlotRef, label: u32) -> Answer {
    let right = if label == table_op::IDENTIFY {
        table_op::INSPECT
    } else {
        table_op::WRITE
    };
    check(table, Kind::CapTable, right)?;
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
            let own = if source == 0 {
                None
            } else {
                Some(thread.slot(source)?)
            };
            if let Some(own) = own {
                check(own, Kind::Endpoint, endpoint_right::RECV)?;
            }
            return Ok(Outcome::Done(captable::identify(slot, own)?));
        }
        _ => return Err(Error::InvalidOperation),
    }
    DONE
}

fn on_thread(kernel: &mut Kernel, thread: ThreadRef, slot: SlotRef, label: u32) -> Answer {
    let right = match label {
        thread_op::READ_REGISTERS | thread_op::WRITE_REGISTERS => thread_op::REGISTERS,
        _ => thread_op::CONTROL,
    };
    let target: Ref<Thread> = named(slot, right)?;
    let words = thread.frame().words();
    match label {
        thread_op::CONFIGURE => configure(kernel, thread, target, words)?,
        thread_op::PRIORITY => {
            let [priority, ceiling, ..] = words;
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
            target.set_owed(target.owed());
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
        thread_op::READ_REGISTERS => {
            for (index, word) in target
                .frame()
                .registers()
                .to_words()
                .into_iter()
                .enumerate()
            {
                thread.set_word(4 + index, word);
            }
        }
        thread_op::WRITE_REGISTERS => {
            if target.state() != ThreadState::Inactive {
                return Err(Error::BadState);
            }
            let registers = core::array::from_fn(|index| thread.word(4 + index));
            target
                .frame()
                .set_registers(&Registers::from_words(registers))?;
        }
        thread_op::INFO => {
            let state = target.state_number() as u64;
            return Ok(Outcome::Done([
                state,
                target.paid.get(),
                target.stopped_by.get(),
                0,
            ]));
        }
        _ => return Err(Error::InvalidOperation),
    }
    DONE
}

fn configure(
    kernel: &mut Kernel,
    thread: ThreadRef,
    target: ThreadRef,
    words: [u64; 4],
) -> Result<(), Error> {
    let [table, space, fault, buffer] = words;
    if target.state() != ThreadState::Inactive {
        return Err(Error::BadState);
    }
    let table = thread.slot(table)?;
    check(table, Kind::CapTable, 0)?;
    let space_slot = thread.slot(space)?;
    let space: Ref<Space> = named(space_slot, space_op::MAP_RIGHT)?;
    let fault = if fault == 0 {
        None
    } else {
        Some(thread.slot(fault)?)
    };
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
    target.cr3.set(space.cr3());
    Ok(())
}

fn on_space(kernel: &mut Kernel, thread: ThreadRef, slot: SlotRef, label: u32) -> Answer {
    let target: Ref<Space> = named(slot, space_op::MAP_RIGHT)?;
    let [frame, address, rights, _] = thread.frame().words();
    match label {
        space_op::MAP => space::map(
            kernel,
            target,
            thread.slot(frame)?,
            address,
            rights as Rights,
            rights >> 8,
        )?,
        space_op::UNMAP => {
            let frame = thread.slot(frame)?;
            check(frame, Kind::Frame, 0)?;
            if space::mapping(kernel, frame).is_none_or(|(space, _)| space != target) {
                return Err(Error::NotMapped);
            }
            space::unmap(kernel, frame)?;
        }
        space_op::INFO => return value(target.tables_free() as u64),
        _ => return Err(Error::InvalidOperation),
    }
    DONE
}

fn on_frame(slot: SlotRef, label: u32) -> Answer {
    check(slot, Kind::Frame, frame::ADDRESS)?;
    if label == frame::PHYSICAL {
        value(slot.object())
    } else {
        Err(Error::InvalidOperation)
    }
}

fn on_irq(kernel: &mut Kernel, thread: ThreadRef, slot: SlotRef, label: u32) -> Answer {
    let right = match label {
        irq_op::BIND => irq_op::BIND_RIGHT,
        irq_op::ACK => irq_op::ACK_RIGHT,
        irq_op::RAISE => irq_op::RAISE_RIGHT,
        _ => 0,
    };
    let target: Ref<Irq> = named(slot, right)?;
    let [endpoint, badge, ..] = thread.frame().words();
    match label {
        irq_op::BIND => {
            let endpoint = thread.slot(endpoint)?;
            named::<Endpoint>(endpoint, endpoint_right::RECV)?;
            irq::bind(target, endpoint, badge)?;
        }
        irq_op::ACK => irq::acknowledge(kernel, target),
        irq_op::RAISE => {
            if let Some(receiver) = irq::fire(kernel, target) {
                kernel.make_ready(receiver);
            }
        }
        irq_op::INFO => {
            let (address, data) = match target.source.get() {
                irq::Source::Message { vector } => arch::apic::message(vector),
                _ => (0, 0),
            };
            return Ok(Outcome::Done([address, data, 0, 0]));
        }
        _ => return Err(Error::InvalidOperation),
    }
    DONE
}

fn on_ioports(thread: ThreadRef, slot: SlotRef, label: u32) -> Answer {
    let right = match label {
        ioports::IN | ioports::IN_BLOCK => ioports::IN_RIGHT,
        _ => ioports::OUT_RIGHT,
    };
    check(slot, Kind::IoPorts, right)?;
    let [port, width, argument, _] = thread.frame().words();
    let (base, count) = (slot.data() & 0xffff, slot.data() >> 16);
    let inside = port
        .checked_add(width)
        .is_some_and(|end| port >= base && end <= base + count);
    if !matches!(width, 1 | 2 | 4) || !inside {
        return Err(Error::InvalidArgument);
    }
    let port = port as u16;
    match label {
        ioports::IN => return value(arch::port::read(port, width)),
        ioports::OUT => arch::port::write(port, width, argument),
        ioports::IN_BLOCK | ioports::OUT_BLOCK => {
            if argument
                .checked_mul(width)
                .is_none_or(|bytes| bytes > ioports::BLOCK as u64)
            {
                return Err(Error::InvalidArgument);
            }
            arch::port::block(
                port,
                width,
                argument,
                thread.block_address(),
                label == ioports::IN_BLOCK,
            );
        }
        _ => return Err(Error::InvalidOperation),
    }
    DONE
}

fn on_system(kernel: &mut Kernel, thread: ThreadRef, slot: SlotRef, label: u32) -> Answer {
    let [first, second, third, _] = thread.frame().words();
    match label {
        system::IRQ_ATTACH => irq::attach(kernel, named(thread.slot(first)?, 0)?, second, third)?,
        system::DEVICE_FRAME => device_frame(slot, thread.slot(third)?, first, second)?,
        system::IO_PORTS => {
            if second == 0 || first.checked_add(second).is_none_or(|end| end > 0x1_0000) {
                return Err(Error::InvalidArgument);
            }
            let cap = Capability {
                object: slot.object(),
                data: first | second << 16,
                kind: Kind::IoPorts,
                rights: ioports::ALL,
                flags: Flags::empty(),
                extra: 0,
            };
            make(slot, thread.slot(third)?, cap)?;
        }
        system::LOG => {
            let (count, position) =
                log::read(first, |index, word| thread.set_word(4 + index, word));
            return Ok(Outcome::Done([count, position, 0, 0]));
        }
        system::LOG_WRITE => {
            let length = first as usize;
            if length > log::CHUNK {
                return Err(Error::InvalidArgument);
            }
            log::append(length, |index| thread.word(4 + index));
        }
        system::LOG_QUIET => log::set_quiet(),
        system::TRACE => return trace(kernel, thread, first),
        system::TRACE_SWITCH => {
            kernel.trace.set_on(first != 0);
            arch::cpu::set_fast_path(first == 0 && kernel.fast_path);
        }
        system::NUMBER => {
            let target: Ref<Thread> = named(thread.slot(first)?, 0)?;
            return value(target.physical());
        }
        system::INFO => {
            return Ok(Outcome::Done([
                kernel.tsc_hz,
                kernel.boot_time,
                kernel.idle.paid.get(),
                kernel.longest_section,
            ]));
        }
        _ => return Err(Error::InvalidOperation),
    }
    DONE
}

/// Writes events from `position` on to the message buffer.
fn trace(kernel: &Kernel, thread: ThreadRef, position: u64) -> Answer {
    let first = kernel.trace.get(position).map_or(position, |(at, _)| at);
    let mut count = 0;
    while count < system::TRACE_BLOCK as u64
        && let Some((_, record)) = kernel.trace.get(first + count)
    {
        for (index, word) in record.to_words().into_iter().enumerate() {
            thread.set_word(4 + count as usize * Record::WORDS + index, word);
        }
        count += 1;
    }
    Ok(Outcome::Done([count, first, 0, 0]))
}

/// Fills an empty slot with a child of System.
fn make(system: SlotRef, slot: SlotRef, cap: Capability) -> Result<(), Error> {
    if !slot.is_empty() {
        return Err(Error::SlotOccupied);
    }
    tree::insert_child(system, slot)?;
    slot.set(cap);
    Ok(())
}

fn device_frame(system: SlotRef, slot: SlotRef, physical: u64, bits: u64) -> Result<(), Error> {
    if bits != 12 && bits != 21 {
        return Err(Error::InvalidArgument);
    }
    let size = 1u64 << bits;
    if !physical.is_multiple_of(size) || physical.checked_add(size).is_none_or(|end| end > 1 << 52)
    {
        return Err(Error::InvalidAddress);
    }
    if arch::is_protected(physical, size) {
        return Err(Error::InvalidAddress);
    }
    let mut flags = Flags::DEVICE;
    flags.set(Flags::LARGE, bits == 21);
    let rights = captable::DEVICE_FRAME;
    make(
        system,
        slot,
        Capability {
            object: physical,
            data: 0,
            kind: Kind::Frame,
            rights,
            flags,
            extra: 0,
        },
    )
}
