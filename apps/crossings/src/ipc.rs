//! Ids of messages. Every round trip contains both user loops: the client's call, the check of its status and its
//! loop counter; the server's check of what arrived, and its answer.

use crate::clock::{self, Samples};
use crate::partner::{self, ENTER, Mode, PLAIN, ROUND, long};
use crate::{Bench, Failure, PRIORITY, kernel};
use abi::object::endpoint;
use abi::tag::{Tag, Transfer};
use abi::{Error, Op};
use libsys::lease::Lease;
use libsys::object::OWN_TABLE;
use libsys::proto::control::TRACE_SWITCH;
use libsys::rt::{self, ENDPOINT};
use libsys::slots;
use libsys::syscall::{self, Input, Output, Slot};

/// Round trips in one sample.
const BATCH: u64 = 16;

/// Why a round trip was none.
#[cold]
fn broken(output: Output) -> Failure {
    let error = output.check().err().unwrap_or(Error::InvalidTag);
    kernel(error)
}

/// Puts a partner into a mode.
pub fn enter(partner: Slot, mode: Mode) -> Result<(), Failure> {
    enter_with(partner, mode, 0)
}

/// [`enter`], with a number of clients.
pub fn enter_with(partner: Slot, mode: Mode, clients: u64) -> Result<(), Failure> {
    plain(syscall::call(partner, ENTER, [mode as u64, clients, 0, 0]))
}

/// A round trip must bring a plain answer.
#[inline(always)]
pub fn plain(answer: Output) -> Result<(), Failure> {
    if answer.tag == PLAIN {
        Ok(())
    } else {
        Err(broken(answer))
    }
}

/// Round trips without words. Never inlined, so that what is traced is what is measured.
#[inline(never)]
pub fn empty(samples: usize, server: Slot) -> Result<Samples, Failure> {
    clock::loops(samples, BATCH, || {
        plain(syscall::call(server, ROUND, [0; 4]))
    })
}

/// `ipc.roundtrip.cross.0`.
pub fn cross(bench: &Bench) -> Result<Samples, Failure> {
    enter(bench.partner, Mode::Zeros)?;
    empty(bench.samples, bench.partner)
}

/// `ipc.roundtrip.traced`: while the kernel traces.
pub fn traced(bench: &Bench) -> Result<Samples, Failure> {
    switch_trace(true)?;
    let samples = cross(bench);
    switch_trace(false)?;
    samples
}

/// `ipc.roundtrip.untraced`: after it has traced.
pub fn untraced(bench: &Bench) -> Result<Samples, Failure> {
    traced(bench)?;
    cross(bench)
}

fn switch_trace(on: bool) -> Result<(), Failure> {
    let control = rt::endpoint("root.control").ok_or("it cannot switch tracing")?;
    let answer = syscall::call(control, TRACE_SWITCH, [on as u64, 0, 0, 0]);
    match answer.check().map_err(kernel)?.tag.label() {
        0 => Ok(()),
        refused => Err(alloc::format!("root refuses to switch tracing: {refused}")),
    }
}

/// `ipc.roundtrip.same.0`: the server is a thread of this program.
pub fn same(bench: &Bench) -> Result<Samples, Failure> {
    extern "C" fn server(_: u64) -> ! {
        syscall::recv(ENDPOINT);
        loop {
            partner::zeros(ENDPOINT);
        }
    }
    bench
        .worker
        .start(server, 0, PRIORITY, Slot(0))
        .map_err(kernel)?;
    let samples = empty(bench.samples, ENDPOINT);
    bench.worker.stop().map_err(kernel)?;
    samples
}

/// `ipc.roundtrip.cross.4`: the client sends four words from memory and puts the four of the answer there.
pub fn cross_four(bench: &Bench) -> Result<Samples, Failure> {
    enter(bench.partner, Mode::Echo)?;
    let mut words = [1, 2, 3, 4];
    let samples = clock::loops(bench.samples, BATCH, || {
        let words = core::hint::black_box(&mut words);
        let answer = syscall::call(bench.partner, ROUND, *words);
        *words = answer.words;
        plain(answer)
    });
    if words == [1, 2, 3, 4] {
        samples
    } else {
        Err("the words came back changed".into())
    }
}

/// `ipc.roundtrip.cross.{8,32,120}`: `EXTRA` words beyond the first four travel both ways through the message buffers. As in
/// the peer's benchmark, neither side touches them in the loop.
pub fn cross_long<const EXTRA: usize>(bench: &Bench) -> Result<Samples, Failure> {
    let mode = match EXTRA {
        4 => Mode::Echo8,
        28 => Mode::Echo32,
        _ => Mode::Echo120,
    };
    enter(bench.partner, mode)?;
    for word in 4..4 + EXTRA {
        syscall::set_word(word, word as u64);
    }
    let samples = clock::loops(bench.samples, BATCH, || {
        let answer = syscall::call_extra(bench.partner, ROUND, [0; 4], EXTRA);
        if answer.tag == long(EXTRA) {
            Ok(())
        } else {
            Err(broken(answer))
        }
    });
    if (4..4 + EXTRA).all(|word| syscall::word(word) == word as u64) {
        samples
    } else {
        Err("the words came back changed".into())
    }
}

/// `ipc.slowpath.cross.0`: both sides say in the tag that R9 may name capabilities, which is enough to leave the fast path,
/// and name none.
pub fn slow(bench: &Bench) -> Result<Samples, Failure> {
    enter(bench.partner, Mode::Slow)?;
    let tag = Tag::new(Op::Call, ROUND, 0, partner::SLOW);
    let request = Input::new(tag, bench.partner, [0; 4]);
    clock::loops(bench.samples, BATCH, || plain(syscall::enter(request)))
}

/// `ipc.call_with_cap`: each call passes a copy of an endpoint capability. The copy is taken back between two samples.
pub fn with_capability(bench: &Bench) -> Result<Samples, Failure> {
    let (server, gift) = grant(bench)?;
    OWN_TABLE
        .derive(gift, ENDPOINT, endpoint::CALL, 1)
        .map_err(kernel)?;
    let transfer = Transfer {
        pass: gift.0,
        ..Transfer::default()
    };
    let samples = clock::singles(
        bench.samples,
        || OWN_TABLE.revoke(gift).map_err(kernel),
        || {
            plain(syscall::call_transferring(
                server,
                ROUND,
                [0; 4],
                Lease::NONE,
                transfer,
            ))
        },
    );
    slots::release(gift);
    slots::release(server);
    samples
}

/// Puts the partner into [`Mode::Take`]. Returns a capability to its endpoint, with all rights, and an empty slot.
pub fn grant(bench: &Bench) -> Result<(Slot, Slot), Failure> {
    let full = || kernel(Error::NoCapability);
    let server = slots::allocate().ok_or_else(full)?;
    let spare = slots::allocate().ok_or_else(full)?;
    let transfer = Transfer {
        receive: server.0,
        ..Transfer::default()
    };
    let words = [Mode::Take as u64, 0, 0, 0];
    syscall::call_transferring(bench.partner, ENTER, words, Lease::NONE, transfer)
        .check()
        .map_err(kernel)?;
    Ok((server, spare))
}

/// `ipc.deferred`: the server parks the call, looks for others, and answers from the Reply object.
pub fn deferred(bench: &Bench) -> Result<Samples, Failure> {
    enter(bench.partner, Mode::Park)?;
    empty(bench.samples, bench.partner)
}
