//! Devices: Irq, IoPorts.

use abi::{
    Error, Rights,
    object::{endpoint as endpoint_right, ioports as ioports_op, irq as irq_op},
};

use super::{Answer, Results, answer, value};
use crate::{
    Kernel, arch,
    endpoint::Endpoint,
    irq::{self, Irq},
    object::{named, need},
    raw::Ref,
    slot::SlotRef,
    thread::ThreadRef,
};

pub(super) fn irq(
    kernel: &mut Kernel,
    thread: ThreadRef,
    target: Ref<Irq>,
    rights: Rights,
    label: u32,
) -> Answer {
    match label {
        irq_op::BIND => {
            need(rights, irq_op::BIND_RIGHT)?;
            let [endpoint, badge, ..] = thread.frame().words();
            let endpoint = thread.slot(endpoint)?;
            named::<Endpoint>(endpoint, endpoint_right::RECV)?;
            irq::bind(kernel, target, endpoint, badge)?;
        }
        irq_op::ACK => {
            need(rights, irq_op::ACK_RIGHT)?;
            irq::acknowledge(kernel, target);
        }
        irq_op::RAISE => {
            need(rights, irq_op::RAISE_RIGHT)?;
            if let Some(receiver) = irq::fire(kernel, target) {
                kernel.make_ready(receiver);
            }
        }
        irq_op::INFO => {
            let (address, data) = match target.source.get() {
                irq::Source::Message { vector } => arch::apic::message(vector),
                _ => (0, 0),
            };
            return answer(thread, [address, data, 0, 0]);
        }
        _ => return Err(Error::InvalidOperation),
    }
    Ok(Results::Zero)
}

pub(super) fn ioports(thread: ThreadRef, slot: SlotRef, label: u32) -> Answer {
    let right = match label {
        ioports_op::IN | ioports_op::IN_BLOCK => ioports_op::IN_RIGHT,
        _ => ioports_op::OUT_RIGHT,
    };
    need(slot.rights(), right)?;
    let [port, width, argument, _] = thread.frame().words();
    let (base, count) = (slot.data() & 0xffff, slot.data() >> 16);
    let inside = port.checked_add(width).is_some_and(|end| port >= base && end <= base + count);
    if !matches!(width, 1 | 2 | 4) || !inside {
        return Err(Error::InvalidArgument);
    }
    let port = port as u16;
    match label {
        ioports_op::IN => return value(thread, arch::port::read(port, width)),
        ioports_op::OUT => arch::port::write(port, width, argument),
        ioports_op::IN_BLOCK | ioports_op::OUT_BLOCK => {
            if argument.checked_mul(width).is_none_or(|bytes| bytes > ioports_op::BLOCK as u64) {
                return Err(Error::InvalidArgument);
            }
            arch::port::block(
                port,
                width,
                argument,
                thread.block_address(),
                label == ioports_op::IN_BLOCK,
            );
        }
        _ => return Err(Error::InvalidOperation),
    }
    Ok(Results::Zero)
}
