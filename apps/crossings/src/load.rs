//! Round trips under less kind conditions: cold caches, many ready threads, several servers behind each other.

use crate::clock::{self, Samples};
use crate::ipc::{empty, enter, plain};
use crate::partner::{Mode, ROUND};
use crate::{Bench, Failure, PRIORITY, kernel};
use abi::fault::Registers;
use abi::object::untyped;
use abi::{Error, Kind, PAGE};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use libsys::object::{OWN_TABLE, Space, Thread, Untyped};
use libsys::syscall::{self, Slot};
use libsys::{rt, slots};

/// More than the first two levels of a processor's cache, and more pages than its TLB has entries.
const CACHES: usize = 6 << 20;
/// Bytes of a line of the cache.
const LINE: usize = 64;
/// Threads of [`ready`], the size of the memory for them (2^20 bytes), and addresses that nothing else uses for their buffers.
const READY: u64 = 100;
const ROOM: u8 = 20;
const AREA: u64 = 0x5000_0000_0000;
/// Servers of the longest chain.
const SERVERS: usize = 5;

/// `ipc.roundtrip.cold`: before each round trip much other memory is touched.
pub fn cold(bench: &Bench) -> Result<Samples, Failure> {
    let mut memory = vec![0u8; CACHES];
    enter(bench.partner, Mode::Zeros)?;
    clock::singles(
        bench.samples / 10,
        || {
            for byte in memory.iter_mut().step_by(LINE) {
                *core::hint::black_box(byte) += 1;
            }
            Ok(())
        },
        || plain(syscall::call(bench.partner, ROUND, [0; 4])),
    )
}

/// `ipc.roundtrip.ready.100`: while many threads of a lower priority would run if they could.
pub fn ready(bench: &Bench) -> Result<Samples, Failure> {
    let slot = || slots::allocate().ok_or(Error::NoCapability);
    let room = Untyped(slot().map_err(kernel)?);
    Untyped(Slot(bench.own.untyped))
        .retype(Kind::Untyped, ROOM, 1, OWN_TABLE, room.0, untyped::ALL)
        .map_err(kernel)?;
    let threads: Result<Vec<Slot>, Error> = (0..READY)
        .map(|index| {
            let thread = Thread(slot()?);
            room.retype(Kind::Thread, 0, 1, OWN_TABLE, thread.0, untyped::ALL)?;
            idle(bench, thread, AREA + index * PAGE)?;
            Ok(thread.0)
        })
        .collect();
    let threads = threads.map_err(kernel)?;
    enter(bench.partner, Mode::Zeros)?;
    let samples = empty(bench.samples, bench.partner);
    OWN_TABLE.revoke(room.0).map_err(kernel)?;
    threads.into_iter().chain([room.0]).for_each(slots::release);
    samples
}

/// Starts a thread that does nothing, without a stack.
fn idle(bench: &Bench, thread: Thread, buffer: u64) -> Result<(), Error> {
    extern "C" fn idle() -> ! {
        loop {
            core::hint::spin_loop();
        }
    }
    thread.configure(OWN_TABLE, Space(Slot(bench.own.space)), Slot(0), buffer)?;
    thread.write_registers(&Registers {
        rip: idle as *const () as u64,
        rflags: 0x202,
        ..Registers::default()
    })?;
    thread.priority(PRIORITY - 1, PRIORITY - 1)?;
    thread.start()
}

/// `ipc.chain.*`: each server calls the next before it answers, the last of `servers` answers at once.
pub fn chain(bench: &Bench, servers: usize) -> Result<Samples, Failure> {
    let first = format!("chain{}", SERVERS + 1 - servers);
    let first = rt::endpoint(&first).ok_or_else(|| format!("it needs `{first}`"))?;
    // The first message to each server begins its loop.
    plain(syscall::call(first, ROUND, [0; 4]))?;
    empty(bench.samples, first)
}
