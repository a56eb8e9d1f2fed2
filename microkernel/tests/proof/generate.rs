//! Random events that mostly make sense: what the numbers drawn mean depends on the state, so that calls find endpoints
//! and tables find capabilities, with a share of nonsense.

use abi::{Kind, Op, fault::Registers, object::*, tag::Transfer};
use proptest::prelude::*;

use crate::{
    model::{Address, Model, Owed, Place, Progress, State},
    world::{Call, Event},
};

/// What somebody is to do, before the state says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Call,
    PlainCall,
    PlainReplyRecv,
    Recv,
    Reply,
    ReplyRecv,
    Yield,
    Nop,
    Defer,
    Lease,
    Table,
    Remove,
    Retype,
    Thread,
    Revive,
    Space,
    Irq,
    Ports,
    System,
    Wild,
    Trap,
    Store,
    Timer,
    Interrupt,
}

/// A wish, numbers to choose with, and ticks that pass before it.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    pub wish: Wish,
    pub numbers: [u16; 6],
    pub ticks: u8,
}

/// How often each wish comes.
const WEIGHTS: [(usize, Wish); 22] = [
    (16, Wish::Call),
    (8, Wish::Recv),
    (5, Wish::Reply),
    (18, Wish::ReplyRecv),
    (3, Wish::Yield),
    (1, Wish::Nop),
    (4, Wish::Defer),
    (7, Wish::Lease),
    (9, Wish::Table),
    (3, Wish::Remove),
    (5, Wish::Retype),
    (8, Wish::Thread),
    (4, Wish::Revive),
    (6, Wish::Space),
    (6, Wish::Irq),
    (2, Wish::Ports),
    (2, Wish::System),
    (3, Wish::Wild),
    (4, Wish::Trap),
    (5, Wish::Store),
    (5, Wish::Timer),
    (4, Wish::Interrupt),
];

/// Any action.
pub fn action() -> impl Strategy<Value = Action> {
    let wishes: Vec<Wish> =
        WEIGHTS.iter().flat_map(|&(weight, wish)| std::iter::repeat_n(wish, weight)).collect();
    let draw = (0..wishes.len(), any::<[u16; 6]>(), any::<u8>());
    draw.prop_map(move |(wish, numbers, ticks)| Action { wish: wishes[wish], numbers, ticks })
}

/// The same, with more calls and replies that are nothing but that.
pub fn plain_action() -> impl Strategy<Value = Action> {
    (action(), any::<u8>()).prop_map(|(mut action, kind)| {
        match kind % 6 {
            0 | 1 => action.wish = Wish::PlainCall,
            2 | 3 => action.wish = Wish::PlainReplyRecv,
            // New objects may lie outside what a snapshot copies.
            _ if action.wish == Wish::Retype => action.wish = Wish::PlainCall,
            _ => {}
        }
        action
    })
}

/// User pages that programs use.
const PAGES: u64 = 0x1_0000;
/// First page of a message buffer.
pub const BUFFERS: u64 = 0x4_0000;

/// Numbers for one action, taken one after the other.
struct Draw<'a> {
    model: &'a Model,
    thread: Address,
    numbers: [u16; 6],
    next: usize,
}

impl Draw<'_> {
    fn number(&mut self) -> u64 {
        let number = self.numbers[self.next % 6].rotate_left(5 * (self.next as u32 / 6));
        self.next += 1;
        number as u64
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    /// True in `percent` of a hundred cases.
    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// A slot of the thread's own table that fits, mostly; else any.
    fn slot(&mut self, fits: impl Fn(&crate::model::Cap) -> bool) -> u64 {
        let table = self.model.thread(self.thread).table;
        let found: Vec<u64> = (1..64)
            .filter(|&index| {
                let place = table.map(|table| Place::Slot(table, index));
                place.is_some_and(|place| self.model.caps.get(&place).is_some_and(&fits))
            })
            .collect();
        if found.is_empty() || self.chance(4) {
            return self.below(66);
        }
        self.one(&found)
    }

    fn kind(&mut self, kind: Kind) -> u64 {
        self.slot(|cap| cap.kind == kind)
    }

    /// An empty slot of the table a capability names, or of the thread's own; mostly.
    fn empty(&mut self, table: Option<Address>) -> u64 {
        let free: Vec<u64> = (1..64)
            .filter(|&index| {
                table.is_some_and(|table| self.model.is_empty(Place::Slot(table, index)))
            })
            .take(6)
            .collect();
        if free.is_empty() || self.chance(4) {
            return self.below(66);
        }
        self.one(&free)
    }

    fn own_table(&self) -> Option<Address> {
        self.model.thread(self.thread).table
    }

    fn named_table(&self, slot: u64) -> Option<Address> {
        let cap = self.model.caps.get(&Place::Slot(self.own_table()?, slot))?;
        (cap.kind == Kind::CapTable).then_some(cap.object)
    }

    /// A user address, mostly one that may be mapped.
    fn address(&mut self) -> u64 {
        if self.chance(3) {
            return self.one(&[0, u64::MAX, abi::USER_END - 8, 1 << 63]);
        }
        PAGES + self.below(8) * 4096 + self.below(4096)
    }

    fn length(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => 1 << self.below(18),
            2 => u64::MAX >> self.below(8),
            3 => 4096 * self.below(3),
            _ => self.below(200),
        }
    }

    fn call(&mut self, op: Op, label: u32, low: u64) -> Call {
        Call { rax: op as u64 | low | (label as u64) << 32, ..Call::default() }
    }

    fn invoke(&mut self, slot: u64, label: u32, words: [u64; 4]) -> Call {
        Call { rdi: slot, words, ..self.call(Op::Call, label, 0) }
    }

    /// Deadline, capability and extra words of a message; root never waits for ever.
    fn dress(&mut self, call: &mut Call, blocking: bool) {
        let root = self.model.thread(self.thread).ceiling == 255;
        if blocking && (root || self.chance(25)) {
            call.rax |= 1 << 4;
            let now = self.model.now;
            call.r10 = match self.below(4) {
                0 => now.saturating_sub(self.below(100)),
                _ => now + self.below(3000),
            };
        }
        if self.chance(20) {
            call.rax |= 1 << 6;
            let pass =
                if self.chance(60) { self.slot(|cap| cap.kind != Kind::CapTable) } else { 0 };
            let receive = if self.chance(70) { self.empty(self.own_table()) } else { 0 };
            call.r9 =
                Transfer { pass: pass as u32, move_it: self.chance(30), receive: receive as u32 }
                    .to_bits();
        }
        let extra = self.one(&[0, 0, 0, 0, 1, 3, 16, 116]);
        call.rax |= extra << 8;
        call.words = [self.number(), self.number(), self.number(), self.number()];
    }
}

/// What the action means now; `None` if nothing can happen at all.
pub fn resolve(model: &Model, action: &Action) -> Option<Event> {
    let Action { wish, numbers, .. } = *action;
    match wish {
        Wish::Interrupt => return Some(Event::Interrupt(48 + (numbers[0] % 6) as u8)),
        Wish::Timer => return Some(Event::Timer),
        _ => {}
    }
    let Some(thread) = model.current else {
        let waits = !model.timed.is_empty();
        return waits.then_some(Event::Timer);
    };
    let mut draw = Draw { model, thread, numbers, next: 0 };
    let call = match wish {
        Wish::Trap => return Some(trap(&mut draw)),
        Wish::Store => return Some(store(&mut draw)),
        Wish::Interrupt | Wish::Timer => unreachable!("handled above"),
        Wish::Call => {
            let mut call = draw.call(Op::Call, 0, 0);
            call.rdi = draw.slot(|cap| cap.kind == Kind::Endpoint && cap.rights & 1 != 0);
            call.rax |= draw.below(5) << 32;
            if draw.chance(50) {
                call.rdx = draw.address();
                call.r8 = draw.length() & ((1 << 62) - 1) | draw.below(4) << 62;
            }
            if draw.chance(15) {
                call.rax |= 1 << 7;
            }
            draw.dress(&mut call, true);
            call
        }
        Wish::PlainCall | Wish::PlainReplyRecv => plain(&mut draw, wish),
        Wish::Recv | Wish::Reply | Wish::ReplyRecv => message(&mut draw, wish),
        Wish::Yield => draw.call(Op::Yield, 0, 0),
        Wish::Nop => draw.call(Op::Nop, 0, 0),
        Wish::Defer => {
            let reply = draw.kind(Kind::Reply);
            draw.invoke(reply, reply::DEFER, [0; 4])
        }
        Wish::Lease => {
            let slot = if draw.chance(70) { 0 } else { draw.kind(Kind::Reply) };
            let label = draw.one(&[reply::LEASE_READ, reply::LEASE_WRITE, reply::LEASE_INFO, 7]);
            let index = if draw.chance(80) { 0 } else { draw.below(5) };
            let offset = if draw.chance(50) { 0 } else { draw.length() };
            let words = [index, offset, draw.address(), draw.length()];
            draw.invoke(slot, label, words)
        }
        Wish::Table => table(&mut draw),
        Wish::Remove => {
            let table = draw.kind(Kind::CapTable);
            let index = 1 + draw.below(63);
            let label = draw.one(&[captable::DELETE, captable::REVOKE]);
            draw.invoke(table, label, [index, 0, 0, 0])
        }
        Wish::Retype => retype(&mut draw),
        Wish::Thread => on_thread(&mut draw),
        Wish::Revive => revive(&mut draw),
        Wish::Space => space(&mut draw),
        Wish::Irq => {
            let irq = draw.kind(Kind::Irq);
            let label = draw.one(&[irq::RAISE, irq::RAISE, irq::BIND, irq::ACK, irq::INFO, 9]);
            let endpoint = draw.kind(Kind::Endpoint);
            let badge = draw.number();
            draw.invoke(irq, label, [endpoint, badge, 0, 0])
        }
        Wish::Ports => {
            let ports = draw.kind(Kind::IoPorts);
            let label = draw.below(6) as u32;
            let port = draw.one(&[0x60, 0x66, 0x6f, 0x70, 0x5f, u64::MAX, u64::MAX - 1]);
            let words = [port, draw.one(&[1, 2, 4, 3]), draw.one(&[0, 7, 512, u64::MAX]), 0];
            draw.invoke(ports, label, words)
        }
        Wish::System => system(&mut draw),
        Wish::Wild => {
            let mut wild = || {
                let value = draw.number();
                match draw.below(4) {
                    0 => value % 70,
                    1 => value * 0x1_0001_0001_0001,
                    2 => 1 << (value % 64),
                    _ => value % 4,
                }
            };
            Call {
                rax: wild() | wild() << 32,
                rdi: wild(),
                rsi: wild(),
                rdx: wild(),
                r8: wild(),
                r9: wild(),
                r10: wild(),
                words: [wild(), wild(), wild(), wild()],
            }
        }
    };
    Some(Event::Call(tame(model, thread, call, wish)))
}

/// Calls whose answers depend on the process (log and trace), or that make objects the model leaves out (frames of 2 MiB),
/// are left to other tests.
fn tame(model: &Model, thread: Address, mut call: Call, wish: Wish) -> Call {
    let place = model.thread(thread).table.map(|table| Place::Slot(table, call.rdi));
    if let Some(cap) = place.and_then(|place| model.caps.get(&place)) {
        let label = (call.rax >> 32) as u32;
        let process = cap.kind == Kind::System && label > 2 && label != system::INFO;
        let retype = cap.kind == Kind::Untyped && matches!(wish, Wish::Wild | Wish::Call);
        if call.rax & 15 == 0 && (process || retype) {
            call.rax |= 99 << 32;
        }
    }
    call
}

/// Nothing but words, at times more than four, or a payload.
fn plain(draw: &mut Draw, wish: Wish) -> Call {
    let right = if matches!(wish, Wish::PlainCall) { 1 } else { 2 };
    let op = if right == 1 { Op::Call } else { Op::ReplyRecv };
    let mut call = draw.call(op, 0, 0);
    call.rdi = draw.slot(|cap| cap.kind == Kind::Endpoint && cap.rights & right != 0);
    call.rax |= draw.below(5) << 32 | draw.one(&[0, 0, 0, 1, 16, 116, 117]) << 8;
    call.words = [draw.number(), draw.number(), draw.number(), draw.number()];
    if draw.chance(60) {
        call.rdx = PAGES + draw.below(2) * 4096 + draw.below(4096);
        let length = draw.one(&[0, 8, 17, 300, 4096]);
        if right == 1 {
            call.r8 = 300 | draw.one(&[3, 3, 2, 1]) << 62;
        } else if draw.chance(70) {
            call.rax = call.rax & !0x7f00 | 1 << 5;
            call.r8 = length;
        }
    }
    call
}

fn message(draw: &mut Draw, wish: Wish) -> Call {
    let op = match wish {
        Wish::Recv => Op::Recv,
        Wish::Reply => Op::Reply,
        _ => Op::ReplyRecv,
    };
    let mut call = draw.call(op, 0, 0);
    call.rdi = draw.slot(|cap| cap.kind == Kind::Endpoint && cap.rights & 2 != 0);
    draw.dress(&mut call, !matches!(wish, Wish::Reply));
    if draw.chance(12) {
        call.rax |= 1 << 15;
        call.rsi = draw.kind(Kind::Reply);
    }
    if !matches!(wish, Wish::Recv) {
        call.rax |= draw.below(3) << 32;
        if draw.chance(15) {
            call.rax |= 1 << 5;
            call.rdx = draw.address();
            call.r8 = draw.length();
        }
        // A fault's answer with all registers, at times with a RIP that is refused.
        if draw.chance(10) {
            call.rax = call.rax & !0x7f00 | 16 << 8;
            call.words[2] = draw.one(&[0x1000, 0x2000, abi::USER_END]);
        }
    }
    call
}

fn table(draw: &mut Draw) -> Call {
    let table = draw.kind(Kind::CapTable);
    let empty = draw.empty(draw.named_table(table));
    let label = draw.one(&[
        captable::DERIVE,
        captable::DERIVE,
        captable::DERIVE,
        captable::MOVE,
        captable::IDENTIFY,
        captable::IDENTIFY,
    ]);
    if label == captable::IDENTIFY {
        let index = draw.below(40);
        let own = if draw.chance(50) {
            draw.slot(|cap| cap.kind == Kind::Endpoint && cap.rights & 2 != 0)
        } else {
            0
        };
        return draw.invoke(table, label, [index, own, 0, 0]);
    }
    // Some capabilities are kept where they are, or the world dies too soon.
    let source = draw.slot(|cap| label == captable::DERIVE || !cap.original);
    let rights = draw.one(&[1, 2, 3, 7, 8, 9, 11, 15, 0]);
    let word = draw.one(&[0, 0, 0, 0x77, 0x60 | 4 << 16, u64::MAX]);
    draw.invoke(table, label, [empty, source, rights, word])
}

fn retype(draw: &mut Draw) -> Call {
    let untyped = draw.kind(Kind::Untyped);
    if draw.chance(10) {
        return draw.invoke(untyped, untyped::INFO, [0; 4]);
    }
    let table = draw.kind(Kind::CapTable);
    let first = draw.empty(draw.named_table(table));
    let (kind, bits) = draw.one(&[
        (1, 12),
        (1, 14),
        (2, 4),
        (2, 5),
        (3, 0),
        (4, 15),
        (5, 12),
        (6, 0),
        (7, 0),
        (8, 0),
        (9, 0),
        (1, 5),
    ]);
    let count = if draw.chance(60) { 1 } else { draw.below(4) };
    let rights = draw.one(&[7, 3, 1, 8]);
    let what = kind | bits << 8 | count << 16;
    draw.invoke(untyped, untyped::RETYPE, [what, table, first, rights])
}

fn on_thread(draw: &mut Draw) -> Call {
    let slot = draw.kind(Kind::Thread);
    let label = draw.one(&[
        thread::PRIORITY,
        thread::PRIORITY,
        thread::SUSPEND,
        thread::CANCEL,
        thread::CANCEL,
        thread::READ_REGISTERS,
        thread::WRITE_REGISTERS,
        thread::INFO,
        thread::FLAGS,
        thread::START,
        thread::START,
        9,
    ]);
    if label == thread::FLAGS {
        let words = [draw.one(&[0, 1, 1, 2]), draw.one(&[0, 0, 1, 2]), 0, 0];
        return draw.invoke(slot, label, words);
    }
    let priorities = [1, 10, 20, 30, 41, 255];
    let words = [draw.one(&priorities), draw.one(&[40, 40, 256, 20]), 0, 0];
    draw.invoke(slot, label, words)
}

/// Configures or starts a thread that stands still.
fn revive(draw: &mut Draw) -> Call {
    let model = draw.model;
    let slot = draw.slot(|cap| {
        cap.kind == Kind::Thread
            && model.threads.get(&cap.object).is_some_and(|thread| thread.state == State::Inactive)
    });
    if draw.chance(50) {
        return draw.invoke(slot, thread::START, [0; 4]);
    }
    let table = draw.kind(Kind::CapTable);
    let space = draw.kind(Kind::Space);
    let fault = if draw.chance(70) {
        draw.slot(|cap| cap.kind == Kind::Endpoint && cap.rights & 1 != 0)
    } else {
        0
    };
    let buffer = draw.one(&[BUFFERS, BUFFERS + 4096, BUFFERS + 8192, 3, 0, abi::USER_END]);
    draw.invoke(slot, thread::CONFIGURE, [table, space, fault, buffer])
}

fn space(draw: &mut Draw) -> Call {
    let space = draw.kind(Kind::Space);
    let frame = draw.slot(|cap| cap.kind == Kind::Frame && !cap.large);
    let label = draw.one(&[space::MAP, space::MAP, space::MAP, space::UNMAP, space::INFO, 5]);
    let address = match draw.below(12) {
        0 => draw.address(),
        1 => 0x7f00_0000_0000 + (draw.below(8) << 39),
        _ => PAGES + draw.below(8) * 4096,
    };
    let rights = draw.one(&[3, 3, 3, 1, 5, 7, 2, 0x103, 0x203, 0x13]);
    if draw.chance(6) {
        return draw.invoke(frame, frame::PHYSICAL, [0; 4]);
    }
    draw.invoke(space, label, [frame, address, rights, 0])
}

fn system(draw: &mut Draw) -> Call {
    let system = draw.kind(Kind::System);
    let empty = draw.empty(draw.own_table());
    match draw.below(4) {
        0 => {
            let irq = draw.kind(Kind::Irq);
            let source = draw.one(&[3, 4, 23, 24, u64::MAX]);
            let trigger = draw.one(&[0, 1, 3, 4]);
            draw.invoke(system, system::IRQ_ATTACH, [irq, source, trigger, 0])
        }
        1 => {
            let physical = draw.one(&[1 << 40, 1 << 41, 4096, 5, u64::MAX - 4095]);
            let bits = draw.one(&[12, 12, 13]);
            draw.invoke(system, system::DEVICE_FRAME, [physical, bits, empty, 0])
        }
        2 => {
            let (base, count) = draw.one(&[(0x60, 16), (0, 0), (0xffff, 2), (u64::MAX, 1)]);
            draw.invoke(system, system::IO_PORTS, [base, count, empty, 0])
        }
        _ => draw.invoke(system, system::INFO, [0; 4]),
    }
}

fn trap(draw: &mut Draw) -> Event {
    let vector = draw.one(&[0, 3, 6, 13, 14, 14]);
    let mut words = [0; Registers::WORDS];
    words.fill_with(|| draw.number());
    Event::Trap {
        vector,
        error: draw.below(32),
        address: draw.address(),
        registers: Box::new(Registers::from_words(words)),
    }
}

/// A program writes a word of its memory, or a lease descriptor into its buffer.
fn store(draw: &mut Draw) -> Event {
    let at = if draw.chance(50) {
        let (lease, word) = (0x3c0 + 8 * draw.below(6), 8 * draw.below(120));
        Some(draw.thread + 4096 + draw.one(&[lease, lease, word]))
    } else {
        let address = PAGES + draw.below(8) * 4096 + 8 * draw.below(512);
        draw.model.translate(draw.model.thread(draw.thread).space, address, true)
    };
    let value = match draw.below(3) {
        0 => draw.address(),
        1 => draw.length() & ((1 << 62) - 1) | draw.below(4) << 62,
        _ => draw.number() * 0x1_0001_0001_0001,
    };
    Event::Store(at.unwrap_or(draw.thread + 4096 + 0x400), value)
}

/// How a state is counted in the report of what a run has seen.
pub fn describe(model: &Model) -> Vec<&'static str> {
    let mut seen = Vec::new();
    for thread in model.threads.values() {
        seen.push(match thread.state {
            State::Inactive => "inactive thread",
            State::Ready => "ready thread",
            State::Sending(_) if thread.fault => "fault in a queue",
            State::Sending(_) => "call in a queue",
            State::Receiving(_) => "receiving thread",
            State::Awaiting(crate::model::Holder::Reply(_)) => "parked caller",
            State::Awaiting(_) => "caller awaiting a reply",
        });
        match thread.owed {
            Owed::Caller(_) => seen.push("reply owed"),
            Owed::Irq(_) => seen.push("acknowledgement owed"),
            Owed::Nothing => {}
        }
        if thread.priority > thread.base {
            seen.push("raised priority");
        }
    }
    let pending = |irq: &&crate::model::Irq| irq.progress == Progress::Pending;
    if model.irqs.values().any(|irq| pending(&irq)) {
        seen.push("pending interrupt");
    }
    if !model.dying.is_empty() {
        seen.push("dying table");
    }
    seen
}
