//! A malicious client: random bytes as messages, stale sessions, lying leases, requests that it gives up.

use abi::tag::{Flags, Op, Tag, Transfer};
use alloc::vec;
use alloc::vec::Vec;
use libsys::lease::Lease;
use libsys::proto::{control, io, memory};
use libsys::rt::ENDPOINT;
use libsys::slots;
use libsys::syscall::{self, Input, Slot};
use libsys::time::Instant;
use libsys::{println, rt};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Memory that servers may write to: more than any of them copies at once.
const MEMORY: usize = 256 << 10;
/// It gives up a request after so many TSC ticks.
const PATIENCE: u64 = 200_000;
/// Addresses where this program has nothing, or no program can have anything.
const NOWHERE: [u64; 4] = [0, 0x5000_0000_0000, 0xffff_8000_0000_0000, u64::MAX - 4096];

/// Sends `count` messages to each server that it may call.
pub fn run(count: u64, seed: u64) {
    let mut memory = vec![b'.'; MEMORY];
    // Root comes last: it may use up this program's memory.
    let (root, others): (Vec<_>, Vec<_>) = rt::info()
        .endpoints
        .iter()
        .partition(|(name, _)| name.starts_with("root."));
    for (name, slot) in others.into_iter().chain(root) {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut stale = 0;
        for _ in 0..count {
            random_message(&mut random, Slot(*slot), name, &mut memory);
            if !name.starts_with("root.") && random.random_ratio(1, 50) {
                stale += u64::from(stale_session(&mut random, Slot(*slot), name, &mut memory));
            }
        }
        println!("hostile: {name} got {count} messages and answered {stale} stale sessions");
    }
    println!("hostile: done");
}

/// A random message. Says whether it was done.
fn random_message(random: &mut SmallRng, target: Slot, name: &str, memory: &mut [u8]) -> bool {
    let mut label = match random.random_range(0..4) {
        0 => random.random_range(io::OPEN..=io::WAIT + 2),
        1 => random.random_range(io::FIRST_OTHER..io::FIRST_OTHER + 0x20),
        2 => 1 << random.random_range(0..32),
        _ => random.random(),
    };
    match (name, label) {
        // What it writes there is allowed, and others would see it.
        ("console" | "disk" | "flash" | "fs", io::WRITE) => label = io::READ,
        // It is allowed to end itself, and to give its memory back, too.
        ("root.memory", control::EXIT | control::PANIC | memory::HEAP) => label = control::KILL,
        _ => {}
    }
    send(random, target, label, memory)
}

/// A message with this label, and all else at random. Says whether it was done.
pub fn send(random: &mut SmallRng, target: Slot, label: u32, memory: &mut [u8]) -> bool {
    let mut words = [(); 4].map(|()| word(random));
    // Nor does it shut up for hours: a sleep is given up all the same.
    words[3] = random.random();
    let (base, length) = lease(random, memory);
    let flags = Flags::TIMED
        | if random.random() {
            Flags::CAP
        } else {
            Flags::empty()
        };
    let receive = slots::allocate();
    let output = syscall::enter(Input {
        base,
        length,
        deadline: Instant::now().0 + random.random_range(0..PATIENCE),
        transfer: Transfer {
            // Nobody has asked for these.
            pass: [0, ENDPOINT.0, rt::MEMORY.0][random.random_range(0..3)],
            receive: receive.map_or(0, |slot| slot.0),
            ..Transfer::default()
        },
        ..Input::new(Tag::new(Op::Call, label, 0, flags), target, words)
    });
    if let Some(slot) = receive {
        slots::release(slot);
    }
    output.check().is_ok_and(|answer| answer.tag.label() == 0)
}

fn word(random: &mut SmallRng) -> u64 {
    match random.random_range(0..4) {
        0 => random.random_range(0..16),
        1 => u64::MAX - random.random_range(0..16),
        2 => 1 << random.random_range(0..64),
        _ => random.random(),
    }
}

/// Base and length with rights: honest, nowhere, or longer than what is there.
fn lease(random: &mut SmallRng, memory: &mut [u8]) -> (u64, u64) {
    let rights = random.random_range(0..4u64) << 62;
    let honest = random.random_range(0..memory.len());
    let bytes = Lease::read_write(memory);
    match random.random_range(0..4) {
        0 => (0, 0),
        1 => (bytes.base(), honest as u64 | rights),
        2 => (
            bytes.base(),
            random.random::<u64>() >> 2 >> random.random_range(0..48) | rights,
        ),
        _ => {
            let nowhere = NOWHERE[random.random_range(0..NOWHERE.len())];
            (nowhere, honest as u64 | rights)
        }
    }
}

/// A name that a server knows.
fn good_name(server: &str) -> &'static [u8] {
    match server {
        "disk" | "flash" => b"0",
        "fs" => b"load",
        "net" => b"net:",
        "timer" => b"100",
        _ => b"",
    }
}

/// Opens a session, maybe with a random name, uses it, closes it, and goes on using it. Says whether any of the latter was done.
fn stale_session(random: &mut SmallRng, server: Slot, name: &str, memory: &mut [u8]) -> bool {
    let Some(session) = slots::allocate() else {
        return false;
    };
    let noise: [u8; 3] = random.random();
    let text = match random.random() {
        true => good_name(name),
        false => &noise[..random.random_range(0..=noise.len())],
    };
    let transfer = Transfer {
        receive: session.0,
        ..Transfer::default()
    };
    let lease = Lease::read(text);
    let _ = syscall::call_transferring(server, io::OPEN, [0; 4], lease, transfer);
    for _ in 0..4 {
        random_message(random, session, name, memory);
    }
    let _ = syscall::call(session, io::CLOSE, [0; 4]);
    let done = (0..4).any(|_| random_message(random, session, name, memory));
    slots::release(session);
    done
}
