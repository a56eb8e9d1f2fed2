//! How capabilities and objects end: delete, revoke, and tables emptied step by step.
//!
//! Removal is leaf-first, so an object dies when no other capability to it exists. Every entry does a bounded amount
//! of work ([`Budget`]) and says `Again` if something is left; the tree is well-formed in between.

use abi::{Error, Kind};

use crate::{
    Kernel, captable,
    captable::Owner,
    endpoint::{Endpoint, Reply},
    ipc,
    irq::{self, Irq},
    mem, object,
    raw::Ref,
    slot::{Capability, Flags, SlotRef},
    space,
    space::Space,
    thread::{self, Holder, Owed, ThreadRef, ThreadState},
    tree,
};

/// Work left in this entry, counted in empty slots passed.
pub struct Budget {
    work: u32,
}

/// What one entry may do: 16 capabilities destroyed, or 400 empty slots passed, or a mixture. Both at once would add up;
/// the bench id `kernel.longest_section` says what the worst mixture costs.
const WORK: u32 = 400;
/// A capability counts as much as so many empty slots. The worst is a thread in a queue, with a deadline, that owes an answer.
const CAPABILITY: u32 = 25;

impl Budget {
    /// What one entry may do.
    pub(crate) const fn new() -> Self {
        Self { work: WORK }
    }

    fn take(&mut self) -> Result<(), Error> {
        self.spend(CAPABILITY)
    }

    fn pass(&mut self) -> Result<(), Error> {
        self.spend(1)
    }

    fn spend(&mut self, work: u32) -> Result<(), Error> {
        self.work = self.work.checked_sub(work).ok_or(Error::Again)?;
        Ok(())
    }
}

/// Removes everything derived from a slot.
pub fn revoke(kernel: &mut Kernel, slot: SlotRef, budget: &mut Budget) -> Result<(), Error> {
    while let Some(leaf) = tree::leaf_below(slot) {
        if is_dying_table(leaf) {
            // It holds memory of this very Untyped until it is empty.
            drain(kernel, budget)?;
        } else {
            destroy(kernel, leaf, budget)?;
        }
    }
    drain(kernel, budget)
}

/// Removes a capability and everything derived from it; an original takes its object along.
pub fn delete(kernel: &mut Kernel, slot: SlotRef, budget: &mut Budget) -> Result<(), Error> {
    if is_name(slot) && !tree::has_children(slot) {
        budget.take()?;
        tree::remove(slot);
    } else {
        remove(kernel, slot, budget)?;
    }
    if kernel.dying.is_some() {
        drain(kernel, budget)?;
    }
    Ok(())
}

fn remove(kernel: &mut Kernel, slot: SlotRef, budget: &mut Budget) -> Result<(), Error> {
    if slot.is_empty() {
        return Ok(());
    }
    if slot.flags().contains(Flags::ORIGINAL) {
        slot.mark_dying();
    }
    while let Some(leaf) = tree::leaf_below(slot) {
        if is_dying_table(leaf) {
            tree::move_up(leaf, slot);
        } else {
            destroy(kernel, leaf, budget)?;
        }
    }
    destroy(kernel, slot, budget)
}

/// The node of a table that is being emptied: it lies in the table's own slot 0.
fn is_dying_table(slot: SlotRef) -> bool {
    slot.kind() == Kind::CapTable && slot.object() == slot.address()
}

/// Empties the tables on the `dying` list.
pub fn drain(kernel: &mut Kernel, budget: &mut Budget) -> Result<(), Error> {
    // The head is read anew for each slot: a table inside this one joins the list before it.
    while let Some(header) = kernel.dying {
        let progress = Progress::of(header);
        if progress.cursor >= 1 << header.extra() {
            kernel.dying = progress.next;
            tree::remove(header);
            continue;
        }
        let slot = captable::slot_at(header, progress.cursor as u64)?;
        if slot.is_empty() {
            budget.pass()?;
            Progress { cursor: progress.cursor + 1, ..progress }.store(header);
        } else {
            remove(kernel, slot, budget)?;
        }
    }
    Ok(())
}

/// How far a dying table is emptied, and which one is next: kept in the header's `data`.
struct Progress {
    cursor: u32,
    next: Option<SlotRef>,
}

impl Progress {
    fn of(header: SlotRef) -> Self {
        let link = header.data() as u32;
        // SAFETY: `store` writes the physical address of another dying table's header, which stays until it is empty.
        let next =
            (link != 0).then(|| unsafe { Ref::from_address(mem::to_virtual((link as u64) << 5)) });
        Self { cursor: (header.data() >> 32) as u32, next }
    }

    fn store(self, header: SlotRef) {
        let link = self.next.map_or(0, |next| next.physical() >> 5);
        header.set_data((self.cursor as u64) << 32 | link);
    }
}

/// Destroys a capability from which nothing descends any more.
fn destroy(kernel: &mut Kernel, slot: SlotRef, budget: &mut Budget) -> Result<(), Error> {
    budget.take()?;
    if !is_name(slot) {
        let gone = end(kernel, slot, budget)?;
        if !gone {
            return Ok(());
        }
    }
    tree::remove(slot);
    Ok(())
}

/// A capability that can go without a trace: it is no object's life, hook or mapping.
#[inline]
fn is_name(slot: SlotRef) -> bool {
    !slot.flags().intersects(Flags::EMBEDDED | Flags::ORIGINAL)
        && !matches!(slot.kind(), Kind::Frame | Kind::Empty)
}

/// What a capability that is more than a name leaves behind ends with it. Says whether the slot can be emptied now.
fn end(kernel: &mut Kernel, slot: SlotRef, budget: &mut Budget) -> Result<bool, Error> {
    let cap = slot.get();
    if cap.flags.contains(Flags::EMBEDDED) {
        unhook(kernel, slot, cap);
    } else if cap.kind == Kind::Frame {
        space::unmap_frame(kernel, slot);
    } else if cap.flags.contains(Flags::ORIGINAL) {
        match cap.kind {
            Kind::CapTable => {
                let header = captable::header(cap.object);
                tree::relink(slot, header);
                header.mark_dying();
                Progress { cursor: 1, next: kernel.dying }.store(header);
                kernel.dying = Some(header);
                return Ok(false);
            }
            Kind::Endpoint => {
                slot.mark_dying();
                if let Some(endpoint) = object::of(slot) {
                    abandon(kernel, endpoint, budget)?;
                }
            }
            Kind::Thread => {
                if let Some(thread) = object::of(slot) {
                    end_thread(kernel, thread);
                }
            }
            Kind::Space => {
                if let Some(space) = object::of::<Space>(slot) {
                    space::destroy(kernel, space);
                }
            }
            Kind::Reply => {
                if let Some(caller) = object::of::<Reply>(slot).and_then(|reply| reply.caller.get())
                {
                    ipc::cancel(kernel, caller, Error::PartnerDied);
                }
            }
            Kind::Irq => {
                if let Some(irq) = object::of(slot) {
                    irq::destroy(kernel, irq);
                }
            }
            Kind::Empty | Kind::Untyped | Kind::Frame | Kind::IoPorts | Kind::System => {}
        }
    }
    Ok(true)
}

/// An embedded capability goes: its owner forgets what it cached from it.
fn unhook(kernel: &mut Kernel, slot: SlotRef, cap: Capability) {
    if cap.kind == Kind::Endpoint && cap.extra == Owner::Irq as u32 {
        // SAFETY: the slot lies inside a live Irq, which is aligned to its size.
        irq::unbound(unsafe { Ref::<Irq>::from_address(slot.address() & !(irq::SIZE - 1)) });
        return;
    }
    // SAFETY: the slot lies inside a live Thread, which is aligned to its size.
    let thread: ThreadRef =
        unsafe { Ref::from_address((slot.address() & !(thread::SIZE - 1)) + thread::OFFSET) };
    match cap.kind {
        Kind::CapTable => {
            thread.set_table(0, 0);
        }
        Kind::Space => {
            space::unmap_buffer(kernel, thread);
            kernel.leave_space(thread);
        }
        _ => {}
    }
}

/// Takes an embedded capability out of the tree; its owner goes or is about to get another.
pub fn drop_embedded(slot: SlotRef) {
    if !slot.is_empty() {
        tree::remove(slot);
    }
}

/// Everybody who waits at a dying endpoint hears about it.
fn abandon(kernel: &mut Kernel, endpoint: Ref<Endpoint>, budget: &mut Budget) -> Result<(), Error> {
    while let Some(waiter) = endpoint.first_sender().or(endpoint.first_receiver()) {
        budget.take()?;
        ipc::cancel(kernel, waiter, Error::PartnerDied);
    }
    Ok(())
}

/// A thread goes.
fn end_thread(kernel: &mut Kernel, thread: ThreadRef) {
    ipc::stop_waiting(kernel, thread);
    kernel.make_unready(thread);
    thread.set_state(ThreadState::Inactive);
    match thread.owed() {
        Owed::Caller(caller) => {
            debug_assert!(matches!(
                caller.state(),
                ThreadState::AwaitingReply { from: Holder::Thread(_) }
            ));
            ipc::cancel(kernel, caller, Error::PartnerDied);
        }
        Owed::Irq(irq) => irq::orphan(irq),
        Owed::Nothing => {}
    }
    unconfigure(kernel, thread);
    kernel.forget(thread);
}

/// Takes away what CONFIGURE gave.
pub fn unconfigure(kernel: &mut Kernel, thread: ThreadRef) {
    space::unmap_buffer(kernel, thread);
    for slot in [thread.table_slot(), thread.space_slot(), thread.fault_slot()] {
        drop_embedded(slot);
    }
    thread.set_table(0, 0);
    kernel.leave_space(thread);
}
