//! Kernel objects answer at once: one function a kind, one arm an operation.
//!
//! The operation is the label, its arguments and its results are the four words.

mod device;
mod memory;
mod system;
mod thread;

use abi::{Error, Kind, object::reply as reply_op};

use crate::{
    Kernel,
    endpoint::Reply,
    ipc,
    object::{Object, of},
    raw::Ref,
    slot::{Flags, SlotRef},
    thread::ThreadRef,
    usermem::{self, Direction, Lease, Side},
};

type Words = [u64; 4];
/// What an operation that succeeded returns to the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Results {
    /// Zeros, which are not in its frame yet: the operation may have been the end of the thread.
    Zero,
    /// What is in its frame.
    InFrame,
}

type Answer = Result<Results, Error>;

fn answer(thread: ThreadRef, words: Words) -> Answer {
    thread.frame().set_message(0, 0, 0, words);
    Ok(Results::InFrame)
}

fn value(thread: ThreadRef, w0: u64) -> Answer {
    answer(thread, [w0, 0, 0, 0])
}

/// Invokes the object a slot names.
#[inline(always)]
pub fn object(kernel: &mut Kernel, thread: ThreadRef, slot: SlotRef, label: u32) -> Answer {
    if slot.flags().contains(Flags::DYING) {
        return Err(Error::NoCapability);
    }
    let rights = slot.rights();
    match slot.kind() {
        Kind::Empty => Err(Error::NoCapability),
        Kind::Untyped => memory::untyped(kernel, thread, slot, label),
        Kind::CapTable => memory::captable(kernel, thread, slot, label),
        Kind::Thread => thread::thread(kernel, thread, target(slot)?, rights, label),
        Kind::Space => memory::space(kernel, thread, target(slot)?, rights, label),
        Kind::Frame => memory::frame(thread, slot, label),
        Kind::Endpoint => Err(Error::InvalidOperation),
        Kind::Reply => reply(kernel, thread, target(slot)?, label),
        Kind::Irq => device::irq(kernel, thread, target(slot)?, rights, label),
        Kind::IoPorts => device::ioports(thread, slot, label),
        Kind::System => system::system(kernel, thread, slot, label),
    }
}

/// The object a slot names, whose kind decided who is asked.
#[inline(always)]
fn target<T: Object>(slot: SlotRef) -> Result<Ref<T>, Error> {
    of(slot).ok_or(Error::WrongKind)
}

/// Invokes the current caller (index 0), as if it were a Reply object.
pub fn caller(thread: ThreadRef, label: u32) -> Answer {
    lease(thread, thread.caller().ok_or(Error::NoCaller)?, label)
}

fn reply(kernel: &mut Kernel, thread: ThreadRef, reply: Ref<Reply>, label: u32) -> Answer {
    if label == reply_op::DEFER {
        ipc::defer(kernel, thread, reply)?;
        return Ok(Results::Zero);
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
                Direction::FromLender => {
                    (usermem::copy(lender_root, lent, own_root, own, length), Side::From)
                }
                Direction::ToLender => {
                    (usermem::copy(own_root, own, lender_root, lent, length), Side::To)
                }
            };
            // The count of bytes moved comes back even with an error.
            let status = copied.result.map_or_else(|side| side.error(lender) as u64, |()| 0);
            thread.frame().set_message(status, 0, 0, [copied.moved, 0, 0, 0]);
            Ok(Results::InFrame)
        }
        reply_op::LEASE_INFO => {
            if index >= client.lease_count.get() as u64 {
                return Err(Error::LeaseBounds);
            }
            value(thread, client.leases[index as usize].get().bits)
        }
        _ => Err(Error::InvalidOperation),
    }
}
