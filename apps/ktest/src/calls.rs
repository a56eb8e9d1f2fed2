//! The random system calls that the fuzzer's programs make.

use crate::fuzz::{ANSWERS, COUNTERS, MEMORY, SLOTS};
use crate::place::area;
use crate::random::Random;
use crate::raw::{self, WINDOW};
use crate::tests::NASTY;
use abi::object::{captable, irq, reply, space, thread, untyped};
use abi::tag::{Flags, LeaseBits, Op, Transfer};
use abi::{PAGE, Tag};
use libsys::syscall::{self, Input, Slot};
use libsys::time::Instant;

/// What the threads of the programs run.
pub extern "C" fn caller(argument: u64) -> ! {
    let mut random = Random::new(argument);
    let counter = COUNTERS + 8 * (argument & 1);
    loop {
        let input = input(&mut random);
        for word in [4, 5, 120, 121, 122, 123, 124, 125] {
            syscall::set_word(word, number(&mut random));
        }
        let status = syscall::enter(input).tag.status();
        for word in [counter, COUNTERS + 8 * (ANSWERS + status as u64)] {
            raw::write(word, raw::read(word) + 1);
        }
    }
}

/// A random system call: half of them mean something, half mean nothing.
fn input(random: &mut Random) -> Input {
    if random.below(2) == 0 {
        let (target, label, words) = invocation(random);
        return Input::new(Tag::new(Op::Call, label, 0, Flags::empty()), target, words);
    }
    let op = random.of(&[
        Op::Call,
        Op::Call,
        Op::ReplyRecv,
        Op::Recv,
        Op::Reply,
        Op::Yield,
    ]);
    let known = match op {
        Op::Call => Flags::CAP | Flags::LEASES,
        Op::ReplyRecv | Op::Reply => Flags::PAYLOAD | Flags::CAP | Flags::VIA,
        Op::Recv => Flags::CAP | Flags::VIA,
        _ => Flags::empty(),
    };
    let mut flags = Flags::from_bits_retain(random.next() as u32) & known;
    // Most waiting ends by itself.
    if random.below(16) != 0 && !matches!(op, Op::Reply | Op::Yield) {
        flags |= Flags::TIMED;
    }
    let mut tag = Tag::new(
        op,
        random.below(4) as u32,
        random.of(&[0, 0, 0, 1, 16, 116]),
        flags,
    );
    match random.below(32) {
        0 => tag = Tag(random.next()),
        1 => tag = Tag(tag.0 ^ 1 << random.below(64)),
        _ => {}
    }
    let lent = random.below(3 * PAGE) | random.next() & (LeaseBits::READ | LeaseBits::WRITE).bits();
    let pass = slot(random).0 as u64 | random.next() & 1 << 31;
    Input {
        tag,
        target: if random.below(4) == 0 {
            slot(random)
        } else {
            random.of(&ENDPOINTS)
        },
        via: if random.below(4) == 0 {
            slot(random)
        } else {
            Slot(10 + random.below(2) as u32)
        },
        base: address(random),
        length: if random.below(8) == 0 {
            number(random)
        } else {
            lent
        },
        transfer: Transfer::from_bits(pass | random.below(SLOTS) << 32),
        deadline: Instant::now()
            .0
            .wrapping_add(random.below(60_000))
            .wrapping_sub(20_000),
        words: [
            number(random),
            number(random),
            number(random),
            number(random),
        ],
    }
}

/// Slots with endpoints in them, while they last.
const ENDPOINTS: [Slot; 4] = [Slot(5), Slot(7), Slot(8), Slot(9)];

/// An operation of an object, its arguments right in kind; one of them may then be replaced.
fn invocation(random: &mut Random) -> (Slot, u32, [u64; 4]) {
    let free = 21 + random.below(SLOTS - 21);
    let used = 1 + random.below(20);
    let any = random.below(SLOTS);
    let (target, label, mut words) = match random.below(16) {
        0..3 => (
            1,
            captable::DERIVE,
            [free, used, random.next() & 15, random.below(2)],
        ),
        3 => (1, captable::MOVE, [free, any, 0, 0]),
        4 => (
            1,
            random.of(&[captable::DELETE, captable::REVOKE]),
            [free, 0, 0, 0],
        ),
        5 => (
            1,
            random.of(&[captable::IDENTIFY, captable::MESSAGES]),
            [any, 5, 0, 0],
        ),
        6 | 7 => {
            let kind = 1 + random.below(8);
            let bits = random.of(&[0, 4, 6, 12, 15]);
            let what = kind | bits << 8 | (1 + random.below(3)) << 16;
            (
                random.of(&[17, 19]),
                untyped::RETYPE,
                [what, random.of(&[1, 13, 18]), free, random.next() & 7],
            )
        }
        8 => {
            let page = WINDOW + (2 + random.below(64)) * PAGE;
            let frame = if random.below(2) == 0 { 6 } else { any };
            (
                random.of(&[2, 15]),
                random.of(&[space::MAP, space::UNMAP]),
                [frame, page, 1 + random.below(4), 0],
            )
        }
        9 => (
            random.of(&[3, 4, 16]),
            random.below(9) as u32,
            [random.below(31), random.below(31), 0, 0],
        ),
        10 => (16, thread::CONFIGURE, [1, random.of(&[2, 15]), 5, area(2)]),
        11 => (
            12,
            random.below(4) as u32,
            [random.of(&[5, 8, 9]), any, 0, 0],
        ),
        12 => (20, irq::RAISE, [0; 4]),
        13 => (random.of(&[0, 10, 11]), reply::DEFER, [0; 4]),
        14 => {
            let own = MEMORY + random.below(PAGE);
            let label = random.of(&[reply::LEASE_READ, reply::LEASE_WRITE, reply::LEASE_INFO]);
            (
                random.of(&[0, 10, 11]),
                label,
                [random.below(4), random.below(PAGE), own, random.below(PAGE)],
            )
        }
        // Even what it has from the beginning may go, but seldom.
        _ if random.below(16) == 0 => (1, captable::DELETE, [any, 0, 0, 0]),
        _ => (any, random.below(10) as u32, [number(random); 4]),
    };
    if random.below(8) == 0 {
        words[random.below(4) as usize] = number(random);
    }
    (Slot(target as u32), label, words)
}

/// Mostly one that is in use.
fn slot(random: &mut Random) -> Slot {
    match random.below(32) {
        0 => Slot(random.next() as u32),
        1..8 => Slot(random.below(SLOTS) as u32),
        _ => Slot(random.below(21) as u32),
    }
}

fn address(random: &mut Random) -> u64 {
    match random.below(8) {
        0 => random.of(&NASTY),
        1 => random.next(),
        2 => (WINDOW + 2 * PAGE) + random.below(64) * PAGE,
        _ => MEMORY + random.below(PAGE),
    }
}

fn number(random: &mut Random) -> u64 {
    match random.below(16) {
        0 => random.of(&NASTY),
        1 => random.next(),
        2 | 3 => address(random),
        4 => {
            (random.below(11))
                | random.of(&[0, 4, 5, 12, 14, 15]) << 8
                | (1 + random.below(3)) << 16
        }
        5 | 6 => random.below(256),
        _ => slot(random).0 as u64,
    }
}
