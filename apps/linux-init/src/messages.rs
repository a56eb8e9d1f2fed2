//! A byte, or a signal that there is something, to another process, and one back: the ways that Linux has for it.
//!
//! A sample is one round trip: Linux's timer strikes every four million instructions, so that of longer samples too many
//! would be struck.

use crate::kernel::{Child, Errno, Fd, Word};
use crate::told;
use core::sync::atomic::Ordering::SeqCst;
use measure::Failure;
use measure::clock::{self, Samples};

/// Rounds before the first sample: at first Linux's scheduler lets a process that wakes another one go on until it waits itself, and later
/// it does not.
const SETTLING: usize = 5000;

/// Through two pipes.
///
/// # Errors
/// What Linux says.
pub fn pipe(samples: usize) -> Result<Samples, Failure> {
    let [request, ask] = Fd::pipe().map_err(told)?;
    let [answer, reply] = Fd::pipe().map_err(told)?;
    bytes::<1>(samples, (&ask, &answer), (&request, &reply))
}

/// Through a pair of sockets of the Unix domain.
///
/// # Errors
/// What Linux says.
pub fn socket(samples: usize) -> Result<Samples, Failure> {
    let [client, server] = Fd::sockets().map_err(told)?;
    bytes::<1>(samples, (&client, &client), (&server, &server))
}

/// Through two eventfds, whose messages are numbers of eight bytes.
///
/// # Errors
/// What Linux says.
pub fn eventfd(samples: usize) -> Result<Samples, Failure> {
    let (request, answer) = (Fd::event().map_err(told)?, Fd::event().map_err(told)?);
    bytes::<8>(samples, (&request, &answer), (&request, &answer))
}

/// Client and server write `N` bytes to their first file and read as many from their second one; of the server it is the other way round.
fn bytes<const N: usize>(
    samples: usize,
    (ask, answer): (&Fd, &Fd),
    (request, reply): (&Fd, &Fd),
) -> Result<Samples, Failure> {
    let _server = Child::new(|| {
        receive::<N>(request)?;
        send::<N>(reply)
    })
    .map_err(told)?;
    let mut round = || {
        send::<N>(ask).map_err(told)?;
        receive::<N>(answer).map_err(told)
    };
    settle(&mut round)?;
    clock::loops(samples, 1, round)
}

#[inline(always)]
fn send<const N: usize>(file: &Fd) -> Result<(), Errno> {
    let mut message = [0; N];
    message[0] = 1;
    file.write(&message).map(drop)
}

/// A message of another length is told as EPIPE.
#[inline(always)]
fn receive<const N: usize>(file: &Fd) -> Result<(), Errno> {
    match file.read(&mut [0; N])? {
        count if count == N => Ok(()),
        _ => Err(Errno(32)),
    }
}

/// Goes round until the scheduler has settled.
fn settle(round: &mut impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
    (0..SETTLING).try_for_each(|_| round())
}

/// Through two words in shared memory, and futex(2).
///
/// # Errors
/// What Linux says.
pub fn futex(samples: usize) -> Result<Samples, Failure> {
    let [request, reply] = Word::pair().map_err(told)?;
    let mut served = 0;
    let _server = Child::new(|| {
        await_change(&request, served);
        served += 1;
        reply.value().store(served, SeqCst);
        reply.wake()
    })
    .map_err(told)?;
    let mut asked = 0;
    let mut round = || {
        request.value().store(asked + 1, SeqCst);
        request.wake().map_err(told)?;
        await_change(&reply, asked);
        asked += 1;
        Ok(())
    };
    settle(&mut round)?;
    clock::loops(samples, 1, round)
}

/// Returns when the word has another value than `old`.
#[inline(always)]
fn await_change(word: &Word, old: u32) {
    while word.value().load(SeqCst) == old {
        word.wait(old);
    }
}
