//! Measurements by other threads of this program, while its first thread waits for the result.

use crate::clock::{Meter, Samples, now};
use crate::ipc::enter_with;
use crate::partner::{Mode, PLAIN, ROUND};
use crate::{Bench, Failure, PRIORITY, kernel};
use core::sync::atomic::{AtomicU64, Ordering};
use libsys::rt::ENDPOINT;
use libsys::syscall::{self, Slot};
use libsys::thread::Worker;
use spin::Mutex;

static RESULT: Mutex<Option<Result<Samples, Failure>>> = Mutex::new(None);

/// The measuring thread is done: it wakes the first, and waits to be stopped.
pub fn finish(result: Result<Samples, Failure>) -> ! {
    *RESULT.lock() = Some(result);
    loop {
        syscall::call(ENDPOINT, ROUND, [0; 4]);
    }
}

/// Waits for [`finish`].
pub fn result() -> Result<Samples, Failure> {
    syscall::recv(ENDPOINT).check().map_err(kernel)?;
    let result = RESULT.lock().take();
    result.unwrap_or_else(|| Err("a thread ended without a result".into()))
}

/// Clients of [`fan_in`].
static CLIENTS: AtomicU64 = AtomicU64::new(0);

/// `ipc.fanin.*`, for one request: clients of this program and the server's own priority call without pause. The server lets all
/// of them queue, then answers one after the other. One client's round is as many requests as there are clients.
pub fn fan_in(bench: &Bench, clients: u64) -> Result<Samples, Failure> {
    extern "C" fn client(partner: u64) -> ! {
        loop {
            syscall::call(Slot(partner as u32), ROUND, [0; 4]);
        }
    }
    enter_with(bench.partner, Mode::Queue, clients)?;
    CLIENTS.store(clients, Ordering::Relaxed);
    let partner = bench.partner.0 as u64;
    let mut others = bench.others.lock();
    while others.len() < clients as usize - 1 {
        others.push(Worker::new(&bench.own, 1).map_err(kernel)?);
    }
    let others = &others[..clients as usize - 1];
    for worker in others {
        worker
            .start(client, partner, PRIORITY, Slot(0))
            .map_err(kernel)?;
    }
    let rounds = (bench.samples as u64 / 16).max(LEAST);
    let argument = partner | rounds << 32;
    bench
        .worker
        .start(measuring_client, argument, PRIORITY, Slot(0))
        .map_err(kernel)?;
    let samples = result();
    for worker in others.iter().chain([&bench.worker]) {
        worker.stop().map_err(kernel)?;
    }
    samples
}

/// Fewest samples. In each time slice of the scheduler, some hundred rounds, a few are out of step.
const LEAST: u64 = 48;

/// Rounds before the first sample: the queue has its length.
const WARM_UP: usize = 4;

extern "C" fn measuring_client(argument: u64) -> ! {
    let (partner, count) = (Slot(argument as u32), (argument >> 32) as usize);
    let mut meter = Meter::new(count, CLIENTS.load(Ordering::Relaxed));
    let mut last = now();
    for round in 0..WARM_UP + count {
        if syscall::call(partner, ROUND, [0; 4]).tag != PLAIN {
            finish(Err("the server refused a request".into()));
        }
        let this = now();
        if round >= WARM_UP {
            meter.add(last, this);
        }
        last = this;
    }
    finish(Ok(meter.finish()))
}
