//! Traps: a fault is a message to the thread's fault endpoint, an interrupt one to the endpoint it is bound to.

use abi::{Tag, USER_END, fault, tag::Flags};

use crate::{
    Kernel, arch, ipc, irq, log, object,
    thread::{ThreadRef, ThreadState},
    timer,
    trace::Event,
};

/// Vector of the local APIC's timer.
pub const TIMER_VECTOR: u8 = bootinfo::shim::DEADLINE_VECTOR;
/// Vector of interrupts that were gone before they could be delivered (SDM 3A 11.9).
pub const SPURIOUS_VECTOR: u8 = 255;

/// The running thread trapped, or an interrupt arrived while it (or nobody) ran.
#[inline(always)]
pub fn handle(kernel: &mut Kernel, vector: u8) {
    let thread = kernel.enter();
    match vector {
        0..32 => exception(kernel, thread, vector),
        _ => interrupt(kernel, thread, vector),
    }
}

/// Whoever runs afterwards is the most urgent.
#[inline(always)]
fn interrupt(kernel: &mut Kernel, interrupted: ThreadRef, vector: u8) {
    if let Some(irq) = kernel.vectors.get(vector) {
        kernel.trace.record(Event::Interrupt, vector as u64, interrupted.address());
        // A level line is masked by now: at the end of its interrupt it would only interrupt once more.
        let receiver = irq::fire(kernel, irq);
        arch::apic::end_of_interrupt();
        if let Some(receiver) = receiver {
            kernel.preempt(receiver);
        }
    } else if vector != SPURIOUS_VECTOR {
        arch::apic::end_of_interrupt();
        if vector == TIMER_VECTOR {
            timer::fired(kernel);
            kernel.leave(kernel.current());
        }
    }
}

#[inline(never)]
fn exception(kernel: &mut Kernel, thread: ThreadRef, vector: u8) {
    kernel.trace.record(Event::Trap, thread.address(), vector as u64);
    thread.fault_address.set(if vector as u64 == fault::PAGE_FAULT {
        arch::cpu::fault_address()
    } else {
        0
    });
    let slot = thread.fault_slot();
    match object::named(slot, abi::object::endpoint::CALL) {
        Ok(endpoint) => {
            thread.badge.set(slot.data());
            ipc::send_fault(kernel, thread, endpoint);
        }
        Err(_) => {
            stop(thread);
            log!(
                "thread {:#x} stopped: exception {}, error {:#x}, address {:#x}, rip {:#x}, and no fault endpoint",
                thread.address(),
                u64::from(vector),
                thread.frame().error.get(),
                thread.fault_address.get(),
                thread.frame().rip.get()
            );
        }
    }
    kernel.leave(kernel.current());
}

fn stop(thread: ThreadRef) {
    thread.set_state(ThreadState::Inactive);
    thread.stopped_by.set(thread.frame().vector.get() & 0xff | 1 << 8);
}

/// Writes the message about a thread's fault.
#[inline(never)]
pub fn deliver(sender: ThreadRef, server: ThreadRef) {
    let frame = sender.frame();
    frame.store_registers(server.block_address());
    let low = (fault::EXTRA as u64) << 8 | Flags::FAULT.bits() as u64;
    let cause = frame.vector.get() & 0xff | frame.error.get() << 32;
    let words = [cause, sender.fault_address.get(), frame.rip.get(), frame.rsp.get()];
    server.frame().set_message(low, sender.badge.get(), 0, words);
}

/// Whether a reply to a fault can be carried out.
pub fn check_answer(server: ThreadRef, tag: Tag) -> Result<(), abi::Error> {
    let [_, _, rip, _] = server.frame().words();
    if tag.extra() == fault::EXTRA && rip >= USER_END {
        Err(abi::Error::InvalidAddress)
    } else {
        Ok(())
    }
}

/// Resumes or stops a thread whose fault was answered; Some if it is Ready now.
#[inline(never)]
pub fn answer(client: ThreadRef, server: ThreadRef, tag: Tag) -> Option<ThreadRef> {
    if tag.label() != fault::RESUME {
        stop(client);
        return None;
    }
    if tag.extra() == fault::EXTRA {
        let [_, _, rip, rsp] = server.frame().words();
        // `check_answer` saw the same RIP.
        client.frame().load_registers(rip, rsp, server.block_address());
    }
    client.set_state(ThreadState::Ready);
    Some(client)
}
