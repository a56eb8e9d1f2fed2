//! Who runs: strict priority, turns among equals, paid time, and no inversion.

use crate::lab::{HIGH, LOW, Lab, NORMAL};
use crate::outcome::Outcome;
use crate::{check, same};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use libsys::object::Thread;
use libsys::syscall::{self, Answer, Slot};
use libsys::time::Instant;

const MILLISECOND: u64 = 1_000_000;

/// Works without end. (Not by PAUSE, which takes QEMU long.)
fn spin() -> ! {
    loop {
        core::hint::black_box(());
    }
}

fn work(ticks: u64) {
    let end = Instant::now().0 + ticks;
    while Instant::now().0 < end {}
}

/// Equals take turns: after 250 ms each of five has paid a fifth of it, give or take a slice.
pub fn round_robin(lab: &mut Lab) -> Outcome {
    let threads: Vec<Thread> = (0..5)
        .map(|_| lab.spawn(LOW, || spin()))
        .collect::<Result<_, _>>()?;
    lab.rest(250 * MILLISECOND);
    for thread in &threads {
        let paid = thread.info()?.time;
        check!((39 * MILLISECOND..61 * MILLISECOND).contains(&paid));
    }
    Ok(())
}

/// Who has a higher priority runs until he waits; the others do not run at all.
pub fn strict_priority(lab: &mut Lab) -> Outcome {
    let low = lab.spawn(LOW - 1, || spin())?;
    let high = lab.spawn(LOW, || spin())?;
    lab.rest(50 * MILLISECOND);
    same!(low.info()?.time, 0);
    check!(high.info()?.time > 49 * MILLISECOND);
    // Raised above the other, it runs at once.
    low.priority(LOW + 1, LOW + 1)?;
    let before = high.info()?.time;
    lab.rest(50 * MILLISECOND);
    check!(low.info()?.time > 49 * MILLISECOND);
    check!(high.info()?.time < before + MILLISECOND);
    Ok(())
}

/// A thread made ready with a higher priority runs before its waker goes on, one with a lower after.
pub fn at_once(lab: &mut Lab) -> Outcome {
    let order = Arc::new(AtomicU64::new(0));
    let log = |order: &AtomicU64, what| order.store(order.load(Relaxed) * 10 + what, Relaxed);
    let [a, b, c, d] = [order.clone(), order.clone(), order.clone(), order.clone()];
    lab.spawn(HIGH, move || log(&a, 1))?;
    lab.spawn(LOW, move || log(&b, 5))?;
    lab.spawn(NORMAL, move || log(&c, 3))?;
    log(&order, 2);
    syscall::yield_now();
    log(&order, 4);
    // Nobody of this priority waits any more.
    syscall::yield_now();
    lab.rest(MILLISECOND);
    log(&d, 6);
    same!(order.load(Relaxed), 123_456);
    Ok(())
}

/// YIELD goes round among equals in order.
pub fn yielding(lab: &mut Lab) -> Outcome {
    let order = Arc::new(AtomicU64::new(0));
    for i in 1..=3 {
        let order = order.clone();
        lab.spawn(LOW, move || {
            for _ in 0..3 {
                order.store(order.load(Relaxed) * 10 + i, Relaxed);
                syscall::yield_now();
            }
        })?;
    }
    lab.rest(MILLISECOND);
    same!(order.load(Relaxed), 123_123_123);
    Ok(())
}

/// Server at HIGH serves a caller at LOW; meanwhile somebody between becomes ready. The reply must not run the caller first.
pub fn reply_to_a_lower_caller(lab: &mut Lab) -> Outcome {
    let (endpoint, bell, irq) = (lab.endpoint()?, lab.endpoint()?, lab.irq()?);
    irq.bind(bell, 1)?;
    let order = Arc::new(AtomicU64::new(0));
    let log = |order: &AtomicU64, what| order.store(order.load(Relaxed) * 10 + what, Relaxed);
    let [a, b, c] = [order.clone(), order.clone(), order.clone()];
    lab.spawn(HIGH, move || {
        let mut m = syscall::recv(endpoint);
        loop {
            let _ = irq.raise();
            log(&a, 1);
            m = syscall::reply_recv(endpoint, 0, m.words);
        }
    })?;
    lab.spawn(LOW + 5, move || {
        loop {
            syscall::recv(bell);
            log(&b, 2);
        }
    })?;
    lab.rest(MILLISECOND);
    lab.spawn(LOW, move || {
        for _ in 0..3 {
            syscall::call(endpoint, 0, [0; 4]);
            log(&c, 3);
        }
    })?;
    lab.rest(MILLISECOND);
    same!(order.load(Relaxed), 123_123_123);
    Ok(())
}

/// A client at 5 calls through three servers of higher priority (the manifest's rule), while a thread at 30 works without
/// end from the middle of a call on. Servers below 30 that serve it, and nobody else, may be held up; those above not: the
/// calls take what the servers work, and not one slice more.
pub fn no_inversion(lab: &mut Lab) -> Outcome {
    let ends = [lab.endpoint()?, lab.endpoint()?, lab.endpoint()?];
    let (started, hog) = (lab.endpoint()?, lab.irq()?);
    hog.bind(started, 1)?;
    for i in 0..3 {
        let (own, next) = (ends[i], ends.get(i + 1).copied());
        lab.spawn([41, 42, 43][i], move || {
            let mut m = syscall::recv(own);
            loop {
                work(MILLISECOND);
                // The last one makes the middle thread ready while everybody above owes.
                match next {
                    Some(next) => drop(syscall::call(next, 0, [0; 4])),
                    None => drop(hog.raise()),
                }
                work(MILLISECOND);
                m = syscall::reply_recv(own, 0, m.words);
            }
        })?;
    }
    let middle = lab.spawn(30, move || {
        syscall::recv(started);
        spin()
    })?;
    let (first, result) = (ends[0], lab.endpoint()?);
    let client = lab.spawn(5, move || {
        for _ in 0..2 {
            syscall::call(first, 0, [0; 4]);
        }
    })?;
    let probe = lab.spawn(35, move || {
        // Above the middle one: its call goes through the same servers.
        syscall::call(result, 0, [0; 4]);
        let start = Instant::now().0;
        syscall::call(first, 0, [0; 4]);
        syscall::call(result, 0, [Instant::now().0 - start, 0, 0, 0]);
    })?;
    syscall::recv(result).check()?;
    lab.rest(20 * MILLISECOND);
    // The client's first call is over, and since then only the one in the middle runs.
    let paid = middle.info()?.time;
    check!((13 * MILLISECOND..15 * MILLISECOND).contains(&paid));
    check!(!lab.is_done(client));
    syscall::reply(Answer::new(0, [0; 4]));
    let m = syscall::recv(result).check()?;
    check!((6 * MILLISECOND..6 * MILLISECOND + MILLISECOND / 2).contains(&m.words[0]));
    check!(middle.info()?.time < paid + MILLISECOND / 2);
    syscall::reply(Answer::new(0, [0; 4]));
    lab.join(probe)
}

/// Time is paid by who runs; who waits pays nothing.
pub fn paid_time(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let worker = lab.spawn(LOW, || work(30 * MILLISECOND))?;
    let waiter = lab.spawn(LOW, move || {
        syscall::recv(endpoint);
    })?;
    lab.rest(100 * MILLISECOND);
    let (worked, waited) = (worker.info()?.time, waiter.info()?.time);
    check!((29 * MILLISECOND..31 * MILLISECOND).contains(&worked));
    check!(waited < MILLISECOND);
    lab.rest(100 * MILLISECOND);
    same!(waiter.info()?.time, waited);
    Ok(())
}

/// Deadlines are met within 20 microseconds when the processor is idle, and when a lower priority runs.
pub fn timer_accuracy(lab: &mut Lab) -> Outcome {
    let nobody: Slot = lab.endpoint()?;
    for busy in [false, true] {
        if busy {
            lab.spawn(LOW, || spin())?;
        }
        for i in 1..100 {
            let due = Instant::now().0 + i * 37_123;
            let _ = syscall::recv_until(nobody, due);
            let late = Instant::now().0.wrapping_sub(due);
            check!(late < 20_000);
        }
    }
    Ok(())
}

/// Callers of one server that never waits are served in turn, all alike.
pub fn fair_server(lab: &mut Lab) -> Outcome {
    let endpoint = lab.endpoint()?;
    let counts: Vec<Arc<AtomicU64>> = (0..4).map(|_| Arc::default()).collect();
    lab.spawn(HIGH, move || {
        let mut m = syscall::recv(endpoint);
        loop {
            m = syscall::reply_recv_with(endpoint, Answer::new(0, m.words), None);
        }
    })?;
    for count in &counts {
        let count = count.clone();
        lab.spawn(LOW, move || {
            loop {
                syscall::call(endpoint, 0, [0; 4]);
                count.fetch_add(1, Relaxed);
            }
        })?;
    }
    lab.rest(100 * MILLISECOND);
    let total: u64 = counts.iter().map(|count| count.load(Relaxed)).sum();
    check!(total > 5_000);
    for count in &counts {
        let share = count.load(Relaxed) * 4 * 100 / total;
        check!((60..140).contains(&share));
    }
    Ok(())
}
