//! Looks into a kernel: every capability and object there is, and whether they are as the specification demands.

use std::collections::{HashMap, HashSet};

use abi::{Kind, object::endpoint};
use microkernel::{
    Kernel,
    endpoint::{Endpoint, Reply},
    irq::{Irq, Progress},
    object::{self, Object},
    raw::Ref,
    slot::{Flags, SlotRef},
    thread::{self, Holder, Owed, Sent, Thread, ThreadRef, ThreadState},
};

/// What is wrong.
pub type Complaint = String;

macro_rules! demand {
    ($condition:expr, $($text:tt)*) => {
        if !$condition {
            return Err(format!($($text)*));
        }
    };
}
pub(crate) use demand;

/// The object of a live world at a physical address.
pub fn at<T: Object>(address: u64) -> Ref<T> {
    // SAFETY: the tests name objects that the model, or the kernel's own tree, says are alive.
    unsafe { Ref::from_address(address + T::OFFSET) }
}

/// Physical address of a thread's object.
pub fn name(thread: ThreadRef) -> u64 {
    thread.address() - Thread::OFFSET
}

/// All there is, found from any slot that is in use.
pub struct Census {
    /// Every capability in the order of the tree.
    pub slots: Vec<SlotRef>,
    pub threads: Vec<ThreadRef>,
    pub endpoints: Vec<Ref<Endpoint>>,
    pub replies: Vec<Ref<Reply>>,
    pub irqs: Vec<Ref<Irq>>,
}

impl Census {
    /// Walks the tree and checks its shape.
    pub fn take(any: SlotRef) -> Result<Self, Complaint> {
        let mut first = any;
        while let Some(previous) = first.previous() {
            first = previous;
        }
        let mut census = Self {
            slots: Vec::new(),
            threads: Vec::new(),
            endpoints: Vec::new(),
            replies: Vec::new(),
            irqs: Vec::new(),
        };
        let mut next = Some(first);
        let mut before: Option<SlotRef> = None;
        while let Some(slot) = next {
            demand!(slot.previous() == before, "links of {slot:?} are not symmetric");
            let limit = before.map_or(0, |before| before.depth() + 1);
            demand!(
                slot.depth() <= limit && slot.depth() < 32,
                "{slot:?} is at depth {} after {limit}",
                slot.depth()
            );
            demand!(!slot.is_empty(), "{slot:?} is in the tree and empty");
            census.note(slot);
            (before, next) = (Some(slot), slot.next());
        }
        Ok(census)
    }

    fn note(&mut self, slot: SlotRef) {
        self.slots.push(slot);
        if slot.flags().contains(Flags::ORIGINAL) {
            self.threads.extend(object::of::<Thread>(slot));
            self.endpoints.extend(object::of::<Endpoint>(slot));
            self.replies.extend(object::of::<Reply>(slot));
            self.irqs.extend(object::of::<Irq>(slot));
        }
    }

    /// The invariants of the tree (KERNEL.md B3).
    pub fn check_tree(&self, kernel: &Kernel) -> Result<(), Complaint> {
        let mut above: Vec<SlotRef> = Vec::new();
        let mut made: HashMap<u64, Vec<(u64, u64)>> = HashMap::new();
        let mut dying_tables = HashSet::new();
        for &slot in &self.slots {
            above.truncate(slot.depth() as usize);
            let flags = slot.flags();
            let original = flags.contains(Flags::ORIGINAL);
            let by_system = above.iter().any(|above| above.kind() == Kind::System);
            demand!(
                original || by_system || above.iter().any(|above| is_original_of(*above, slot)),
                "{slot:?} has no original above it"
            );
            let plain = slot.kind() == Kind::Endpoint && !flags.contains(Flags::DYING);
            for (flag, right) in
                [(Flags::FAST_CALL, endpoint::CALL), (Flags::FAST_RECV, endpoint::RECV)]
            {
                demand!(
                    flags.contains(flag) == (plain && slot.rights() & right != 0),
                    "{slot:?} of kind {:?}: {flag:?} does not follow from its rights",
                    slot.kind()
                );
            }
            let node = slot.kind() == Kind::CapTable && slot.object() == slot.address();
            if node {
                demand!(flags.contains(Flags::DYING), "{slot:?} is a node, and alive");
                dying_tables.insert(slot.address());
            }
            if let Some(parent) = above.last()
                && parent.kind() == Kind::Untyped
                && original
                && !flags.contains(Flags::DYING)
            {
                let range = (slot.object(), slot.object() + size(slot));
                let used = (parent.data() & 0xffff_ffff) * 64;
                demand!(
                    range.0 >= parent.object() && range.1 <= parent.object() + used,
                    "{slot:?} lies above the watermark of its Untyped"
                );
                made.entry(parent.address()).or_default().push(range);
            }
            above.push(slot);
        }
        for ranges in made.values_mut() {
            ranges.sort();
            demand!(
                ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0),
                "siblings overlap: {ranges:x?}"
            );
        }
        let mut listed = HashSet::new();
        let mut next = kernel.dying.map(|header| header.address());
        while let Some(header) = next {
            demand!(dying_tables.contains(&header), "{header:#x} is dying, without a node");
            demand!(listed.insert(header), "{header:#x} is twice on the list");
            let link = (at_slot(header).data() as u32 as u64) << 5;
            next = (link != 0).then_some(link);
        }
        demand!(listed == dying_tables, "a dying table is not on the list");
        Ok(())
    }

    /// The invariants of IPC and scheduling (KERNEL.md B4).
    pub fn check_ipc(&self, kernel: &Kernel) -> Result<(), Complaint> {
        let mut queued: HashMap<u64, ThreadState> = HashMap::new();
        let mut enqueue = |thread: ThreadRef, why: ThreadState| {
            demand!(queued.insert(name(thread), why).is_none(), "{thread:?} is in two queues");
            demand!(
                thread.state() == why,
                "{thread:?} is queued as {why:?} and is {:?}",
                thread.state()
            );
            Ok(())
        };
        let mut pending = HashSet::new();
        for &endpoint in &self.endpoints {
            for thread in endpoint.senders() {
                enqueue(thread, ThreadState::Sending { to: endpoint })?;
            }
            for thread in endpoint.receivers() {
                enqueue(thread, ThreadState::Receiving { from: endpoint })?;
            }
            for irq in endpoint.pending() {
                demand!(pending.insert(irq.address()), "{irq:?} is in two queues");
                demand!(irq.progress.get() == Progress::Pending, "{irq:?} is queued");
            }
            let waiting = endpoint.receivers().count();
            let coming = endpoint.senders().count() + endpoint.pending().count();
            demand!(
                waiting == 0 || coming == 0,
                "{endpoint:?}: a receiver waits beside senders or interrupts"
            );
            // A thread that lost its table while it waits may stay where it is: it can be given a message all the same.
            let fast = match endpoint.receivers().next() {
                Some(only) if waiting == 1 && only.is_plain_receiver() => only,
                Some(only) if endpoint.fast() == only && waiting == 1 && is_plain(only) => only,
                None if coming == 0 => thread::nobody(),
                _ => thread::busy(),
            };
            demand!(
                endpoint.fast() == fast,
                "{endpoint:?}: the fast path sees {:?} (nobody is {:?}, busy {:?}), expected {fast:?}",
                endpoint.fast(),
                thread::nobody(),
                thread::busy()
            );
        }
        let mut top = kernel.ready.top().min(-1);
        for priority in 0..=255 {
            for thread in kernel.ready.members(priority) {
                enqueue(thread, ThreadState::Ready)?;
                demand!(thread.priority.get() == priority as i32, "{thread:?} queues wrongly");
                top = priority as i32;
            }
        }
        demand!(kernel.ready.top() == top, "READY_TOP is {}", kernel.ready.top());
        demand!(
            kernel.current().state() == ThreadState::Ready
                && kernel.current().priority.get() >= top,
            "{:?} runs, and somebody at {top} is ready",
            kernel.current()
        );
        let current = kernel.current();
        demand!(
            is_plain(current) && current.sent.get() == Sent::Call && current.lease_count.get() == 1,
            "{current:?} runs, and something of its last request is left"
        );
        let alive: HashSet<u64> = self.threads.iter().map(|thread| name(*thread)).collect();
        demand!(queued.keys().all(|thread| alive.contains(thread)), "a dead thread is queued");
        demand!(
            kernel.current() == kernel.idle || alive.contains(&name(kernel.current())),
            "a dead thread runs"
        );
        for &irq in &self.irqs {
            demand!(
                pending.contains(&irq.address()) == (irq.progress.get() == Progress::Pending),
                "{irq:?} is {:?}, and its place in the queue says otherwise",
                irq.progress.get()
            );
        }
        let mut debts = HashSet::new();
        for &thread in &self.threads {
            self.check_thread(kernel, thread, queued.contains_key(&name(thread)))?;
            if let Owed::Irq(irq) = thread.owed() {
                demand!(debts.insert(irq.address()), "two threads owe {irq:?}");
                demand!(
                    self.irqs.contains(&irq) && irq.progress.get() == Progress::Delivered,
                    "{thread:?} owes {irq:?}, which was not delivered"
                );
            }
        }
        for &reply in &self.replies {
            if let Some(caller) = reply.caller.get() {
                let from = Holder::Reply(reply);
                demand!(
                    caller.state() == ThreadState::AwaitingReply { from },
                    "{reply:?} holds {caller:?}, which does not wait for it"
                );
            }
            let fast = reply.fast.get();
            demand!(
                fast == thread::nobody()
                    || (reply.caller.get() == Some(fast)
                        && fast.sent.get() == Sent::Call
                        && fast.lease_count.get() == 1
                        && fast.owed() == Owed::Nothing
                        && is_plain(fast)),
                "the fast path may answer {fast:?} in {reply:?}, a call that is not plain"
            );
        }
        Ok(())
    }

    fn check_thread(
        &self,
        kernel: &Kernel,
        thread: ThreadRef,
        queued: bool,
    ) -> Result<(), Complaint> {
        let state = thread.state();
        let waits_in_queue = match state {
            ThreadState::Inactive => false,
            ThreadState::Ready => thread != kernel.current(),
            ThreadState::Sending { .. } | ThreadState::Receiving { .. } => true,
            ThreadState::AwaitingReply { from } => {
                let owner = match from {
                    Holder::Thread(server) => {
                        self.threads.contains(&server) && server.owed() == Owed::Caller(thread)
                    }
                    Holder::Reply(reply) => {
                        self.replies.contains(&reply) && reply.caller.get() == Some(thread)
                    }
                };
                demand!(owner, "{thread:?} awaits {from:?}, which owes it nothing");
                false
            }
        };
        demand!(queued == waits_in_queue, "{thread:?} is {state:?}; in a queue: {queued}");
        let fast = thread.fast_caller();
        demand!(
            fast == thread::nobody()
                || matches!(state, ThreadState::Receiving { .. })
                || (fast.sent.get() == Sent::Call
                    && fast.lease_count.get() == 1
                    && is_plain(fast)
                    && thread.priority.get() == thread.base.get()),
            "the fast path may answer {fast:?}, a call that is not plain"
        );
        if let Owed::Caller(caller) = thread.owed() {
            let from = Holder::Thread(thread);
            demand!(
                caller.state() == ThreadState::AwaitingReply { from },
                "{thread:?} owes {caller:?}, which is {:?}",
                caller.state()
            );
            demand!(thread.priority.get() >= thread.base.get(), "{thread:?} runs below its base");
        }
        demand!(
            !thread.timer.is_linked()
                || !matches!(state, ThreadState::Inactive | ThreadState::Ready),
            "{thread:?} is {state:?} and has a deadline"
        );
        Ok(())
    }
}

/// It waits without a deadline and without a slot to receive into.
fn is_plain(thread: ThreadRef) -> bool {
    thread.transfer.get() == 0 && !thread.timer.is_linked()
}

fn is_original_of(above: SlotRef, slot: SlotRef) -> bool {
    above.flags().contains(Flags::ORIGINAL)
        && above.kind() == slot.kind()
        && above.object() == slot.object()
}

/// Bytes of the object that an original capability names.
fn size(slot: SlotRef) -> u64 {
    match slot.kind() {
        Kind::Untyped | Kind::Space => 1 << slot.extra(),
        Kind::CapTable => 32 << slot.extra(),
        Kind::Thread => 8192,
        Kind::Frame if slot.flags().contains(Flags::LARGE) => 2 << 20,
        Kind::Frame => 4096,
        Kind::Irq => 128,
        Kind::Endpoint | Kind::Reply => 64,
        Kind::Empty | Kind::IoPorts | Kind::System => 0,
    }
}

/// The slot at an address.
pub fn at_slot(address: u64) -> SlotRef {
    // SAFETY: as in `at`.
    unsafe { Ref::from_address(address) }
}
