//! Worlds in which a call takes the fast path, set up by few steps.

use abi::{Op, Tag, object::*, tag::Flags, tag::Transfer};

use crate::{
    fast,
    pair::{Pair, slots::*},
    world::{Call, Event},
};

/// A thread's slots in the worlds of this kind.
pub const ENDPOINT: u64 = 3;
pub const REPLY: u64 = 8;

pub fn tag(op: Op, extra: usize, flags: Flags) -> u64 {
    Tag::new(op, 0, extra, flags).0
}

pub fn call_endpoint() -> Call {
    Call { rax: tag(Op::Call, 0, Flags::empty()), rdi: ENDPOINT, ..Call::default() }
}

pub fn reply_recv() -> Call {
    Call { rax: tag(Op::ReplyRecv, 0, Flags::empty()), rdi: ENDPOINT, ..Call::default() }
}

pub fn receive() -> Call {
    Call { rax: tag(Op::Recv, 0, Flags::empty()), rdi: ENDPOINT, ..Call::default() }
}

pub fn timed(call: Call) -> Call {
    Call { rax: call.rax | Flags::TIMED.bits() as u64, r10: 1 << 40, ..call }
}

pub fn with_slot(call: Call) -> Call {
    let transfer = Transfer { receive: 60, ..Transfer::default() };
    Call { rax: call.rax | Flags::CAP.bits() as u64, r9: transfer.to_bits(), ..call }
}

/// Answers the caller parked in the Reply object.
pub fn reply_via() -> Call {
    Call { rax: tag(Op::ReplyRecv, 0, Flags::VIA), rsi: REPLY, ..reply_recv() }
}

/// Parks the current caller.
pub fn park() -> Call {
    Call { rax: tag(Op::Recv, 0, Flags::VIA), rsi: REPLY, ..receive() }
}

/// A world where only root runs, at the top priority, and sets the scene; threads are numbered 0 to 3, priorities are
/// 10, 20, 20, 30, and each acts when root lets it.
pub struct Scene(pub Pair);

impl Scene {
    pub fn new() -> Self {
        let mut pair = Pair::boot();
        pair.populate();
        let mut scene = Self(pair);
        // Root ran last; the most urgent thread runs now. One after the other stops itself.
        for thread in [3, 1, 2, 0] {
            scene.runs(thread);
            let own = 12 + thread % 2;
            scene.0.invoke(own, thread::SUSPEND, [0; 4]);
        }
        scene
    }

    /// The thread that runs must be this one.
    #[track_caller]
    pub fn runs(&mut self, thread: u64) {
        let running = self.0.model.current.expect("somebody runs");
        let root = self.0.model.threads.values().find(|thread| thread.ceiling == 255);
        let table = root.and_then(|root| root.table).expect("root's table");
        let slot = crate::model::Place::Slot(table, THREADS + thread);
        assert_eq!(running, self.0.model.caps[&slot].object, "thread {thread} does not run");
    }

    /// Root starts a thread, which does this.
    pub fn acts(&mut self, thread: u64, call: Call) {
        self.start(thread);
        self.0.step(&Event::Call(call));
    }

    pub fn start(&mut self, thread: u64) {
        self.0.done(THREADS + thread, thread::START, [0; 4]);
        self.runs(thread);
    }

    /// What the fast path does now with a call of the running thread.
    pub fn takes(&mut self, call: Call) -> bool {
        fast::enter(&mut self.0.world, &call).1
    }

    /// Root sets a priority.
    pub fn priority(&mut self, thread: u64, priority: u64) {
        self.0.done(THREADS + thread, thread::PRIORITY, [priority, 40, 0, 0]);
    }

    /// Thread 3 receives; thread 0 is about to call it.
    pub fn server_waits(mut self, receive: Call) -> Self {
        self.acts(3, receive);
        self
    }

    /// Thread 3 owes thread 0 a reply, and runs.
    pub fn server_owes(self, call: Call) -> Self {
        let mut scene = self.server_waits(receive());
        scene.acts(0, call);
        scene.runs(3);
        scene
    }

    /// Thread 3 has parked thread 0, which did `call`, and is to acknowledge an interrupt.
    pub fn server_woken(call: Call) -> Self {
        let mut scene = Self::new().server_waits(receive());
        scene.0.done(IRQS + 2, irq::BIND, [ENDPOINTS, 9, 0, 0]);
        scene.acts(0, call);
        scene.runs(3);
        scene.0.step(&Event::Call(park()));
        scene.raise();
        scene
    }

    pub fn raise(&mut self) {
        self.0.done(IRQS + 2, irq::RAISE, [0; 4]);
        self.runs(3);
    }
}
