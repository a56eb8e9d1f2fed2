//! The machine itself.

use abi::{
    Error, Kind,
    object::{ioports, system as system_op},
};

use super::{Answer, Results, answer, value};
use crate::{
    Kernel, arch, captable, irq, log,
    object::named,
    raw::Ref,
    slot::{Capability, Flags, SlotRef},
    thread::{Thread, ThreadRef},
    trace::Record,
    tree,
};

pub(super) fn system(kernel: &mut Kernel, thread: ThreadRef, slot: SlotRef, label: u32) -> Answer {
    let [first, second, third, _] = thread.frame().words();
    match label {
        system_op::IRQ_ATTACH => {
            irq::attach(kernel, named(thread.slot(first)?, 0)?, second, third)?
        }
        system_op::DEVICE_FRAME => device_frame(slot, thread.slot(third)?, first, second)?,
        system_op::IO_PORTS => {
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
        system_op::LOG => {
            let (count, position) =
                log::read(first, |index, word| thread.set_word(4 + index, word));
            return answer(thread, [count, position, 0, 0]);
        }
        system_op::LOG_WRITE => {
            let length = first as usize;
            if length > log::CHUNK {
                return Err(Error::InvalidArgument);
            }
            log::append(length, |index| thread.word(4 + index));
        }
        system_op::LOG_QUIET => log::set_quiet(),
        system_op::TRACE => return trace(kernel, thread, first),
        system_op::TRACE_SWITCH => {
            kernel.trace.set_on(first != 0);
            arch::cpu::set_fast_path(first == 0 && kernel.fast_path);
        }
        system_op::NUMBER => {
            let target: Ref<Thread> = named(thread.slot(first)?, 0)?;
            return value(thread, target.address());
        }
        system_op::INFO => {
            return answer(
                thread,
                [kernel.tsc_hz, kernel.boot_time, kernel.idle.paid.get(), kernel.longest_section],
            );
        }
        _ => return Err(Error::InvalidOperation),
    }
    Ok(Results::Zero)
}

/// Writes events from `position` on to the message buffer.
fn trace(kernel: &Kernel, thread: ThreadRef, position: u64) -> Answer {
    let first = kernel.trace.get(position).map_or(position, |(at, _)| at);
    let mut count = 0;
    while count < system_op::TRACE_BLOCK as u64
        && let Some((_, record)) = kernel.trace.get(first + count)
    {
        thread.store_words(4 + count as usize * Record::WORDS, &record.to_words());
        count += 1;
    }
    answer(thread, [count, first, 0, 0])
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
        Capability { object: physical, data: 0, kind: Kind::Frame, rights, flags, extra: 0 },
    )
}
