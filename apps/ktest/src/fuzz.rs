//! Random system calls, from several threads of several programs, beside programs that must not notice.
//!
//! The supervisor builds a world of three programs in spaces of their own, each with one of every kind of object, lets them
//! call what they like for a while, takes the world apart, counts what is left, and begins anew with the next seed. Threads
//! that got stuck are cancelled, suspended ones started, those that broke themselves begin again. The programs hold nothing
//! of the supervisor's: what they can reach is theirs.

use crate::calls::caller;
use crate::lab::Lab;
use crate::outcome::{Failure, describe};
use crate::place::{area, registers};
use crate::process::Process;
use crate::random::Random;
use crate::raw::{self, WINDOW};
use crate::runner::power_off;
use abi::object::{captable, endpoint, frame, irq, space, thread, untyped};
use abi::{Error, Kind, PAGE, fault};
use alloc::vec::Vec;
use libsys::object::{Frame, Thread, Untyped};
use libsys::syscall::{self, Answer, Slot};
use libsys::{println, rt};

/// Programs of a world.
const PROGRAMS: u64 = 3;
/// Calls of one world.
const WORLD: u64 = 2500;
/// Slots of a program's table.
pub const SLOTS: u64 = 64;
/// Where each program finds its counters, a word for each thread.
pub const COUNTERS: u64 = WINDOW;
/// Memory it may lend.
pub const MEMORY: u64 = WINDOW + PAGE;
/// Behind them, in the same page, a word for each status a call may end with.
pub const ANSWERS: u64 = 64;
/// How often the supervisor looks, in ticks.
const TICK: u64 = 300_000;
/// Ticks in which nobody made a call: the world is dead.
const QUIET: u32 = 20;

/// What the witness said last, and whether it may go on.
#[derive(Default)]
struct Witness {
    echoes: u64,
    blocks: u64,
    wrong: u64,
}

/// Runs as many calls as the second argument says, from the seed in the third on, and powers off.
pub fn run() {
    let number = |i: usize, default| {
        let text = rt::info().args.get(i);
        text.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (calls, first) = (number(1, 200_000), number(2, 1));
    let Some(mut lab) = Lab::new() else {
        panic!("the manifest gives no `untyped`")
    };
    let (mut done, mut seed) = (0, first);
    let mut answers = [0; 256];
    let mut witness = Witness::default();
    let mut well = true;
    println!("fuzz begins: {calls} calls, seed {first}");
    while done < calls && well {
        let world = world(&mut lab, seed, &mut witness, &mut answers);
        let made = world.as_ref().map_or(0, |made| *made);
        let outcome = world.map(drop).and(lab.end());
        println!("fuzz seed {seed}: {made} calls, {}", describe(&outcome));
        well &= outcome.is_ok();
        done += made;
        seed += 1;
    }
    witness.listen(true);
    let Witness {
        echoes,
        blocks,
        wrong,
    } = witness;
    println!("witness: {echoes} echoes, {blocks} blocks, {wrong} wrong");
    well &= wrong == 0 && echoes > 0 && blocks > 0;
    for (code, count) in answers.iter().enumerate().filter(|(_, count)| **count > 0) {
        match Error::from_code(code as u8) {
            Some(error) => println!("answers: {error:?} {count}"),
            None => println!("answers: {code} {count}"),
        }
    }
    println!(
        "fuzz ends: {done} calls, {}",
        if well { "ok" } else { "FAILED" }
    );
    power_off(well)
}

impl Witness {
    /// Hears its report, if there is one; with `last` it waits for one and ends it.
    fn listen(&mut self, last: bool) {
        let message = if last {
            syscall::recv(rt::ENDPOINT)
        } else {
            syscall::recv_until(rt::ENDPOINT, 0)
        };
        if let Ok(message) = message.check() {
            [self.echoes, self.blocks, self.wrong, _] = message.words;
            syscall::reply(Answer::new(last as u32, [0; 4]));
        }
    }
}

/// A thread that makes calls.
struct Caller {
    thread: Thread,
    index: u64,
    /// Where the supervisor sees how many.
    counter: u64,
    seen: u64,
}

/// One world; returns how many calls were made.
fn world(
    lab: &mut Lab,
    seed: u64,
    witness: &mut Witness,
    answers: &mut [u64; 256],
) -> Result<u64, Failure> {
    lab.begin()?;
    let mut random = Random::new(seed);
    let faults = lab.endpoint()?;
    let shared = lab.endpoint()?;
    let mut callers = Vec::new();
    for (number, priority) in (0..PROGRAMS).zip([20, 30, 30]) {
        let process = lab.process(caller, seed << 8 | number << 4, 0, &[], faults)?;
        process.thread.suspend()?;
        let second = (seed << 8 | number << 4 | 1, priority / 2 + 10);
        let other = lab.process_thread(&process, 1, caller, second.0, 0, faults)?;
        other.suspend()?;
        let counters = furnish(lab, &process, other, shared, number)?;
        for (index, (thread, priority)) in [(process.thread, priority), (other, second.1)]
            .into_iter()
            .enumerate()
        {
            thread.priority(priority, priority)?;
            thread.start()?;
            let counter = counters + 8 * index as u64;
            callers.push(Caller {
                thread,
                index: index as u64,
                counter,
                seen: 0,
            });
        }
    }
    let mut quiet = 0;
    let mut total = 0;
    while total < WORLD && quiet < QUIET {
        lab.rest(TICK);
        witness.listen(false);
        while syscall::recv_until(faults, 0).check().is_ok() {
            syscall::reply(Answer::new(fault::STOP, [0; 4]));
        }
        let mut now = 0;
        for caller in &mut callers {
            let count = raw::read(caller.counter);
            if count == caller.seen {
                revive(caller, random.next());
            }
            caller.seen = count;
            now += count;
        }
        quiet = if now == total { quiet + 1 } else { 0 };
        total = now;
    }
    for page in 1..=PROGRAMS {
        for (word, answers) in (ANSWERS..).zip(answers.iter_mut()) {
            *answers += raw::read(WINDOW + page * PAGE + 8 * word);
        }
    }
    Ok(total)
}

/// A thread made no call since the supervisor looked last: it waits, or is suspended, or broke itself.
fn revive(stuck: &Caller, seed: u64) {
    let Ok(info) = stuck.thread.info() else {
        return;
    };
    if info.state != thread::State::Inactive as u8 {
        let _ = stuck.thread.cancel();
        return;
    }
    let entry = caller as *const () as u64;
    let argument = seed << 8 | stuck.index;
    let fresh = registers(area(stuck.index), entry, argument);
    let _ = stuck.thread.write_registers(&fresh);
    let _ = stuck.thread.start();
}

/// Gives a program one of each kind of object, and two pages: its counters, which it has no capability to, and memory to
/// lend. Returns where the supervisor sees the counters.
fn furnish(
    lab: &mut Lab,
    process: &Process,
    other: Thread,
    shared: Slot,
    number: u64,
) -> Result<u64, Failure> {
    let rights = frame::READ | frame::WRITE;
    let counters = lab.frame()?;
    let theirs = Frame(lab.copy(counters.0, rights, 0)?);
    process
        .space
        .map(theirs, COUNTERS, rights, space::WRITE_BACK)?;
    let here = lab.map(counters, 1 + number)?;
    let lent = lab.frame()?;
    process.space.map(lent, MEMORY, rights, space::WRITE_BACK)?;
    let give = |slot, from, rights, badge| process.table.derive(Slot(slot), from, rights, badge);
    give(1, process.table.0, captable::ALL, 0)?;
    give(2, process.space.0, space::ALL, 0)?;
    give(3, process.thread.0, thread::ALL, 0)?;
    give(4, other.0, thread::ALL, 0)?;
    give(5, shared, endpoint::ALL & !endpoint::MINT, 0)?;
    give(6, lab.frame()?.0, frame::ALL, 0)?;
    give(7, shared, endpoint::CALL | endpoint::GRANT, number + 1)?;
    let memory = Untyped(lab.make(Kind::Untyped, 17)?);
    // Originals, so that it can destroy them.
    for (slot, kind, bits) in [
        (8, Kind::Endpoint, 0),
        (9, Kind::Endpoint, 0),
        (10, Kind::Reply, 0),
        (11, Kind::Reply, 0),
        (12, Kind::Irq, 0),
        (13, Kind::CapTable, 5),
        (14, Kind::Frame, 12),
        (15, Kind::Space, 15),
        (16, Kind::Thread, 0),
        (17, Kind::Untyped, 14),
        (18, Kind::CapTable, 4),
    ] {
        memory.retype(kind, bits, 1, process.table, Slot(slot), untyped::ALL)?;
    }
    process.table.move_from(Slot(19), memory.0)?;
    let bell = lab.irq()?;
    bell.bind(shared, 99)?;
    give(20, bell.0, irq::RAISE_RIGHT, 0)?;
    Ok(here)
}
