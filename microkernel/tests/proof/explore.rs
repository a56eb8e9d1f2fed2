//! Every state that three threads, two endpoints, a Reply object and an Irq can reach, on the kernel itself: from each state
//! found, every event that is possible happens once. A supervisor (root) cancels, suspends, starts and kills the threads,
//! deletes the other objects and raises the interrupt at every point; the earliest deadline passes; threads trap.
//!
//! Two states are the same if what their future depends on is: who waits for whom and how, who owes what, the order of the
//! queues at endpoints, which deadlines run, and what is dead. Registers, and the order of equals that are ready, are not part
//! of it: all priorities are equal, and each ready thread's turn is tried. Breadth first, so a failure is a shortest path.

mod steps;

use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use abi::{
    Kind,
    object::{captable, endpoint, irq, thread},
};
use microkernel::{
    arch::host,
    endpoint::{Endpoint, Reply},
    irq::{Irq, Progress},
    raw::Ref,
    slot::SlotRef,
    thread::{Holder, Owed, Sent, Thread, ThreadRef, ThreadState, nobody},
    trace::Trace,
};

use crate::{
    inspect::{Census, Complaint, at, at_slot, demand, name},
    pair::Pair,
    world::{Call, Event, World},
};

const THREADS: usize = 3;
/// Root's slots.
const TABLE: u64 = 32;
const SPACE: u64 = 33;
const THREAD: u64 = 34;
const ENDPOINT: u64 = 37;
const REPLY: u64 = 39;
const IRQ: u64 = 40;
/// The threads' slots.
const OWN_ENDPOINT: u64 = 1;
const OWN_REPLY: u64 = 3;
const OWN_IRQ: u64 = 4;

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A thread (its number) acts.
    Call(usize, u64),
    CallTimed(usize, u64),
    Recv(usize, u64),
    RecvTimed(usize, u64),
    RecvVia(usize, u64),
    ReplyRecv(usize, u64),
    ReplyRecvVia(usize, u64),
    Reply(usize),
    ReplyVia(usize),
    Defer(usize),
    Acknowledge(usize),
    Trap(usize),
    /// The supervisor acts on a thread.
    Cancel(usize),
    Suspend(usize),
    Start(usize),
    Kill(usize),
    /// The supervisor deletes what a slot of its own names.
    Delete(u64),
    Raise,
    /// The first deadline passes.
    Expire,
}

/// The explored world.
struct Explorer {
    world: World,
    root: ThreadRef,
    threads: [u64; THREADS],
    endpoints: [u64; 2],
    reply: u64,
    irq: u64,
    table: u64,
    /// Ranges of memory that make a state, and how they were at the start.
    ranges: Vec<(u64, usize)>,
    start: Vec<u64>,
}

/// A state: the words that differ from the start, and who runs, which the processor knows.
struct Delta {
    words: Vec<(u32, u64)>,
    current: Option<ThreadRef>,
}

impl Explorer {
    fn new() -> Self {
        let mut pair = Pair::boot();
        let memory = pair.untyped(20);
        let own = abi::root::TABLE as u64;
        pair.make(memory, Kind::CapTable, 4, 1, TABLE);
        pair.make(memory, Kind::Space, 15, 1, SPACE);
        pair.make(memory, Kind::Thread, 0, THREADS as u16, THREAD);
        pair.make(memory, Kind::Endpoint, 0, 2, ENDPOINT);
        pair.make(memory, Kind::Reply, 0, 1, REPLY);
        pair.make(memory, Kind::Irq, 0, 1, IRQ);
        pair.done(IRQ, irq::BIND, [ENDPOINT, 5, 0, 0]);
        for endpoint in 0..2 {
            let rights = endpoint::ALL as u64;
            let words = [OWN_ENDPOINT + endpoint, ENDPOINT + endpoint, rights, 0];
            pair.done(TABLE, captable::DERIVE, words);
        }
        pair.done(TABLE, captable::DERIVE, [OWN_IRQ, IRQ, irq::ALL as u64, 0]);
        pair.done(TABLE, captable::MOVE, [OWN_REPLY, REPLY, 0, 0]);
        pair.done(abi::root::THREAD as u64, thread::PRIORITY, [10, 255, 0, 0]);
        for thread in 0..THREADS as u64 {
            // Faults go to the second endpoint.
            let words = [TABLE, SPACE, ENDPOINT + 1, 0x4_0000 + 4096 * thread];
            pair.done(THREAD + thread, thread::CONFIGURE, words);
            pair.done(THREAD + thread, thread::PRIORITY, [10, 10, 0, 0]);
            pair.done(THREAD + thread, thread::START, [0; 4]);
        }
        pair.compare().expect("the start is as the model says");
        let root = pair.world.current().expect("root runs");
        let slot = |index: u64| root.slot(index).expect("a slot").object();
        let objects = slot(TABLE)..slot(IRQ) + 128;
        let mut explorer = Self {
            root,
            threads: std::array::from_fn(|thread| slot(THREAD + thread as u64)),
            endpoints: [slot(ENDPOINT), slot(ENDPOINT + 1)],
            reply: at_slot(slot(TABLE) + 32 * OWN_REPLY).object(),
            irq: slot(IRQ),
            table: slot(TABLE),
            ranges: Vec::new(),
            start: Vec::new(),
            world: pair.world,
        };
        let own_table = root.slot(own).expect("a slot").object();
        let mut ranges = vec![
            (explorer.world.base, size_of::<microkernel::Kernel>()),
            (name(root), 4096),
            (own_table, 64 * 32),
            (explorer.table, 16 * 32),
        ];
        for thread in explorer.threads {
            assert!(objects.contains(&thread));
            ranges.push((thread, 4096));
        }
        let small = explorer.endpoints[0];
        ranges.push((small, (explorer.irq + 128 - small) as usize));
        explorer.ranges = ranges;
        explorer.start = explorer.words().collect();
        explorer
    }

    /// The words of the state, in order.
    fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges.iter().flat_map(|&(start, size)| {
            (start..start + size as u64).step_by(8).map(|address| {
                // SAFETY: inside the world's mapping; no kernel code runs meanwhile.
                unsafe { (address as *const u64).read() }
            })
        })
    }

    fn delta(&self) -> Delta {
        let words = self.words().zip(&self.start).enumerate();
        let changed = words.filter(|(_, (now, before))| now != *before);
        Delta {
            words: changed.map(|(index, (now, _))| (index as u32, now)).collect(),
            current: host::machine().current,
        }
    }

    /// Goes to a state.
    fn go_to(&mut self, delta: &Delta) {
        let mut from = 0;
        let mut next = delta.words.iter().peekable();
        for &(start, size) in &self.ranges {
            let count = size / 8;
            // SAFETY: the ranges lie inside the world's mapping; the borrow says nobody looks at it.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    self.start[from..].as_ptr(),
                    start as *mut u64,
                    count,
                );
                while let Some(&&(index, value)) = next.peek()
                    && (index as usize) < from + count
                {
                    *(start as *mut u64).add(index as usize - from) = value;
                    next.next();
                }
            }
            from += count;
        }
        host::set_machine(|machine| {
            machine.now = 0;
            machine.current = delta.current;
        });
    }

    fn alive(&self, object: u64) -> bool {
        let slot = |index| self.root.slot(index).expect("a slot");
        let mut slots: Vec<SlotRef> = (THREAD..=IRQ).map(slot).collect();
        slots.push(at_slot(self.table + 32 * OWN_REPLY));
        slots.iter().any(|slot| !slot.is_empty() && slot.object() == object)
    }

    fn thread(&self, number: usize) -> Option<ThreadRef> {
        let object = self.threads[number];
        self.alive(object).then(|| at::<Thread>(object))
    }

    /// What the future depends on.
    fn essence(&self) -> Vec<u8> {
        let number = |thread: ThreadRef| {
            let index = self.threads.iter().position(|&object| object == name(thread));
            index.map_or(9, |index| index as u8)
        };
        let place = |endpoint: Ref<Endpoint>| (endpoint.address() == self.endpoints[1]) as u8;
        let mut essence = Vec::with_capacity(40);
        for index in 0..THREADS {
            let Some(thread) = self.thread(index) else {
                essence.push(0xff);
                continue;
            };
            let (state, partner) = match thread.state() {
                ThreadState::Inactive => (0, 0),
                ThreadState::Ready => (1, 0),
                ThreadState::Sending { to } => (2, place(to)),
                ThreadState::Receiving { from } => (3, place(from)),
                ThreadState::AwaitingReply { from } => match from {
                    Holder::Thread(server) => (4, number(server)),
                    Holder::Reply(_) => (5, 0),
                },
            };
            let owed = match thread.owed() {
                Owed::Nothing => 0,
                Owed::Irq(_) => 1,
                Owed::Caller(caller) => 2 + number(caller),
            };
            let waits = !matches!(state, 0 | 1);
            let fault = waits && thread.sent.get() == Sent::Fault;
            let fast = state != 3 && thread.fast_caller() != nobody();
            let flags = fault as u8 | (thread.timer.is_linked() as u8) << 1 | (fast as u8) << 2;
            essence.extend([state, partner, owed, flags]);
        }
        for endpoint in self.endpoints {
            if !self.alive(endpoint) {
                essence.push(0xff);
                continue;
            }
            let endpoint = at::<Endpoint>(endpoint);
            essence.extend(endpoint.senders().map(number));
            essence.push(0xfe);
            essence.extend(endpoint.receivers().map(number));
            essence.push(0xfd);
        }
        if self.alive(self.reply) {
            essence.push(at::<Reply>(self.reply).caller.get().map_or(8, number));
        }
        essence.push(0xfc);
        if self.alive(self.irq) {
            let irq = at::<Irq>(self.irq);
            let progress = match irq.progress.get() {
                Progress::Idle => 0,
                Progress::Pending => 1,
                Progress::Delivered => 2,
            };
            let bound = !irq.endpoint_slot().is_empty();
            essence.extend([progress, irq.count.get().min(2) as u8, bound as u8]);
        }
        essence
    }

    fn check(&mut self) -> Result<(), Complaint> {
        let census = Census::take(self.root.slot(abi::root::TABLE as u64).expect("root's"))?;
        census.check_ipc(self.world.kernel())
    }
}

/// Where a state came from.
struct Origin {
    before: usize,
    step: Option<Step>,
}

#[test]
fn every_reachable_state_is_sound() {
    let started = Instant::now();
    let mut explorer = Explorer::new();
    let mut seen = HashSet::from([explorer.essence()]);
    let mut origins = vec![Origin { before: 0, step: None }];
    let mut frontier = VecDeque::from([(0, explorer.delta(), 0)]);
    let (mut steps, mut depth) = (0u64, 0);
    while let Some((index, delta, level)) = frontier.pop_front() {
        depth = level;
        explorer.go_to(&delta);
        for step in explorer.possible() {
            explorer.go_to(&delta);
            let result = explorer.take(step).and_then(|()| explorer.check());
            steps += 1;
            if let Err(text) = result {
                let mut path = vec![step];
                let mut at = index;
                while let Some(step) = origins[at].step {
                    path.push(step);
                    at = origins[at].before;
                }
                path.reverse();
                panic!("{text}\nafter {path:?}");
            }
            if seen.insert(explorer.essence()) {
                explorer.world.kernel().trace = Trace::new();
                origins.push(Origin { before: index, step: Some(step) });
                frontier.push_back((origins.len() - 1, explorer.delta(), level + 1));
            }
        }
    }
    println!(
        "all {} states, {steps} steps, at most {depth} from the start, {:?}",
        seen.len(),
        started.elapsed()
    );
}
