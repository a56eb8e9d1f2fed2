//! Interrupts as messages (KERNEL.md B6).
//!
//! An Irq is Idle, Pending at its endpoint, or Delivered to a receiver that has not acknowledged it yet. What fires
//! meanwhile is counted, not queued: nobody can be flooded.

use core::{cell::Cell, ops::Range};

use abi::Error;

use crate::{
    Kernel, arch, captable,
    endpoint::Endpoint,
    ipc, lifetime, object,
    queue::{Link, Linked},
    raw::Ref,
    slot::{Slot, SlotRef},
    thread::{Owed, ThreadRef, ThreadState},
    trace::Event,
};

/// Bytes of an Irq.
pub const SIZE: u64 = 128;

/// Unacknowledged firings after which an edge line is masked.
const STORM: u64 = 64;

/// Where an interrupt comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Software only (RAISE).
    None,
    /// A line of an IO-APIC.
    Line {
        /// Global system interrupt.
        gsi: u32,
        /// Level triggered: masked from delivery to acknowledgement.
        level: bool,
        /// Vector it arrives at.
        vector: u8,
    },
    /// A message.
    Message {
        /// Vector it arrives at.
        vector: u8,
    },
}

/// How far an interrupt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Progress {
    /// Nothing happened.
    Idle = 0,
    /// Queued at the endpoint.
    Pending,
    /// Received, not acknowledged.
    Delivered,
}

/// An interrupt object.
#[repr(C, align(128))]
pub struct Irq {
    /// The endpoint it is bound to; child of the slot named at BIND. Its badge is the message's.
    pub endpoint_slot: Slot,
    link: Link<Irq>,
    /// Where it comes from.
    pub source: Cell<Source>,
    /// How far it has come.
    pub progress: Cell<Progress>,
    /// Firings since the last delivery.
    pub count: Cell<u64>,
    /// Who owes its acknowledgement.
    pub(crate) owner: Cell<Option<ThreadRef>>,
    /// The line is masked at the IO-APIC.
    pub(crate) masked: Cell<bool>,
}

const _: () = assert!(size_of::<Irq>() == SIZE as usize);

impl Linked for Irq {
    fn link(&self) -> &Link<Self> {
        &self.link
    }
}

impl Irq {
    /// Unbound, without a source.
    pub(crate) const fn new() -> Self {
        Self {
            endpoint_slot: Slot::EMPTY,
            link: Link::new(),
            source: Cell::new(Source::None),
            progress: Cell::new(Progress::Idle),
            count: Cell::new(0),
            owner: Cell::new(None),
            masked: Cell::new(true),
        }
    }
}

impl Ref<Irq> {
    /// Its embedded slot.
    pub fn endpoint_slot(self) -> SlotRef {
        // SAFETY: a field of a live object; it is unlinked before the object goes.
        unsafe { Ref::from_address(&raw const self.endpoint_slot as u64) }
    }

    fn endpoint(self) -> Option<Ref<Endpoint>> {
        object::of(self.endpoint_slot())
    }

    fn set_masked(self, masked: bool) {
        if let Source::Line { gsi, .. } = self.source.get() {
            arch::ioapic::set_masked(gsi, masked);
        }
        self.masked.set(masked);
    }
}

/// An interrupt fired. Returns the receiver that it made Ready, which the kernel does not run yet.
#[must_use]
pub fn fire(kernel: &mut Kernel, irq: Ref<Irq>) -> Option<ThreadRef> {
    irq.count.set(irq.count.get() + 1);
    if let Source::Line { level, .. } = irq.source.get()
        && (level || irq.count.get() >= STORM)
    {
        irq.set_masked(true);
    }
    if irq.progress.get() == Progress::Idle { announce(kernel, irq) } else { None }
}

/// Delivers an Idle interrupt to a waiting receiver, or queues it.
fn announce(kernel: &mut Kernel, irq: Ref<Irq>) -> Option<ThreadRef> {
    let endpoint = irq.endpoint()?;
    match ipc::take_receiver(kernel, endpoint) {
        Some(receiver) => {
            deliver(kernel, irq, receiver);
            receiver.set_state(ThreadState::Ready);
            Some(receiver)
        }
        None => {
            irq.progress.set(Progress::Pending);
            endpoint.add_pending(irq);
            None
        }
    }
}

/// Hands an interrupt to a receiver, which owes the acknowledgement.
pub fn deliver(kernel: &mut Kernel, irq: Ref<Irq>, receiver: ThreadRef) {
    let badge = irq.endpoint_slot.data();
    kernel.trace.record_message(Event::Wake, badge, receiver.address());
    irq.progress.set(Progress::Delivered);
    irq.owner.set(Some(receiver));
    receiver.set_owed(Owed::Irq(irq));
    receiver.transfer.set(0);
    let count = irq.count.replace(0);
    receiver.frame().set_message(
        abi::tag::Flags::INTERRUPT.bits() as u64,
        badge,
        0,
        [count, 0, 0, 0],
    );
}

/// The receiver is done with it, or somebody else is: it may fire again.
pub fn acknowledge(kernel: &mut Kernel, irq: Ref<Irq>) {
    if irq.progress.get() != Progress::Delivered {
        return;
    }
    settle_debt(irq);
    irq.progress.set(Progress::Idle);
    if irq.masked.get() || irq.count.get() > 0 {
        unmask(kernel, irq);
    }
}

/// It was masked, or fired, while it was not acknowledged.
fn unmask(kernel: &mut Kernel, irq: Ref<Irq>) {
    if irq.masked.get() && irq.endpoint().is_some() {
        irq.set_masked(false);
    }
    if irq.count.get() > 0
        && let Some(receiver) = announce(kernel, irq)
    {
        kernel.make_ready(receiver);
    }
}

/// Nobody owes its acknowledgement any more.
fn settle_debt(irq: Ref<Irq>) {
    if let Some(owner) = irq.owner.take() {
        owner.owe_no_interrupt();
    }
}

/// Its receiver goes: it stays unacknowledged.
pub fn orphan(irq: Ref<Irq>) {
    irq.owner.set(None);
}

/// Binds it: from now on it is a message to that endpoint.
pub fn bind(kernel: &mut Kernel, irq: Ref<Irq>, slot: SlotRef, badge: u64) -> Result<(), Error> {
    if irq.endpoint().is_some() {
        return Err(Error::BadState);
    }
    captable::embed(slot, irq.endpoint_slot(), Some(badge), captable::Owner::Irq)?;
    irq.set_masked(false);
    // What fired while nobody was there to hear it is not lost.
    if irq.progress.get() == Progress::Idle && irq.count.get() > 0 {
        unmask(kernel, irq);
    }
    Ok(())
}

/// The endpoint went away (or is about to): unbound and masked.
pub fn unbound(irq: Ref<Irq>) {
    if irq.progress.get() == Progress::Pending {
        if let Some(endpoint) = irq.endpoint() {
            endpoint.remove_pending(irq);
        }
        irq.progress.set(Progress::Idle);
    }
    irq.set_masked(true);
}

/// The object goes: nothing refers to it afterwards.
pub fn destroy(kernel: &mut Kernel, irq: Ref<Irq>) {
    unbound(irq);
    settle_debt(irq);
    lifetime::drop_embedded(irq.endpoint_slot());
    match irq.source.replace(Source::None) {
        Source::Line { vector, gsi, .. } => {
            arch::ioapic::detach(gsi);
            kernel.vectors.release(vector);
        }
        Source::Message { vector } => kernel.vectors.release(vector),
        Source::None => {}
    }
}

/// Connects it to hardware.
pub fn attach(kernel: &mut Kernel, irq: Ref<Irq>, source: u64, trigger: u64) -> Result<(), Error> {
    use abi::object::system;
    if irq.source.get() != Source::None {
        return Err(Error::Busy);
    }
    if trigger & !(system::LEVEL | system::ACTIVE_LOW) != 0 {
        return Err(Error::InvalidArgument);
    }
    if source == system::MSI {
        let vector = kernel.vectors.allocate(irq)?;
        irq.source.set(Source::Message { vector });
        return Ok(());
    }
    let gsi = u32::try_from(source).map_err(|_| Error::InvalidArgument)?;
    if !arch::ioapic::exists(gsi) {
        return Err(Error::InvalidArgument);
    }
    if kernel.vectors.line_taken(gsi) {
        return Err(Error::Busy);
    }
    let vector = kernel.vectors.allocate(irq)?;
    let level = trigger & system::LEVEL != 0;
    irq.source.set(Source::Line { gsi, level, vector });
    arch::ioapic::attach(gsi, vector, level, trigger & system::ACTIVE_LOW != 0);
    // The line is masked now; that ends with BIND, or with the acknowledgement that is owed.
    let idle = irq.progress.get() != Progress::Delivered;
    irq.set_masked(irq.endpoint().is_none() || !idle);
    Ok(())
}

/// Vectors of Irq objects: 0-31 are exceptions, 32-47 left to the masked legacy controller, the last 16 to the local APIC.
pub const VECTORS: Range<usize> = 48..240;

/// Which vector belongs to which Irq.
pub struct Vectors([Option<Ref<Irq>>; 256]);

impl Vectors {
    /// All free.
    pub(crate) const fn new() -> Self {
        Self([None; 256])
    }

    /// The interrupt at a vector.
    pub fn get(&self, vector: u8) -> Option<Ref<Irq>> {
        self.0[vector as usize]
    }

    fn allocate(&mut self, irq: Ref<Irq>) -> Result<u8, Error> {
        let free = |&vector: &usize| self.0[vector].is_none();
        let vector = VECTORS.clone().find(free).ok_or(Error::OutOfIds)?;
        self.0[vector] = Some(irq);
        Ok(vector as u8)
    }

    fn release(&mut self, vector: u8) {
        self.0[vector as usize] = None;
    }

    fn line_taken(&self, wanted: u32) -> bool {
        self.0
            .iter()
            .flatten()
            .any(|irq| matches!(irq.source.get(), Source::Line { gsi, .. } if gsi == wanted))
    }
}
