//! A malicious parent: asks root for children that it may not have, lies about what it lends, ends what is not its own, waits
//! twice. It may start two children at a time, of the file `misbehave`.

use crate::hostile;
use abi::tag::{Flags, LeaseBits, Op, Tag};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::handle::Handle;
use libsys::lease::Lease;
use libsys::proto::children::{END, SPAWN, SPAWN_MAX, WAIT};
use libsys::proto::control::Status;
use libsys::rt::{self, MEMORY};
use libsys::sync::channel;
use libsys::syscall::{self, Input, Output, Words};
use libsys::{println, thread};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// What starts a child that runs until it is ended.
const GOOD: &[u8] = b"spinner\0misbehave\0--spin\0root.memory\0";
/// What [`GOOD`] says of itself.
const COUNTS: Words = [1, 0, 1, 0];
/// More ids than programs are started here.
const IDS: u64 = 10_000;

/// Does all that; `count` random messages of each kind.
pub fn run(count: u64, seed: u64) -> Result<(), String> {
    refused_wishes();
    lying_leases();
    println!(
        "wait without children: {:?}",
        send(WAIT, [0; 4], Lease::NONE)
    );
    let children = [(); 2].map(|()| spawn(GOOD, COUNTS));
    println!("two children: {}", children.iter().all(Result::is_ok));
    println!("a third: {:?}", spawn(GOOD, COUNTS).map(drop));
    let [first, second] = children.map(Result::unwrap_or_default);
    let ended = end_all_but(&[first, second]);
    println!("ended of others: {ended:?}");
    wait_twice(first)?;
    end_and_wait(second);
    println!("ended again: {:?}", end(second));
    random(count, seed);
    // What else runs is not its own either: the test starts it now.
    let keyboard = Handle::open("keyboard:").map_err(|error| format!("{error}"))?;
    println!("waits for a key");
    let _ = keyboard.read(&mut [0]);
    let ended = end_all_but(&[]);
    println!("ended of others: {ended:?}");
    let words: Words = [2, 0, 2, 0];
    let speaker = b"speaker\0misbehave\0--lines\x001\0root.memory\0console\0";
    let speaker = spawn(speaker, words).map_err(|error| format!("{error}"))?;
    println!("it ends by itself: {}", wait() == Ok(speaker));
    Ok(())
}

/// Wishes that root does not grant.
fn refused_wishes() {
    let long = [&[b'n'; 33], &b"\0misbehave\0"[..]].concat();
    let wishes: &[(&str, &[u8], Words)] = &[
        ("nothing", b"", [0; 4]),
        ("no file", b"n\0", [0; 4]),
        ("no name", b"\0misbehave\0", [0; 4]),
        ("a long name", &long, [0; 4]),
        (
            "a name of two lines",
            b"n\nroot: all is well\0misbehave\0",
            [0; 4],
        ),
        ("no text", b"\xff\0misbehave\0", [0; 4]),
        ("no end", b"n\0misbehave", [0; 4]),
        ("fewer strings than said", b"n\0misbehave\0", [1, 0, 0, 0]),
        ("2^64 - 1 strings", b"n\0misbehave\0", [0, u64::MAX, 0, 0]),
        ("more strings than said", b"n\0misbehave\0more\0", [0; 4]),
        (
            "a variable without value",
            b"n\0misbehave\0V\0",
            [0, 1, 0, 0],
        ),
        ("another file", b"n\0shell\0", [0; 4]),
        ("root's file", b"n\0root\0", [0; 4]),
        (
            "root.control",
            b"n\0misbehave\0root.control\0",
            [0, 0, 1, 0],
        ),
        ("somebody's server", b"n\0misbehave\0disk\0", [0, 0, 1, 0]),
        ("nobody's server", b"n\0misbehave\0nobody\0", [0, 0, 1, 0]),
        (
            "a server's facet",
            b"n\0misbehave\0console.input\0",
            [0, 0, 1, 0],
        ),
    ];
    for (what, text, counts) in wishes {
        println!("{what}: {:?}", spawn(text, *counts));
    }
}

/// A good wish, but the memory it is said to be in is not what it seems.
fn lying_leases() {
    let mut wish = GOOD.to_vec();
    let (address, length) = (wish.as_ptr().expose_provenance() as u64, wish.len() as u64);
    let write_only = Lease::write(&mut wish).bits();
    let read = |length: u64| LeaseBits::READ.bits() | length;
    let limit = SPAWN_MAX as u64;
    for (what, base, bits) in [
        ("memory that root may not read", address, write_only.bits()),
        ("memory without any rights", address, length),
        ("memory that is not there", 0x5000_0000_0000, read(length)),
        ("the kernel's memory", 0xffff_8000_0000_0000, read(length)),
        ("memory beyond the end", u64::MAX - 8, read(length)),
        ("more than is taken", address, read(limit + 1)),
        ("as much as there can be", address, read(u64::MAX >> 2)),
    ] {
        let output = syscall::enter(Input {
            base,
            length: bits,
            ..Input::new(Tag::new(Op::Call, SPAWN, 0, Flags::empty()), MEMORY, COUNTS)
        });
        println!("{what}: {:?}", answered(output).map(drop));
    }
}

/// Two threads wait at once, for one child.
fn wait_twice(child: u64) -> Result<(), String> {
    let (sender, receiver) = channel(2);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let sender = sender.clone();
        let started = thread::spawn(move || sender.send(wait()).is_ok());
        waiting.push(started.map_err(|error| format!("{error:?}"))?);
    }
    println!("waits, too: {:?}", receiver.receive());
    println!("ends it: {:?}", end(child));
    println!("hears it: {}", receiver.receive() == Some(Ok(child)));
    Ok(())
}

/// Random messages with these operations. What they start is ended.
fn random(count: u64, seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    let mut memory = GOOD.repeat(100);
    let mut started = 0;
    for _ in 0..count {
        for label in [SPAWN, WAIT, END] {
            hostile::send(&mut random, MEMORY, label, &mut memory);
        }
        let mut wish = GOOD.to_vec();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..wish.len());
            wish[at] = random.random();
        }
        if let Ok(child) = spawn(&wish, COUNTS) {
            started += 1;
            end_and_wait(child);
        }
    }
    println!("random: some started: {}", started > 0);
    // A message that was given up may have been heard.
    let others = (0..IDS).filter(|id| end(*id).is_ok());
    others.for_each(|id| println!("{id} ended: {}", wait() == Ok(id)));
    println!("none is left: {:?}", wait());
}

/// Ends whatever has an id, but its own children: which of them root has ended for it.
fn end_all_but(children: &[u64]) -> Vec<u64> {
    let others = (0..IDS).filter(|id| !children.contains(id));
    let others = others.chain([u64::MAX, 1 << 32 | u64::from(rt::info().id)]);
    others.filter(|id| end(*id).is_ok()).collect()
}

fn end_and_wait(child: u64) {
    if (end(child), wait()) != (Ok(()), Ok(child)) {
        println!("{child} did not end");
    }
}

fn spawn(wish: &[u8], counts: Words) -> Result<u64, Status> {
    send(SPAWN, counts, Lease::read(wish))
}

fn end(child: u64) -> Result<(), Status> {
    send(END, [child, 0, 0, 0], Lease::NONE).map(drop)
}

fn wait() -> Result<u64, Status> {
    send(WAIT, [0; 4], Lease::NONE)
}

fn send(label: u32, words: Words, lent: Lease<'_>) -> Result<u64, Status> {
    answered(syscall::call_lending(MEMORY, label, words, lent))
}

fn answered(output: Output) -> Result<u64, Status> {
    let reply = output.check().map_err(|_| Status::BadOperation)?;
    match Status::from_label(reply.tag.label()) {
        None => Ok(reply.words[0]),
        Some(status) => Err(status),
    }
}
