//! One system call, trap or store for each wish.

use abi::{Kind, Op, fault::Registers, object::*};

use super::{
    Wish,
    draw::{BUFFERS, Draw, PAGES},
};
use crate::{
    model::{Owed, State},
    world::{Call, Event},
};

/// Nothing but words, at times more than four, or a payload. Who receives parks its caller at times, and
/// answers a parked one when it owes an acknowledgement.
pub fn plain(draw: &mut Draw, wish: Wish) -> Call {
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
    if right == 2 {
        match draw.model.thread(draw.thread).owed {
            Owed::Irq(_) if draw.chance(80) => call.rax = call.rax & !0x7f00 | 1 << 15,
            Owed::Caller(_) if draw.chance(50) => {
                call.rax = Op::Recv as u64 | 1 << 15;
                call.rdi = if draw.chance(60) { 3 } else { call.rdi };
            }
            _ => return call,
        }
        call.rsi = draw.kind(Kind::Reply);
    }
    call
}

pub fn message(draw: &mut Draw, wish: Wish) -> Call {
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

pub fn table(draw: &mut Draw) -> Call {
    let table = draw.kind(Kind::CapTable);
    let empty = draw.empty(draw.named_table(table));
    let label = draw.one(&[
        captable::DERIVE,
        captable::DERIVE,
        captable::DERIVE,
        captable::MOVE,
        captable::IDENTIFY,
        captable::IDENTIFY,
        captable::MESSAGES,
    ]);
    if [captable::IDENTIFY, captable::MESSAGES].contains(&label) {
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

pub fn retype(draw: &mut Draw) -> Call {
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

pub fn on_thread(draw: &mut Draw) -> Call {
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
pub fn revive(draw: &mut Draw) -> Call {
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

pub fn space(draw: &mut Draw) -> Call {
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

pub fn system(draw: &mut Draw) -> Call {
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

pub fn trap(draw: &mut Draw) -> Event {
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
pub fn store(draw: &mut Draw) -> Event {
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
