//! Ids of messages. Every round trip contains both user loops: the client's call, the check of its status and its
//! loop counter; the server's check of what arrived, and its answer.

use crate::clock::{self, Samples};
use crate::partner::{self, ENTER, Mode, PLAIN, ROUND, long};
use crate::{Bench, Failure, PRIORITY, kernel};
use abi::Error;
use libsys::rt::ENDPOINT;
use libsys::syscall::{self, Output, Slot};

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
    let answer = syscall::call(partner, ENTER, [mode as u64, 0, 0, 0]);
    if answer.tag == PLAIN {
        Ok(())
    } else {
        Err(broken(answer))
    }
}

/// Round trips without words.
#[inline(always)]
fn empty(bench: &Bench, server: Slot) -> Result<Samples, Failure> {
    clock::loops(bench.samples, BATCH, || {
        let answer = syscall::call(server, ROUND, [0; 4]);
        if answer.tag == PLAIN {
            Ok(())
        } else {
            Err(broken(answer))
        }
    })
}

/// `ipc.roundtrip.cross.0`.
pub fn cross(bench: &Bench) -> Result<Samples, Failure> {
    enter(bench.partner, Mode::Zeros)?;
    empty(bench, bench.partner)
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
    let samples = empty(bench, ENDPOINT);
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
        if answer.tag == PLAIN {
            Ok(())
        } else {
            Err(broken(answer))
        }
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
