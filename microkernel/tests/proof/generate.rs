//! Random events that mostly make sense: what the numbers drawn mean depends on the state, so that calls find endpoints
//! and tables find capabilities, with a share of nonsense.

mod calls;
mod draw;

use abi::{Kind, Op, object::*};
use proptest::prelude::*;

use crate::{
    model::{Address, Model, Owed, Place, Progress, State},
    world::{Call, Event},
};
use draw::Draw;

pub use draw::BUFFERS;

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
        match kind % 12 {
            0..3 => action.wish = Wish::PlainCall,
            3..7 => action.wish = Wish::PlainReplyRecv,
            // The one that is a message: a line stays masked until its acknowledgement.
            7..9 => (action.wish, action.numbers[0]) = (Wish::Interrupt, 0),
            // New objects may lie outside what a snapshot copies.
            _ if action.wish == Wish::Retype => action.wish = Wish::PlainCall,
            _ => {}
        }
        action
    })
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
        Wish::Trap => return Some(calls::trap(&mut draw)),
        Wish::Store => return Some(calls::store(&mut draw)),
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
        Wish::PlainCall | Wish::PlainReplyRecv => calls::plain(&mut draw, wish),
        Wish::Recv | Wish::Reply | Wish::ReplyRecv => calls::message(&mut draw, wish),
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
        Wish::Table => calls::table(&mut draw),
        Wish::Remove => {
            let table = draw.kind(Kind::CapTable);
            let index = 1 + draw.below(63);
            let label = draw.one(&[captable::DELETE, captable::REVOKE]);
            draw.invoke(table, label, [index, 0, 0, 0])
        }
        Wish::Retype => calls::retype(&mut draw),
        Wish::Thread => calls::on_thread(&mut draw),
        Wish::Revive => calls::revive(&mut draw),
        Wish::Space => calls::space(&mut draw),
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
        Wish::System => calls::system(&mut draw),
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
