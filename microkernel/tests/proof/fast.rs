//! The fast path, assembled for the host from the same text, against the slow path: from the same state, with the same
//! registers, both end in the same state, but for the words listed in [`stale`].

use std::collections::{BTreeMap, HashSet};

use abi::{Op, tag::Flags};
use microkernel::{
    Kernel,
    arch::{
        fastpath::{self, Exit, Registers},
        frame::{self, Frame},
        host,
    },
    thread::{Owed, ThreadRef, ThreadState, offset},
};
use proptest::collection::vec;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::{
    compare::slot,
    generate,
    inspect::{Census, Complaint, demand},
    pair::Pair,
    snapshot::Snapshot,
    world::{Call, Event, World},
};

/// The registers at SYSCALL, in the processor's order.
fn at_syscall(thread: ThreadRef, call: &Call) -> Registers {
    let frame = thread.frame();
    let [w0, w1, w2, w3] = call.words;
    [
        call.rax,
        frame.rip.get(),
        call.rdx,
        frame.rbx.get(),
        frame.rsp.get(),
        frame.rbp.get(),
        call.rsi,
        call.rdi,
        call.r8,
        call.r9,
        call.r10,
        0x246,
        w0,
        w1,
        w2,
        w3,
    ]
}

/// What the program sees when the slow path returns to it (`postern_resume`).
fn at_return(frame: &Frame) -> Registers {
    [
        frame.rax.get(),
        frame.rip.get(),
        0,
        frame.rbx.get(),
        frame.rsp.get(),
        frame.rbp.get(),
        0,
        frame.rdi.get(),
        frame.r8.get(),
        0,
        0,
        frame::FLAGS,
        frame.r12.get(),
        frame.r13.get(),
        frame.r14.get(),
        frame.r15.get(),
    ]
}

/// The running thread makes a system call that the fast path may take. True: it did.
pub fn enter(world: &mut World, call: &Call) -> (Exit, bool) {
    let thread = world.current().expect("a thread runs");
    let exit = fastpath::enter(world.kernel(), at_syscall(thread, call));
    // What the next entry would do first.
    let taken = !matches!(exit, Exit::Slow(_));
    if taken {
        world.kernel().enter();
    }
    (exit, taken)
}

/// The call whose registers the fast path left for the slow path.
fn left_over(registers: &Registers) -> Call {
    let [rax, _, rdx, _, _, _, rsi, rdi, r8, r9, r10, _, w0, w1, w2, w3] = *registers;
    let words = [w0, w1, w2, w3];
    Call { rax, rdi, rsi, rdx, r8, r9, r10, words }
}

/// Words in which the paths may differ, because nobody reads them before they are written again:
/// - the kernel's own: trace, who pays since when, the turn (compared by their meaning, in [`same_kernel`]);
/// - of every thread: saved registers but RIP, RSP, RBX, RBP, unless it trapped (a blocked thread's others are its message's,
///   which is written when it ends); who paid; the badge of a call that is not queued; the leases of a thread that lends nothing; and the caller
///   that a receiving thread owed before.
fn stale(world: &mut World, threads: &[ThreadRef]) -> HashSet<u64> {
    let kernel = (world.base..world.base + size_of::<Kernel>() as u64).step_by(8);
    let mut stale: HashSet<u64> = kernel.collect();
    for thread in threads {
        let frame = thread.frame();
        let start = frame as *const Frame as u64;
        if frame.is_syscall() {
            stale.extend((start..thread.address()).step_by(8));
        }
        for kept in [&frame.rip, &frame.rsp, &frame.rbx, &frame.rbp] {
            stale.remove(&(kept.as_ptr() as u64));
        }
        stale.insert(thread.paid.as_ptr() as u64);
        // Compared by its meaning (`meaning`).
        let owed = thread.address() + offset::OWED as u64;
        stale.extend([owed, owed + 8]);
        let state = thread.state();
        if !matches!(state, ThreadState::Sending { .. }) {
            stale.insert(thread.badge.as_ptr() as u64);
        }
        if !matches!(state, ThreadState::AwaitingReply { .. }) {
            let leases = thread.leases.as_ptr() as u64;
            stale.extend((leases..leases + 64).step_by(8));
        }
        if matches!(state, ThreadState::Receiving { .. }) {
            stale.insert(thread.address() + offset::FAST_CALLER as u64);
        }
    }
    // Idle is part of the kernel's own state.
    let idle = world.kernel().idle;
    stale.insert(idle.paid.as_ptr() as u64);
    stale
}

/// What a kernel's own state means, and who owes what.
fn meaning(
    kernel: &Kernel,
    threads: &[ThreadRef],
) -> (ThreadRef, u64, i32, Vec<ThreadRef>, Vec<Owed>) {
    let ready = (0..=255).flat_map(|priority| kernel.ready.members(priority));
    let root = kernel.loaded_root();
    (
        kernel.current(),
        root,
        kernel.ready.top(),
        ready.collect(),
        threads.iter().map(|thread| thread.owed()).collect(),
    )
}

/// It is no invocation of a kernel object.
fn is_message(pair: &Pair, call: &Call) -> bool {
    let thread = pair.model.current.expect("a thread runs");
    let cap = pair.model.own(thread, call.rdi).ok().and_then(|place| pair.model.caps.get(&place));
    call.rax & 15 != 0 || cap.is_some_and(|cap| cap.kind == abi::Kind::Endpoint)
}

/// Both paths, from the same state; goes on with the slow one. Returns what the fast path took it for, if it took it.
pub fn both(
    pair: &mut Pair,
    before: &mut Snapshot,
    call: &Call,
) -> Result<Option<&'static str>, Complaint> {
    before.retake(&pair.world);
    let (exit, taken) = enter(&mut pair.world, call);
    let mut user = None;
    let shape = match exit {
        Exit::Trap { .. } => "fault answer",
        _ => shape(call),
    };
    match exit {
        Exit::User { registers, loaded } => {
            let cr3 = pair.world.kernel().current().cr3.get();
            demand!(loaded == 0 || loaded == cr3, "it loaded space {loaded:#x}");
            user = Some(registers);
        }
        Exit::Trap { loaded } => {
            let cr3 = pair.world.kernel().current().cr3.get();
            demand!(loaded == 0 || loaded == cr3, "it loaded space {loaded:#x}");
        }
        Exit::Slow(registers) => {
            let left = left_over(&registers);
            let allowed = Call { rsi: left.rsi, r9: left.r9, r10: left.r10, ..*call };
            let plain = call.rax & 0xffff_80de == 0;
            // The answer to a parked caller leaves RSI in the frame.
            let via = [VIA, VIA | PAYLOAD].contains(&(call.rax as u32));
            let rsi = pair.world.current().expect("a thread runs").frame().rsi.get();
            let left = if via && left.rsi != call.rsi { Call { rsi, ..left } } else { left };
            let plain = plain || via;
            let allowed = if via { Call { rsi: call.rsi, ..allowed } } else { allowed };
            demand!(left == if plain { allowed } else { *call }, "declined with {left:x?}");
            if !is_message(pair, call) {
                // It may change anything, but not before the slow path has it.
                let changed = before.changes(&pair.world);
                demand!(changed.is_empty(), "declined, but changed {changed:x?}");
                pair.step(&Event::Call(*call));
                return Ok(None);
            }
            pair.world.step(&Event::Call(left));
        }
    }
    let census = Census::take(slot(pair.model.roots[0]))?;
    census.check_tree(pair.world.kernel())?;
    census.check_ipc(pair.world.kernel())?;
    let fast = meaning(pair.world.kernel(), &census.threads);
    let machine = host::machine();
    let after = Snapshot::take(&pair.world);

    before.restore(&mut pair.world);
    pair.step(&Event::Call(*call));
    let threads = Census::take(slot(pair.model.roots[0]))?.threads;
    let slow = meaning(pair.world.kernel(), &threads);
    demand!(fast == slow, "{fast:?}, the slow path {slow:?}");
    let stale = stale(&mut pair.world, &census.threads);
    let mut wrong = after.changes(&pair.world);
    wrong.retain(|at| !stale.contains(at));
    demand!(wrong.is_empty(), "the words at {wrong:x?} differ");
    if let Some(user) = user {
        let mut expected = at_return(slow.0.frame());
        if call.rax as u32 == Op::Nop as u32 {
            // It touches nothing: what the slow path clears is still the caller's own.
            expected = at_syscall(slow.0, call);
            (expected[0], expected[11]) = (0, frame::FLAGS);
        }
        demand!(user == expected, "registers {user:x?}, the slow path {expected:x?}");
        let waiting = slow.2 >= slow.0.priority.get();
        demand!(
            !waiting || machine.timer <= pair.model.now + crate::world::HZ / 100,
            "an equal is ready, and the turn does not end"
        );
    }
    Ok(taken.then_some(shape))
}

/// What the fast path takes (but for a fault's answer and one with bytes to a parked caller, which `conditions` has).
const SHAPES: [&str; 7] =
    ["call", "long call", "reply_recv", "long reply_recv", "payload", "via", "nop"];
/// How often a run sees each.
const ENOUGH: u32 = 3;

/// The tags of an answer to a parked caller: without bytes, and with.
const VIA: u32 = Op::ReplyRecv as u32 | Flags::VIA.bits();
const PAYLOAD: u32 = Flags::PAYLOAD.bits();

/// What kind of fast path it would take.
fn shape(call: &Call) -> &'static str {
    let long = call.rax & 0x7f00 != 0;
    if call.rax as u32 & VIA == VIA {
        return if call.rax as u32 & PAYLOAD != 0 { "via with payload" } else { "via" };
    }
    match call.rax & 0x3f {
        0 if long => "long call",
        0 => "call",
        1 if long => "long reply_recv",
        1 => "reply_recv",
        0x21 => "payload",
        _ => "nop",
    }
}

/// The first tags: a plain call or reply_recv, the same with words or a payload, or nothing.
fn may_be_fast(call: &Call) -> bool {
    matches!(call.rax & 15, 0 | 1 | 5)
}

/// Random worlds, in which every call, reply_recv and nop goes both ways.
#[test]
fn both_paths_do_the_same() {
    let seed = crate::seed();
    let total = if crate::long() { 1_000_000 } else { 10_000 };
    println!("seed {seed} (POSTERN_SEED), {total} system calls by both paths");
    let mut pair = Pair::boot();
    let mut before = Snapshot::take(&pair.world);
    let mut calls = 0;
    let mut taken = BTreeMap::new();
    for seed in seed.. {
        let seen = |shape: &&str| taken.get(*shape).copied().unwrap_or(0) >= ENOUGH;
        if calls >= total && (SHAPES.iter().all(seen) || calls >= 10 * total) {
            break;
        }
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = crate::random::config();
        let mut runner = TestRunner::new_with_rng(config, rng);
        let pair = std::cell::RefCell::new((&mut pair, &mut before, &mut calls, &mut taken));
        let outcome = runner.run(&vec(generate::plain_action(), 1..=400), |actions| {
            let (pair, before, calls, taken) = &mut *pair.borrow_mut();
            pair.reboot();
            if seed % 2 == 0 {
                pair.populate();
            } else {
                pair.populate_with_interrupts();
            }
            for (step, action) in actions.iter().enumerate() {
                pair.pass(action.ticks as u64);
                let Some(event) = generate::resolve(&pair.model, action) else {
                    break;
                };
                let result = match &event {
                    Event::Call(call) if may_be_fast(call) => {
                        **calls += 1;
                        both(pair, before, call).map(|shape| {
                            if let Some(shape) = shape {
                                *taken.entry(shape).or_insert(0) += 1;
                            }
                        })
                    }
                    _ => {
                        pair.step(&event);
                        Ok(())
                    }
                };
                result.map_err(|text| {
                    proptest::test_runner::TestCaseError::fail(format!(
                        "step {step}, {event:x?}: {text}"
                    ))
                })?;
            }
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("POSTERN_SEED={seed} fails: {error}");
        }
    }
    println!("{calls} system calls; on the fast path {taken:?}");
    for shape in SHAPES {
        let count = taken.get(shape).copied().unwrap_or(0);
        assert!(count >= ENOUGH, "too few ({count}) of {shape} to tell anything");
    }
}
